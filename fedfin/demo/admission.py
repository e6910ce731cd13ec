"""Keys and a charter for the demo's parties: what people do by files and telephone (docs/keys.md), in one process."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedfin.demo.processes import run_command
from fedfin.plan import Plan
from fedfin.trust.accepted import TRUST, accept, has_accepted
from fedfin.trust.charter import Charter, Seat, sign_charter, today
from fedfin.trust.identity import make_identity
from fedfin.trust.request import read_request

VALID = dt.timedelta(days=1)


def admit(plan: Plan, aggregator: Path, sites: Mapping[str, Path]) -> None:
    """Each party to the run of this aggregator's folder, unless it is: an interrupted demo goes on."""
    if has_accepted(aggregator / TRUST):
        return
    key = Ed25519PrivateKey.generate()  # the coordinator's: it signs one charter
    charter = _charter(plan, aggregator, sites, key.public_key().public_bytes_raw().hex())
    text = sign_charter(charter, key)
    for folder in (*sites.values(), aggregator):
        accept(folder / TRUST, charter, text)


def _charter(plan: Plan, aggregator: Path, sites: Mapping[str, Path], coordinator: str) -> Charter:
    path = aggregator / "aggregator.request"
    run_command(
        ["aggregator", "request", str(aggregator), "--out", str(path)], "making the aggregator's keys"
    )
    request = read_request(path)
    assert request.run is not None, "an aggregator's request names its run"
    seats = (
        Seat(name=name, keys=make_identity(folder / TRUST).public, cases=plan.rounds.cases_per_site)
        for name, folder in sites.items()
    )
    return Charter(
        coordinator=coordinator,
        federation=plan.federation,
        number=1,
        plan=plan.digest(),
        run=request.run,
        aggregator=request.keys,
        roster=tuple(seats),
        least_sites=plan.rounds.min_sites,
        expires=today() + VALID,
    )
