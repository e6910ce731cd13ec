"""`fedfin bench all`, `report`, `check` and `compare`: what FedFIN costs."""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path

from benchmarks.commands import add_cache, add_json_command, cache_folder, end_children_when_ended
from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import SettingsError

OUT = Path("fedfin-bench")
STEPS = ("sizes", "install", "wire", "presets", "learning", "materials", "ratios", "alone")


def build(commands: Commands) -> None:
    """Add the commands to `fedfin bench`."""
    _build_all(commands)
    report = add_command(
        commands, "report", "report.html and report.md of results", example="fedfin bench report fedfin-bench"
    )
    _add_results(report)
    _add_prices(report)
    report.set_defaults(run=_report)
    check = add_json_command(
        commands,
        "check",
        "whether what README promises was measured; exit code 1 if not",
        "fedfin bench check fedfin-bench",
    )
    _add_results(check)
    check.set_defaults(run=_check)
    compare = add_json_command(
        commands,
        "compare",
        "two folders of results; exit code 1 where something is worse",
        "fedfin bench compare before after",
    )
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.set_defaults(run=_compare)


def _build_all(commands: Commands) -> None:
    every = add_command(
        commands,
        "all",
        "measure bytes, multiply-adds, time and memory, and write the report; goes on where it stopped",
        example="fedfin bench all --quick",
    )
    every.add_argument("--out", type=Path, default=OUT, help=f"folder of results (default: {OUT})")
    every.add_argument(
        "--quick", action="store_true", help="fewer of everything: two minutes instead of fifteen"
    )
    every.add_argument(
        "--only", action="append", default=[], metavar="STEP", help=f"of: {', '.join(STEPS)}; may be repeated"
    )
    every.add_argument("--again", action="store_true", help="measure what is there, too; encoders are kept")
    _add_prices(every)
    add_cache(every)
    every.set_defaults(run=_all)


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "results", type=Path, nargs="?", default=OUT, help=f"folder of results (default: {OUT})"
    )


def _add_prices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help="of energy, lines and cores (default: benchmarks/costs/prices.toml)",
    )


def _all(args: argparse.Namespace) -> int:
    if unknown := sorted(set(args.only) - set(STEPS)):
        raise SettingsError(f"--only {unknown[0]}: is not one of {', '.join(STEPS)}")
    end_children_when_ended()
    from benchmarks.costs.bench_all import Results, run_all

    if args.again:
        for step in args.only or STEPS:
            Results(args.out).path(step).unlink(missing_ok=True)
    failed = run_all(args.out, cache_folder(args), quick=args.quick, only=args.only)
    if failed:
        print(f"{', '.join(failed)} failed; run again to try again")
    _report(argparse.Namespace(results=args.out, prices=args.prices))
    return 1 if failed else 0


def _report(args: argparse.Namespace) -> int:
    from benchmarks.costs.bench_all import Results
    from benchmarks.costs.figures import figures
    from benchmarks.costs.prices import DEFAULT, read_prices
    from benchmarks.costs.report import answer, write

    prices, results = read_prices(args.prices or DEFAULT), Results(args.results).read()
    for sentence in answer(figures(results)):
        print(sentence)
    print(f"the report is in {' and '.join(map(str, write(results, prices, args.results)))}")
    return 0


def _check(args: argparse.Namespace) -> int:
    from benchmarks.costs.bench_all import Results
    from benchmarks.costs.claims import check, read_budgets
    from benchmarks.costs.figures import figures

    results = Results(args.results).read()
    claims = check(
        figures(results), read_budgets(), quick=any(result["quick"] for result in results.values())
    )
    if args.json:
        print(
            json.dumps(
                [
                    {**_plain(claim.budget), "value": claim.value, "outcome": claim.outcome}
                    for claim in claims
                ],
                indent=2,
            )
        )
    else:
        for claim in claims:
            value = "-" if claim.value is None else f"{claim.value:,.4g}"
            print(f"{claim.outcome:<12} {value:>12}  {claim.budget.bound:<10} {claim.budget.claim}")
    return 1 if any(claim.fails for claim in claims) else 0


def _plain(budget: object) -> dict[str, object]:
    import msgspec

    found: dict[str, object] = msgspec.to_builtins(budget)
    return found


def _compare(args: argparse.Namespace) -> int:
    from benchmarks.costs.bench_all import Results
    from benchmarks.costs.compare import compare

    lines = compare(Results(args.before).read(), Results(args.after).read())
    if args.json:
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        width = min(60, shutil.get_terminal_size().columns // 2)
        for line in lines:
            print(f"{line.what:<{width}} {line.verdict}")
        print(
            f"{sum(line.worse for line in lines)} of {len(lines)} are worse" if lines else "nothing differs"
        )
    return 1 if any(line.worse for line in lines) else 0
