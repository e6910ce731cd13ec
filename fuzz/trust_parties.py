"""A coordinator, an aggregator and a site with keys, in a folder of this process's own."""

import datetime as dt
import functools
import tempfile
from pathlib import Path

from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.topics import Topics
from fedfin.trust.accepted import accept
from fedfin.trust.aggregator_channel import AggregatorChannel
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request
from fedfin.trust.site_channel import SiteChannel
from fedfin_aggregator.coordinator import Coordinator, found

FOLDER = tempfile.TemporaryDirectory(prefix="fedfin-fuzz-")
PLACE = Path(FOLDER.name)
RUN = "1" * 16
TOPICS = Topics("ward")
PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=2),),
    model=Model(fin="zero", answer="head", head_width=0),
)


@functools.cache
def coordinator() -> Coordinator:
    """Its charter has one site."""
    keys = make_identity(PLACE / "agg").public
    aggregator = Request(
        role="aggregator",
        name="aggregator",
        federation="ward",
        keys=keys,
        certificate_request="",
        run=RUN,
        plan=PLAN.digest(),
    )
    made = found(PLACE / "study", PLAN, aggregator, least_sites=1, expires=dt.date(2999, 1, 1))
    site = make_identity(PLACE / "s0").public
    request = Request(role="site", name="s0", federation="ward", keys=site, certificate_request="")
    made.admit([request], 100, broker="", files={})
    text = (PLACE / "study" / "charter").read_text(encoding="utf-8")
    for name in ("agg", "s0"):
        accept(PLACE / name, made.charter, text)
    return made


@functools.cache
def ends() -> tuple[SiteChannel, AggregatorChannel]:
    """Both ends of the channel."""
    coordinator()
    return SiteChannel(PLACE / "s0", "s0", TOPICS), AggregatorChannel(PLACE / "agg", TOPICS)
