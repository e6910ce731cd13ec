"""What stands on two sides of a split, and so lets a model be tested on what it was trained on.

    python -m benchmarks.cases.leaks TABLE

Two things leak: a patient, and a text word for word (upper or lower case, white space and punctuation aside).
Texts are findings or whole reports. Indications and impressions are formulas ("chest pain") that thousands of
patients share, so they are not compared.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.cases.tables import Row, read_csv
from fedfin.errors import FedfinError, InputError

COMPARED = ("findings", "text")
SIDES = ("train", "val", "test")  # a text that stands on two is kept on the earlier


def normalise(text: str) -> str:
    """What two texts that say the same word for word have in common."""
    return " ".join(re.findall(r"\w+", text.lower()))


def check(rows: Sequence[Row]) -> None:
    """Raise InputError if a patient or a text is on two sides of the split; a row without a side is on none."""
    for what, pairs in (("patients are", _patients(rows)), ("reports stand word for word", _texts(rows))):
        sides: dict[str, set[str]] = {}
        for key, side in pairs:
            sides.setdefault(key, set()).add(side)
        split = sum(len(found) > 1 for found in sides.values())
        if split:
            raise InputError(
                f"the split leaks: {split} of {len(sides)} {what} on more than one side of it;"
                " drop them (benchmarks.cases.leaks.drop), or draw another split (benchmarks.cases.splits)"
            )


def drop(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """The rows without those whose text stands on an earlier side, and a line about each side that had any."""
    reports = {
        side: {(row["patient"], text) for row in rows if row.get("split") == side for text in _compared(row)}
        for side in SIDES
    }
    train = {text for _, text in reports["train"]}
    earlier: set[str] = set()
    twins: dict[str, set[str]] = {}
    remarks = []
    for side in SIDES:
        texts = [text for _, text in reports[side]]
        twins[side] = earlier.intersection(texts)
        if twins[side]:
            in_train, dropped = (sum(text in known for text in texts) for known in (train, earlier))
            remarks.append(_tell(side, in_train, dropped, len(texts)))
        earlier.update(texts)
    return [row for row in rows if twins.get(row.get("split", ""), set()).isdisjoint(_compared(row))], remarks


def _tell(side: str, in_train: int, dropped: int, of: int) -> str:
    return (
        f"leak: {in_train} of {of} reports in {side} ({100 * in_train / of:.0f} %) stand word for word in train;"
        f" {dropped} that stand on an earlier side are dropped"
    )


def twins(rows: Sequence[Row]) -> dict[str, str]:
    """Patient -> a name of the smallest group around him that shares no text with any other patient."""
    parent = {row["patient"]: row["patient"] for row in rows}

    def root(patient: str) -> str:
        while parent[patient] != patient:
            patient = parent[patient]
        return patient

    first: dict[str, str] = {}
    for row in rows:
        for text in _compared(row):
            low, high = sorted((root(first.setdefault(text, row["patient"])), root(row["patient"])))
            parent[high] = low
    return {patient: root(patient) for patient in parent}


def _compared(row: Row) -> Iterator[str]:
    return (text for column in COMPARED if (text := normalise(row.get(column, ""))))


def _texts(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    return ((text, row["split"]) for row in rows if row.get("split") for text in _compared(row))


def _patients(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    return ((row["patient"], row["split"]) for row in rows if row.get("split"))


def main() -> int:
    """Check a table that is there."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cases.leaks",
        description="Check that no patient and no findings or text (word for word) are on two sides of the split.",
        epilog="example:\n  python -m benchmarks.cases.leaks cases.csv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", type=Path, metavar="TABLE")
    args = parser.parse_args()
    try:
        rows = read_csv(args.table, ("patient", "split"), COMPARED)
        print("\n".join(drop(rows)[1]) or "no report stands on two sides")
        check(rows)
    except FedfinError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print("no patient is on two sides")
    return 0


if __name__ == "__main__":
    sys.exit(main())
