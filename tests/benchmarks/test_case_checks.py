"""What every maker of case tables does alike: reading CSV, choosing images, splits, and leaks between them."""

import gzip
import sys
from pathlib import Path

import pytest

from benchmarks.cases import leaks, splits, tables
from fedfin.errors import InputError


def row(case, patient, split="", findings="", **more):
    return {"case": case, "patient": patient, "split": split, "image": "", "findings": findings} | more


def test_csv_is_read_compressed_or_not(tmp_path):
    """The name without .gz finds both; columns nobody asked for are left out."""
    text = "a,b,c\n1,2,3\n"
    with gzip.open(tmp_path / "x.csv.gz", "wt") as file:
        file.write(text)
    (tmp_path / "y.csv").write_text(text)
    for name in ("x.csv", "y.csv"):
        assert tables.read_csv(tables.find_csv(tmp_path / name), ("a",), ("c", "d")) == [{"a": "1", "c": "3"}]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,c\n1,2\n", "has no column b"),
        (b"a,b\n1,2\n1\n", "line 3 has not as many cells"),
        (b"a,b\n1,2,3\n", "line 2 has not as many cells"),
        (b"a,b\n1," + b"x" * 200_000 + b"\n", "is not valid CSV after line"),
        (gzip.compress(b"a,b\n1,2\n" * 9, mtime=0)[:-12], "cannot read it"),
    ],
)
def test_csv_that_is_not_in_its_layout_is_refused(tmp_path, content, reason):
    """The message has the file and the line, and nothing that a cell holds."""
    path = tmp_path / ("x.csv.gz" if content[:2] == b"\x1f\x8b" else "x.csv")
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        tables.read_csv(path, ("a", "b"))
    assert "xxx" not in str(caught.value)


def test_a_csv_that_is_not_there_is_named(tmp_path):
    """With both names that it may have."""
    with pytest.raises(InputError, match=r"x\.csv: is not there, nor x\.csv\.gz"):
        tables.find_csv(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("which", "views", "chosen"),
    [
        ("one", [False, True, True], [1]),
        ("frontal", [False, True, True], [1, 2]),
        ("all", [False, True], [0, 1]),
        ("one", [None, None], [0]),
        ("one", [False, None], []),
        ("one", [], []),
    ],
)
def test_one_image_of_a_study_is_a_frontal_one_or_the_first_where_no_view_is_known(which, views, chosen):
    """A study that has lateral views only has no image."""
    images = [(Path(str(number)), frontal) for number, frontal in enumerate(views)]
    assert tables.choose(images, which) == [Path(str(number)) for number in chosen]


def test_frontal_images_cannot_be_chosen_where_no_view_is_known():
    """It would be a guess."""
    with pytest.raises(InputError, match="use --images one or all"):
        tables.choose([(Path("a"), None)], "frontal")


def test_rows_without_their_image_file_are_left_out_and_counted(tmp_path, capsys):
    """A row that never had an image stays for its text."""
    (tmp_path / "a.png").touch()
    rows = [row("a", "1"), row("b", "2"), row("c", "3", findings="Clear."), row("d", "4")]
    rows[0]["image"], rows[1]["image"] = str(tmp_path / "a.png"), str(tmp_path / "b.png")
    assert [one["case"] for one in tables.with_files(rows)] == ["a", "c"]
    assert "1 rows are left out" in capsys.readouterr().err


def test_a_patient_on_two_sides_is_an_error():
    """Which patient it is, the message does not say."""
    rows = [row("a", "p77", "train"), row("b", "p77", "test"), row("c", "p2", "test"), row("d", "p77")]
    with pytest.raises(InputError, match="leaks: 1 of 2 patients are on more than one side") as caught:
        leaks.check(rows)
    assert "p77" not in str(caught.value)


def test_a_report_that_stands_on_two_sides_is_an_error():
    """Word for word: case, white space and punctuation do not tell two apart."""
    rows = [row("a", "1", "train", "No  effusion."), row("b", "2", "test", "no effusion")]
    with pytest.raises(InputError, match="1 of 1 reports stand word for word"):
        leaks.check(rows)


def test_blank_texts_blank_sides_and_formulas_do_not_leak():
    """An indication like "chest pain" is no report."""
    rows = [row("a", "1", "train"), row("b", "2", "test"), row("c", "3", "", "Clear.")]
    leaks.check([one | {"indication": "Chest pain"} for one in rows])


def test_dropping_leaks_keeps_the_earlier_side_and_says_how_many():
    """Of three reports in test one stands in train and one in val; both go."""
    texts = [
        ("train", "Clear."),
        ("val", "Big heart."),
        ("test", "CLEAR"),
        ("test", "big heart"),
        ("test", "New."),
    ]
    rows = [row(str(number), str(number), *one) for number, one in enumerate(texts)]
    kept, said = leaks.drop(rows)
    assert [one["case"] for one in kept] == ["0", "1", "4"]
    (line,) = said
    assert (
        "1 of 3 reports in test (33 %) stand word for word in train; 2 that stand on an earlier side" in line
    )
    leaks.check(kept)


def test_a_drawn_split_is_by_patient_and_by_seed():
    """About the share that was asked for, the same for the same seed."""
    rows = [row(f"{number}", f"p{number // 2}") for number in range(2000)]
    drawn = splits.draw(rows, 0.2, seed=1)
    leaks.check(drawn)
    assert 0.17 < sum(one["split"] == "test" for one in drawn) / len(rows) < 0.23
    assert drawn == splits.draw(rows, 0.2, seed=1) != splits.draw(rows, 0.2, seed=2)
    assert splits.draw(rows[:500], 0.2, seed=1) == drawn[:500]


def test_patients_with_the_same_report_are_drawn_together():
    """Through any number of others who share another one with each of them."""
    rows = [
        row("a", "1", "", "Clear."),
        row("b", "2", "", "clear"),
        row("c", "2", "", "Big."),
        row("d", "3", "", "big"),
    ]
    for seed in range(20):
        assert len({one["split"] for one in splits.draw(rows, 0.5, seed)}) == 1


def test_official_validation_cases_go_to_train_or_stay_out(capsys):
    """After leaks are dropped, which is told."""
    rows = [row("a", "1", "train", "A."), row("b", "2", "val", "B."), row("c", "3", "test", "a")]
    assert [one["split"] for one in splits.keep(rows, "train")] == ["train", "train"]
    assert [one["case"] for one in splits.keep(rows, "leave-out")] == ["a"]
    assert "1 of 1 reports in test (100 %)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ("a,1,train,Clear.\nb,2,test,New.\n", 0, "no patient is on two sides"),
        ("a,1,train,Clear.\nb,2,test,clear\n", InputError.exit_code, "1 of 1 reports in test"),
        ("a,1,train,Clear.\nb,1,test,New.\n", InputError.exit_code, "1 of 1 patients are"),
    ],
)
def test_any_table_can_be_checked_for_leaks(tmp_path, monkeypatch, capsys, lines, code, said):
    """By a command, whose exit code tells."""
    (tmp_path / "cases.csv").write_text("case,patient,split,findings\n" + lines)
    monkeypatch.setattr(sys, "argv", ["leaks", str(tmp_path / "cases.csv")])
    assert leaks.main() == code
    out, err = capsys.readouterr()
    assert said in out + err
