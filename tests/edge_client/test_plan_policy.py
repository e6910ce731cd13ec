"""What a plan may ask of a site: `[policy]` in site.toml."""

import tracemalloc
from pathlib import Path

import pytest
from msgspec.structs import replace

from fedfin.errors import SettingsError
from fedfin.plan import Modality, Model, Plan, Rounds, Training
from fedfin_edge.agent.plan_policy import check_plan
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
DIGEST = "b" * 64


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


TOO_MUCH = {
    "plan": ({"plan": DIGEST}, PLAN),
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
    with pytest.raises(SettingsError, match=rf"site\.toml: policy\.{key} .*ask the coordinator") as refusal:
        check_plan(_site(tmp_path, **policy), plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refusal.value.exit_code == 3
    assert peak < 2**20


def test_the_policy_is_read_from_site_toml_and_written_to_it(tmp_path: Path) -> None:
    """Each key is optional there, and a misspelt one is an error."""
    settings = _site(tmp_path, plan=DIGEST, most_epochs=3).settings
    path = tmp_path / "site.toml"
    path.write_text(to_toml(settings))
    assert open_site(tmp_path).settings.policy == settings.policy
    path.write_text(to_toml(replace(settings, policy=Policy())) + "[policy]\nmost_rounds = 9\n")
    assert open_site(tmp_path).settings.policy == Policy(most_rounds=9)
    path.write_text(path.read_text().replace("most_rounds", "most_round"))
    with pytest.raises(SettingsError, match="most_round"):
        open_site(tmp_path)
