"""The benchmark of case tables, on few rows."""

import json
import sys

from benchmarks import table_rows


def test_every_kind_of_table_is_read_whole(monkeypatch, capsys):
    """Each in a process of its own, whose memory is told."""
    monkeypatch.setattr(sys, "argv", ["table_rows", "--rows", "20", "--json"])
    assert table_rows.main() == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["kind"], one["rows"]) for one in found] == [("csv", 20), ("xlsx", 20), ("parquet", 20)]
    assert all(0 < one["start_mb"] <= one["peak_mb"] for one in found)
