"""`fedfin aggregator init`: set up an aggregator folder from a plan file."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import SettingsError
from fedfin.files import make_folder
from fedfin.folders import warn_if_open
from fedfin.model.plan_file import read_plan
from fedfin.model.plan_size import check_moments
from fedfin.protocol.schedule import last_round
from fedfin_aggregator.folder import JOURNAL
from fedfin_aggregator.store.journal import Journal


def add(commands: Commands) -> None:
    """Add `init` to the parser of `fedfin aggregator`."""
    summary = "set up an aggregator folder from a plan file"
    example = "fedfin aggregator init plan.toml /srv/fedfin/chest"
    parser = add_command(commands, "init", summary, example=example)
    parser.add_argument("plan", type=Path, help="plan file (TOML)")
    parser.add_argument("folder", type=Path, help="folder to create")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the folder and its journal. Raises SettingsError, StateError."""
    plan = read_plan(args.plan)
    try:
        check_moments(plan)
    except ValueError as error:
        raise SettingsError(f"{args.plan}: {error}") from None
    make_folder(args.folder)
    warn_if_open(args.folder)
    Journal(args.folder / JOURNAL, create=plan).close()
    training = plan.rounds.count if plan.trains else 0
    print(
        f"{args.folder}: federation {plan.federation}, plan {plan.digest()[:12]},"
        f" {training} rounds of training and {last_round(plan) - training} others"
    )
    print(f"next: fedfin aggregator request {args.folder} --out aggregator.request")
    if not plan.privacy.summed:  # sums need keys
        print(f"or, to try things out: fedfin aggregator serve {args.folder} --broker mqtt://HOST --no-keys")
    return 0
