"""Promises of fedfin.encoders.bundle about a bundle that is opened several times."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from fedfin.encoders import bundle
from fedfin.encoders.bundle import MANIFEST, Manifest, VectorRecipe, read_manifest
from fedfin.errors import BundleError

GRAPH = b"\x08\x0a"  # onnx.proto: ir_version = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle as far as its manifest goes."""
    (tmp_path / "encoder.onnx").write_bytes(GRAPH)
    manifest = Manifest(
        name="double", modality="lab", dim=2, onnx="encoder.onnx", recipe=VectorRecipe(length=2),
        files={"encoder.onnx": hashlib.sha256(GRAPH).hexdigest()},
        quantization="none", source="test", licence="Apache-2.0", versions={},
    )  # fmt: skip
    (tmp_path / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    return tmp_path


def test_a_bundle_that_is_opened_again_is_not_hashed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command's start opens each bundle several times."""
    hashed = []
    digest = bundle.file_digest
    monkeypatch.setattr(bundle, "file_digest", lambda path: hashed.append(path) or digest(path))
    assert read_manifest(folder) == read_manifest(folder) == read_manifest(folder)
    assert hashed == [folder / "encoder.onnx"]


def test_a_file_that_changes_between_two_openings_is_noticed(folder: Path) -> None:
    """Same length, other bytes."""
    read_manifest(folder)
    (folder / "encoder.onnx").write_bytes(GRAPH[::-1])
    with pytest.raises(BundleError, match="is not the file that the manifest names"):
        read_manifest(folder)


def test_a_file_that_is_gone_is_named(folder: Path) -> None:
    """And what to do."""
    read_manifest(folder)
    (folder / "encoder.onnx").unlink()
    with pytest.raises(
        BundleError, match=r"encoder\.onnx: cannot read it .*; copy the bundle again from the coordinator"
    ):
        read_manifest(folder)
