"""A bundle is what its digests cover: no name leads out of it, and no graph keeps tensors elsewhere."""

import os
from pathlib import Path

import msgspec
import pytest

from fedfin.encoders.bundle import MANIFEST, file_digest, read_manifest
from fedfin.encoders.onnx_file import check_whole
from fedfin.errors import BundleError, InputError
from fedfin.model.exported_model import DESCRIPTION, GRAPH, ExportedModel, read_exported
from fedfin.plan import Plan
from fedfin.plan_sections import Modality

onnx = pytest.importorskip("onnx")
FLOAT = onnx.TensorProto.FLOAT


def tensor(location: str = ""):
    """A weight in the graph, or in a file."""
    made = onnx.helper.make_tensor("w", FLOAT, [1], b"\0\0\0\x40", raw=True)
    if location:
        onnx.external_data_helper.set_external_data(made, location)
        made.ClearField("raw_data")
    return made


def sparse(location: str):
    """A sparse weight whose values are in a file."""
    return onnx.helper.make_sparse_tensor(
        tensor(location), onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0]), [2]
    )


def graph(*nodes, initializer=(), sparse_initializer=()):
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        list(nodes), "g", [value("x", FLOAT, [1])], [value("y", FLOAT, [1])], initializer=list(initializer)
    )
    made.sparse_initializer.extend(sparse_initializer)
    return made


def node(**attributes):
    return onnx.helper.make_node("Constant", [], ["w"], **attributes)


def with_function(location: str):
    """The weight is in a function of the model."""
    opset = [onnx.helper.make_opsetid("", 17)]
    function = onnx.helper.make_function("own", "f", [], ["w"], [node(value=tensor(location))], opset)
    return onnx.helper.make_model(graph(), functions=[function])


MODELS = {
    "an initializer": lambda at: onnx.helper.make_model(graph(initializer=[tensor(at)])),
    "a sparse initializer": lambda at: onnx.helper.make_model(graph(sparse_initializer=[sparse(at)])),
    "an attribute": lambda at: onnx.helper.make_model(graph(node(value=tensor(at)))),
    "attributes": lambda at: onnx.helper.make_model(graph(node(values=[tensor(at)]))),
    "a sparse attribute": lambda at: onnx.helper.make_model(graph(node(sparse_value=sparse(at)))),
    "an inner graph": lambda at: onnx.helper.make_model(graph(node(body=graph(initializer=[tensor(at)])))),
    "inner graphs": lambda at: onnx.helper.make_model(graph(node(all=[graph(initializer=[tensor(at)])]))),
    "a function": with_function,
}


@pytest.mark.parametrize("where", MODELS)
@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_a_graph_with_external_data_anywhere_is_refused_before_onnxruntime_opens_it(
    tmp_path: Path, where: str, location: str
) -> None:
    """Also in the folder: no digest would cover it."""
    path = tmp_path / "encoder.onnx"
    path.write_bytes(MODELS[where](location).SerializeToString())
    with pytest.raises(BundleError, match=r"encoder\.onnx: keeps tensors in other files .*export it again"):
        check_whole(path)


@pytest.mark.parametrize("where", ["an initializer", "an attribute", "an inner graph", "a function"])
def test_a_graph_that_holds_its_tensors_is_taken(tmp_path: Path, where: str) -> None:
    """What the export writes."""
    path = tmp_path / "encoder.onnx"
    path.write_bytes(MODELS[where]("").SerializeToString())
    check_whole(path)


def test_a_graph_cut_anywhere_or_nested_without_end_is_refused_or_read(tmp_path: Path) -> None:
    """And never an exception of another kind."""
    path = tmp_path / "encoder.onnx"
    whole = MODELS["an initializer"]("").SerializeToString()
    nested = b""
    for _ in range(300):  # a graph in an attribute of a node of a graph ...
        for field in (0x32, 0x2A, 0x0A):
            nested = bytes([field]) + _varint(len(nested)) + nested
    for data in (*(whole[:end] for end in range(len(whole))), b"\x3a" + _varint(len(nested)) + nested):
        path.write_bytes(data)
        try:
            check_whole(path)
        except BundleError as error:
            assert "export it again" in str(error)  # noqa: PT017


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def write_bundle(folder: Path, **changes) -> Path:
    """A bundle with a real graph, or with changes to its manifest."""
    folder.mkdir()
    (folder / "encoder.onnx").write_bytes(MODELS["an initializer"]("").SerializeToString())
    (folder / "tokenizer.json").write_bytes(b"{}")
    manifest = {
        "format": 1, "name": "double", "modality": "lab", "dim": 2, "onnx": "encoder.onnx",
        "recipe": {"kind": "vector", "length": 2}, "quantization": "none", "source": "test",
        "files": {"encoder.onnx": file_digest(folder / "encoder.onnx")}, "licence": "Apache-2.0", "versions": {},
    }  # fmt: skip
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest | changes))
    return folder


TEXT = {"kind": "text", "max_tokens": 64, "pad_id": 0, "inputs": ["input_ids"], "tokenizer": "tokenizer.json"}
IMAGE = {"kind": "image", "resize": 8, "crop": 8, "channels": 1, "interpolation": "box", "scale": 1.0,
         "mean": [0.0], "std": [1.0]}  # fmt: skip
HOSTILE = {
    "a graph outside": ({"onnx": "../encoder.onnx"}, r"key onnx: must be a file name"),
    "a graph by absolute path": ({"onnx": "/tmp/encoder.onnx"}, "key onnx: must be a file name"),
    "a graph of another format": ({"onnx": "encoder.ort"}, r"ends in \.onnx"),
    "a graph without a digest": ({"files": {}}, "files has no digest of encoder.onnx"),
    "a file outside": ({"files": {"../../secret": "a" * 64}}, r"`key` in `\$\.files`"),
    "a file with a NUL": ({"files": {"a\0b": "a" * 64}}, r"`key` in `\$\.files`"),
    "a tokenizer outside": ({"recipe": TEXT | {"tokenizer": "../tokenizer.json"}}, "no path"),
    "a tokenizer without a digest": ({"recipe": TEXT}, "files has no digest of tokenizer.json"),
    "an input that no text has": ({"recipe": TEXT | {"inputs": ["passwd"]}}, "Invalid enum value"),
    "an image scaled to gigabytes": ({"recipe": IMAGE | {"resize": 1_000_000}}, "<= 2048"),
    "a mean of too few channels": ({"recipe": IMAGE | {"channels": 3}}, "one number a channel"),
    "a deviation of 0": ({"recipe": IMAGE | {"std": [0.0]}}, "no std 0"),
    "features of gigabytes": ({"dim": 1 << 40}, "<= 65536"),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_manifest_is_refused(tmp_path: Path, attack: str) -> None:
    """With file and reason, before any of the files it names is opened."""
    changes, reason = HOSTILE[attack]
    with pytest.raises(BundleError, match=f"manifest.json: .*{reason}.*copy the bundle again"):
        read_manifest(write_bundle(tmp_path / "bundle", **changes))


def test_a_link_out_of_the_bundle_is_refused_even_to_the_same_bytes(tmp_path: Path) -> None:
    """A link within it is fine."""
    folder = write_bundle(tmp_path / "bundle")
    (folder / "encoder.onnx").rename(folder / "real.onnx")
    (folder / "encoder.onnx").symlink_to("real.onnx")
    read_manifest(folder)
    (folder / "real.onnx").rename(tmp_path / "real.onnx")
    (folder / "encoder.onnx").unlink()
    (folder / "encoder.onnx").symlink_to("../real.onnx")
    with pytest.raises(BundleError, match="is a link out of the bundle"):
        read_manifest(folder)


def test_a_bundle_manifest_that_is_no_utf_8_is_a_plain_error(tmp_path: Path) -> None:
    """7b22666f... raised UnicodeDecodeError; so do all its prefixes some error of ours."""
    (tmp_path / MANIFEST).write_bytes(bytes.fromhex("7b22666f726d6174223a312c226e616d65223a22ff227d"))
    with pytest.raises(BundleError, match=r"manifest\.json: not a bundle manifest of format 1"):
        read_manifest(tmp_path)


def test_a_manifest_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """A sparse file costs nothing to make."""
    with (tmp_path / MANIFEST).open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(BundleError, match="more than 1,048,576 bytes"):
        read_manifest(tmp_path)


PLAN = Plan(federation="ward", labels=("x",), modalities=(Modality(name="lab", encoder="a" * 64, dim=2),))


def write_exported(folder: Path, data: bytes) -> Path:
    (folder / GRAPH).write_bytes(data)
    described = ExportedModel(plan=PLAN, version=1, sha256=file_digest(folder / GRAPH))
    (folder / DESCRIPTION).write_bytes(msgspec.json.encode(described))
    return folder


def test_an_exported_model_with_external_data_is_refused(tmp_path: Path) -> None:
    """Its digest covers the graph alone."""
    folder = write_exported(tmp_path, MODELS["an initializer"]("../x").SerializeToString())
    with pytest.raises(BundleError, match="keeps tensors in other files"):
        read_exported(folder)


def test_an_exported_model_that_links_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    """Even to the same bytes."""
    folder = tmp_path / "model"
    folder.mkdir()
    write_exported(folder, MODELS["an initializer"]("").SerializeToString())
    os.rename(folder / GRAPH, tmp_path / GRAPH)  # noqa: PTH104
    (folder / GRAPH).symlink_to(tmp_path / GRAPH)
    with pytest.raises(InputError, match="is a link out of the model's folder"):
        read_exported(folder)


def test_an_exported_model_whose_description_is_no_utf_8_is_a_plain_error(tmp_path: Path) -> None:
    """As a bundle's manifest."""
    (tmp_path / DESCRIPTION).write_bytes(b'{"kind":"\xff"}')
    with pytest.raises(InputError, match="not an exported model's description"):
        read_exported(tmp_path)
