"""How the study deals cases: to sites, to the public and to the judge, and what test cases show."""

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
