"""`fedfin bench codec`, `codec-study` and `codec-report`."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.commands import add_cache, add_json_command, cache_folder, end_children_when_ended, positive
from fedfin.command_line.parsers import Commands
from fedfin.errors import SettingsError

OUT = Path("codec-study.jsonl")
DATA = ("mfeat", "open-i")


def build(commands: Commands) -> None:
    """Add the commands to `fedfin bench`."""
    _build_speed(commands)
    _build_study(commands)
    _build_report(commands)


def _build_speed(commands: Commands) -> None:
    speed = add_json_command(
        commands,
        "codec",
        "bytes, speed and memory of every preset, beside other coders, on deltas of a real run",
        "fedfin bench codec --deltas deltas/    (as `fedfin demo --keep-deltas deltas/` leaves them)",
    )
    speed.add_argument(
        "--deltas",
        type=Path,
        metavar="FOLDER",
        help="SITE-ROUND.npz of float32 arrays by name; the last round's largest is taken"
        " (default: recorded from a run of the study)",
    )
    speed.add_argument(
        "--data", choices=DATA, default="open-i", help="the study's data set (default: open-i)"
    )
    add_cache(speed)
    speed.set_defaults(run=_speed)


def _build_study(commands: Commands) -> None:
    study = add_json_command(
        commands,
        "codec-study",
        "train a federation under every preset, seed and participation; goes on where it stopped",
        "fedfin bench codec-study --out study.jsonl && fedfin bench codec-report study.jsonl",
    )
    study.add_argument("--out", type=Path, default=OUT, help=f"file of results, one a line (default: {OUT})")
    study.add_argument("--data", action="append", choices=DATA, help="once per data set (default: all)")
    study.add_argument("--preset", action="append", metavar="NAME", help="once per preset (default: all)")
    study.add_argument("--seeds", type=positive, default=3, help="how many seeds (default: 3)")
    study.add_argument("--rounds", type=positive, default=30, help="training rounds (default: 30)")
    study.add_argument(
        "--taking-part",
        type=positive,
        action="append",
        metavar="N",
        help="of 8 sites, how many each round asks; once per number (default: 8 and 4)",
    )
    study.add_argument(
        "--processes", type=positive, default=1, help="runs at a time, a core each (default: 1)"
    )
    add_cache(study)
    study.set_defaults(run=_study)


def _build_report(commands: Commands) -> None:
    report = add_json_command(
        commands,
        "codec-report",
        "the table of a study's results",
        "fedfin bench codec-report study.jsonl",
    )
    report.add_argument(
        "results", type=Path, nargs="?", default=OUT, help=f"file of results (default: {OUT})"
    )
    report.set_defaults(run=_report)


def _speed(args: argparse.Namespace) -> int:
    end_children_when_ended()
    from benchmarks.codec.measure import measure
    from benchmarks.codec.tables import print_speed
    from fedfin.command_line.progress import ProgressBar

    with ProgressBar() as bar:
        result = measure(args.deltas, args.data, cache_folder(args), bar.update)
    _show(result, print_speed, as_json=args.json)
    return 0


def _study(args: argparse.Namespace) -> int:
    end_children_when_ended()
    from benchmarks.codec.federation import SITES
    from benchmarks.codec.grid import jobs, run_all
    from benchmarks.data.loaders import load_cases
    from fedfin.codec import PRESETS
    from fedfin.command_line.progress import ProgressBar

    presets, parts = args.preset or list(PRESETS), args.taking_part or [SITES, SITES // 2]
    if unknown := sorted(set(presets) - set(PRESETS)):
        raise SettingsError(f"--preset {unknown[0]}: is not one of {', '.join(PRESETS)}")
    if max(parts) > SITES:
        raise SettingsError(f"--taking-part {max(parts)}: there are {SITES} sites")
    data, cache = args.data or list(DATA), cache_folder(args)
    todo = jobs(data, presets, parts, range(args.seeds), args.rounds)
    with ProgressBar() as bar:
        for name in data:
            load_cases(name, cache, partial(bar.update, "encoding texts"))
        for done, row in run_all(todo, args.out, cache, args.processes):
            bar.update("federations", done, len(todo))
            if args.json and row is not None:
                print(json.dumps(row), flush=True)
    return 0 if args.json else _report(argparse.Namespace(results=args.out, json=False))


def _report(args: argparse.Namespace) -> int:
    from benchmarks.codec.grid import COMMAND, is_current
    from benchmarks.codec.summary import summarise
    from benchmarks.codec.tables import print_study
    from benchmarks.rows import read_rows

    rows = read_rows(args.results, COMMAND)
    current = [row for row in rows if is_current(row)]
    if len(current) < len(rows):
        print(f"{len(rows) - len(current)} rows of presets as they no longer are: left out", file=sys.stderr)
    _show([asdict(line) for line in summarise(current)], print_study, as_json=args.json)
    return 0


def _show(result: Any, print_: Callable[[Any], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_(result)
