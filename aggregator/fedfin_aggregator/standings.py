"""The coordinator's word on sites that are unlike the others, for an aggregator that runs or not."""

import argparse
from collections.abc import Callable
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import StateError
from fedfin_aggregator.folder import ROOT, enrolled, open_journal
from fedfin_aggregator.store.outlier_records import Standing


def add_decision(
    commands: Commands, name: str, summary: str, run: Callable[[argparse.Namespace], int]
) -> None:
    """A command that takes a folder and sites."""
    parser = add_command(commands, name, summary, example=f"fedfin aggregator {name} chest st-mary")
    parser.add_argument("folder", type=Path, help="aggregator folder")
    parser.add_argument("sites", nargs="+", metavar="SITE", help="its name")
    parser.set_defaults(run=run)


def decide(folder: Path, sites: list[str], standing: Standing) -> None:
    """Write down how these sites stand; a running aggregator heeds it at once. Raises StateError."""
    with open_journal(folder) as journal:
        if journal.plan.privacy.summed:
            raise StateError(
                f'{folder}: at privacy.level "{journal.plan.privacy.level}" the aggregator sees no site\'s statistics'
                " and leaves none out; `fedfin aggregator remove` takes a site out of the charter"
            )
        if journal.role.startswith(ROOT):
            raise StateError(
                f"{folder} belongs to {journal.role}, which sees no site's update; name the folder of the shard that"
                " serves the site"
            )
        known = {*journal.outliers.all(), *journal.roster(), *journal.updates.parts(), *enrolled(folder)}
        if unknown := sorted(set(sites) - known):
            raise StateError(
                f"{folder}: no site {unknown[0]!r} is known; those that are: {', '.join(sorted(known)) or 'none'}"
            )
        for site in sites:
            journal.outliers.decide(site, standing)
