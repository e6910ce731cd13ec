"""`fedfin demo`: a whole federation on one machine."""

import argparse
import json
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fedfin.limits import LEAST_SUMMED, SUMMED_ROUNDS

if TYPE_CHECKING:
    from fedfin.demo.stages import Settings

PRESETS = (
    "exact",
    "half",
    "balanced",
    "small",
    "tiny",
    "minimal",
)  # of fedfin/codec, which needs numpy
ROUNDS = 20  # of federations without secure sums
EPILOG = """\
examples:
  fedfin demo                                       synthetic cases, embedded broker
  fedfin demo --cases cases.csv --broker mqtt://127.0.0.1:1883 --out my-demo

It trains federations of the same sites one after the other: images alone, zero-fill, FedFIN, and FedFIN under secure
sums, and compares them on patients that no site saw. Interrupted, the same command goes on where it stopped."""


def build(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--out", type=Path, default=Path("fedfin-demo"), help="folder for everything it makes"
    )
    for add in (_add_cases, _add_training, _add_codec, _add_privacy, _add_encoder, _add_run):
        add(parser)
    parser.set_defaults(run=run)


def _add_cases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cases",
        metavar="TABLE",
        type=Path,
        help="CSV with the columns image, text, labels, and better also patient (default: synthetic)",
    )
    parser.add_argument(
        "--patients",
        type=_whole(1, 1_000_000),
        default=800,
        help="how many synthetic patients (default: 800)",
    )
    parser.add_argument("--sites", type=_whole(1, 1000), default=10, help="how many sites (default: 10)")
    parser.add_argument(
        "--with-text", type=_whole(0, 1000), default=2, help="how many of them hold reports too (default: 2)"
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=_whole(1, 1_000_000),
        help=f"rounds of training at most (default: {ROUNDS}; with secure sums {SUMMED_ROUNDS}, as in a drafted plan)",
    )
    variants = ("gaussian", "refined", "mlp", "decoder")
    parser.add_argument("--fin", choices=variants, default="gaussian", help="FIN variant (default: gaussian)")


def _add_codec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--up",
        choices=PRESETS,
        default="balanced",
        help="how updates are compressed (default: balanced); in secure sums always int4",
    )
    parser.add_argument(
        "--down", choices=PRESETS, default="small", help="how new versions are compressed (default: small)"
    )


def _add_privacy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--privacy",
        choices=("secure", "open"),
        help="whether the aggregator sees sums alone (default: secure from three sites on)",
    )
    parser.add_argument(
        "--dims",
        type=_whole(1, 256),
        default=64,
        help="columns of each modality, at most: fewer say less of single patients (default: 64)",
    )


def _add_encoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layer", type=_layer, default="last", help="pooled layer of the image encoder: last or block:N"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=_whole(0, 2**32 - 1), default=0, help="of cases, split and training (default: 0)"
    )
    parser.add_argument(
        "--broker", metavar="URL", help="a real broker, mqtt://HOST[:PORT] (default: embedded)"
    )
    parser.add_argument(
        "--keep-deltas",
        type=Path,
        metavar="FOLDER",
        help="also write every site's raw float32 deltas of each training round, in a folder per federation",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON instead of tables")


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text}: must be a whole number from {least} to {most}")
        return int(text)

    return parse


def _layer(text: str) -> str:
    if not re.fullmatch(r"last|block:([0-9]|1[0-5])", text):
        raise argparse.ArgumentTypeError(f"{text}: write last, or block:N with N from 0 to 15")
    return text


def settings_of(args: argparse.Namespace) -> "Settings":
    """What the options ask for."""
    from fedfin.demo.stages import Settings

    return Settings(
        cases=None if args.cases is None else str(args.cases.resolve()),
        patients=args.patients,
        sites=args.sites,
        with_text=args.with_text,
        rounds=args.rounds or ROUNDS,
        fin=args.fin,
        layer=args.layer,
        up=args.up,
        down=args.down,
        seed=args.seed,
        level=args.privacy or ("secure" if args.sites >= LEAST_SUMMED else "open"),
        dims=args.dims,
        summed_rounds=args.rounds or SUMMED_ROUNDS,
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo and show its results."""
    from fedfin.demo.results import print_results
    from fedfin.demo.run import run_demo

    # A demo that is terminated stops its processes as one that is interrupted does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = settings_of(args)
    keep = None if args.keep_deltas is None else args.keep_deltas.resolve()
    result = run_demo(settings, args.out.resolve(), args.broker, Console(stderr=True), keep_deltas=keep)
    if args.json:
        json.dump(result, sys.stdout, indent=2)
        print()
        return 0
    print_results(result, Console(width=None if sys.stdout.isatty() else 112))
    print(f"everything is in {args.out}: run.json, models/, sites/, aggregators/, logs/")
    return 0
