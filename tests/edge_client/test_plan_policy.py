"""What a plan may ask of a site: `[policy]` in site.toml."""

import datetime as dt
import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from fedfin.errors import SettingsError
from fedfin.model.model_spec import TASKS
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds, Training
from fedfin.trust.charter import today
from fedfin_edge.agent.approvals import decide
from fedfin_edge.agent.plan_policy import check_permission, check_plan, refusals
from fedfin_edge.commands.init import to_toml
from fedfin_edge.site import CaseColumns, ModalitySettings, Policy, Site, SiteSettings, open_site

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(
        Modality(name="image", encoder="a" * 64, dim=1280),
        Modality(name="text", encoder="a" * 64, dim=384),
    ),
)
SECURE = replace(PLAN, privacy=Privacy(level="secure"), rounds=Rounds(sites=4, min_sites=3))
DIGEST = "b" * 64
YESTERDAY = today() - dt.timedelta(days=1)


def _site(folder: Path, **policy) -> Site:
    settings = SiteSettings(
        site="s0",
        federation="ward",
        broker="mqtt://broker",
        cases=CaseColumns(table="cases.csv"),
        modalities={"image": ModalitySettings(bundle="image", column="image")},
        policy=Policy(**policy),
    )
    return Site(folder, settings)


def test_plans_of_today_pass_with_the_defaults(tmp_path: Path) -> None:
    """The default, a long asynchronous one, and one with a large network."""
    rounds = Rounds(count=1000, mode="async", sites=10)
    for plan in (PLAN, replace(PLAN, rounds=rounds), replace(PLAN, model=Model(fin="mlp", fin_width=1024))):
        check_plan(_site(tmp_path), plan)
    check_plan(_site(tmp_path, plan=PLAN.digest()), PLAN)


def test_a_policy_that_names_what_a_plan_asks_lets_it_pass(tmp_path: Path) -> None:
    """Sums over four sites as the charter says, today as the last day, every task."""
    check_plan(_site(tmp_path, least_sites=4, until=today(), tasks=TASKS), SECURE, least_sites=4)
    check_plan(
        _site(tmp_path, tasks=("train", "moments", "evaluate")),
        replace(PLAN, model=Model(answer="head", fin="mlp")),
    )


TOO_MUCH = {
    "plan": ({"plan": DIGEST}, PLAN),
    "least_sites": ({"least_sites": 2}, PLAN),
    "tasks": ({"tasks": ("moments", "train", "evaluate")}, PLAN),
    "until": ({"until": YESTERDAY}, PLAN),
    "most_rounds": ({}, replace(PLAN, rounds=Rounds(count=1_000_000))),
    "most_epochs": ({}, replace(PLAN, training=Training(epochs=51))),
    "most_megabytes": ({}, replace(PLAN, modalities=(Modality(name="image", encoder="a" * 64, dim=65_536),))),
    "most_basis": (
        {},
        replace(
            PLAN,
            modalities=(Modality(name="labs", encoder="a" * 64, dim=6),),
            model=Model(basis_total=5_000),
        ),
    ),
}


@pytest.mark.parametrize("key", TOO_MUCH)
def test_a_plan_beyond_the_policy_is_refused_by_key_before_anything_is_allocated(
    key: str, tmp_path: Path
) -> None:
    """With exit code 3 and what to do; a welcome of 869 bytes once made 7 GB."""
    policy, plan = TOO_MUCH[key]
    tracemalloc.start()
    with pytest.raises(SettingsError, match=rf"site\.toml: policy\.{key} .*your people") as refusal:
        check_plan(_site(tmp_path, **policy), plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.exit_code == 3
    assert peak < 2**20


def test_the_policy_is_read_from_site_toml_and_written_to_it(tmp_path: Path) -> None:
    """Each key is optional there, and a misspelt one is an error."""
    policy = {"plan": DIGEST, "most_epochs": 3, "until": YESTERDAY, "tasks": ("train",), "approve": True}
    settings = _site(tmp_path, **policy).settings
    path = tmp_path / "site.toml"
    path.write_text(to_toml(settings))
    assert open_site(tmp_path).settings.policy == settings.policy
    path.write_text(to_toml(replace(settings, policy=Policy())) + "[policy]\nmost_rounds = 9\n")
    assert open_site(tmp_path).settings.policy == Policy(most_rounds=9)
    path.write_text(path.read_text().replace("most_rounds", "most_round"))
    with pytest.raises(SettingsError, match="most_round"):
        open_site(tmp_path)


def test_a_plan_waits_for_a_person_s_word_where_the_policy_asks_for_one(tmp_path: Path) -> None:
    """By digest: another plan's approval does not count, and `policy.plan` is a word, too."""
    site = _site(tmp_path, approve=True)
    decide(site, DIGEST, approved=True)
    with pytest.raises(SettingsError, match="not approved here") as refusal:
        check_plan(site, PLAN)
    assert PLAN.digest() in str(refusal.value)
    assert list(refusals(site, PLAN)) == []
    decide(site, PLAN.digest(), approved=True)
    check_plan(site, PLAN)
    (tmp_path / "approvals.jsonl").unlink()
    check_plan(_site(tmp_path, approve=True, plan=PLAN.digest()), PLAN)


def test_a_word_that_was_taken_back_counts_whatever_site_toml_says(tmp_path: Path) -> None:
    """Also while a run goes on, and also where no approval is asked for."""
    for policy in ({}, {"approve": True}, {"plan": PLAN.digest()}):
        site = _site(tmp_path, **policy)
        decide(site, PLAN.digest(), approved=True)
        check_permission(site, PLAN)
        decide(site, PLAN.digest(), approved=False)
        with pytest.raises(SettingsError, match="not approved here"):
            check_permission(site, PLAN)


def test_the_last_day_ends_a_run_that_goes_on(tmp_path: Path) -> None:
    """It was within the policy when this site joined."""
    with pytest.raises(SettingsError, match=r"policy\.until is .* nothing leaves any more"):
        check_permission(_site(tmp_path, until=YESTERDAY), PLAN)
