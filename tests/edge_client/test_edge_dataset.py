"""The dataset: what training sees of a site."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from edge_sites import edge

from fedfin.errors import BundleError, StateError
from fedfin.plan_sections import Modality
from fedfin_edge.cases.dataset import load_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(maker):
    """Both modalities, image only, text only, and a file that cannot be read."""
    (maker.folder / "images/bad.png").write_bytes(b"junk")
    rows = [
        {"case": "both", "patient": "p1", "image": maker.image("a.png", 10), "text": "clear", "effusion": 1},
        {"case": "image", "patient": "p2", "image": maker.image("b.png", 20), "effusion": 0},
        {"case": "text", "patient": "p3", "text": "lungs", "effusion": ""},
        {"case": "bad", "patient": "p4", "image": "images/bad.png", "effusion": 1},
    ]
    site = maker.site(maker.table(rows))
    edge("encode", site.folder)
    return site


def test_arrays_say_what_is_there(site, make_plan):
    """Absent features are zero and not present; unknown labels, and those the site lacks, are NaN."""
    data = load_dataset(site, make_plan())
    assert data.features["image"].tolist() == [[10, 10], [20, 20], [0, 0]]
    assert data.features["text"].tolist() == [[2], [0], [4]]
    assert data.present["image"].tolist() == [True, True, False]
    assert data.present["text"].tolist() == [True, False, True]
    np.testing.assert_array_equal(data.labels, [[1, np.nan], [0, np.nan], [np.nan, np.nan]])
    assert (data.features["image"].dtype, data.labels.dtype) == (np.float32, np.float32)


def test_cases_without_features_are_counted(site, make_plan):
    """Left out, but not silently."""
    data = load_dataset(site, make_plan())
    assert (len(data), data.left_out, data.unencoded) == (3, 1, 1)


def test_a_plan_may_know_other_modalities(site, make_plan):
    """One that the site lacks is absent everywhere; one that the plan lacks is not used."""
    data = load_dataset(site, make_plan("image", "labs"))
    assert data.features["labs"].shape == (2, 3)
    assert not data.present["labs"].any()
    assert "text" not in data.features
    with pytest.raises(StateError, match="none of the plan's modalities"):
        load_dataset(site, make_plan("labs"))


def test_another_encoder_than_the_plans_is_refused(site, make_plan):
    """Features of another encoder are another space."""
    modality = Modality(name="image", encoder="0" * 64, dim=2)
    with pytest.raises(BundleError, match="not the encoder that the plan names"):
        load_dataset(site, msgspec.structs.replace(make_plan("image"), modalities=(modality,)))


def test_before_encoding_the_command_is_named(maker, make_plan):
    """StateError with the remedy, for no store and for a store without these features."""
    site = maker.site(maker.table([{"case": "a", "image": maker.image("a.png"), "text": ""}]))
    with pytest.raises(StateError, match="fedfin edge encode"):
        load_dataset(site, make_plan())
    edge("encode", site.folder)
    maker.image("a.png", 240)
    with pytest.raises(StateError, match="fedfin edge encode"):
        load_dataset(site, make_plan())


def test_a_patient_is_on_one_side_and_the_share_is_kept(maker, make_plan):
    """Whatever the seed; and another seed draws others."""
    rows = [
        {"case": f"{p}-{k}", "patient": f"p{p}", "text": f"{'clear ' * k}"}
        for p in range(300)
        for k in (1, 2, 3)
    ]
    site = maker.site(maker.table(rows), "text")
    edge("encode", site.folder)
    sides = [load_dataset(site, make_plan("text", seed=seed)).held_out.reshape(300, 3) for seed in (0, 1)]
    for side in sides:
        assert (side.all(axis=1) | ~side.any(axis=1)).all()
        assert 0.14 < side.mean() < 0.26
    assert (sides[0] != sides[1]).any()
    second = load_dataset(site, make_plan("text")).in_second_half.reshape(300, 3)
    assert (second.all(axis=1) | ~second.any(axis=1)).all()
    assert 0.4 < second.mean() < 0.6


def test_a_given_split_is_kept_and_never_divides_a_patient(maker, make_plan):
    """A patient marked test in one row is held out in all."""
    rows = [
        {"case": "a", "patient": "p", "text": "clear", "split": "train"},
        {"case": "b", "patient": "p", "text": "lungs", "split": "test"},
        *({"case": f"n{i}", "patient": f"n{i}", "text": "clear", "split": "train"} for i in range(30)),
    ]
    site = maker.site(maker.table(rows), "text")
    edge("encode", site.folder)
    assert load_dataset(site, make_plan("text")).held_out.tolist() == [True, True] + [False] * 30


LOAD = """
import sys
from pathlib import Path
import msgspec
from fedfin_edge.cases.dataset import load_dataset
from fedfin_edge.site import open_site
from fedfin.plan import Plan
plan = msgspec.json.decode(sys.argv[2], type=Plan)
assert len(load_dataset(open_site(Path(sys.argv[1])), plan)) == 3
heavy = {"torch", "onnxruntime", "PIL", "pydicom", "tokenizers", "onnx"} & set(sys.modules)
sys.exit(f"loaded {heavy}" if heavy else 0)
"""


def test_loading_needs_neither_torch_nor_onnxruntime(site, make_plan):
    """Training on cached features stays small: nor PIL, pydicom or tokenizers."""
    command = [sys.executable, "-c", LOAD, str(site.folder), msgspec.json.encode(make_plan()).decode()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "module", ["fedfin_edge.cases.encoder", "fedfin_edge.cases.encoding", "fedfin.encoders.dicom"]
)
def test_encoding_loads_no_torch(module):
    """What predict needs runs where torch is not installed, and reaches into no other part."""
    unwanted = ("torch", "export", "aggregator", "fusion", "onnx")
    code = f"import sys, {module}; print([name for name in {unwanted} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
