"""`fedfin aggregator admit`: the coordinator gives sites a seat in the charter. Needs no network."""

import argparse
import sys
from pathlib import Path

from fedfin.command_line import fingerprints
from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import SettingsError
from fedfin.trust.request import Request, read_request
from fedfin_aggregator import kit_files
from fedfin_aggregator.coordinator import Coordinator

_EXAMPLE = "fedfin aggregator admit study st-mary.request --cases 5000 --broker mqtts://broker.example:8883 --kit kit"

CASES = 2**20  # where nobody says how many: versions before this one read no charter that grants more


def add(commands: Commands) -> None:
    """Add `admit` to the parser of `fedfin aggregator`."""
    summary = "give sites a seat in the charter, and write what each of them accepts"
    parser = add_command(commands, "admit", summary, example=_EXAMPLE)
    parser.add_argument("folder", type=Path, help="the coordinator's folder")
    parser.add_argument(
        "requests", type=Path, nargs="+", metavar="REQUEST", help="made by `fedfin edge request`"
    )
    parser.add_argument(
        "--cases",
        type=int,
        default=CASES,
        metavar="N",
        help="more cases than these a site may not claim (default: %(default)s)",
    )
    parser.add_argument("--fingerprint", action="append", metavar="TEXT",
                        help="of each site's keys, in the order of the requests, compared by telephone")  # fmt: skip
    parser.add_argument("--broker", default="", metavar="URL", help="passed on to the sites")
    parser.add_argument(
        "--kit",
        type=Path,
        metavar="FOLDER",
        help="of `fedfin broker kit`: its CA and certificates are passed on",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """One new charter, and an admission for each site. Raises SettingsError, StateError."""
    coordinator = Coordinator(args.folder)
    requests = [read_request(path) for path in args.requests]
    given = args.fingerprint or [None] * len(requests)
    if len(given) != len(requests):
        raise SettingsError(f"{len(requests)} requests and {len(given)} --fingerprint; give one for each")
    for request, fingerprint in zip(requests, given, strict=True):
        fingerprints.confirm(request.keys.fingerprint, fingerprint, request.name)
    coordinator.admit(requests, args.cases, broker=args.broker, files=_files(args.kit, requests))
    charter = coordinator.charter
    print(
        f"charter {charter.number}: {len(charter.roster)} sites; {args.folder / 'charter'} is for the aggregator"
    )
    if len(charter.roster) > (sites := coordinator.plan.rounds.sites):
        print(
            f"note: the plan closes a training round with {sites} sites (rounds.sites), and the charter has"
            f" {len(charter.roster)}: the slowest are refused as late, round by round",
            file=sys.stderr,
        )
    if note := coordinator.few_patients:
        print(note, file=sys.stderr)
    for request in requests:
        print(f"{coordinator.admission_path(request.name)}: send it to {request.name}, by any mail")
    print(f"fingerprint of the coordinator, for them to compare by telephone: {charter.fingerprint}")
    return 0


def _files(kit: Path | None, requests: list[Request]) -> dict[str, str]:
    """What the broker's operator made for the sites."""
    if kit is None:
        return {}
    files = {"ca": kit_files.authority(kit)}
    return files | {request.name: kit_files.site_certificate(kit, request) for request in requests}
