"""`fedfin edge audit`: what this site did and what left it, from its log, checked line by line."""

import argparse

from fedfin.command_line import audit
from fedfin.command_line.parsers import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    audit.add(commands, "site folder", "fedfin edge audit st-mary", run)


def run(args: argparse.Namespace) -> int:
    """Print and verify it. Raises SettingsError, StateError."""
    from fedfin.trust.audit_log import AUDIT
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    path = site.ledger_path if args.privacy else site.trust_path / AUDIT
    return audit.print_audit(path, as_json=args.json)
