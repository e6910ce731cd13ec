"""MIMIC-CXR-JPG as a case table, on tiny invented files in the official layout."""

import gzip
import sys

import pytest

from benchmarks.cases import chexpert_labels, leaks, mimic_cxr
from benchmarks.cases.report_sections import read_sections
from fedfin.errors import InputError

# patient, study, image, view, split
IMAGES = (
    ("10000032", "50414267", "02aa804e-bde0afdd", "LATERAL", "train"),
    ("10000032", "50414267", "174413ec-4ec4c1f7", "AP", "train"),
    ("10000032", "50414267", "2a2277a9-b0ded155", "PA", "train"),
    ("11000764", "57375967", "d79a5d3c-0fb7a6f4", "AP", "validate"),
    ("19000001", "59000001", "e084de3b-be89b11e", "PA", "test"),
    ("19000002", "59000002", "f44c4bb6-4a1f5d3d", "PA", "test"),
)
REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___-year-old with cough  // pneumonia?

 TECHNIQUE:  Chest PA and lateral

 FINDINGS:

 {findings}
 Size: unchanged.

 IMPRESSION:  No acute process.
"""
REPORTS = {
    "p10/p10000032/s50414267": "The lungs are clear.",
    "p11/p11000764/s57375967": "A nodule.",
    "p19/p19000001/s59000001": "The lungs are CLEAR.",
    "p19/p19000002/s59000002": "Left effusion.",
}


def write_csv(folder, name, header, lines):
    """Compressed, as it comes."""
    with gzip.open(folder / f"mimic-cxr-2.0.0-{name}.csv.gz", "wt") as file:
        file.write("\n".join([header, *lines]) + "\n")


@pytest.fixture
def data(tmp_path):
    rows = [f"{image},{patient},{study},CHEST,{view},2544" for patient, study, image, view, _ in IMAGES]
    write_csv(
        tmp_path,
        "metadata",
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows",
        rows,
    )
    rows = [f"{image},{study},{patient},{split}" for patient, study, image, _, split in IMAGES]
    write_csv(tmp_path, "split", "dicom_id,study_id,subject_id,split", rows)
    names = sorted(chexpert_labels.NAMES)  # there in the order of the alphabet
    cells = {"Edema": "-1.0", "Cardiomegaly": "1.0", "Fracture": "0.0"}
    rows = [f"10000032,50414267,{','.join(cells.get(name, '') for name in names)}"]
    for labeler in mimic_cxr.LABELERS:
        write_csv(tmp_path, labeler, ",".join(["subject_id", "study_id", *names]), rows)
    for patient, study, image, _, _ in IMAGES:
        path = tmp_path / "files" / f"p{patient[:2]}" / f"p{patient}" / f"s{study}" / f"{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, findings in REPORTS.items():
        path = tmp_path / "mimic-cxr-reports" / "files" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(REPORT.format(findings=findings))
    return tmp_path


def test_version_2_1_0_keeps_the_names_of_2_0_0(data):
    """It only adds a table of radiologists' labels for test studies, which is not read."""
    before = make(data)
    (data / "mimic-cxr-2.1.0-test-set-labeled.csv").write_text("study_id,Edema\n59000001,1.0\n")
    assert make(data) == before


def make(data, **options):
    return mimic_cxr.make_table(data, reports=data / "mimic-cxr-reports", **options)


def test_a_study_becomes_a_case_with_image_report_and_labels(data):
    """PA before AP before lateral, the report in sections, the subject as the patient."""
    first = make(data)[0]
    assert (first["case"], first["patient"], first["split"]) == ("2a2277a9-b0ded155", "10000032", "train")
    assert first["findings"] == "The lungs are clear. Size: unchanged."
    assert first["impression"] == "No acute process."
    assert first["indication"] == "___-year-old with cough // pneumonia?"
    assert {
        label: first[label] for label in ("edema", "cardiomegaly", "fracture", "pneumonia", "no_finding")
    } == {
        "edema": "",
        "cardiomegaly": "1",
        "fracture": "0",
        "pneumonia": "",
        "no_finding": "0",
    }


def test_the_official_split_is_kept_less_what_leaks(data, capsys):
    """Validation goes to train, or stays out; a study without labels has unknown ones."""
    rows = make(data)
    assert [(row["patient"], row["split"]) for row in rows] == [
        ("10000032", "train"),
        ("11000764", "train"),
        ("19000002", "test"),
    ]
    assert "1 of 2 reports in test (50 %)" in capsys.readouterr().err
    assert {rows[1][label] for label in chexpert_labels.LABELS} == {""}
    assert len(make(data, val="leave-out")) == 2
    leaks.check(rows)


@pytest.mark.parametrize(("images", "count"), [("one", 3), ("frontal", 4), ("all", 5)])
def test_more_images_of_a_study_when_asked_for(data, images, count):
    """Each with the study's report."""
    assert len(make(data, images=images)) == count


def test_policies_are_chexperts(data):
    """With either labeler's table, unpacked or not."""
    path = data / "mimic-cxr-2.0.0-negbio.csv"
    path.write_bytes(gzip.decompress(path.with_name(path.name + ".gz").read_bytes()))
    path.with_name(path.name + ".gz").unlink()
    first = make(data, labeler="negbio", uncertain="ones", unmentioned="zero")[0]
    assert (first["edema"], first["pneumonia"]) == ("1", "0")


def test_reports_that_are_not_there_leave_blank_texts_and_a_count(data, capsys):
    """The count names nobody."""
    (data / "mimic-cxr-reports" / "files" / "p10" / "p10000032" / "s50414267.txt").unlink()
    assert make(data)[0]["findings"] == ""
    said = capsys.readouterr().err
    assert "1 rows have no report" in said
    assert "10000032" not in said


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("split", "train", "training", "row 1 is in none of the splits train, validate, test"),
        ("split", "02aa804e", "99aa804e", "row 1 is an image that the metadata lack"),
        ("metadata", "ViewPosition", "View", "has no column ViewPosition"),
        ("chexpert", "-1.0", "2.0", "row 1: a label is not 1"),
    ],
)
def test_tables_of_another_layout_are_refused(data, name, old, new, reason):
    """The message has the row, and no id."""
    path = data / f"mimic-cxr-2.0.0-{name}.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(old.encode(), new.encode())))
    with pytest.raises(InputError, match=reason) as caught:
        make(data)
    assert "10000032" not in str(caught.value)
    assert "aa804e" not in str(caught.value)


def test_a_missing_table_is_named(data):
    """With both of its names."""
    (data / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    with pytest.raises(InputError, match=r"split\.csv: is not there, nor mimic-cxr-2\.0\.0-split\.csv\.gz"):
        make(data)


def test_the_command_works_with_reports_and_without(data, monkeypatch, capsys):
    """They lie in the data folder unless they are named; without them the table has no text."""
    command = ["mimic_cxr", str(data), str(data / "cases.csv")]
    monkeypatch.setattr(sys, "argv", command)
    assert mimic_cxr.main() == 0
    assert "3 cases of 3 patients, 3 with text" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--no-reports"])
    assert mimic_cxr.main() == 0
    assert "4 cases of 4 patients, 0 with text" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*command, "--reports", str(data / "gone")])
    assert mimic_cxr.main() == InputError.exit_code
    assert "unpack mimic-cxr-reports.zip, or use --no-reports" in capsys.readouterr().err


def test_a_patient_on_two_sides_stops_the_command(data, monkeypatch, capsys):
    """Of a split that somebody has edited."""
    path = data / "mimic-cxr-2.0.0-split.csv.gz"
    edited = gzip.decompress(path.read_bytes()).replace(b"59000002,19000002,test", b"59000002,19000001,train")
    path.write_bytes(gzip.compress(edited))
    monkeypatch.setattr(sys, "argv", ["mimic_cxr", str(data), str(data / "cases.csv"), "--no-reports"])
    (data / "files" / "p19" / "p19000001" / "s59000002").mkdir()
    (data / "files" / "p19" / "p19000001" / "s59000002" / "f44c4bb6-4a1f5d3d.jpg").touch()
    assert mimic_cxr.main() == InputError.exit_code
    assert "1 of 3 patients are on more than one side" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("report", "sections"),
    [
        ("FINDINGS AND IMPRESSION: Clear.", ("Clear.", "", "")),
        ("Findings: Clear.\nConclusion: Normal.", ("Clear.", "Normal.", "")),
        ("HISTORY: Cough.\n\nREASON FOR EXAM: Fever.", ("", "", "Cough. Fever.")),
        ("IMPRESSION: One.\n ADDENDUM: two.\n IMPRESSION: Three.", ("", "One. Three.", "")),
        ("No heading at all.", ("", "", "")),
        ("FINDINGS: Two lines,\nNote: still findings.", ("Two lines, Note: still findings.", "", "")),
    ],
)
def test_sections_begin_at_their_headings(report, sections):
    """In capitals, or in any case where the heading is a known one; parts of one section are joined."""
    read = read_sections(report)
    assert (read["findings"], read["impression"], read["indication"]) == sections
