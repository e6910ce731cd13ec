"""The benchmark of the closed forms measures what it says."""

from benchmarks.closed_form import BOTH, DIMS, SITES, make_plan, site_names
from fedfin.model.model_spec import needs_second_moments
from fedfin.protocol.schedule import task_of
from fedfin_aggregator.closed_form.groups import GROUPS, group_of


def test_ten_sites_fill_all_groups_and_those_with_both_are_apart() -> None:
    """Else fewer sums are kept, and fewer folds solved, than a federation has at worst."""
    names = site_names()
    assert len(set(names)) == SITES
    assert len({group_of(name) for name in names}) == GROUPS
    assert len({group_of(name) for name in names[:BOTH]}) == BOTH


def test_the_plan_is_the_default_over_large_encoders() -> None:
    """Whose second round collects second moments."""
    plan = make_plan()
    assert plan.dims == DIMS
    assert needs_second_moments(plan)
    assert task_of(plan, 2) == "second_moments"
