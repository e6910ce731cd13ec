"""`fedfin aggregator accept`: take in the coordinator's charter; a running aggregator obeys it within seconds."""

import argparse
from pathlib import Path

from fedfin.command_line import fingerprints
from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import SettingsError
from fedfin.trust import signed_text
from fedfin.trust.accepted import TRUST, accept, has_accepted, keep_certificate, read_accepted
from fedfin.trust.charter import read_charter, today
from fedfin.trust.identity import load_identity
from fedfin_aggregator import kit_files
from fedfin_aggregator.folder import open_journal


def add(commands: Commands) -> None:
    """Add `accept` to the parser of `fedfin aggregator`."""
    summary = "take in a charter; a running aggregator obeys it within seconds"
    parser = add_command(commands, "accept", summary, example="fedfin aggregator accept chest study/charter")
    parser.add_argument("folder", type=Path, help="aggregator folder")
    parser.add_argument("charter", type=Path, help="the coordinator's")
    parser.add_argument(
        "--fingerprint", metavar="TEXT", help="of the coordinator's key, compared by telephone"
    )
    parser.add_argument(
        "--kit",
        type=Path,
        metavar="FOLDER",
        help="of `fedfin broker kit`: its certificate for the aggregator is kept",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and keep it. The coordinator's key is compared once. Raises SettingsError, StateError."""
    trust = args.folder / TRUST
    identity = load_identity(trust)
    known = read_accepted(trust).coordinator if has_accepted(trust) else None
    text = signed_text.read_text(args.charter, "the charter")
    charter = read_charter(text, str(args.charter), known)
    charter.check_day(today())
    with open_journal(args.folder) as journal:
        if (charter.plan, charter.run) != (journal.plan.digest(), journal.run):
            raise SettingsError(
                f"{args.charter} is for plan {charter.plan[:12]}, run {charter.run}; this aggregator serves"
                f" {journal.plan.digest()[:12]}, {journal.run}; give the coordinator its request"
            )
    if charter.aggregator != identity.public:
        raise SettingsError(
            f"{args.charter} names other keys of the aggregator; give the coordinator its request"
        )
    if known is None:
        fingerprints.confirm(charter.fingerprint, args.fingerprint, "the coordinator")
    broker = kit_files.ANY_BROKER
    if args.kit is not None:
        broker = kit_files.broker_url(args.kit)
        own = kit_files.aggregator_certificate(args.kit, trust)
        keep_certificate(trust, kit_files.authority(args.kit), own)
    accept(trust, charter, text)
    print(f"charter {charter.number}: {len(charter.roster)} sites, until {charter.expires}")
    print(f"next: fedfin aggregator serve {args.folder} --broker {broker}")
    return 0
