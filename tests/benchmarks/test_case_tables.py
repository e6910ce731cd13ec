"""Case tables of public data sets, on tiny files in the official layouts."""

import csv
import sys

import pytest

from benchmarks.cases import covid_cxr, nih_sample
from fedfin.errors import InputError

COVID_HEADER = "png,patientid,sex,age,finding,view,license,clinical_notes,other_notes\n"
NIH_HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender\n"


@pytest.fixture
def covid(tmp_path):
    lines = [
        b"a.png,2,M,65,COVID-19,PA,,Fever in a \xffmarket. COVID-19 (SARS-CoV-2) confirmed,diagnosis\n",
        b"b.png,3,F,,Streptococcus,AP,,,\n",
        b'c.png,4,F,50,"COVID-19, ARDS",AP,,cough,\n',
        b"d.png,285,M,40,Pneumonia,PA,,one,\n",
        b"d.png,339,M,40,Pneumonia,PA,,one,\n",
        b"e.png,339,M,40,No Finding,PA,,,\n",
        b"gone.png,9,M,40,SARS,PA,,,\n",
    ]
    (tmp_path / "frontal.csv").write_bytes(COVID_HEADER.encode() + b"".join(lines))
    (tmp_path / "frontal_256").mkdir()
    for name in "abcde":
        (tmp_path / "frontal_256" / f"{name}.png").touch()
    return tmp_path


@pytest.fixture
def nih(tmp_path):
    rows = "1_000.png,Cardiomegaly|Effusion,0,1,61,F\n2_000.png,No Finding,0,2,61,F\n"
    (tmp_path / "labels.csv").write_text(NIH_HEADER + rows)
    (tmp_path / "images_256").mkdir()
    for name in ("1_000", "2_000"):
        (tmp_path / "images_256" / f"{name}.png").touch()
    return tmp_path


def test_covid_rows_have_image_note_and_grouped_labels(covid):
    rows = {row["case"]: row for row in covid_cxr.make_table(covid, keep_names=False)}
    assert set(rows) == set("abcde")
    assert rows["a"]["image"] == str((covid / "frontal_256" / "a.png").resolve())
    assert {name for name in covid_cxr.LABELS if rows["b"][name] == "1"} == {"bacterial"}
    assert {name for name in covid_cxr.LABELS if rows["c"][name] == "1"} == {"covid_19", "ards"}
    assert {name for name in covid_cxr.LABELS if rows["d"][name] == ""} == set(covid_cxr.CAUSES)


METADATA = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,went_icu,in_icu,"
    "needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,"
    "view,modality,date,location,folder,filename,doi,url,license,clinical_notes,other_notes,\n"
)


def metadata_line(patient, finding, view, modality, name):
    return f"{patient},0,M,65,{finding}{',' * 13},{view},{modality},2020,,images,{name},,,,a note,,\n"


def test_covid_metadata_of_today_gives_its_frontal_x_rays(tmp_path):
    """The whole collection: findings are paths; a general one leaves its special ones open, and ARDS is not told."""
    findings = {
        "a.jpg": "Pneumonia/Viral/COVID-19",
        "b.png": "Pneumonia/Bacterial/Streptococcus",
        "c.jpeg": "Pneumonia",
        "d.jpg": "No Finding",
        "e.jpg": "todo",
        "f.jpg": "Tuberculosis",
    }
    lines = [metadata_line(2, finding, "AP Supine", "X-ray", name) for name, finding in findings.items()]
    lines += [metadata_line(3, "Pneumonia/Viral/SARS", "L", "X-ray", "l.jpg")]
    lines += [metadata_line(3, "Pneumonia/Viral/SARS", "Axial", "CT", "ct.jpg")]
    (tmp_path / "metadata.csv").write_text(METADATA + "".join(lines))
    (tmp_path / "images").mkdir()
    for name in (*findings, "l.jpg", "ct.jpg"):
        (tmp_path / "images" / name).touch()
    rows = covid_cxr.make_table(tmp_path, keep_names=False)
    shown = {row["case"]: "".join(row[label] or "?" for label in covid_cxr.LABELS) for row in rows}
    assert list(covid_cxr.LABELS) == ["covid_19", "ards", "bacterial", "pneumocystis", "sars", "no_finding"]
    assert shown == {
        "a.jpg": "1?0000",
        "b.png": "0?1000",
        "c.jpeg": "?????0",
        "d.jpg": "0?0001",
        "e.jpg": "??????",
        "f.jpg": "0?0000",
    }
    assert rows[0]["image"] == str((tmp_path / "images/a.jpg").resolve())


def test_covid_patients_that_share_a_file_are_one_person(covid):
    rows = {row["case"]: row for row in covid_cxr.make_table(covid, keep_names=False)}
    assert rows["d"]["patient"] == rows["e"]["patient"] == "285"


def test_covid_notes_lose_the_disease_names_unless_kept(covid):
    redacted = covid_cxr.make_table(covid, keep_names=False)[0]["text"]
    kept = covid_cxr.make_table(covid, keep_names=True)[0]["text"]
    assert redacted == "Fever in a \ufffdmarket. confirmed"
    assert kept == "Fever in a \ufffdmarket. COVID-19 (SARS-CoV-2) confirmed"


@pytest.mark.parametrize(
    ("note", "left"),
    [
        ("the 2019-nCoV outbreak", "the outbreak"),
        ("a novel coronavirus-2 case, classiccovid-19 signs", "a case, signs"),
        ("P. jiroveci and Pneumocystis carinii; PCP.", "and ; ."),
        ("severe acute respiratory syndrome coronavirus 2", "2"),
        ("Streptococcus pneumoniae, E. coli, Legionella-Ag, ARDS", ", , ,"),
        ("coronary, afterwards towards the lobe", "coronary, afterwards towards the lobe"),
    ],
)  # fmt: skip
def test_redact_removes_names_and_nothing_like_them(note, left):
    assert covid_cxr.redact(note) == left


def test_nih_rows_have_fourteen_labels(nih):
    first, second = nih_sample.make_table(nih)
    assert {name for name in nih_sample.LABELS if first[name] == "1"} == {"cardiomegaly", "effusion"}
    assert {second[name] for name in nih_sample.LABELS} == {"0"}
    assert len(nih_sample.LABELS) == 14


def test_nih_label_that_is_none_is_refused(nih):
    (nih / "labels.csv").write_text(NIH_HEADER + "1_000.png,Cardiomegalie,0,1,61,F\n")
    with pytest.raises(InputError, match="row 1"):
        nih_sample.make_table(nih)


def test_command_writes_the_table_and_prints_counts(covid, tmp_path, monkeypatch, capsys):
    out = tmp_path / "made" / "cases.csv"
    monkeypatch.setattr(sys, "argv", ["covid_cxr", str(covid), str(out)])
    assert covid_cxr.main() == 0
    assert "5 cases of 4 patients, 3 with text" in capsys.readouterr().out
    with out.open(encoding="utf-8", newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == list("abcde")


def test_command_says_what_is_wrong_with_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nih_sample", str(tmp_path), str(tmp_path / "out.csv")])
    assert nih_sample.main() == InputError.exit_code
    assert "labels.csv: cannot read it" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()


def test_folder_without_images_is_refused(nih):
    for image in (nih / "images_256").iterdir():
        image.unlink()
    with pytest.raises(InputError, match="no image"):
        nih_sample.make_table(nih)
