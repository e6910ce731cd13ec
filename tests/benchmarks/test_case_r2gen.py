"""R2Gen's annotation.json as a case table, and the leaks in its split."""

import json
import sys

import pytest
from open_i_files import Made, entry, write_nlm, write_r2gen

from benchmarks.cases import leaks, r2gen
from fedfin.errors import InputError

SIDES = {
    "train": {1: "The lungs are  clear.", 2: "Big heart."},
    "val": {3: "A nodule."},
    "test": {4: "the lungs are clear", 5: "Left effusion."},
}


@pytest.fixture
def data(tmp_path):
    return write_r2gen(tmp_path, SIDES)


def test_test_reports_that_stand_in_train_are_dropped_and_counted(data, capsys):
    """Case, white space and punctuation aside; what is left does not leak."""
    rows = r2gen.make_table(data)
    assert [(row["patient"], row["split"]) for row in rows] == [
        ("CXR1", "train"),
        ("CXR2", "train"),
        ("CXR3", "train"),
        ("CXR5", "test"),
    ]
    assert "leak: 1 of 2 reports in test (50 %) stand word for word in train" in capsys.readouterr().err
    leaks.check(rows)


def test_a_case_has_the_first_image_or_a_row_for_each(data):
    """The views are not told; of one patient they stay."""
    one, both = r2gen.make_table(data), r2gen.make_table(data, images="all", val="leave-out")
    assert one[0]["image"].endswith("images/CXR1_IM-01/0.png")
    assert [row["case"] for row in both[:2]] == ["CXR1_IM-01", "CXR1_IM-01-1"]
    assert len(both) == 6
    assert one[0]["findings"] == "The lungs are clear."


def test_mimic_entries_name_their_patient(data):
    """R2Gen's other annotation.json: two studies of one subject."""
    entries = {
        side: [entry(n, side, text) | {"subject_id": 10000032 + (side == "test")} for n, text in made.items()]
        for side, made in SIDES.items()
    }
    (data / "annotation.json").write_text(json.dumps(entries))
    assert {row["patient"] for row in r2gen.make_table(data)} == {"10000032", "10000033"}


def test_labels_come_from_open_is_reports(data):
    """By the report's number; R2Gen's file has none."""
    write_nlm(data, [Made(str(n), "x", ("Cardiomegaly",) if n == 2 else ("normal",)) for n in range(1, 6)])
    rows = r2gen.make_table(data, reports=data / "ecgen-radiology", labels="chexpert")
    assert [row["cardiomegaly"] for row in rows] == ["0", "1", "0", "0"]
    assert (rows[0]["findings"], rows[0]["indication"]) == ("The lungs are clear.", "Cough.")


def test_reports_of_another_collection_are_refused(data):
    """It says how many are missing, not which."""
    write_nlm(data, [Made("1", "x")])
    with pytest.raises(InputError, match="has no report for 4 patients"):
        r2gen.make_table(data, reports=data / "ecgen-radiology")


GOOD = entry(1, "train", "secret")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{\n'train'", r"is not valid JSON, line 2"),
        ("[]", "has no lists train, val, test"),
        ({"train": ["x"], "val": [], "test": []}, "entry 1 of train is not an object"),
        (
            {"train": [GOOD, GOOD | {"report": None}], "val": [], "test": []},
            "entry 2 of train has no text 'report'",
        ),
        (
            {"train": [GOOD | {"image_path": []}], "val": [], "test": []},
            "entry 1 of train has no list of file names",
        ),
        ({"train": [GOOD | {"image_path": ["../x"]}], "val": [], "test": []}, "that leaves images/"),
        ({"train": [], "val": [GOOD], "test": []}, "entry 1 of val says that it is of another split"),
    ],
)
def test_a_file_of_another_layout_is_refused(data, content, reason):
    """The message has the place and no report."""
    (data / "annotation.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError, match=reason) as caught:
        r2gen.make_table(data)
    assert "secret" not in str(caught.value)


def test_a_patient_on_two_sides_stops_the_command(data, monkeypatch, capsys):
    """A report can be dropped as a twin; a patient on two sides is another split than it says."""
    write_r2gen(data, SIDES | {"test": {1: "Another view."}})
    monkeypatch.setattr(sys, "argv", ["r2gen", str(data), str(data / "cases.csv")])
    assert r2gen.main() == InputError.exit_code
    assert "1 of 3 patients are on more than one side" in capsys.readouterr().err


def test_the_command_writes_the_table(data, monkeypatch, capsys):
    """And an absent file is named."""
    monkeypatch.setattr(sys, "argv", ["r2gen", str(data), str(data / "cases.csv"), "--val", "leave-out"])
    assert r2gen.main() == 0
    assert "3 cases of 3 patients, 3 with text" in capsys.readouterr().out
    (data / "annotation.json").unlink()
    assert r2gen.main() == InputError.exit_code
    assert "annotation.json: cannot read it" in capsys.readouterr().err
