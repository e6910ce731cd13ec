"""`fedfin aggregator charter`: the coordinator's charter, the first one and every next one. Needs no network."""

import argparse
import datetime as dt
import json
import sys
from pathlib import Path

from rich.table import Table

from fedfin.command_line import fingerprints
from fedfin.command_line.parsers import Commands, add_command
from fedfin.command_line.standard_output import PrintedConsole
from fedfin.errors import SettingsError
from fedfin.model.plan_file import read_plan
from fedfin.trust.charter import Charter, today
from fedfin.trust.request import read_request
from fedfin_aggregator.coordinator import Coordinator, check_aggregator, found

_DESCRIPTION = """\
The coordinator's folder holds the key that signs charters: keep it on a machine without network, and a copy.
With --plan and --request the first charter is made, with an empty roster; `admit` and `remove` make the next ones.
Without options the newest one is shown. Each change is a new charter, with the next number, which the
aggregator's operator takes in (`fedfin aggregator accept`); sites get it from there."""
_EXAMPLE = """\
  fedfin aggregator charter study --plan plan.toml --request chest.request
  fedfin aggregator charter study --until 2028-12-31"""


def add(commands: Commands) -> None:
    """Add `charter` to the parser of `fedfin aggregator`."""
    summary = "make, extend or show the charter: who takes part, signed by the coordinator"
    parser = add_command(commands, "charter", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="the coordinator's folder; made with the first charter")
    parser.add_argument("--plan", type=Path, metavar="FILE", help="the plan (TOML), for the first charter")
    parser.add_argument(
        "--request", type=Path, metavar="FILE", help="the aggregator's request; later: one with new keys"
    )
    parser.add_argument(
        "--fingerprint", metavar="TEXT", help="of the aggregator's keys, compared by telephone"
    )
    parser.add_argument(
        "--least-sites",
        type=int,
        metavar="N",
        help="fewest sites behind a version (default: the plan's min_sites)",
    )
    parser.add_argument(
        "--until",
        type=_date,
        metavar="DATE",
        help="last day (default: in a year), as 2027-12-31",
    )
    parser.add_argument("--json", action="store_true", help="show the charter as JSON")
    parser.set_defaults(run=run)


def _date(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it as 2027-12-31") from None


def run(args: argparse.Namespace) -> int:
    """Make the first charter, the next one, or show the newest. Raises SettingsError, StateError."""
    if args.until is not None and args.until < today():
        raise SettingsError(f"--until {args.until}: that day is over, and nobody would obey the charter")
    if args.plan is not None:
        coordinator = _found(args)
    else:
        coordinator = Coordinator(args.folder)
        _change(coordinator, args)
    _show(coordinator.charter, as_json=args.json)
    if note := coordinator.few_patients:
        print(note, file=sys.stderr)
    return 0


def _found(args: argparse.Namespace) -> Coordinator:
    if args.request is None:
        raise SettingsError("--plan needs --request: the aggregator's, made by `fedfin aggregator request`")
    plan, request = read_plan(args.plan), read_request(args.request)
    check_aggregator(request, plan)
    fingerprints.confirm(request.keys.fingerprint, args.fingerprint, "the aggregator")
    least = args.least_sites or plan.rounds.min_sites
    if least > plan.rounds.min_sites:
        raise SettingsError(
            f"--least-sites {least}: the plan closes a round with {plan.rounds.min_sites} (rounds.min_sites);"
            " raise that, and set up the aggregator anew"
        )
    until = args.until or today() + dt.timedelta(days=365)
    return found(args.folder, plan, request, least_sites=least, expires=until)


def _change(coordinator: Coordinator, args: argparse.Namespace) -> None:
    changes: dict[str, object] = {}
    if args.until is not None:
        changes["expires"] = args.until
    if args.least_sites is not None:
        changes["least_sites"] = args.least_sites
    if args.request is not None:
        request = read_request(args.request)
        check_aggregator(request, coordinator.plan)
        fingerprints.confirm(request.keys.fingerprint, args.fingerprint, "the aggregator")
        changes |= {"aggregator": request.keys, "run": request.run}
    if changes:
        coordinator.change(**changes)


def _show(charter: Charter, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts(charter), indent=2))
        return
    table = Table(title=f"charter {charter.number} of {charter.federation}")
    for column in ("site", "cases at most", "fingerprint"):
        table.add_column(column)
    for seat in charter.roster:
        table.add_row(seat.name, str(seat.cases), seat.keys.fingerprint)
    PrintedConsole().print(table)
    print(
        f"plan {charter.plan[:12]}, run {charter.run}, until {charter.expires}, {charter.least_sites} sites at least"
    )
    print(f"fingerprint of the coordinator: {charter.fingerprint}")
    print(f"fingerprint of the aggregator:  {charter.aggregator.fingerprint}")


def facts(charter: Charter) -> dict[str, object]:
    """The charter for other programs."""
    return {
        "federation": charter.federation,
        "number": charter.number,
        "plan": charter.plan,
        "run": charter.run,
        "expires": charter.expires.isoformat(),
        "least_sites": charter.least_sites,
        "coordinator": charter.fingerprint,
        "aggregator": charter.aggregator.fingerprint,
        "sites": {
            seat.name: {"cases": seat.cases, "fingerprint": seat.keys.fingerprint} for seat in charter.roster
        },
    }
