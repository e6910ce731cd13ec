"""Case tables as arrays for the study, with an encoder that only counts."""

import csv
import subprocess

import numpy as np
import pytest
from stub_bundles import StubEncoder, write_bundle
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks.data import bundles as data_bundles
from benchmarks.data import covid, table
from benchmarks.data.loaders import load_cases
from fedfin.errors import InputError, SettingsError

TABLE = """case,patient,image,text,note,mass,edema
a,p1,a.png,Clear lungs.,seen,0,
b,p1,,Mass.,,1,-1
c,p2,b.png,,none,,1
d,p3,gone.png,,none,1,1
"""


def no_step(_done, _total):
    pass


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    monkeypatch.setattr("fedfin_edge.cases.encoder.open_encoder", StubEncoder.open)
    monkeypatch.setattr(StubEncoder, "seen", [])
    return StubEncoder


@pytest.fixture
def bundles(tmp_path):
    return {kind: write_bundle(tmp_path / "bundles" / kind, kind) for kind in ("image", "text")}


@pytest.fixture
def cases_csv(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(name.encode())
    path = tmp_path / "cases.csv"
    path.write_text(TABLE)
    return path


def test_a_table_becomes_cases_with_unknown_labels_as_nan(cases_csv, bundles, tmp_path):
    """What a cell leaves open is NaN, what a case lacks is absent, and the raw texts come along."""
    cases = table.load(cases_csv, bundles, tmp_path / "cache", no_step)
    assert cases.label_names == ("mass", "edema")
    assert np.array_equal(cases.labels, [[0, np.nan], [1, np.nan], [np.nan, 1]], equal_nan=True)
    assert cases.present["image"].tolist() == [True, False, True]
    assert cases.features["text"].tolist() == [[12, 1], [5, 1], [0, 0]]
    assert cases.texts == {"text": ["Clear lungs.", "Mass.", ""]}
    assert cases.groups[0] == cases.groups[1] != cases.groups[2]


def test_patients_with_the_same_report_are_one_group(cases_csv, bundles, tmp_path):
    """So that no split has it on two sides."""
    cases_csv.write_text(
        "case,patient,text,image,mass\na,1,Clear lungs.,,1\nb,2,clear lungs,,0\nc,3,Mass.,,0\n"
    )
    groups = table.load(cases_csv, bundles, tmp_path / "cache", no_step).groups
    assert groups[0] == groups[1] != groups[2]


def test_a_case_of_which_nothing_can_be_read_is_left_out_and_counted(cases_csv, bundles, tmp_path, caplog):
    """Its only input is a file that does not exist; the log says how many, never which."""
    assert len(table.load(cases_csv, bundles, tmp_path / "cache", no_step)) == 3
    assert "2 rows or inputs cannot be used" in caplog.text
    assert "gone" not in caplog.text


def test_every_input_is_encoded_once_and_kept(cases_csv, bundles, tmp_path, stub):
    """A second load, and another table of the same inputs, encode nothing."""
    steps = []
    first = table.load(cases_csv, bundles, tmp_path / "cache", lambda *step: steps.append(step))
    assert steps[-1] == (4, 4)
    other = cases_csv.with_name("other.csv")
    other.write_text(cases_csv.read_text().replace("p2", "p9"))
    again = table.load(other, bundles, tmp_path / "cache", no_step)
    assert len(stub.seen) == 4
    assert np.array_equal(first.features["image"], again.features["image"])


def test_an_interrupted_encoding_goes_on_where_it_stopped(tmp_path, bundles, stub, monkeypatch):
    """Parts of 32 inputs are kept: of 40 texts, cut at the 36th, the last 8 are encoded again."""
    path = tmp_path / "many.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "mass"], *([f"text {n}", n % 2] for n in range(40))])
    texts = {"text": bundles["text"]}
    monkeypatch.setattr(StubEncoder, "stop_at", 35)
    with pytest.raises(KeyboardInterrupt):
        table.load(path, texts, tmp_path / "cache", no_step)
    monkeypatch.setattr(StubEncoder, "stop_at", None)
    assert len(table.load(path, texts, tmp_path / "cache", no_step)) == 40
    assert len(stub.seen) == 35 + 8


def test_a_table_without_a_modalitys_column_is_refused(cases_csv, bundles, tmp_path):
    """The error names the column and those that are there."""
    cases_csv.write_text("case,text,mass\na,Clear.,1\n")
    with pytest.raises(SettingsError, match=r"names the column 'image'.*case, text, mass"):
        table.load(cases_csv, bundles, tmp_path / "cache", no_step)


def test_a_table_without_a_usable_case_is_refused(cases_csv, bundles, tmp_path):
    """Both images are gone and there is no text."""
    cases_csv.write_text("case,image,text,mass\na,x.png,,1\nb,y.png,,0\n")
    with pytest.raises(InputError, match="not one case can be used"):
        table.load(cases_csv, bundles, tmp_path / "cache", no_step)


def write_covid(folder):
    """Two patients, one of them with a note."""
    (folder / "frontal_256").mkdir(parents=True)
    header = "png,patientid,sex,age,finding,view,license,clinical_notes,other_notes\n"
    rows = "a.png,2,M,65,COVID-19,PA,,Fever and COVID-19.,\nb.png,3,F,,Pneumonia,AP,,,\n"
    (folder / "frontal.csv").write_text(header + rows)
    for name in "ab":
        (folder / "frontal_256" / f"{name}.png").write_bytes(name.encode())
    return folder


def covid_cache(cache):
    """A cache folder in which both encoders are exported already."""
    write_bundle(cache / "efficientnet-lite0-covid-cxr", "image")
    write_bundle(cache / "minilm-l6", "text")
    return cache


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_covid_is_loaded_from_the_folder_that_is_named(tmp_path, monkeypatch, by):
    """By argument or by environment; the disease's name is out of the note, its cause may be unknown."""
    folder, cache = write_covid(tmp_path / "covid"), covid_cache(tmp_path / "cache")
    monkeypatch.setenv("FEDFIN_COVID_CXR", str(folder) if by == "environment" else "elsewhere")
    cases = load_cases("covid", cache, folder=folder if by == "argument" else None)
    assert cases.texts["text"] == ["Fever and .", ""]
    assert cases.labels[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert np.isnan(cases.labels[1]).sum() == 4


def test_a_cut_note_ends_with_the_first_window(tmp_path):
    """With its last piece of a word, and special tokens counted; a note that fits stays as it is."""
    tokenizer = Tokenizer(
        models.WordPiece({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "lung": 3, "##s": 4}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    bundle = write_bundle(tmp_path / "text", "text", tokenizer.to_str().encode())  # windows of 8 tokens
    rows = [{"text": "lung " * 5 + "lungs lung"}, {"text": "lung lungs."}, {"text": ""}]
    assert [row["text"] for row in covid.first_windows(bundle, rows)] == [
        "lung " * 5 + "lung",
        "lung lungs.",
        "",
    ]


def test_covid_without_its_folder_says_how_to_name_it(tmp_path, monkeypatch):
    """It cannot be fetched as the others are."""
    monkeypatch.delenv("FEDFIN_COVID_CXR", raising=False)
    with pytest.raises(InputError, match="set FEDFIN_COVID_CXR to the folder"):
        load_cases("covid", tmp_path)


def test_a_data_set_of_no_known_name_is_refused(tmp_path):
    """It is not taken for another one."""
    with pytest.raises(InputError, match="one of mfeat, open-i, covid"):
        load_cases("openi", tmp_path)


def test_an_encoder_that_cannot_be_exported_says_why(tmp_path, monkeypatch):
    """The export's own last line is passed on."""
    failed = subprocess.CompletedProcess([], 5, "", "loading\nno image in it\n")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_options: failed)
    with pytest.raises(InputError, match="could not export the encoder efficientnet-lite0-x: no image in it"):
        data_bundles.image_bundle(tmp_path, "x", tmp_path / "images")
