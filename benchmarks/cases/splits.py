"""Splits into train and test: drawn by patient where a data set has none, kept where it has one."""

import argparse
import hashlib
import sys
from collections.abc import Sequence

from benchmarks.cases import leaks
from benchmarks.cases.tables import Row


def draw(rows: Sequence[Row], share: float, seed: int) -> list[Row]:
    """Rows with a split: `share` of the patients in test, by a hash of patient and seed.

    Patients with the same report word for word go to one side together. Adding cases moves no patient, unless
    the new ones share a report with him.
    """
    group = leaks.twins(rows)
    return [
        row | {"split": "test" if _uniform(group[row["patient"]], seed) < share else "train"} for row in rows
    ]


def _uniform(key: str, seed: int) -> float:
    """In [0, 1)."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def keep(rows: Sequence[Row], val: str) -> list[Row]:
    """Rows of an official split without those that leak, which are told on stderr.

    A case table knows train and test only: `val` says whether validation cases go to "train", or "leave-out".
    """
    kept, remarks = leaks.drop(rows)
    for line in remarks:
        print(line, file=sys.stderr)
    if val == "leave-out":
        kept = [row for row in kept if row["split"] != "val"]
    return [row | {"split": "train"} if row["split"] == "val" else row for row in kept]


def add_draw(parser: argparse.ArgumentParser) -> None:
    """Options of a data set without an official split."""
    parser.add_argument(
        "--test", type=_share, default=0.2, metavar="SHARE", help="patients in test (default 0.2)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed draws another split (default 0)")


def add_keep(parser: argparse.ArgumentParser) -> None:
    """Options of a data set with an official split."""
    parser.add_argument(
        "--val",
        choices=("train", "leave-out"),
        default="train",
        help="what becomes of the official validation cases (default: train)",
    )


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to below 1")
    return share
