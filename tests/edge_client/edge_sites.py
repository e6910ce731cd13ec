"""Sites on real, tiny encoders: real ONNX graphs and a real tokenizer, run by onnxruntime."""

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from fedfin.encoders.bundle import ImageRecipe, Manifest, Recipe, TextRecipe, VectorRecipe, file_digest
from fedfin_edge.commands import encode as encode_command
from fedfin_edge.commands import init as init_command
from fedfin_edge.site import Site, open_site

INIT = ("--site", "st-mary", "--federation", "chest", "--broker", "mqtt://127.0.0.1:1883")


def edge(*words: object) -> int:
    """Run `fedfin edge init` or `encode` as the command line does."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    init_command.add(commands)
    encode_command.add(commands)
    args = parser.parse_args([str(word) for word in words])
    return args.run(args)


def _save(folder: Path, nodes: list, inputs: list, dim: int, initializers: Sequence = ()) -> None:
    output = helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", dim])
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializer=list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    folder.mkdir(parents=True)
    onnx.save(model, folder / "encoder.onnx")


def _manifest(folder: Path, modality: str, dim: int, recipe: Recipe) -> Path:
    manifest = Manifest(
        name=f"tiny-{modality}",
        modality=modality,
        dim=dim,
        onnx="encoder.onnx",
        recipe=recipe,
        files={path.name: file_digest(path) for path in sorted(folder.iterdir())},
        quantization="none",
        source="made in a test",
        licence="Apache-2.0",
        versions={},
    )
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def make_image_bundle(folder: Path) -> Path:
    """Features [2]: the mean grey, twice."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        helper.make_node("Concat", ["flat", "flat"], ["features"], axis=1),
    ]
    _save(folder, nodes, [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, 8, 8])], 2)
    return _manifest(folder, "image", 2, ImageRecipe(8, 8, 1, "bilinear", 1.0, (0.0,), (1.0,)))


def make_text_bundle(folder: Path) -> Path:
    """Features [1]: the mean token id, padding included, so that a padded text would show."""
    names = ["input_ids", "attention_mask"]
    nodes = [helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT) for name in names]
    nodes += [
        helper.make_node("Mul", [f"{name}.float" for name in names], ["shown"]),
        helper.make_node("ReduceMean", ["shown", "axes"], ["features"], keepdims=0),
    ]
    nodes[-1].output[0] = "mean"
    nodes.append(helper.make_node("Unsqueeze", ["mean", "axes"], ["features"]))
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"]) for name in names]
    _save(folder, nodes, inputs, 1, [axes])
    words = {"[UNK]": 0, "clear": 2, "lungs": 4, "effusion": 60}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return _manifest(folder, "text", 1, TextRecipe("tokenizer.json", 16, 0, tuple(names)))


def make_vector_bundle(folder: Path) -> Path:
    """Features [3]: the values themselves."""
    nodes = [helper.make_node("Identity", ["values"], ["features"])]
    _save(folder, nodes, [helper.make_tensor_value_info("values", TensorProto.FLOAT, ["n", 3])], 3)
    return _manifest(folder, "labs", 3, VectorRecipe(3))


class SiteMaker:
    """Writes tables and images, and sets up the site over them with the real `edge init`."""

    def __init__(self, folder: Path, bundles: dict[str, Path]) -> None:
        self.folder = folder
        self.bundles = bundles
        (folder / "images").mkdir()

    def image(self, name: str, grey: int = 100) -> str:
        """A grey image with one white pixel at its margin, as a single value is noted; its path in the table."""
        pixels = np.full((10, 16), grey, np.uint8)
        pixels[0, 0] = 255
        Image.fromarray(pixels).save(self.folder / "images" / name)
        return f"images/{name}"

    def table(self, rows: list[dict], columns: Sequence[str] | None = None) -> Path:
        """A CSV table."""
        path = self.folder / "cases.csv"
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns or list(rows[0]), restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def json_table(self, rows: list[dict]) -> Path:
        """A JSON-lines table."""
        path = self.folder / "cases.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def site(self, table: Path, *modalities: str, options: Sequence[str] = ()) -> Site:
        """A site over the table, by default with images and text."""
        folder = self.folder / "site"
        chosen = [word for m in modalities or ("image", "text") for word in ("--bundle", self.bundles[m])]
        assert edge("init", folder, *INIT, "--cases", table, *chosen, *options) == 0
        return open_site(folder)
