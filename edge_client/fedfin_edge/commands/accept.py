"""`fedfin edge accept`: a person at the site reads the plan, compares a fingerprint, and takes in the admission."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command

if TYPE_CHECKING:
    from fedfin.trust.admission import Admission
    from fedfin.trust.charter import Charter
    from fedfin_edge.site import Site

_DESCRIPTION = """\
Shows in plain words what the plan asks of this site, then asks for the coordinator's fingerprint: call the
coordinator and compare it. From then on this site obeys that coordinator's charters, for this plan in this run,
and nobody else. Another plan or run needs another admission."""
_EXAMPLE = "fedfin edge accept st-mary st-mary.admission"


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "read what the plan asks, compare the coordinator's fingerprint, and take part from then on"
    parser = add_command(commands, "accept", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("admission", type=Path, help="file from the coordinator")
    parser.add_argument(
        "--fingerprint", metavar="TEXT", help="of the coordinator's key, compared by telephone"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, show, confirm, keep. Raises SettingsError, StateError."""
    from fedfin.command_line import fingerprints
    from fedfin.trust.accepted import accept
    from fedfin.trust.admission import read_admission
    from fedfin_edge.agent.answers import allow_run
    from fedfin_edge.agent.plan_policy import lacks_approval, refusals
    from fedfin_edge.agent.review import in_plain_words
    from fedfin_edge.agent.state import AgentState, Proposal
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    admission, charter = read_admission(args.admission)
    _check(site, admission, charter)
    print(f"charter {charter.number} of {charter.federation}, until {charter.expires}:")
    print(f"  sites: {', '.join(charter.seats)}; at least {charter.least_sites} behind a version")
    for line in in_plain_words(admission.plan, charter.least_sites):
        print(f"  {line}")
    refused = list(refusals(site, admission.plan, charter.least_sites))
    for refusal in refused:
        print(f"not allowed here: {refusal}")
    fingerprints.confirm(charter.fingerprint, args.fingerprint, "the coordinator")
    _keep_certificate(site, admission)
    accept(site.trust_path, charter, admission.charter)
    allow_run(site, charter.run)
    AgentState(site.state_path).propose(Proposal(admission.plan, charter.run, charter.least_sites))
    following = "review" if refused or lacks_approval(site, admission.plan) else "run"
    print(f"accepted. next: fedfin edge {following} {args.folder}")
    return 0


def _check(site: "Site", admission: "Admission", charter: "Charter") -> None:
    from fedfin.errors import SettingsError
    from fedfin.trust.charter import today
    from fedfin.trust.identity import load_identity

    settings = site.settings
    if (admission.site, charter.federation) != (settings.site, settings.federation):
        raise SettingsError(
            f"the admission is for {admission.site} in {charter.federation}; this folder is {settings.site} in"
            f" {settings.federation}"
        )
    charter.check_day(today())
    seat = charter.seats.get(settings.site)
    if seat is None or seat.keys != load_identity(site.trust_path).public:
        raise SettingsError(
            "the admission is for other keys than this site's; send the coordinator a new request"
            " (`fedfin edge request`)"
        )


def _keep_certificate(site: "Site", admission: "Admission") -> None:
    """Who this site is at the broker, if the coordinator passed that on."""
    from fedfin.trust.accepted import keep_certificate

    keep_certificate(site.trust_path, admission.ca, admission.certificate)
    if admission.broker and admission.broker != site.settings.broker:
        print(f"note: the coordinator's broker is {admission.broker}; site.toml has {site.settings.broker}")
