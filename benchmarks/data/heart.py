"""Heart disease at four hospitals: 920 patients, what was not measured is blank by hospital (UCI, CC BY 4.0).

Janosi et al. 1988, doi 10.24432/C52P4X. Modalities are groups of columns that one examination gives; a modality is
there where all of its columns are. Fluoroscopy and the thallium scan, `imaging`, are Cleveland's alone but for few.
A cholesterol, or blood pressure, of 0 is a missing one: Switzerland has no other. The label is any narrowing (target
above 0). Numbers are in ranges that are usual in adults, categories one column each.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cases.tables import Row, read_csv
from benchmarks.data.cases import Cases, group
from fedfin.errors import InputError

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")
COLUMNS = (
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope", "ca", "thal",
    "target",
)  # fmt: skip

Read = Callable[[str], list[float]]
Floats = NDArray[np.float32]


def _number(usual: float, spread: float, *, zero_is_blank: bool = False) -> Read:
    """One column. Reading raises ValueError for a blank."""

    def read(cell: str) -> list[float]:
        value = float(cell)
        if zero_is_blank and not value:
            raise ValueError("zero stands for a blank")
        return [(value - usual) / spread]

    return read


def _category(*values: int) -> Read:
    """A column for each value."""

    def read(cell: str) -> list[float]:
        found = float(cell)
        return [float(found == value) for value in values]

    return read


MODALITIES: dict[str, dict[str, Read]] = {
    "history": {"age": _number(54, 9), "sex": _category(1), "cp": _category(1, 2, 3, 4)},
    "rest": {"trestbps": _number(130, 18, zero_is_blank=True), "restecg": _category(0, 1, 2)},
    "exercise": {"thalach": _number(140, 25), "exang": _category(1), "oldpeak": _number(1, 1)},
    "slope": {"slope": _category(1, 2, 3)},
    "laboratory": {"chol": _number(240, 50, zero_is_blank=True), "fbs": _category(1)},
    "imaging": {"ca": _number(1, 1), "thal": _category(3, 6, 7)},
}


def load(folder: Path) -> Cases:
    """Every patient; the one who has nothing at all would be refused. Raises InputError for another folder."""
    rows = [(h, row) for h in HOSPITALS for row in read_csv(folder / f"processed.{h}.data", COLUMNS)]
    if not rows:
        raise InputError(f"{folder}: has no patients; is it this data set's folder?")
    found = {m: [_vector(row, columns) for _, row in rows] for m, columns in MODALITIES.items()}
    return Cases(
        {m: _stacked(m, vectors) for m, vectors in found.items()},
        {m: np.array([vector is not None for vector in vectors]) for m, vectors in found.items()},
        np.array([[_label(folder, row["target"])] for _, row in rows], np.float32),
        np.array([group(f"heart/{place}") for place in range(len(rows))], np.int64),
        label_names=("disease",),
        hospitals=tuple(hospital for hospital, _ in rows),
    )


def _label(folder: Path, cell: str) -> float:
    try:
        return float(float(cell) > 0)
    except ValueError:
        raise InputError(
            f"{folder}: a target is {cell!r}, not a number; is it this data set's folder?"
        ) from None


def _vector(row: Row, columns: dict[str, Read]) -> list[float] | None:
    """Of all columns together; None where one is blank or "?"."""
    try:
        return [value for name, read in columns.items() for value in read(row[name])]
    except ValueError:
        return None


def _stacked(modality: str, vectors: list[list[float] | None]) -> Floats:
    """[patients, dim], zero where absent. Raises InputError where nobody has the modality."""
    known = next((vector for vector in vectors if vector is not None), None)
    if known is None:
        raise InputError(
            f"no patient of uci-heart has all columns of {modality!r}; is it this data set's folder?"
        )
    blank = [0.0] * len(known)
    return np.array([blank if vector is None else vector for vector in vectors], np.float32)
