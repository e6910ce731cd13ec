"""HANCOCK and UCI's heart disease as the study's cases, from small files in their layouts."""

import msgspec
import numpy as np
import pytest
from medical_files import write_hancock, write_heart

from benchmarks.data.heart import HOSPITALS
from benchmarks.data.loaders import FOLDERS, load_cases
from benchmarks.study.grid import attempt
from benchmarks.study.jobs import jobs
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.settings import DATA, Runs, Study
from benchmarks.study.sources import load_pool
from fedfin.errors import InputError


def load(name, folder, tmp_path):
    """Through the study's loaders."""
    return load_cases(name, tmp_path / "cache", folder=folder)


@pytest.fixture
def hancock(tmp_path):
    """Six patients."""
    return load("hancock", write_hancock(tmp_path / "hancock"), tmp_path)


@pytest.fixture
def heart(tmp_path):
    """Four at each hospital."""
    return load("uci-heart", write_heart(tmp_path / "heart"), tmp_path)


def test_a_modality_of_hancock_is_there_where_all_of_its_columns_are(hancock):
    """And no patient without it is told from one with zeros by anything else."""
    lacking = {m: np.flatnonzero(~mask).tolist() for m, mask in hancock.present.items()}
    assert lacking == {"image": [4], "clinical": [], "codes": [], "blood": [1], "density": [2]}
    assert hancock.dims == {"blood": 16, "clinical": 8, "codes": 2, "density": 4, "image": 3}
    assert (hancock.features["blood"][1] == 0).all()


def test_the_stains_of_a_patient_are_averaged_over_those_that_there_are(hancock):
    """Patient 3 has one."""
    assert hancock.features["image"][:, 0].tolist() == [1.5, 1.5, 1.5, 1.0, 0.0, 1.5]


def test_blood_is_in_half_reference_intervals_and_age_in_tens_of_years(hancock):
    """The upper end of each is 1; sex, age, metastasis unknown, the third of four kinds of smokers."""
    assert np.allclose(hancock.features["blood"][0], 1.0)
    assert hancock.features["clinical"][0].tolist() == [1, 1, 0, 1, 0, 0, 1, 0]


def test_labels_that_nobody_knows_are_unknown(hancock):
    """Blank cells, p16 that was not tested (1), a stage that is none (0, 1)."""
    nan = np.nan
    assert hancock.label_names[2:5] == ("positive_nodes", "hpv", "pt3")
    assert np.array_equal(
        hancock.labels[:, 2:5],
        [[0, 0, nan], [nan, nan, nan], [1, 1, 0], [1, 0, 0], [1, nan, 0], [1, 1, 0]],
        equal_nan=True,
    )
    assert np.isnan(hancock.labels[:, 5]).all()


def test_the_site_of_the_tumour_stands_in_for_a_hospital(hancock):
    """An unknown primary is nobody's."""
    assert hancock.hospitals == ("", "hypopharynx", "larynx", "oral cavity", "oropharynx", "")


def test_what_a_hospital_did_not_measure_is_missing_there(heart):
    """Question marks, blanks and a cholesterol of 0."""
    of = np.array(heart.hospitals)
    assert list(dict.fromkeys(heart.hospitals)) == list(HOSPITALS)
    assert not heart.present["laboratory"][of == "switzerland"].any()
    assert not heart.present["imaging"][of == "switzerland"].any()
    assert heart.present["slope"][of == "hungarian"].tolist() == [False, True, True, True]
    assert heart.present["imaging"][of == "cleveland"].all()


def test_any_narrowing_is_the_disease_and_categories_have_a_column_each(heart):
    """Numbers are in ranges that are usual."""
    assert heart.labels[:, 0].tolist() == [0, 1, 0, 1] * 4
    assert heart.features["history"][0].tolist() == [0, 1, 0, 0, 0, 1]
    assert heart.features["laboratory"][0].tolist() == [1, 0]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_data_set_whose_folder_nobody_names_says_which_variable_does(name, tmp_path, monkeypatch):
    """And what lies in it."""
    monkeypatch.delenv(FOLDERS[name][0], raising=False)
    with pytest.raises(InputError, match=rf"set {FOLDERS[name][0]} to the folder with its"):
        load_cases(name, tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("blood.csv", "patient_id,Weight\n001,3\n", "has column 'Weight' for 'Leukocytes'"),
        ("targets.csv", "patient_id,recurrence\n001,no\n", "has no column survival_status"),
        ("tma_tile_dtr_256_HE.npz", "no archive", "is no file of features"),
        ("pathological.csv", None, "cannot read it|is not there"),
        ("pathological.csv", "", "has no column"),
    ],
)
def test_a_folder_that_is_not_hancock_is_refused_with_the_file(tmp_path, file, text, told):
    """Whatever is wrong with it."""
    folder = write_hancock(tmp_path / "hancock")
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(InputError, match=told) as error:
        load("hancock", folder, tmp_path)
    assert file in str(error.value)


def test_a_value_that_is_no_stage_is_refused_without_the_patient(tmp_path):
    """Nothing of a patient stands in an error."""
    folder = write_hancock(tmp_path / "hancock")
    path = folder / "pathological.csv"
    path.write_text(path.read_text().replace(",5,1", ",late,1"))
    with pytest.raises(InputError, match=r"pathological\.csv or targets\.csv"):
        load("hancock", folder, tmp_path)


def test_the_hearts_judge_is_not_one_hospital_s(tmp_path):
    """The study's data set says that incomplete cases judge, too."""
    data = msgspec.structs.replace(DATA["uci-heart"], folder=str(write_heart(tmp_path)))
    pool = load_pool(data, tmp_path, lambda *_: None)
    assert pool.judge == "recorded"
    assert set(pool.cases.hospitals) == set(HOSPITALS)


def test_a_case_of_which_a_view_shows_nothing_does_not_judge_in_it(tmp_path, monkeypatch):
    """Imaging judges where there is some, at three hospitals of four; what nobody recorded has no truth."""
    monkeypatch.setenv("FEDFIN_UCI_HEART", str(write_heart(tmp_path / "heart", 60)))
    runs = Runs(data=("uci-heart",), settings=("hospitals",), methods=("experts-only", "only-rare"))
    rows = [attempt(job, tmp_path) for job in jobs([Study(seeds=1, rounds=1, runs=(runs,))], METHODS)]
    assert [len(row["sites"]) for row in rows] == [4, 4]
    assert 0 < rows[0]["complete"] < sum(rows[0]["sites"].values())
    assert all(view["auc"] is not None for view in rows[0]["views"].values())
    assert "cosine" not in rows[0]["views"]["only history"]
    answered = {name for name, view in rows[1]["views"].items() if view["auc"] is not None}
    assert answered == {"only imaging", "without laboratory"}  # all of whom have imaging
