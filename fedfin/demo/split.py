"""Split a case table over sites as a federation would hold it: by patient, some sites without text.

Writes `site-01/cases.csv`, ... and `holdout/cases.csv`. No patient is on two sides. Sites beyond the first
`with_text` hold images only.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fedfin.errors import InputError

HOLDOUT = "holdout"
Row = dict[str, str]


@dataclass(frozen=True)
class Part:
    """What one site, or the hold-out, was given."""

    table: Path
    patients: int
    cases: int
    images: int
    texts: int
    left_out: int  # cases with text alone, at a site without text


@dataclass(frozen=True)
class Split:
    """The parts of a split: sites by name, in order, and the hold-out (None when there is none)."""

    sites: dict[str, Part]
    holdout: Part | None


def split_cases(table: Path, out: Path, *, sites: int, with_text: int, held_out: float, seed: int) -> Split:
    """Split `table` (CSV) by patient into `sites` sites under `out` and a common hold-out share `held_out`.

    Uses the columns patient (without it, or where it is blank, a case is its own patient), image and text;
    keeps all others. The hold-out is drawn from all patients. The first `with_text` sites take, of the rest,
    those with both image and text first. Sizes differ by one patient at most. Image paths become absolute,
    so that the parts may lie anywhere. The order of rows does not matter where patients are named.
    Raises InputError.
    """
    _check_numbers(sites, with_text, held_out)
    columns, rows = _read(table)
    _check_columns(table, columns, sites=sites, with_text=with_text)
    _check_empty(out)
    patients = _by_patient(rows)
    held, rest = _hold_out(list(patients), held_out, seed)
    groups = _assign(table, patients, rest, sites, with_text)
    names = [f"site-{number:02d}" for number in range(1, sites + 1)]
    check_disjoint({HOLDOUT: held} | dict(zip(names, groups, strict=True)))
    folder = table.resolve().parent
    parts = {}
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        given = [_absolute(row, folder) for patient in group for row in patients[patient]]
        parts[name] = _write(out / name / "cases.csv", columns, given, len(group), text=number < with_text)
    given = [_absolute(row, folder) for patient in held for row in patients[patient]]
    last = _write(out / HOLDOUT / "cases.csv", columns, given, len(held), text=True) if held else None
    return Split(parts, last)


def check_disjoint(groups: Mapping[str, Iterable[str]]) -> None:
    """Raise InputError if a patient is in two of `groups` (name -> patients)."""
    place: dict[str, str] = {}
    for name, group in groups.items():
        for patient in group:
            if place.setdefault(patient, name) != name:
                raise InputError(f"a patient is in {place[patient]} and in {name}: report this as a bug")


def _check_numbers(sites: int, with_text: int, held_out: float) -> None:
    if sites < 1:
        raise InputError(f"{sites} sites: there must be at least one")
    if not 0 <= with_text <= sites:
        raise InputError(f"{with_text} sites with text of {sites}: give a number from 0 to {sites}")
    if not 0 <= held_out < 1:
        raise InputError(f"a held-out share of {held_out}: give a share from 0 to below 1, such as 0.2")


def _check_columns(table: Path, columns: Sequence[str], *, sites: int, with_text: int) -> None:
    if with_text and "text" not in columns:
        raise InputError(f"{table}: has no column `text` for the sites with text; add it or ask for none")
    if with_text < sites and "image" not in columns:
        raise InputError(f"{table}: has no column `image` for the sites without text; add it")


def _check_empty(out: Path) -> None:
    for old in (*out.glob("site-*/cases.csv"), *out.glob(f"{HOLDOUT}/cases.csv")):
        raise InputError(f"{old}: a split is there already; remove it or choose another folder")


def _read(table: Path) -> tuple[list[str], list[Row]]:
    """Columns and rows of a CSV file; blank cells are empty strings."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            rows = list(reader)
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a CSV file in UTF-8"
        raise InputError(f"{table}: cannot read the case table ({reason}); give a CSV file") from None
    if len(set(columns)) < len(columns):
        raise InputError(f"{table}: two columns have the same name; rename one")
    for number, row in enumerate(rows, start=1):
        if None in row:
            raise InputError(f"{table}: row {number} has more cells than the header; quote cells with commas")
    return columns, rows


def _by_patient(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of each patient, patients in sorted order; a row without one is a patient of its own."""
    patients: dict[str, list[Row]] = {}
    for number, row in enumerate(rows):
        # The tuple's text cannot be mistaken for an id that a table gives.
        key = row.get("patient", "").strip() or repr((row.get("case", ""), number))
        patients.setdefault(key, []).append(row)
    return {patient: patients[patient] for patient in sorted(patients)}


def _hold_out(patients: Sequence[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    """The held-out patients and the rest, both in random order."""
    order = np.random.default_rng(seed).permutation(len(patients))
    shuffled = [patients[at] for at in order]
    count = max(1, round(share * len(patients))) if share else 0
    return shuffled[:count], shuffled[count:]


def _assign(
    table: Path, patients: Mapping[str, Sequence[Row]], rest: list[str], sites: int, with_text: int
) -> list[list[str]]:
    """The patients of each site, from `rest`."""
    if len(rest) < sites:
        raise InputError(
            f"{table}: {len(patients)} patients leave {len(rest)} for {sites} sites;"
            " use fewer sites or more cases"
        )
    rest = sorted(rest, key=lambda patient: _use_of_text(patients[patient]))
    both = sum(_use_of_text(patients[patient]) == 0 for patient in rest)
    if "image" in next(iter(patients.values()))[0] and both < with_text:
        raise InputError(
            f"{table}: {both} patients have image and text, too few for {with_text} sites with text;"
            " use fewer such sites or more cases"
        )
    sizes = [len(rest) // sites + (site < len(rest) % sites) for site in range(sites)]
    take = sum(sizes[:with_text])
    return [*_deal(rest[:take], with_text), *_deal(rest[take:], sites - with_text)]


def _use_of_text(rows: Sequence[Row]) -> int:
    """0: image and text in one case; 1: text, never with an image; 2: no text."""
    texts = [row for row in rows if row.get("text", "").strip()]
    if any(row.get("image", "").strip() for row in texts):
        return 0
    return 1 if texts else 2


def _deal(patients: Sequence[str], hands: int) -> list[list[str]]:
    return [list(patients[hand::hands]) for hand in range(hands)]


def _absolute(row: Row, folder: Path) -> Row:
    """Make the path of a row's image absolute; a relative one is meant from the table's folder."""
    image = row.get("image", "").strip()
    return {**row, "image": str(folder / image)} if image else row


def _write(table: Path, columns: Sequence[str], rows: Sequence[Row], patients: int, *, text: bool) -> Part:
    """Write one part in full, then give it its name; without `text`, the column is blank."""
    kept = list(rows) if text else [row | {"text": ""} for row in rows if row.get("image", "").strip()]
    table.parent.mkdir(parents=True, exist_ok=True)
    partial = table.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
    partial.replace(table)
    images, texts = (sum(bool(row.get(name, "").strip()) for row in kept) for name in ("image", "text"))
    return Part(table, patients, len(kept), images, texts, len(rows) - len(kept))
