"""Who this site is to the others: keys, the charter that was accepted, and until when it holds."""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, failed_by, passed, warn
from fedfin.errors import FedfinError
from fedfin.protocol.topics import Topics
from fedfin.trust.accepted import has_accepted
from fedfin.trust.charter import today
from fedfin.trust.site_channel import SiteChannel
from fedfin_edge.site import Site

SOON_DAYS = 14


def identity(site: Site) -> Iterator[Finding]:
    """As `run` will see it when it starts."""
    request = f"fedfin edge request {site.folder} --out {site.settings.site}.request"
    if not site.trust_path.is_dir():
        yield warn("keys", "no keys: for trying things out alone, with --no-keys", request)
    elif not has_accepted(site.trust_path):
        remedy = f"send the coordinator what `{request}` makes, and `fedfin edge accept` what comes back"
        yield fail("keys", "keys, and not admitted yet", remedy)
    else:
        yield _admitted(site)


def _admitted(site: Site) -> Finding:
    settings = site.settings
    try:
        channel = SiteChannel(site.trust_path, settings.site, Topics(settings.federation))
    except FedfinError as error:
        return failed_by("keys", error)
    charter = channel.charter
    says = (
        f"{settings.site} in charter {charter.number} of {len(charter.roster)} sites, until {charter.expires}"
    )
    if (charter.expires - today()).days < SOON_DAYS:
        return warn("keys", says, "ask the coordinator to extend it (`fedfin aggregator charter`)")
    return passed("keys", says)
