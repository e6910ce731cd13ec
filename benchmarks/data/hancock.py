"""HANCOCK: head-and-neck cancer patients of one hospital, with many modalities, missing as they are in life.

Dörrich et al., Nature Communications 2025, doi 10.1038/s41467-025-62386-6; features under Apache-2.0. A modality is
there where all of its columns are. The stains of the tissue micro-array are one modality, the mean of those that a
patient has: one network read them all, and eight times 512 features are more than 763 patients tell apart. What the
pathologist wrote is a label here, and therefore no input. The tumour's site stands in for a hospital.
"""

import csv
import math
from collections.abc import Callable, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases.tables import Row, read_csv
from benchmarks.data.cases import Cases, group
from fedfin.errors import InputError

TILES = "tma_tile_dtr_256_*.npz"
LABELS = ("recurrence", "deceased", "positive_nodes", "hpv", "pt3", "perinodal_invasion")
# primary_tumor_site; the two patients with 0, of unknown primary, are nobody's.
HOSPITALS = {"1": "hypopharynx", "2": "larynx", "3": "oral cavity", "4": "oropharynx"}
# The columns of blood.csv, by how each begins, in order, with reference intervals of adults: units that compare.
BLOOD = (
    ("Leukocytes", 4.0, 10.0),
    ("Hemoglobin", 12.0, 17.5),
    ("Platelets", 150.0, 400.0),
    ("Erythrocytes", 4.0, 5.9),
    ("Hematocrit", 36.0, 52.0),
    ("Erythrocyte mean corpuscular hemoglobin", 27.0, 34.0),
    ("Erythrocyte mean corpuscular volume", 80.0, 98.0),
    ("Erythrocyte mean corpuscular hemoglobin concentration", 32.0, 36.0),
    ("Erythrocyte distribution width", 11.5, 15.0),
    ("Platelet mean volume", 9.0, 13.0),
    ("Granulocytes", 1.8, 7.7),
    ("Eosinophils", 0.02, 0.5),
    ("Basophils", 0.0, 0.1),
    ("Lymphocytes", 1.0, 4.0),
    ("Monocytes", 0.2, 0.9),
    ("Platelet distribution width", 9.0, 17.0),
)
DENSITIES = ("cd3_z", "cd3_inv", "cd8_z", "cd8_inv")
CLINICAL = ("sex", "primarily_metastasis", "smoking_status", "age_at_initial_diagnosis")
PATHOLOGY = (
    "primary_tumor_site", "hpv_association_p16", "number_of_positive_lymph_nodes", "perinodal_invasion", "pT_stage",
)  # fmt: skip
SMOKING = ("0", "1", "2", "3")
AGE, TEN_YEARS = 60.0, 10.0
# Categories are numbered in the order of their names: p16 negative, not tested, positive; pT1 to pT2 from 2 on, pT3 to
# pT4b from 6 on, and before them what is no stage.
P16 = {"0": 0.0, "2": 1.0}
STAGED, LARGE = 2, 6

Floats = NDArray[np.float32]
Table = dict[str, Row]  # by patient
Vectors = dict[str, Floats]  # of one modality, by patient
UNKNOWN = math.nan


def load(folder: Path) -> Cases:
    """Every patient of clinical.csv. Raises InputError when the folder is not the data set's."""
    pathology = _table(folder / "pathological.csv", PATHOLOGY)
    targets = _table(folder / "targets.csv", ("recurrence", "survival_status"))
    clinical = _table(folder / "clinical.csv", CLINICAL)
    found = {
        "image": _tiles(folder),
        "clinical": _vectors(clinical, _clinical),
        "codes": _vectors(_table(folder / "icd_codes.csv"), lambda row: [float(v) for v in row.values()]),
        "blood": _vectors(_table(folder / "blood.csv", begin=tuple(name for name, *_ in BLOOD)), _blood),
        "density": _vectors(_table(folder / "tma_cell_density.csv", DENSITIES), _densities),
    }
    patients = [patient for patient in clinical if patient in pathology and patient in targets]
    return Cases(
        {m: _stacked(vectors, patients) for m, vectors in found.items()},
        {m: np.array([patient in vectors for patient in patients]) for m, vectors in found.items()},
        np.array([_labels(folder, targets[p], pathology[p]) for p in patients], np.float32),
        np.array([group(patient) for patient in patients], np.int64),
        label_names=LABELS,
        hospitals=tuple(HOSPITALS.get(pathology[p]["primary_tumor_site"], "") for p in patients),
    )


def _table(path: Path, columns: Sequence[str] = (), *, begin: Sequence[str] = ()) -> Table:
    """These columns; with `begin` all, which must begin so; with neither all. Raises InputError."""
    header = _header(path)
    wrong = [(n, b) for n, b in zip_longest(header, begin, fillvalue="") if not b or not n.startswith(b)]
    if begin and wrong:
        raise InputError(
            f"{path}: has column {wrong[0][0]!r} for {wrong[0][1]!r}; is it this data set's folder?"
        )
    rows = read_csv(path, ["patient_id", *(columns or header)])
    return {row.pop("patient_id"): row for row in rows}


def _header(path: Path) -> list[str]:
    """All columns but the patient's."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])[1:]
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); give the data set's folder") from None


def _tiles(folder: Path) -> Vectors:
    """The mean over a patient's stains."""
    stains: dict[str, list[Floats]] = {}
    files = sorted(folder.glob(TILES))
    if not files:
        raise InputError(f"{folder}: has no {TILES}; is it this data set's folder?")
    for path in files:
        try:
            with np.load(path) as stain:
                for patient in stain.files:
                    stains.setdefault(patient, []).append(stain[patient])
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: is no file of features ({error})") from None
    return {patient: np.mean(vectors, axis=0).astype(np.float32) for patient, vectors in stains.items()}


def _vectors(table: Table, read: Callable[[Row], list[float]]) -> Vectors:
    """Of the rows in which all is known."""
    found = {}
    for patient, row in table.items():
        try:
            values = np.array(read(row), np.float32)
        except ValueError:  # a blank
            continue
        found[patient] = values
    return found


def _clinical(row: Row) -> list[float]:
    """[8]: whether a metastasis was there from the first is unknown of some."""
    metastasis, smoking = row["primarily_metastasis"], row["smoking_status"]
    return [
        float(row["sex"]),
        (float(row["age_at_initial_diagnosis"]) - AGE) / TEN_YEARS,
        float(metastasis or 0.0),
        float(not metastasis),
        *(float(smoking == one) for one in SMOKING),
    ]


def _blood(row: Row) -> list[float]:
    """[16], in half reference intervals from the middle of each."""
    return [
        (2 * float(value) - low - high) / (high - low)
        for value, (_, low, high) in zip(row.values(), BLOOD, strict=True)
    ]


def _densities(row: Row) -> list[float]:
    """[4], of cells per square millimetre."""
    return [math.log1p(float(row[column])) for column in DENSITIES]


def _labels(folder: Path, target: Row, pathology: Row) -> list[float]:
    """In the order of `LABELS`. Raises InputError for what is no number."""
    try:
        return _read_labels(target, pathology)
    except ValueError:
        raise InputError(
            f"{folder}: pathological.csv or targets.csv has a cell that should be a number and is none;"
            " is it this data set's folder?"
        ) from None


def _read_labels(target: Row, pathology: Row) -> list[float]:
    nodes, stage = pathology["number_of_positive_lymph_nodes"], int(pathology["pT_stage"])
    return [
        float(target["recurrence"] == "yes"),
        float(target["survival_status"] == "deceased"),
        float(float(nodes) > 0) if nodes else UNKNOWN,
        P16.get(pathology["hpv_association_p16"], UNKNOWN),
        float(stage >= LARGE) if stage >= STAGED else UNKNOWN,
        float(pathology["perinodal_invasion"] or UNKNOWN),
    ]


def _stacked(vectors: Vectors, patients: Sequence[str]) -> Floats:
    """[patients, dim], zero where absent. Raises InputError where nobody has the modality."""
    if not vectors:
        raise InputError("a table of the data set has no row in which all is known")
    blank = np.zeros_like(next(iter(vectors.values())))
    return np.stack([vectors.get(patient, blank) for patient in patients])
