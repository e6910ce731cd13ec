"""`fedfin aggregator model`: write one model version to a file."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.files import write_atomically
from fedfin_aggregator.folder import open_journal
from fedfin_aggregator.rounds.rounds import Rounds


def add(commands: Commands) -> None:
    """Add `model` to the parser of `fedfin aggregator`."""
    example = "fedfin aggregator model /srv/fedfin/chest --version 12 --out model-12.fedfin"
    parser = add_command(commands, "model", "write one model version to a file", example=example)
    parser.add_argument("folder", type=Path, help="aggregator folder")
    parser.add_argument("--version", type=int, help="which version (default: the newest)")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write it. Raises StateError."""
    with open_journal(args.folder) as journal:
        version = journal.versions.newest() if args.version is None else args.version
        write_atomically(args.out, Rounds(journal).model_file(version or 0))
    print(args.out)
    return 0
