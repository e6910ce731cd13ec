"""A plan whose sums tell more than its patients allow is named to who can mend it, before anything is summed."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds
from fedfin.privacy.dimensions import Sum, excess_of_plan
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request
from fedfin_aggregator.coordinator import Coordinator, found

SECURE = Plan(
    federation="ward",
    labels=("x",),
    modalities=tuple(Modality(name=name, encoder=name[0] * 64, dim=8) for name in ("a", "b")),
    model=Model(basis_total=16),
    privacy=Privacy(level="secure"),
    rounds=Rounds(sites=3, min_sites=3),
)


def test_a_plan_is_held_against_a_fifth_who_have_every_modality() -> None:
    """As a draft is: 16 dimensions ask for 712 complete patients; of `open` nothing is said, nobody is hidden there."""
    assert excess_of_plan(SECURE, 5 * 712) is None
    assert excess_of_plan(SECURE, 5 * 711) == Sum(711, 16)
    assert excess_of_plan(SECURE, 0) is None, "as in a charter that seats nobody yet"
    assert excess_of_plan(msgspec.structs.replace(SECURE, privacy=Privacy()), 10) is None


def test_random_features_count() -> None:
    """They are dimensions of the same sum."""
    plan = msgspec.structs.replace(SECURE, model=Model(basis_total=40))
    assert excess_of_plan(plan, 5 * 712) == Sum(712, 40)


def request(folder: Path, name: str, *, site: bool = True) -> Request:
    """What somebody asks the coordinator with."""
    keys, more = (
        make_identity(folder / name).public,
        {} if site else {"run": "1" * 16, "plan": SECURE.digest()},
    )
    role = "site" if site else "aggregator"
    return Request(role=role, name=name, federation="ward", keys=keys, certificate_request="", **more)


@pytest.mark.parametrize(("cases", "noted"), [(240, True), (1200, False)])
def test_a_charter_of_few_cases_is_noted_once_all_sites_have_a_seat(
    tmp_path: Path, cases: int, noted: bool
) -> None:
    """A fifth of 3 x 240, 144, are too few for 16 dimensions; of 3 x 1,200 720 are not."""
    aggregator = request(tmp_path, "aggregator", site=False)
    until = dt.date(2999, 12, 31)
    coordinator: Coordinator = found(tmp_path / "study", SECURE, aggregator, least_sites=3, expires=until)
    coordinator.admit([request(tmp_path, "s0")], cases, broker="", files={})
    assert coordinator.few_patients == ""
    coordinator.admit([request(tmp_path, name) for name in ("s1", "s2")], cases, broker="", files={})
    assert (
        "144 patients are behind a sum in 16 dimensions, and hide in 7" in coordinator.few_patients
    ) is noted
