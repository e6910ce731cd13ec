"""The command: what it writes, what it refuses, and that it never leaves half a bundle."""

import importlib.util
import json
import re

import numpy as np
import pytest
from dicom_files import RAMP, write_dicom
from PIL import Image

from fedfin.command_line import progress
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import ParityError, StateError
from fedfin.folders import whole_folder
from fedfin_export import bundle_writer
from fedfin_export.quantize import parity


def leftovers(out):
    """Whatever the export left next to and at `out`."""
    return [path.name for path in out.parent.iterdir() if out.name in path.name]


def test_torch_module_of_the_users_own_with_its_recipe(tiny, export, tmp_path):
    """The user's names reach the manifest, and --json tells programs the digest."""
    code, output, _ = export(tmp_path / "out", *tiny, "--json", "--licence", "MIT", "--modality", "scan")
    result = json.loads(output)
    assert code == 0
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.name, manifest.modality, manifest.dim, manifest.licence) == ("make", "scan", 32, "MIT")
    assert result["digest"] == manifest.digest()
    assert result["parity"]["cosine"]["worst"] >= 0.97


def test_same_inputs_give_the_same_digest(tiny, export, tmp_path):
    """Nothing of the time or of a random name is in what the digest covers."""
    for name in ("one", "two"):
        assert export(tmp_path / name, *tiny)[0] == 0
    one, two = (read_manifest(tmp_path / name) for name in ("one", "two"))
    assert one == two
    assert one.digest() == two.digest()


def test_output_says_size_and_latency_before_and_after(tiny, export, tmp_path):
    """People see what int8 gained and what it cost."""
    _, output, _ = export(tmp_path / "out", *tiny)
    assert "MB ->" in output
    assert "ms ->" in output
    assert "cosine to float: mean" in output


def test_an_export_says_how_far_it_is(tiny, export, tmp_path, monkeypatch):
    """Also while onnxruntime's own words are held back."""
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    _, _, errors = export(tmp_path / "out", *tiny, "--project", "principal", "--dims", "2")
    steps = (
        "reading cases",
        "exporting the graph",
        "float features",
        "quantizing, way 1",
        "int8 features, way 1",
    )
    for what in (*steps, "making axes"):
        shown = [
            line.split()[len(what.split())] for line in errors.splitlines() if line.startswith(f"{what}: ")
        ]
        total = re.search(rf"^{what}: \d+ of (\d+) ", errors, re.MULTILINE)[1]
        assert shown == [str(done) for done in range(int(total) + 1)]


def test_features_beyond_the_bound_are_refused_and_nothing_is_written(tiny, export, tmp_path, monkeypatch):
    """No quantization passes a bound above 1: exit code 6, no folder."""
    monkeypatch.setattr(parity, "MIN_WORST", 1.01)
    code, _, errors = export(tmp_path / "out", *tiny)
    assert code == ParityError.exit_code
    assert "Nothing was written" in errors
    assert leftovers(tmp_path / "out") == []


def test_interrupt_leaves_nothing(tiny, export, tmp_path, monkeypatch):
    """Ctrl-C after the ONNX file is in the temporary folder, before the rename."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_writer, "card", interrupted)
    assert export(tmp_path / "out", *tiny)[0] == 130
    assert leftovers(tmp_path / "out") == []


def test_existing_folder_is_refused_before_any_work(tiny, export, tmp_path):
    """Not even --force deletes a folder that is no bundle."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    assert export(tmp_path / "out", *tiny)[0] == StateError.exit_code
    assert export(tmp_path / "out", *tiny, "--force")[0] == StateError.exit_code
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_force_replaces_a_bundle_and_a_failed_one_keeps_the_old(tmp_path):
    """The old bundle goes only when the new one is whole."""
    out = tmp_path / "out"
    for text in ("old", "new"):
        with whole_folder(out, "manifest.json", force=True) as folder:
            (folder / "manifest.json").write_text(text)
    assert (out / "manifest.json").read_text() == "new"

    def fail():
        with whole_folder(out, "manifest.json", force=True):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (out / "manifest.json").read_text() == "new"
    assert leftovers(out) == ["out"]


def test_damaged_images_are_listed_and_skipped(tiny, export, tmp_path):
    """One bad file is named, and does not end the export."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(14):
        Image.linear_gradient("L").rotate(index * 20).save(folder / f"{index:02}.png")
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "bad.dcm").write_bytes(b"no DICOM either")
    code, _, errors = export(tmp_path / "out", *tiny, "--calibrate", str(folder))
    assert code == 0
    assert "skipped: " in errors
    assert "bad.png: " in errors
    assert "bad.dcm: " in errors


def test_a_hospital_calibrates_on_its_own_dicom_files(tiny, export, tmp_path):
    """By the reader that its sites have, whatever the files are called."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for index in range(14):
        write_dicom(
            folder / (f"{index:02}.dcm" if index % 2 else f"IM{index:06}"), np.roll(RAMP, index * 3, 1)
        )
    code, _, errors = export(tmp_path / "out", *tiny, "--calibrate", str(folder))
    assert code == 0
    assert "skipped" not in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "efficientnet-lite0", "--layer", "block:16"], "block:N"),
        (["--preset", "minilm-l6", "--layer", "last"], "--layer does not belong"),
        (["--preset", "efficientnet-lite0", "--calibrate", "nowhere"], "no such folder"),
        (["--torch", "math:pi"], "--recipe"),
        (["--hf", "nowhere"], "config.json"),
        (["--preset", "xrv-densenet121"], "pip install torchxrayvision"),
    ],
)
def test_mistakes_are_explained(options, message, export, tmp_path):
    """Each mistake ends with exit code 4 and says what to do."""
    if "torchxrayvision" in message and importlib.util.find_spec("torchxrayvision"):
        pytest.skip("torchxrayvision is installed: nothing is missing")
    code, _, errors = export(tmp_path / "out", *options)
    assert code == 4
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_module_that_does_not_pool_is_refused(tiny, export, tmp_path):
    """A feature map is not a feature vector."""
    tiny[1] = tiny[1].replace(":make", ":make_unpooled")
    code, _, errors = export(tmp_path / "out", *tiny)
    assert code == 4
    assert "[n, dim]" in errors
