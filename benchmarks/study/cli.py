"""`fedfin study run`, `report`, `methods` and `presets`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.commands import add_cache, add_json_command, cache_folder, end_children_when_ended, positive
from benchmarks.study.roles import DEFAULT
from fedfin.command_line.parsers import Commands, add_commands
from fedfin.errors import FedfinError, InputError

if TYPE_CHECKING:  # torch and numpy wait until a study runs
    from benchmarks.study.jobs import Job

OUT = Path("study.jsonl")
PAGE = Path("report.html")


def build(parser: argparse.ArgumentParser) -> None:
    """Add the commands to `fedfin study`."""
    commands = add_commands(parser, example="fedfin study run quick && fedfin study report study.jsonl")
    _build_run(commands)
    _build_report(commands)
    methods = add_json_command(commands, "methods", "the methods by name", "fedfin study methods")
    methods.set_defaults(run=_methods)
    presets = add_json_command(
        commands, "presets", "the studies that come with the project", "fedfin study presets"
    )
    presets.set_defaults(run=_presets)


def _build_run(commands: Commands) -> None:
    run = add_json_command(
        commands,
        "run",
        "train every method in every setting, several seeds each; goes on where it stopped",
        "fedfin study run main --out main.jsonl && fedfin study report main.jsonl",
    )
    run.add_argument("study", help="a file such as study.toml, or a preset's name (`fedfin study presets`)")
    run.add_argument("--out", type=Path, default=OUT, help=f"file of results, one a line (default: {OUT})")
    run.add_argument(
        "--best",
        action="store_true",
        help="each method with its best recipe, chosen on inner splits of the training cases, not with the study's",
    )
    run.add_argument("--seeds", type=positive, help="how many seeds (default: as the study says)")
    run.add_argument(
        "--method", action="append", default=[], metavar="NAME", help="only this; may be repeated"
    )
    run.add_argument(
        "--processes",
        type=positive,
        default=os.cpu_count() or 1,
        help="runs at a time, a core each (default: %(default)s, the machine's cores)",
    )
    add_cache(run)
    run.set_defaults(run=_run)


def _build_report(commands: Commands) -> None:
    report = add_json_command(
        commands,
        "report",
        "one page of tables and plots of a study's results",
        "fedfin study report main.jsonl --out report.html",
    )
    report.add_argument(
        "results", type=Path, nargs="?", default=OUT, help=f"file of results (default: {OUT})"
    )
    report.add_argument("--out", type=Path, default=PAGE, help=f"the page (default: {PAGE})")
    report.add_argument(
        "--markdown", action="store_true", help="print the main table instead of writing the page"
    )
    report.add_argument(
        "--default",
        default=DEFAULT,
        metavar="NAME",
        help="the method that is compared with all others (default: %(default)s)",
    )
    report.set_defaults(run=_report)


def _run(args: argparse.Namespace) -> int:
    end_children_when_ended()
    from benchmarks.study.grid import run_all
    from benchmarks.study.jobs import jobs
    from benchmarks.study.methods.registry import METHODS
    from benchmarks.study.settings import read_study
    from fedfin.command_line.progress import ProgressBar

    todo = jobs(read_study(args.study), METHODS, seeds=args.seeds, only=args.method, best=args.best)
    cache, failed = cache_folder(args), []
    with ProgressBar() as bar:
        todo = _with_data(todo, cache, bar.update)
        for done, row in run_all(todo, args.out, cache, args.processes):
            bar.update("federations", done, len(todo))
            if row is not None and args.json:
                print(json.dumps(row), flush=True)
            if row is not None and "error" in row:
                failed.append(row)
                print(f"{row['key']}: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(todo)} runs failed; run again to try them again", file=sys.stderr)
    return 1 if failed else 0


def _with_data(todo: Sequence["Job"], cache: Path, step: Callable[[str, int, int], None]) -> list["Job"]:
    """The jobs whose data can be had; each data set is encoded here, once, before any process needs it.

    Raises what loading raises, for data that is not optional.
    """
    from benchmarks.study.run import pool_of

    lacking = set()
    for name, data in {job.data_name: job.data for job in todo}.items():
        try:
            pool_of(data, cache, partial(step, f"encoding {name}"))
        except FedfinError as error:
            if not data.optional:
                raise
            print(f"{name} is left out: {error}", file=sys.stderr)
            lacking.add(name)
    left = [job for job in todo if job.data_name not in lacking]
    if not left:
        raise InputError("there is nothing to run: none of the study's data is here")
    return left


def _report(args: argparse.Namespace) -> int:
    from benchmarks.study.report import print_markdown, read_same_recipe, read_scores, write_page
    from benchmarks.study.summary import summarise
    from benchmarks.study.verdict import judge
    from benchmarks.study.words import verdict_lines

    scores = read_scores(args.results, args.default)
    same_recipe = read_same_recipe(args.results, args.default)
    if args.json:
        print(json.dumps(summarise(scores, same_recipe), indent=2))
    elif args.markdown:
        print_markdown(scores, same_recipe)
    else:
        write_page(scores, args.out, same_recipe)
        print(verdict_lines(judge(scores))[0])
        print(f"the report is in {args.out}")
    return 0


def _methods(args: argparse.Namespace) -> int:
    from benchmarks.study.methods.registry import METHODS

    found = {
        name: {**(asdict(method) if is_dataclass(method) else {}), "what": _first_line(method)}
        for name, method in METHODS.items()
    }
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        for name, settings in found.items():
            shown = {k: v for k, v in settings.items() if k not in ("name", "what") and v}
            print(f"{name:<24} {settings['what']} {shown or ''}".rstrip())
    return 0


def _first_line(method: object) -> str:
    """What its class says of itself."""
    return (type(method).__doc__ or "").strip().partition("\n")[0]


def _presets(args: argparse.Namespace) -> int:
    from benchmarks.study.settings import presets

    found = presets()
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        for name, line in found.items():
            print(f"{name:<12} {line}")
    return 0
