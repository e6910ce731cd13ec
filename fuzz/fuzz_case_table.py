"""Case tables of every kind; the first byte says by which name the file goes."""

import contextlib

from fedfin_edge.cases.read_rows import read_rows
from fuzz.scratch import REFUSED, scratch_file

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".xlsx", ".parquet")


def fuzz(data: bytes) -> None:
    """Rows, or a reason."""
    suffix = SUFFIXES[data[0] % len(SUFFIXES)] if data else ".csv"
    with contextlib.suppress(REFUSED):
        read_rows(scratch_file(f"cases{suffix}", data[1:]))
