"""CheXpert's labels and its tables, on tiny files in the official layout."""

import re
import sys

import pytest

from benchmarks.cases import chexpert, chexpert_labels
from fedfin.errors import InputError

HEADER = ",".join(("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *chexpert_labels.NAMES)) + "\n"


def line(path, *, front="Frontal", **labels):
    """One line of train.csv; labels by the columns that ours are called."""
    cells = [labels.get(label, "") for label in chexpert_labels.LABELS]
    return ",".join([f"CheXpert-v1.0-small/{path}", "Female", "68", front, "AP", *cells]) + "\n"


@pytest.fixture
def data(tmp_path):
    """Two patients in train, one of them with two frontal views and a lateral one, and one in valid."""
    train = {
        "train/patient00001/study1/view1_lateral.jpg": {"edema": "-1.0", "front": "Lateral"},
        "train/patient00001/study1/view2_frontal.jpg": {"edema": "-1.0", "cardiomegaly": "1.0"},
        "train/patient00001/study1/view3_frontal.jpg": {"edema": "-1.0", "cardiomegaly": "1.0"},
        "train/patient00002/study1/view1_frontal.jpg": {"no_finding": "1.0", "fracture": "0.0"},
    }
    valid = {"valid/patient64541/study1/view1_frontal.jpg": dict.fromkeys(chexpert_labels.LABELS, "0.0")}
    for name, entries in (("train.csv", train), ("valid.csv", valid)):
        (tmp_path / name).write_text(HEADER + "".join(line(path, **cells) for path, cells in entries.items()))
        for path in entries:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
    return tmp_path


def test_the_archives_of_today_are_read_as_one(data):
    """Patients lie in the batches 2 to 4, without a folder train/; the tables and valid/ are in the first."""
    before = chexpert.make_table(data, images="all")
    first, second, third = (
        data / chexpert.FIRST_BATCH,
        data / "CheXpert-v1.0 batch 2 (train 1)",
        data / "CheXpert-v1.0 batch 3 (train 2)",
    )
    for folder in (first, second, third):
        folder.mkdir()
    for name in ("train.csv", "valid.csv", "valid"):
        (data / name).rename(first / name)
    (data / "train/patient00001").rename(second / "patient00001")
    (data / "train/patient00002").rename(third / "patient00002")
    after = chexpert.make_table(data, images="all")
    assert [row | {"image": ""} for row in after] == [row | {"image": ""} for row in before]
    assert after[0]["image"] == str((second / "patient00001/study1/view1_lateral.jpg").resolve())


def labels(uncertain="ignore", unmentioned="unknown", **given):
    cells = {name: given.get(label, "") for label, name in chexpert_labels.LABELS.items()}
    return chexpert_labels.read_labels(cells, uncertain, unmentioned, "here")


@pytest.mark.parametrize(
    ("policy", "edema", "atelectasis", "pneumonia"),
    [("ignore", "", "", ""), ("zeros", "0", "0", "0"), ("ones", "1", "1", "1"), ("mixed", "1", "1", "")],
)
def test_uncertain_labels_become_what_the_policy_says(policy, edema, atelectasis, pneumonia):
    """`mixed` is 1 where the paper's final model takes it for 1, and unknown elsewhere."""
    read = labels(policy, edema="-1.0", atelectasis="-1.0", pneumonia="-1.0", fracture="0.0")
    assert (read["edema"], read["atelectasis"], read["pneumonia"]) == (edema, atelectasis, pneumonia)
    assert read["fracture"] == "0"
    assert read["pneumothorax"] == ""


def test_unmentioned_labels_are_unknown_unless_zero_is_asked_for():
    """And an uncertain one is not unmentioned."""
    assert labels(edema="1.0")["fracture"] == ""
    read = labels(unmentioned="zero", edema="1.0", pneumonia="-1.0")
    assert (read["fracture"], read["edema"], read["pneumonia"]) == ("0", "1", "")


@pytest.mark.parametrize(
    ("given", "no_finding"),
    [
        ({"edema": "1.0"}, "0"),
        ({"support_devices": "1.0"}, ""),
        ({"edema": "-1.0"}, ""),
        ({"no_finding": "1.0", "support_devices": "1.0"}, "1"),
    ],
)
def test_no_finding_is_absent_where_a_finding_is_present(given, no_finding):
    """The files say so nowhere, and a label that is never 0 could not be learned."""
    assert labels(**given)["no_finding"] == no_finding


def test_a_label_of_another_value_is_refused():
    """The place is named, the value is not."""
    with pytest.raises(InputError, match=r"here: a label is not 1\.0, 0\.0, -1\.0 or blank"):
        labels(edema="maybe")


def test_a_study_becomes_its_first_frontal_view(data):
    """Sides are the files', valid.csv the test side; the patient is in the path."""
    rows = chexpert.make_table(data)
    assert [(row["case"], row["split"]) for row in rows] == [
        ("patient00001-study1-view2_frontal", "train"),
        ("patient00002-study1-view1_frontal", "train"),
        ("patient64541-study1-view1_frontal", "test"),
    ]
    assert rows[0]["patient"] == "patient00001"
    assert (rows[0]["cardiomegaly"], rows[0]["no_finding"], rows[1]["no_finding"]) == ("1", "0", "1")


@pytest.mark.parametrize(("images", "count"), [("one", 3), ("frontal", 4), ("all", 5)])
def test_more_views_when_asked_for(data, images, count):
    """Each is a case of its own, of the same patient."""
    rows = chexpert.make_table(data, images=images)
    assert len({row["case"] for row in rows}) == count


@pytest.mark.parametrize("path", ["train/patient00001/view1.jpg", "../patient00001/study1/view1_frontal.jpg"])
def test_a_path_that_is_not_like_chexperts_is_refused(data, path):
    """Nor does one lead out of the folder; the message has the row, not the path."""
    (data / "train.csv").write_text(HEADER + line(path))
    with pytest.raises(InputError, match=r"train\.csv: row 1 has a Path") as caught:
        chexpert.make_table(data)
    assert "patient" not in str(caught.value).replace(str(data), "")


def test_a_missing_file_is_named(data):
    """valid.csv is needed: it is the test side."""
    (data / "valid.csv").unlink()
    with pytest.raises(InputError, match=r"valid\.csv: cannot read it"):
        chexpert.make_table(data)


def test_the_command_writes_the_table_with_its_policies(data, monkeypatch, capsys):
    """And counts sides and labels."""
    options = ["--uncertain", "ones", "--unmentioned", "zero", "--images", "all"]
    monkeypatch.setattr(sys, "argv", ["chexpert", str(data), str(data / "cases.csv"), *options])
    assert chexpert.main() == 0
    said = capsys.readouterr().out
    assert "5 cases of 3 patients, 0 with text" in said
    assert re.search(r"edema +3 cases of +1 patients, +0 unknown", said)


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    """Before anything is read."""
    monkeypatch.setattr(sys, "argv", ["chexpert", str(tmp_path / "gone"), str(tmp_path / "cases.csv")])
    assert chexpert.main() == InputError.exit_code
    assert "gone: there is no such folder" in capsys.readouterr().err
