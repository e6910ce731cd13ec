"""Promises of `fedfin edge predict`: any modality may be missing, and it says what was imputed. No torch."""

import argparse
import json
import re
import subprocess
import sys

import msgspec
import numpy as np
import onnx
import pytest
from edge_sites import make_text_bundle

from fedfin.command_line.main import main
from fedfin.encoders.bundle import FORMAT, MANIFEST, Manifest, VectorRecipe, file_digest, read_manifest
from fedfin.errors import InputError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import ModelFile
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.commands.predict import _one_case
from fedfin_edge.predict.evaluation import print_scores, score
from fedfin_edge.predict.predictor import open_predictor
from fedfin_export.commands.model import export_model

DIMS = {"image": 6, "lab": 4}


def write_bundle(folder, modality, dim):
    """A real bundle whose encoder doubles a vector. Returns its digest."""
    folder.mkdir()
    shape = ["n", dim]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["values", "values"], ["features"])],
        "double",
        [onnx.helper.make_tensor_value_info("values", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "encoder.onnx")
    manifest = Manifest(
        format=FORMAT, name=f"double-{modality}", modality=modality, dim=dim, onnx="encoder.onnx",
        recipe=VectorRecipe(length=dim), files={"encoder.onnx": file_digest(folder / "encoder.onnx")},
        quantization="none", source="test", licence="Apache-2.0", versions={},
    )  # fmt: skip
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return manifest.digest()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with two bundles, an exported model, a stranger's bundle and a table."""
    folder = tmp_path_factory.mktemp("predict")
    digests = {m: write_bundle(folder / m, m, dim) for m, dim in DIMS.items()}
    write_bundle(folder / "stranger", "other", 3)
    plan = Plan(
        federation="test",
        labels=("effusion", "normal"),
        modalities=tuple(Modality(name=m, encoder=digests[m], dim=dim) for m, dim in DIMS.items()),
        model=Model(fin="mlp", answer="head", head_width=4, fin_width=8, fin_layers=1),
    )
    export_model(ModelFile(plan, 3, initial_model(plan)), folder / "model")
    rows = [
        {"case": "both", "image": [0.1] * 6, "lab": [1.0, 2.0, 3.0, 4.0]},
        {"case": "image-only", "image": [0.5] * 6},
        {"case": "bad", "image": [0.5] * 5},
    ]
    (folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def arguments(place, *bundles):
    """The command line up to --cases."""
    chosen = [word for name in bundles for word in ("--bundle", str(place / name))]
    return [
        "edge",
        "predict",
        "--model",
        str(place / "model"),
        *chosen,
        "--cases",
        str(place / "cases.jsonl"),
    ]


# Stands in for `fedfin`, with torch blocked, and `predict` alone in its group.
BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is blocked")
sys.meta_path.insert(0, Block())
import fedfin_edge.cli
fedfin_edge.cli.COMMANDS = ("predict",)
from fedfin.command_line.main import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules
sys.exit(code)
"""


def test_predict_answers_cases_with_a_modality_missing_without_torch(place):
    """Given and imputed are told; the probability is the model's for the encoder's features."""
    words = [*arguments(place, "image", "lab"), "--json"]
    done = subprocess.run([sys.executable, "-c", BLOCKED, *words], check=True, capture_output=True, text=True)
    out = json.loads(done.stdout)
    both, alone = out["cases"]
    assert (both["case"], both["given"], both["imputed"]) == ("both", ["image", "lab"], [])
    assert (alone["case"], alone["given"], alone["imputed"]) == ("image-only", ["image"], ["lab"])
    assert out["model_version"] == 3
    assert [problem["row"] for problem in out["problems"]] == [3, 3]
    features = {"image": np.full((1, 6), 1.0, np.float32)}
    expected = open_predictor(place / "model").predict(features, {"image": np.array([True])})
    assert alone["probability"] == dict(
        zip(("effusion", "normal"), expected.probability[0].tolist(), strict=True)
    )


@pytest.fixture
def only_predict(monkeypatch):
    """The group with this command alone."""
    monkeypatch.setattr("fedfin_edge.cli.COMMANDS", ("predict",))


@pytest.mark.usefixtures("only_predict")
def test_a_bundle_may_be_left_out(place, capsys):
    """With the image encoder alone, every case's lab values are imputed."""
    assert main(arguments(place, "image")) == 0
    out = capsys.readouterr().out
    assert out.count("given: image; imputed: lab") == 2
    assert "row 3" in out


@pytest.mark.usefixtures("only_predict")
def test_a_text_in_markup_is_answered_as_plain_text_and_noted(tmp_path, capsys):
    """As `edge encode` reads it, and its words are not printed."""
    text = make_text_bundle(tmp_path / "text")
    modalities = tuple(
        Modality(name=name, encoder=digest, dim=dim)
        for name, digest, dim in (
            ("lab", write_bundle(tmp_path / "lab", "lab", 4), 4),
            ("text", read_manifest(text).digest(), 1),
        )
    )
    sizes = Model(fin="mlp", answer="head", head_width=4, fin_width=8, fin_layers=1)
    plan = Plan(federation="test", labels=("effusion",), modalities=modalities, model=sizes)
    export_model(ModelFile(plan, 3, initial_model(plan)), tmp_path / "model")
    words = ["edge", "predict", "--model", str(tmp_path / "model"), "--bundle", str(text), "--json", "--text"]
    answers = []
    for given in ("clear lungs", "<p>clear lungs</p>"):
        assert main([*words, given]) == 0
        answers += json.loads(capsys.readouterr().out)["cases"]
    plain, marked = answers
    assert marked["noted"] == {"text": ["has HTML tags or entities: read as plain text"]}
    assert marked == plain | {"noted": marked["noted"]}
    assert main([*(word for word in words if word != "--json"), given]) == 0
    out = capsys.readouterr().out
    assert "text noted: has HTML tags or entities: read as plain text" in out
    assert "lungs" not in out


@pytest.mark.usefixtures("only_predict")
def test_an_incomplete_model_is_named(place, tmp_path, capsys):
    """One whose graph was not copied along."""
    (tmp_path / "model.json").write_bytes((place / "model" / "model.json").read_bytes())
    words = ["edge", "predict", "--model", str(tmp_path), "--bundle", str(place / "image")]
    assert main([*words, "--cases", str(place / "cases.jsonl")]) == 4
    assert f"{tmp_path} is incomplete: it has no model.onnx" in capsys.readouterr().err


def test_a_blank_text_is_no_input(tmp_path):
    """Answering for it would pass off nothing as a report."""
    args = argparse.Namespace(image=None, text=" \n", text_file=None)
    with pytest.raises(InputError, match="the text is blank"):
        _one_case(args, {})


def test_mistakes_are_named(place, capsys):
    """A stranger's encoder, no case, a kind that no bundle takes: an exit code and a remedy each."""
    assert main(arguments(place, "stranger")) == 5
    assert "was not trained with this encoder" in capsys.readouterr().err
    assert main(arguments(place, "image")[:-2]) == 3
    assert "--cases" in capsys.readouterr().err
    assert main([*arguments(place, "image")[:-2], "--text", "x"]) == 3
    assert "--bundle that takes text" in capsys.readouterr().err


def test_a_site_without_complete_cases_sees_the_labels_scores_too(place, capsys):
    """The first column, of complete cases, has none; the rows are of all columns."""
    count, rng = 8, np.random.default_rng(0)
    dataset = Dataset(
        {m: rng.normal(size=(count, dim)).astype(np.float32) for m, dim in DIMS.items()},
        {m: np.full(count, m == "image") for m in DIMS},
        np.tile(np.array([[0, 1], [1, 0]], np.float32), (count // 2, 1)),
        np.ones(count, np.bool_),
    )
    scores = score(open_predictor(place / "model"), dataset, every_case=True)
    assert scores["all"]["cases"] == 0
    print_scores(scores)
    shown = capsys.readouterr().out
    for label, auc in scores["only-image"]["labels"].items():
        assert re.search(rf"{label}\W.*{100 * auc:.1f}", shown)


def test_help_says_what_is_known_of_an_imputed_modality(capsys):
    """The share that stands after it, of what."""
    with pytest.raises(SystemExit):
        main(["edge", "predict", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert '"(1% known)" after an imputed one says how much of the variance of its features' in shown
