"""How the study deals cases: to sites, to the public and to the judge, and what test cases show."""

import dataclasses

import numpy as np
import pytest
from study_cases import dealt, pool

from benchmarks.study.deal import group_classes, known_labels
from benchmarks.study.patterns import views
from fedfin.errors import InputError

SETTINGS = [{"ratio": "8:0:2"}, {"missing": 0.3}, {"patterns": True}, {"ratio": "2:2:6", "alpha": 0.3}]


def groups(dataset):
    """Of the cases whose first modality is there: `pool` writes a case's number into it."""
    first = next(iter(dataset.features))
    return {int(value) // 3 for value in dataset.features[first][dataset.present[first], 0]}


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_group_is_on_two_sides(setting):
    federation = dealt(**setting)
    sides = [federation.public, federation.judge, *federation.recorded.values()]
    everyone = [group for side in sides for group in groups(side)]
    assert len(everyone) == len(set(everyone))
    assert len(federation.judge) / 600 == pytest.approx(0.3, abs=0.06)
    assert 0 < len(federation.public) < 60


def test_the_judge_and_the_public_see_complete_cases_only():
    federation = dealt(pool(present=0.7), ratio="8:0:2")
    for dataset in (federation.judge, federation.public):
        assert all(mask.all() for mask in dataset.present.values())
    assert federation.judge.held_out.all()
    assert not any(site.held_out.any() for site in federation.sites.values())


def test_a_ratio_counts_sites_by_what_they_hold_and_keeps_what_was_recorded():
    federation = dealt(ratio="4:4:2")
    held = [tuple(m for m, mask in site.present.items() if mask.any()) for site in federation.sites.values()]
    assert held == [("image",)] * 4 + [("text",)] * 4 + [("image", "text")] * 2
    assert all(mask.all() for whole in federation.recorded.values() for mask in whole.present.values())
    assert (federation.sites["site-01"].features["text"] == 0).all()


def test_of_many_modalities_a_ratio_counts_sites_with_the_first_all_others_and_all():
    federation = dealt(pool(modalities=3), ratio="1:1:1")
    held = [tuple(m for m, mask in site.present.items() if mask.any()) for site in federation.sites.values()]
    assert held == [("ct",), ("image", "text"), ("ct", "image", "text")]


def test_as_recorded_every_site_has_what_was_recorded_and_nothing_else():
    federation = dealt(pool(present=0.7), recorded=True, sites=4)
    assert len(federation.sites) == 4
    for name, site in federation.sites.items():
        for modality, mask in site.present.items():
            assert np.array_equal(mask, federation.recorded[name].present[modality])
    assert not all(mask.all() for site in federation.sites.values() for mask in site.present.values())


def in_hospitals(names):
    of = pool()
    return dataclasses.replace(of, cases=dataclasses.replace(of.cases, hospitals=names))


def test_with_hospitals_each_is_a_site_and_who_is_nobody_s_takes_no_part():
    names = tuple(("north", "south", "")[place // 3 % 3] for place in range(600))
    federation = dealt(in_hospitals(names), hospitals=True)
    found = [{names[3 * group] for group in groups(site)} for site in federation.sites.values()]
    assert found == [{"north"}, {"south"}]


def test_data_without_hospitals_is_not_for_a_setting_with_them():
    with pytest.raises(InputError, match="does not say whose its cases are"):
        dealt(hospitals=True)


def test_a_site_has_no_more_than_the_setting_s_cases():
    federation = dealt(ratio="8:0:2", cases=10)
    assert {len(site) for site in federation.sites.values()} == {10}


def test_where_incomplete_cases_judge_views_show_what_was_recorded():
    """One alone and one missing are of cases that have it."""
    of = dataclasses.replace(pool(modalities=3, present=0.6), judge="recorded")
    judge = dealt(of, recorded=True).judge
    there = np.stack(list(judge.present.values()))
    assert not there.all(axis=0).all()
    found = views(judge, seed=0)
    assert next(iter(found)) == "as recorded"
    assert all(not (mask & ~judge.present[m]).any() for shown in found.values() for m, mask in shown.items())
    assert np.array_equal(found["only ct"]["ct"], judge.present["ct"])
    hidden = found["without ct"]
    assert not hidden["ct"].any()
    assert np.array_equal(hidden["text"], judge.present["text"] & judge.present["ct"])


def test_axes_are_of_public_cases_complete_or_not_unless_the_data_brings_its_own():
    of = pool(present=0.7)
    federation = dealt(of, ratio="1:0:1", public=0.2)
    assert len(federation.axes["text"]) > len(federation.public)
    own = {"text": np.ones((5, 3), np.float32)}
    brought = dataclasses.replace(of, cases=dataclasses.replace(of.cases, public=own))
    assert np.array_equal(dealt(brought, ratio="1:0:1", public=0.2).axes["text"], own["text"])


def test_each_case_lacks_modalities_at_the_rate_but_keeps_one():
    federation = dealt(pool(6000), missing=0.4)
    present = np.concatenate(
        [np.stack(list(site.present.values())) for site in federation.sites.values()], axis=1
    )
    assert present.any(axis=0).all()
    # Both are lost at 0.4 x 0.4, and then one is given back.
    assert 1 - present.mean() == pytest.approx(0.4 - 0.16 / 2, abs=0.015)


def test_in_patterns_two_sites_hold_all_and_the_others_differ():
    federation = dealt(pool(modalities=3), patterns=True)
    held = [tuple(m for m, mask in site.present.items() if mask.any()) for site in federation.sites.values()]
    assert held[:2] == [("ct", "image", "text")] * 2
    assert len(set(held)) > 2
    assert all(held)


def test_a_small_alpha_gives_sites_few_classes_each():
    def largest(federation):
        return np.mean([site.labels.mean(axis=0).max() for site in federation.sites.values()])

    assert largest(dealt(ratio="0:0:10", alpha=0.1)) > 0.75
    assert largest(dealt(ratio="0:0:10")) < 0.5


def test_a_cases_class_is_its_rarest_label():
    cases = pool(6).cases
    labels = np.array([[1, 1, 0, 0]] * 3 + [[1, 0, 0, 0]] * 3, np.float32)
    assert group_classes(type(cases)(cases.features, cases.present, labels, cases.groups)) == {7: 1, 8: 0}


def test_sites_know_their_share_of_the_labels_and_every_label_is_known_somewhere():
    known = known_labels(10, 14, 0.5, seed=3)
    assert known.any(axis=0).all()
    assert set(known.sum(axis=1)) <= {7, 8}
    federation = dealt(ratio="8:0:2", known_labels=0.5)
    unknown = [np.isnan(site.labels).all(axis=0).sum() for site in federation.sites.values()]
    assert set(unknown) <= {1, 2}
    assert not np.isnan(federation.judge.labels).any()


def test_a_part_for_some_sites_goes_to_no_other():
    federation = dealt(pool(sites="both"), ratio="8:0:2")
    assert list(federation.sites) == ["site-09", "site-10"]


def test_the_same_seed_deals_alike_and_another_otherwise_but_for_the_judge():
    """So that a method is chosen without the cases that judge it."""
    one, same, other = (dealt(seed=seed, missing=0.3) for seed in (1, 1, 2))
    for name, site in one.sites.items():
        assert np.array_equal(site.features["text"], same.sites[name].features["text"])
        assert groups(site) != groups(other.sites[name])
    assert one.plan == same.plan
    assert groups(one.judge) == groups(other.judge)
    assert groups(one.public) == groups(other.public)


def test_where_they_rotate_others_judge_for_each_seed_and_none_of_them_trains():
    one, other = (dealt(seed=seed, missing=0.3, rotate=True) for seed in (1, 2))
    assert groups(one.judge) != groups(other.judge)
    assert not any(groups(one.judge) & groups(site) for site in one.sites.values())


def test_too_few_cases_are_refused():
    with pytest.raises(InputError, match="too few cases"):
        dealt(pool(6), ratio="8:0:2")


def test_test_cases_show_all_each_alone_each_missing_and_half():
    judge = dealt(pool(modalities=3), missing=0.3).judge
    found = views(judge, seed=0)
    assert list(found) == [
        "complete",
        *(f"only {m}" for m in judge.present),
        *(f"without {m}" for m in judge.present),
        "half missing",
    ]
    shown = np.stack(list(found["half missing"].values()))
    assert shown.any(axis=0).all()
    assert (~shown.all(axis=0)).sum() == len(judge) // 2
    again = views(judge, seed=0)["half missing"]
    assert all(np.array_equal(mask, again[m]) for m, mask in found["half missing"].items())


def test_of_two_modalities_one_missing_is_the_other_alone():
    assert list(views(dealt(ratio="8:0:2").judge, seed=0)) == [
        "complete",
        "only image",
        "only text",
        "half missing",
    ]
