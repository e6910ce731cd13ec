"""`fedfin aggregator request`: make the aggregator's keys, and the file that asks for a charter."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.trust.accepted import TRUST
from fedfin.trust.request import write_request
from fedfin_aggregator.folder import open_journal

NAME = "aggregator"  # also in the broker's certificate


def add(commands: Commands) -> None:
    """Add `request` to the parser of `fedfin aggregator`."""
    summary = "make the aggregator's keys, and the request that the coordinator's charter is made of"
    example = "fedfin aggregator request chest --out chest.request"
    parser = add_command(commands, "request", summary, example=example)
    parser.add_argument("folder", type=Path, help="aggregator folder, made by `init`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the request; it holds no secret"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Keys that are there stay as they are. Raises StateError."""
    with open_journal(args.folder) as journal:
        plan, run_ = journal.plan, journal.run
    keys = write_request(
        args.folder / TRUST,
        args.out,
        role="aggregator",
        name=NAME,
        federation=plan.federation,
        run=run_,
        plan=plan.digest(),
    )
    print(f"{args.out}: send it to the coordinator, by any mail")
    print(f"fingerprint, for coordinator and broker's operator to compare by telephone: {keys.fingerprint}")
    return 0
