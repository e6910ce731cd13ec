"""A coordinator, an aggregator and sites with their keys, as their commands make them."""

import datetime as dt
from pathlib import Path

from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds
from fedfin.protocol.topics import Topics
from fedfin.trust.accepted import accept
from fedfin.trust.admission import read_admission
from fedfin.trust.aggregator_channel import AggregatorChannel
from fedfin.trust.charter import read_charter
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request
from fedfin.trust.site_channel import SiteChannel
from fedfin_aggregator.coordinator import Coordinator, found

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=3),),
    model=Model(answer="head", fin="mlp", head_width=0),
    rounds=Rounds(count=2, sites=2, min_sites=2),
)
RUN = "1" * 16
TOPICS = Topics("ward")
FAR = dt.date(2999, 12, 31)


class Parties:
    """`s0` and `s1` are admitted; `mallory` has keys of its own and no seat."""

    def __init__(self, folder: Path, *, expires: dt.date = FAR) -> None:
        self.folder = folder
        aggregator = make_identity(folder / "agg")
        request = Request(
            role="aggregator",
            name="aggregator",
            federation="ward",
            keys=aggregator.public,
            certificate_request="",
            run=RUN,
            plan=PLAN.digest(),
        )
        self.coordinator = found(folder / "study", PLAN, request, least_sites=2, expires=expires)
        self.admit("s0", "s1")
        make_identity(folder / "mallory")

    def request(self, site: str) -> Request:
        """What a site asks with."""
        keys = make_identity(self.folder / site).public
        return Request(role="site", name=site, federation="ward", keys=keys, certificate_request="")

    def admit(self, *sites: str, cases: int = 100) -> None:
        """To both ends."""
        self.coordinator.admit([self.request(site) for site in sites], cases, broker="", files={})
        self.obey()
        for site in sites:
            admission, charter = read_admission(self.coordinator.admission_path(site))
            accept(self.folder / site, charter, admission.charter)

    def obey(self) -> None:
        """The aggregator's operator takes in the newest charter."""
        text = (self.folder / "study" / "charter").read_text()
        accept(self.folder / "agg", read_charter(text, "charter"), text)

    def remove(self, site: str) -> None:
        """From the charter."""
        self.coordinator.remove([site])
        self.obey()

    def aggregator(self) -> AggregatorChannel:
        """In a new life."""
        return AggregatorChannel(self.folder / "agg", TOPICS)

    def site(self, name: str) -> SiteChannel:
        """In a new life."""
        return SiteChannel(self.folder / name, name, TOPICS)


def reopened(folder: Path) -> Coordinator:
    """The coordinator, another day."""
    return Coordinator(folder / "study")
