"""Puts measured figures into the documents that quote them.

    python -m benchmarks.costs.quoted [RESULTS] [--check]

RESULTS, a folder of `fedfin bench all`, becomes benchmarks/costs/measured.json; without it that file is taken.
In a document `<!-- costs: NAME FORM -->...<!-- end -->` holds the figure NAME, written as Python's format FORM, and
`<!-- costs: table KEY -->`, `<!-- costs: claims -->`, `<!-- costs: answer -->` and `<!-- costs: system -->` parts of
the report. `--check` changes nothing and ends with 1 where a document says something else.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.costs.bench_all import Results
from benchmarks.costs.claims import check, read_budgets
from benchmarks.costs.figures import figures
from benchmarks.costs.prices import read_prices
from benchmarks.costs.report import answer, claims_markdown, system_markdown, table_markdown
from benchmarks.costs.tables import tables
from fedfin.errors import FedfinError, InputError

ROOT = Path(__file__).parents[2]
MEASURED = Path(__file__).with_name("measured.json")
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "costs.md")
MARK = re.compile(r"(<!-- costs: (.+?) -->)(.*?)(<!-- end -->)", re.DOTALL)


def quoted(text: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The document with what was measured between its marks. Raises InputError for a name that no figure has."""
    parts = _parts(results)
    return MARK.sub(lambda mark: mark[1] + _value(mark[2], parts, results) + mark[4], text)


def _value(name: str, parts: Mapping[str, str], results: Mapping[str, Mapping[str, Any]]) -> str:
    if name in parts:
        return f"\n{parts[name]}\n"
    figure, _, form = name.partition(" ")
    found = figures(results)
    if figure not in found:
        raise InputError(f"costs: {name}: no such figure was measured; there are {', '.join(sorted(found))}")
    return format(found[figure], form)


def _parts(results: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = figures(results)
    parts = {f"table {table.key}": table_markdown(table) for table in tables(results, read_prices())}
    return parts | {
        "answer": " ".join(answer(found)),
        "claims": claims_markdown(check(found, read_budgets())),
        "system": system_markdown(results),
    }


def read_measured() -> dict[str, dict[str, Any]]:
    """What the documents quote."""
    found: dict[str, dict[str, Any]] = json.loads(MEASURED.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", help="folder of `fedfin bench all`")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 where a document differs"
    )
    args = parser.parse_args()
    try:
        return _run(args)
    except FedfinError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _run(args: argparse.Namespace) -> int:
    if args.results is not None:
        MEASURED.write_text(json.dumps(Results(args.results).read()) + "\n", encoding="utf-8")
    results, differ = read_measured(), []
    for path in DOCUMENTS:
        old = path.read_text(encoding="utf-8")
        new = quoted(old, results)
        if new != old:
            differ.append(path.name)
            if not args.check:
                path.write_text(new, encoding="utf-8")
    print(f"{', '.join(differ) or 'no document'} differed from what was measured")
    return 1 if args.check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
