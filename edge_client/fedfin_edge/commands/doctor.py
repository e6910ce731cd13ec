"""`fedfin edge doctor`: what is wrong with this machine, this site, or its way to the others."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import InputError, SettingsError

if TYPE_CHECKING:
    from fedfin_edge.doctor.examination import Found
    from fedfin_edge.intake_settings import Archive

_DESCRIPTION = """\
Asks one thing after the other: versions, clock, disk, memory, processors, settings, keys, encoders, cases, where
studies and reports come from, proxy, DNS, TCP, TLS, rights at the broker, packets, throughput, plan, policy. One line
each: PASS, WARN (it works, but) or FAIL, with the remedy; ---- is what could not be asked, and why. Changes nothing.
Exit code 0 without a FAIL, else that of the first: 1 machine, 3 settings, policy, 4 cases and their sources,
5 encoders, 7 broker, 9 keys and charter, 11 something is not installed."""
_EXAMPLE = """\
  fedfin edge doctor st-mary
  fedfin edge doctor st-mary --json                          # for monitoring
  fedfin edge doctor st-mary --pacs ARCHIVE@pacs.example:104  # does the archive know us? a C-ECHO"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "find out what is wrong with this machine, this site, or its way to the others"
    parser = add_command(commands, "doctor", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("--pacs", metavar="AE@HOST:PORT", help="also ask this archive with a C-ECHO")
    parser.add_argument(
        "--calling", metavar="AE", default="FEDFIN", help="our AE title there (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON list")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, and print as it comes. Raises SettingsError for a folder that is not there, or an option that is wrong."""
    from fedfin.broker.check.finding import print_finding
    from fedfin_edge.doctor.archive import archive_at, our_title

    if not args.folder.is_dir():
        raise SettingsError(f"{args.folder}: there is no such folder; make a site's with `fedfin edge init`")
    pacs = archive_at(args.pacs) if args.pacs is not None else None
    calling = our_title(args.calling)
    found = []
    for finding, code in _findings(args.folder, pacs, calling):
        found.append((finding, code))
        if not args.json:
            print_finding(finding)
    if args.json:
        print(json.dumps([asdict(finding) for finding, _ in found]))
    return next((code for finding, code in found if finding.failed), 0)


def _findings(folder: Path, pacs: "Archive | None", calling: str) -> "Iterator[Found]":
    from fedfin_edge.doctor.archive import archive
    from fedfin_edge.doctor.examination import examine

    yield from examine(folder)
    if pacs is not None:
        yield archive(pacs, calling=calling), InputError.exit_code
