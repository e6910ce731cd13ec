"""How both ends print their audit logs."""

import argparse
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.table import Table
from rich.text import Text

from fedfin.command_line.parsers import Commands, add_command
from fedfin.command_line.standard_output import PrintedConsole
from fedfin.errors import StateError
from fedfin.plain_text import plain_text, plain_value
from fedfin.trust.audit_log import Entry, read_audit

UPDATES = ("sending", "update")  # what a site's log and an aggregator's call one


def add(commands: Commands, what: str, example: str, run: Callable[[argparse.Namespace], int]) -> None:
    """The command's parser."""
    summary = "print and verify the audit log: who, what, when, bytes, digest"
    parser = add_command(commands, "audit", summary, example=example)
    parser.add_argument("folder", type=Path, help=what)
    parser.add_argument(
        "--privacy", action="store_true", help="the ledger: what was told of patients, and what it cost"
    )
    parser.add_argument("--json", action="store_true", help="as JSON lines")
    parser.set_defaults(run=run)


def print_audit(path: Path, *, as_json: bool) -> int:
    """Each entry, and in the end that the chain holds. Raises StateError at the first line that does not follow."""
    if as_json:
        for entry in read_audit(path):
            print(msgspec.json.encode(entry).decode())
        return 0
    entries, updates, sent, table = 0, 0, 0, Table()
    for column in ("n", "time (UTC)", "what", "facts"):
        table.add_column(column, overflow="fold")
    head = ""
    try:
        for entry in read_audit(path):
            table.add_row(str(entry.n), entry.time, Text(entry.event), Text(_facts(entry)))
            entries, head = entry.n, entry.hash
            if entry.event in UPDATES and entry.facts.get("accepted", True):
                updates, sent = updates + 1, sent + int(entry.facts.get("bytes", 0))
    finally:
        if entries:
            PrintedConsole().print(table)
    if not entries:
        raise StateError(f"{path} is empty, and was not when it was made: ask who may write to its folder")
    print(f"{entries} entries, each follows from the one before; head {head[:32]}")
    print(f"{updates} updates, {sent:,} bytes")
    return 0


def _facts(entry: Entry) -> str:
    return ", ".join(
        f"{plain_text(key)} {plain_value(value)}" for key, value in entry.facts.items() if value != ""
    )
