"""NIH ChestX-ray14 as a case table, on tiny files in the official layout."""

import sys

import pytest

from benchmarks.cases import nih_chestxray14 as nih
from fedfin.errors import InputError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
ENTRIES = (
    "00000001_000.png,Cardiomegaly|Effusion,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000001_001.png,No Finding,1,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000002_000.png,Hernia,0,2,061Y,F,AP,2500,2048,0.168,0.168,\n"
    "00000003_000.png,No Finding,0,3,061Y,F,AP,2500,2048,0.168,0.168,\n"
)


@pytest.fixture(params=["archives", "one folder"])
def data(tmp_path, request):
    """As the twelve archives unpack, or with all images in one folder."""
    (tmp_path / "Data_Entry_2017.csv").write_text(HEADER + ENTRIES)
    parts = ("images_001", "images_012") if request.param == "archives" else ("", "")
    for name, part in zip(("00000001_000", "00000002_000"), parts, strict=True):
        folder = tmp_path / part / "images"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").touch()
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (tmp_path / "test_list.txt").write_text("00000002_000.png\r\n00000003_000.png")
    return tmp_path


def test_images_are_found_and_have_their_official_side(data, capsys):
    """Images that are not downloaded are left out and counted."""
    first, second = nih.make_table(data)
    assert (first["split"], second["split"]) == ("train", "test")
    assert (first["patient"], first["case"]) == ("1", "00000001_000")
    assert {label for label in nih.LABELS if first[label] == "1"} == {"cardiomegaly", "effusion"}
    assert "2 rows are left out" in capsys.readouterr().err


def test_the_table_of_2020_is_known_by_its_name(data):
    """Downloads of today hold Data_Entry_2017_v2020.csv."""
    (data / nih.TABLE).rename(data / nih.TABLE_2020)
    assert len(nih.make_table(data)) == 2


def test_a_split_can_be_drawn_without_the_lists(data):
    """For who has the images alone."""
    (data / "test_list.txt").unlink()
    assert {row["split"] for row in nih.make_table(data, share=0.0)} == {"train"}


def test_lists_that_are_missing_or_of_other_images_are_refused(data):
    """The message names the lists, and the way without them."""
    (data / "test_list.txt").write_text("another.png\n")
    with pytest.raises(InputError, match=r"1 images are on neither train_val_list\.txt nor"):
        nih.make_table(data)
    (data / "test_list.txt").unlink()
    with pytest.raises(InputError, match=r"test_list\.txt: cannot read it.*--draw-split"):
        nih.make_table(data)


def test_a_folder_without_images_is_refused(tmp_path):
    """The archives are not unpacked, or elsewhere."""
    (tmp_path / "Data_Entry_2017.csv").write_text(HEADER + ENTRIES)
    with pytest.raises(InputError, match=r"images_001/images/; unpack the archives"):
        nih.make_table(tmp_path)


def test_a_patient_on_both_official_lists_stops_the_command(data, monkeypatch, capsys):
    """Nothing is written."""
    (data / "Data_Entry_2017.csv").write_text(HEADER + ENTRIES.replace(",0,2,", ",0,1,"))
    monkeypatch.setattr(sys, "argv", ["nih", str(data), str(data / "out.csv")])
    assert nih.main() == InputError.exit_code
    assert "1 of 1 patients are on more than one side" in capsys.readouterr().err
    assert not (data / "out.csv").exists()


def test_help_has_an_example(monkeypatch, capsys):
    """As every maker's."""
    monkeypatch.setattr(sys, "argv", ["nih", "--help"])
    with pytest.raises(SystemExit):
        nih.main()
    assert "example:\n  python -m benchmarks.cases.nih_chestxray14 " in capsys.readouterr().out
