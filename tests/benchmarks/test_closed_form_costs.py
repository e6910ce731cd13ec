"""The benchmark of the closed forms measures what it says."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import closed_form
from benchmarks.closed_form import COMPLETE, DIMS, SITES, make_plan, make_updates, site_names, solve_there
from fedfin.model.model_spec import needs_second_moments
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.closed_form.groups import GROUPS, group_of


def test_ten_sites_fill_all_groups_and_those_with_all_are_apart() -> None:
    """Else fewer sums are kept, and fewer folds solved, than a federation has at worst."""
    names = site_names()
    assert len(set(names)) == SITES
    assert len({group_of(name) for name in names}) == GROUPS
    assert len({group_of(name) for name in names[:COMPLETE]}) == COMPLETE


def test_the_plan_is_the_default_over_large_encoders() -> None:
    """Whose second round collects second moments."""
    plan = make_plan(DIMS)
    assert plan.dims == {"image": 1280, "text": 384}
    assert needs_second_moments(plan)
    assert task_of(plan, 2) == "second_moments"


def test_the_aggregator_takes_the_updates_of_three_modalities_and_solves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `--solve` does in a process of its own; with small encoders here."""
    monkeypatch.setattr(closed_form, "sys", SimpleNamespace(modules={}))  # torch is loaded here by the sites
    sizes = make_updates(tmp_path, (12, 6, 4), mixed=False)
    took = solve_there(tmp_path)
    assert sizes["one modality"] < sizes["all"]
    assert set(sizes) == {"one modality", "all", "all for half of the cases"}
    assert 0 < took.solve_s < took.close_s
