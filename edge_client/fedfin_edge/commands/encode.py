"""`fedfin edge encode`: turn a site's cases into features, each input once."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import InputError
from fedfin.processors import usable_cores

if TYPE_CHECKING:
    from fedfin_edge.cases.encoding import Report
    from fedfin_edge.cases.problem import Problem
    from fedfin_edge.site import Site

_DESCRIPTION = """\
Encode every image and text of a site's case table, each distinct input once per encoder, into
features.sqlite. A second run encodes nothing; an interrupted one goes on where it stopped. Bad files and rows
are listed with row number, column and reason, counted and skipped; the command fails only when no case at all
can be used. Of a site with an intake, the cases that it has until now become the table, for the next run. Row
numbers are those of a spreadsheet: the header is row 1."""
_EXAMPLE = "fedfin edge encode st-mary"

# Rows shown per kind of problem on a terminal; --json gives every one.
MAX_ROWS = 20


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "encode",
        "turn the cases into features, each input once",
        example=_EXAMPLE,
        description=_DESCRIPTION,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the site folder")
    parser.add_argument(
        "--processes",
        type=_processes,
        default=usable_cores(),
        metavar="N",
        help="read and encode in N processes (default: the cores this process may use, here %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print counts and every problem as JSON on stdout"
    )
    parser.set_defaults(run=run)


def _processes(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 256:  # noqa: PLR2004
        raise argparse.ArgumentTypeError("must be a number from 1 to 256")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Encode, list what was wrong, and say what there is now. Raises InputError when no case is usable."""
    from fedfin.command_line.progress import ProgressBar
    from fedfin_edge.cases.encoding import encode_site
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    fixed = None if site.settings.intake is None else _freeze(site)
    started = time.monotonic()
    with ProgressBar() as bar:
        report = encode_site(site, processes=args.processes, progress=bar.update)
    seconds = time.monotonic() - started
    _show_problems(report.problems)
    if args.json:
        print(json.dumps({**asdict(report), "seconds": round(seconds, 3)}))
    else:
        _show_counts(report, seconds, fixed)
    if not report.usable:
        raise InputError(f"{site.table_path}: not one case can be used; the problems are listed above")
    return 0


def _freeze(site: "Site") -> int:
    """How many cases of the intake are the table from now on."""
    from fedfin_edge.intake.freeze import freeze

    return freeze(site)


def _show_counts(report: "Report", seconds: float, fixed: int | None) -> None:
    """`fixed`: cases of an intake, which has encoded them before; None: there is none."""
    for name, count in report.counts.items():
        print(f"{name}: {count.encoded} encoded, {count.known} known already, {count.failed} failed")
    encoded = sum(count.encoded for count in report.counts.values())
    if fixed is not None:
        print(f"{fixed} cases of the intake are fixed for the next run")
    elif not encoded and report.usable:
        print("nothing to encode: every usable input has its features")
    print(f"{report.usable} cases can be used, after {seconds:.1f} s")


def _show_problems(problems: "list[Problem]") -> None:
    """One line on stderr per kind of problem, with its rows."""
    rows: dict[tuple[str, str, str], list[int]] = {}
    for problem in problems:
        rows.setdefault((problem.column, problem.reason, problem.effect), []).append(problem.row)
    for (column, reason, effect), where in rows.items():
        shown = ", ".join(map(str, where[:MAX_ROWS]))
        more = f" and {len(where) - MAX_ROWS} more (--json lists all)" if len(where) > MAX_ROWS else ""
        place = f"{'row' if len(where) == 1 else 'rows'} {shown}{more}" + (
            f", column {column}" if column else ""
        )
        print(f"{place}: {reason} ({effect})", file=sys.stderr)
    if problems:
        effects = [problem.effect for problem in problems]
        counts = ", ".join(f"{effects.count(effect)} {effect}" for effect in dict.fromkeys(effects))
        print(f"problems: {counts}", file=sys.stderr)
