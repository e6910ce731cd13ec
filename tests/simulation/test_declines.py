"""A site that takes no part says so: the rounds go on at once, and people read why."""

import contextlib
import dataclasses
from pathlib import Path

from msgspec.structs import replace

from fedfin.declines import CAUSES
from fedfin.errors import FedfinError
from fedfin.plan_sections import Privacy, Rounds
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import summary
from fedfin_edge.agent.approvals import decide, last_word
from fedfin_edge.site import Policy
from simulation.faults import Faults
from simulation.processes import SiteProcess
from simulation.toy import toy_plan
from simulation.world import World

DEADLINE_S = 5000.0


def stops_for_good(site: SiteProcess) -> list[FedfinError]:
    """As `fedfin edge run` does after an error; what the errors were."""
    met: list[FedfinError] = []
    step = site._step

    def take_a_step() -> None:
        try:
            step()
        except FedfinError as error:
            met.append(error)
            site.gone, site.awaited, site.alive = True, False, False
            site.world.clock.after(2.0, site.agent._link.stop)  # as long as a link takes

    site._step = take_a_step
    return met


def test_a_site_whose_people_do_not_allow_the_plan_is_not_waited_for(tmp_path: Path) -> None:
    """It says one word; log and `show` name it, and the others are summed long before the deadline."""
    rounds = Rounds(count=2, sites=4, min_sites=3, deadline_s=DEADLINE_S)
    world = World(1, toy_plan(rounds, privacy=Privacy(level="secure")), 4, Faults(), tmp_path)
    site = world.sites[3]
    site.site = dataclasses.replace(
        site.site, settings=replace(site.site.settings, policy=Policy(most_rounds=1))
    )
    errors = stops_for_good(site)
    world.run()
    assert [error.declines for error in errors] == ["policy"]
    assert [row["sites"] for row in world.results] == [3.0] * 4
    assert world.clock.now < DEADLINE_S / 2
    (declined,) = [facts for _, _, event, facts in world.facts if event == "declined"]
    assert declined == {"site": "s3", "round": 1, "reason": CAUSES["policy"]}
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert summary(journal)["declined"] == {"s3": {"round": 1, "reason": CAUSES["policy"]}}


def test_a_word_taken_back_in_the_middle_of_a_run_ends_a_site_s_part_in_it(tmp_path: Path) -> None:
    """It has given two rounds; then it says one word and gives nothing more, and the others go on."""
    rounds = Rounds(count=4, sites=4, min_sites=3, deadline_s=DEADLINE_S)
    plan = toy_plan(rounds, privacy=Privacy(level="secure"))
    world = World(1, plan, 4, Faults(), tmp_path)
    site = world.sites[3]
    site.site = dataclasses.replace(
        site.site, settings=replace(site.site.settings, policy=Policy(approve=True))
    )
    site.site.folder.mkdir()
    decide(site.site, plan.digest(), approved=True)
    errors = stops_for_good(site)
    step = site._step

    def take_back_after_two_rounds() -> None:
        step()
        given = [1 for _, name, event, _ in world.facts if (name, event) == ("s3", "received")]
        if len(given) == 2 and last_word(site.site, plan.digest()):
            decide(site.site, plan.digest(), approved=False)

    site._step = take_back_after_two_rounds
    world.run()
    assert [error.declines for error in errors] == ["policy"]
    assert [row["sites"] for row in world.results][:3] == [4.0, 4.0, 3.0]
    assert [facts["reason"] for _, _, event, facts in world.facts if event == "declined"] == [
        CAUSES["policy"]
    ]
