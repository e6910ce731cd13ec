"""Open-I as a case table, on tiny files in the layouts of the National Library of Medicine and of Kaggle."""

import sys

import pytest
from open_i_files import MADE, Made, write_kaggle, write_nlm, write_projections

from benchmarks.cases import indiana_csv, leaks, mesh_labels, open_i
from fedfin.errors import InputError


@pytest.fixture(params=["nlm", "kaggle"])
def make_table(tmp_path, request):
    """The maker of either layout, on its folder."""
    if request.param == "kaggle":
        write_kaggle(tmp_path)
        return lambda **options: indiana_csv.make_table(tmp_path, **options)
    write_nlm(tmp_path)
    write_projections(tmp_path)
    return lambda **options: open_i.make_table(tmp_path, **options)


def test_a_report_becomes_a_case_with_its_frontal_image(make_table):
    """And its sections; white space is one blank. One without image and text is left out."""
    rows = {row["patient"]: row for row in make_table()}
    assert set(rows) == {"CXR2", "CXR1", "CXR3"}
    assert rows["CXR2"]["case"] == "CXR2_IM-0652-2001"
    assert rows["CXR1"]["image"].partition(".")[0].endswith("1_IM-0001-4001")
    assert (rows["CXR2"]["findings"], rows["CXR2"]["impression"]) == ("Borderline cardiomegaly.", "")
    assert (rows["CXR3"]["image"], rows["CXR3"]["indication"]) == ("", "Cough.")


@pytest.mark.parametrize(("images", "count"), [("one", 2), ("frontal", 2), ("all", 4)])
def test_all_images_are_cases_of_one_patient_when_asked_for(make_table, images, count):
    """And every case has its own name."""
    rows = [row for row in make_table(images=images) if row["image"]]
    assert len({row["case"] for row in rows}) == count
    assert len({row["patient"] for row in rows}) == 2


def test_labels_are_the_headings_or_mapped_from_them(make_table):
    """What indexers left out is absent; of a report without indexing all is unknown."""
    mesh = {row["patient"]: row for row in make_table(labels="mesh")}
    mapped = {row["patient"]: row for row in make_table(labels="chexpert")}
    assert {label for label in mesh_labels.MESH if mesh["CXR2"][label] == "1"} == {"cardiomegaly", "opacity"}
    assert {label for label in mesh_labels.CHEXPERT if mapped["CXR2"][label] == "1"} == {
        "cardiomegaly",
        "lung_opacity",
    }
    assert mapped["CXR1"]["no_finding"] == "1"
    assert {mapped["CXR3"][label] for label in mesh_labels.CHEXPERT} == {""}


def test_reports_word_for_word_the_same_are_on_one_side(tmp_path):
    """Whatever the seed draws."""
    write_nlm(tmp_path, [Made(str(n), "Clear." if n % 2 else f"Spot {n}.", images=("1",)) for n in range(40)])
    for seed in range(5):
        rows = open_i.make_table(tmp_path, share=0.5, seed=seed)
        leaks.check(rows)
        assert {row["split"] for row in rows} == {"train", "test"}


def test_without_projections_the_first_image_stands_for_the_study(tmp_path):
    """And asking for frontal ones is an error, not a guess."""
    write_nlm(tmp_path)
    assert [row["case"] for row in open_i.make_table(tmp_path)] == [
        "CXR1_1_IM-0001-3001",
        "CXR2_IM-0652-1001",
        "CXR3",
    ]
    with pytest.raises(InputError, match="use --images one or all"):
        open_i.make_table(tmp_path, images="frontal")


@pytest.mark.parametrize(
    ("heading", "label"),
    [
        ("Thickening/pleura/right", "pleural_other"),
        ("Thickening/bronchovascular", None),
        ("Mass/breast/large", None),
        ("Hydropneumothorax/right", "pneumothorax"),
        ("Fractures, Bone/ribs/left/healed", "fracture"),
        ("Catheters, Indwelling/left", "support_devices"),
    ],
)
def test_our_mapping_reads_a_headings_path(heading, label):
    """A part of it decides where the heading alone is too wide."""
    labels = mesh_labels.read_labels([heading], "chexpert")
    assert label is None or labels[label] == "1"
    assert (label is not None) == ("1" in labels.values())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("<eCitation><MeSH>", r"2\.xml: cannot be read \(malformed XML, line 1\)"),
        ("<eCitation/>", r"2\.xml: is not a report of Open-I"),
    ],
)
def test_a_damaged_report_is_named(tmp_path, content, reason):
    """By its file."""
    write_nlm(tmp_path)
    (tmp_path / "ecgen-radiology" / "2.xml").write_text(content)
    with pytest.raises(InputError, match=reason):
        open_i.make_table(tmp_path)


def test_missing_folders_are_named_with_what_to_unpack(tmp_path):
    """Images first, then reports."""
    with pytest.raises(InputError, match=r"NLMCXR_png: there is no such folder; unpack"):
        open_i.make_table(tmp_path)
    (tmp_path / "NLMCXR_png").mkdir()
    with pytest.raises(InputError, match=r"ecgen-radiology: has no report.*unpack"):
        open_i.make_table(tmp_path)


def test_kaggle_files_of_another_layout_are_refused(tmp_path):
    """A column is missing, or a view is of a third kind."""
    write_kaggle(tmp_path)
    (tmp_path / "indiana_reports.csv").write_text("uid,findings,impression,indication\n")
    with pytest.raises(InputError, match=r"indiana_reports\.csv: has no column MeSH"):
        indiana_csv.make_table(tmp_path)
    (tmp_path / "indiana_projections.csv").write_text("uid,filename,projection\n1,a.png,Oblique\n")
    with pytest.raises(InputError, match=r"projections\.csv: row 1 is neither Frontal nor Lateral"):
        indiana_csv.make_table(tmp_path)


@pytest.mark.parametrize(("maker", "write"), [(open_i, write_nlm), (indiana_csv, write_kaggle)])
def test_the_commands_write_their_tables(tmp_path, monkeypatch, capsys, maker, write):
    """With the options that the help names."""
    write(tmp_path, MADE)
    options = ["--labels", "chexpert", "--images", "all", "--test", "0.4", "--seed", "3"]
    monkeypatch.setattr(sys, "argv", ["maker", str(tmp_path), str(tmp_path / "cases.csv"), *options])
    assert maker.main() == 0
    assert "5 cases of 3 patients, 5 with text" in capsys.readouterr().out


def test_a_share_beyond_one_is_refused(tmp_path, monkeypatch, capsys):
    """By the command line."""
    monkeypatch.setattr(sys, "argv", ["open_i", str(tmp_path), "out.csv", "--test", "20"])
    with pytest.raises(SystemExit):
        open_i.main()
    assert "'20' is not a share from 0 to below 1" in capsys.readouterr().err
