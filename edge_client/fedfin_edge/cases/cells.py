"""What one cell of a case table means: an identifier, an input, a label. Messages never quote the cell."""

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedfin.errors import InputError
from fedfin_edge.cases.digests import Input, read_kept
from fedfin_edge.cases.rows import MAX_CELL

_LABELS = dict.fromkeys(("1", "1.0", "1,0", "true", "yes"), 1.0) | dict.fromkeys(
    ("0", "0.0", "0,0", "false", "no"), 0.0
)
_UNCERTAIN = {"-1", "-1.0", "-1,0"}  # as CheXpert and MIMIC-CXR mark "uncertain"


# What pandas, R, SQL and Excel write for a cell that is not there.
_MISSING = {"nan", "na", "n/a", "<na>", "#n/a", "none", "null"} | {
    f"#{error}" for error in ("ref!", "value!", "div/0!", "name?", "num!", "null!")
}
# 1.23E+05, as spreadsheets show and save a long number: whatever digits followed are gone.
_SHORTENED = re.compile(r"[+-]?\d(?:[.,]\d+)?e\+\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Label:
    """value: 1.0, 0.0 or None (unknown); known: the cell follows the convention; reason: what to report."""

    value: float | None
    known: bool = True
    reason: str = ""


def is_blank(cell: Any) -> bool:
    """Whether a cell holds nothing: absent, null, empty or white space."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_missing_word(cell: Any) -> bool:
    """Whether a cell holds another program's word for nothing, such as nan, NA or None."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return isinstance(cell, str) and cell.strip().casefold() in _MISSING


def read_identifier(cell: Any) -> str:
    """A case or patient id; "" when there is none. Numbers of JSON lines become strings."""
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        return ""
    return str(cell).strip()


def is_shortened(identifier: str) -> bool:
    """Whether a spreadsheet has turned an id into a number in scientific notation, so that ids may have become one."""
    return _SHORTENED.fullmatch(identifier) is not None


def read_label(cell: Any) -> Label:
    """1, 0, true, false, yes, no, blank (unknown) or -1 (uncertain, read as unknown)."""
    if is_blank(cell):
        return Label(None)
    text = str(int(cell)) if isinstance(cell, bool) else str(cell).strip().lower() if _is_plain(cell) else ""
    if text in _LABELS:
        return Label(_LABELS[text])
    if text in _UNCERTAIN:
        return Label(None, reason="is -1 (uncertain): read as unknown")
    return Label(None, known=False, reason="is not 1, 0 or blank")


def _is_plain(cell: Any) -> bool:
    # An integer of thousands of digits cannot be turned into a string (ValueError), and is no label.
    return isinstance(cell, str) or (isinstance(cell, (int, float)) and abs(cell) <= 1)


def read_input(cell: Any, kind: Literal["image", "text", "vector"], length: int, folder: Path) -> Input:
    """A modality's input; a relative image path starts at `folder`. Raises InputError with the reason."""
    if isinstance(cell, str) and len(cell) > MAX_CELL:
        raise InputError(f"is longer than {MAX_CELL:,} characters")
    if (kept := read_kept(cell)) is not None and kept.kind == kind:
        return kept
    if kind == "vector":
        return _read_vector(cell, length)
    if not isinstance(cell, str):
        raise InputError("is not a file name" if kind == "image" else "is not text")
    return _read_path(cell.strip(), folder) if kind == "image" else cell


def _read_path(name: str, folder: Path) -> Path:
    try:
        for spelling in _spellings(name):
            if (folder / spelling).is_file():
                return folder / spelling
        found = (folder / name).exists()
    except OSError as error:
        raise InputError(f"cannot look for the file ({error.strerror})") from None
    if PureWindowsPath(name).drive:
        raise InputError("is a path of a Windows machine; write it relative to the table's folder")
    raise InputError("is not a file" if found else "there is no such file")


def _spellings(name: str) -> list[str]:
    """The name as it is; with Windows' separators turned; and in the other Unicode forms, as macOS writes them."""
    turned = name if PureWindowsPath(name).drive else name.replace("\\", "/")
    return [name, turned, *(unicodedata.normalize(form, turned) for form in ("NFC", "NFD"))]


def _read_vector(cell: Any, length: int) -> NDArray[np.float32]:
    """A list, an array, or text of numbers separated by spaces or as JSON has them."""
    try:
        if isinstance(cell, str):
            cell = (
                json.loads(cell) if cell.lstrip().startswith("[") else [float(part) for part in cell.split()]
            )
        values = np.array([float(value) for value in cell])
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise InputError("is not a list of numbers") from None
    if len(values) != length:
        raise InputError(f"holds {len(values)} numbers where the encoder takes {length}")
    # float32 is what the encoder takes; beyond its range a number would become infinite.
    if not (np.abs(values) < 3e38).all():  # noqa: PLR2004  nor is NaN
        raise InputError("holds a number that is not finite")
    return values.astype(np.float32)
