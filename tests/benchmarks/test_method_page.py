"""The page of what was measured has the tables, the verdict and the gains of the rows that are committed."""

import gzip
import re
from pathlib import Path

import pytest

from benchmarks.study.report import read_scores
from benchmarks.study.summary import summarise

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "method-measured.md").read_text().partition("## Is what is claimed")[0]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `fedfin study report --json` says of them."""
    rows = tmp_path_factory.mktemp("rows") / "fair.jsonl"
    rows.write_bytes(gzip.decompress((ROOT / "benchmarks/study/rows/fair.jsonl.gz").read_bytes()))
    return summarise(read_scores(rows, "fedfin"))


def test_every_row_of_a_table_is_what_was_measured(found):
    """Method by method; and there are no others."""
    tables = [
        table.splitlines() for table in re.findall(r"(?:^\| *macro.*\n(?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    ]
    rows = {row for head, _, *rows in tables for row in rows}
    heads = {tuple(head.strip("| ").split(" | ")[1:]) for head, *_ in tables}
    made = [{_row(line, methods) for methods in heads} for line in found["main"]]
    assert [line for line, row in zip(found["main"], made, strict=True) if not row & rows] == []
    assert rows <= set().union(*made)


def _row(line, methods):
    cells = [_cell(line["methods"].get(method)) for method in methods]
    return f"| {line['setting']}, {line['kind']} | {' | '.join(cells)} |"


def _cell(score):
    return "-" if score is None or score["auc"] is None else f"{score['auc']:.1f} ± {score['spread']:.1f}"


def test_the_verdict_is_that_of_the_rows(found):
    verdict = found["verdict"]
    clear = [harm for harm in verdict["harms"] if harm["clear"]]
    for harm in clear:
        line = f"- {harm['setting']}, {harm['view']}: {harm['difference']:+.2f} to {harm['rival']}"
        assert line in PAGE
    columns = {(harm["data"], harm["setting"], harm["view"]) for harm in clear}
    assert f"**It harms in {len(columns)} of {verdict['columns']} columns" in PAGE
    assert {harm["data"] for harm in clear} == {"uci-heart"}
    assert not verdict["clear_parts"]


def test_the_gains_are_those_of_the_rows(found):
    for gain in found["verdict"]["gains"]:
        (row,) = re.findall(rf"^\| {gain['method']} \| .*$", PAGE, flags=re.MULTILINE)
        assert f"{gain['difference']:+.2f} ± {gain['noise']:.2f}" in row
