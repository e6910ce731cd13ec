"""`fedfin broker check`: what is wrong with a broker, or with one's way to it."""

import argparse
import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line import broker_options
from fedfin.command_line.parsers import Commands, add_command

if TYPE_CHECKING:
    from fedfin.broker.check.target import Target

_DESCRIPTION = """\
Ask a broker, step by step: clock, certificate, DNS, TCP, TLS, who is let in, who may write what, retained messages,
packets as large as ours, round trip, throughput. One line each: PASS, WARN (it works, but) or FAIL, with the remedy.
It leaves nothing at the broker. Run it under a name that is not connected meanwhile: a broker that ties names to
certificates ends the older of two connections. Exit code 7 if anything fails."""
_EXAMPLE = """\
  fedfin broker check mqtts://broker.example --federation chest --ca ca.pem --certificate st-mary.pem --key st-mary.key
  fedfin broker check --site-folder st-mary             # with what the site's settings say
  fedfin broker check mqtt://127.0.0.1:1883 --federation chest --as st-mary"""


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "find out what is wrong with a broker, or with the way to it"
    parser = add_command(commands, "check", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("broker", nargs="?", metavar="URL",
                        help="mqtts://HOST[:PORT] or wss://HOST[:PORT][/PATH], mqtt://, ws://")  # fmt: skip
    parser.add_argument(
        "--site-folder", type=Path, metavar="FOLDER", help="take all that follows from its site.toml"
    )
    parser.add_argument("--federation", metavar="NAME", help="whose topics to try")
    parser.add_argument("--as", dest="name", metavar="NAME",
                        help="a site, or `aggregator` (default: the name in the certificate)")  # fmt: skip
    broker_options.add_access(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as one JSON list")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, and print as it comes. Raises SettingsError, StateError."""
    from fedfin.broker.check.check import check
    from fedfin.broker.check.finding import print_finding
    from fedfin.errors import LinkError

    findings = []
    with _target(args) as target:
        for finding in check(target):
            findings.append(finding)
            if not args.json:
                print_finding(finding)
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    return LinkError.exit_code if any(finding.failed for finding in findings) else 0


@contextlib.contextmanager
def _target(args: argparse.Namespace) -> "Iterator[Target]":
    """Whom to ask; a site's folder stays locked meanwhile. Raises SettingsError, StateError."""
    from fedfin.broker.check.site_folder import read_site_folder
    from fedfin.broker.check.target import Target
    from fedfin.errors import SettingsError
    from fedfin.lock import only_process

    access = (broker_options.tls(args), broker_options.login(args), broker_options.proxy(args))
    others = (args.broker, args.federation, args.name, *access)
    if args.site_folder is None:
        if args.broker is None:
            raise SettingsError("name the broker by its URL, or a site's folder with --site-folder")
        yield Target(args.broker, *access, federation=args.federation, claimed=args.name)
        return
    if any(others):
        raise SettingsError("--site-folder says all the rest; give nothing beside it but --json")
    target = read_site_folder(args.site_folder)
    with only_process(args.site_folder, "fedfin edge run"):
        yield target
