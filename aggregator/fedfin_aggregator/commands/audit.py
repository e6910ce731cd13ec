"""`fedfin aggregator audit`: what the aggregator did, from its log, checked line by line."""

import argparse
from pathlib import Path

from fedfin.command_line import audit
from fedfin.command_line.parsers import Commands
from fedfin.privacy.ledger import LEDGER
from fedfin.trust.accepted import TRUST
from fedfin.trust.audit_log import AUDIT


def add(commands: Commands) -> None:
    """Add `audit` to the parser of `fedfin aggregator`."""
    audit.add(commands, "aggregator folder", "fedfin aggregator audit chest", run)


def run(args: argparse.Namespace) -> int:
    """Print and verify it. Raises StateError."""
    folder: Path = args.folder
    return audit.print_audit(folder / LEDGER if args.privacy else folder / TRUST / AUDIT, as_json=args.json)
