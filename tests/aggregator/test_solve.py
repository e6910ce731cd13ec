"""What is solved is sensible whatever sites hold: experts know, imputation explains what it can and claims no more."""

import numpy as np
import pytest
from closed_form_cases import answers, auc, draw, folded, fusion_model, join, make_plan, solved, some_hidden

from fedfin_aggregator.closed_form.cross_validation import FOLDS, folds
from fedfin_aggregator.closed_form.groups import GROUPS, by_group, group_of
from fedfin_aggregator.closed_form.pooled_moments import Moments
from fedfin_aggregator.closed_form.ridge import _Learnt
from fedfin_aggregator.closed_form.scores import Fits
from fedfin_edge.cases.dataset import Dataset

PLAN = make_plan()
MANY = {f"m{i}": 3 + i for i in range(6)}


def replaced(dataset, labels) -> Dataset:
    """With other labels."""
    return Dataset(dataset.features, dataset.present, labels.astype(np.float32), dataset.held_out)


def sites_of(plan, kinds, cases=60):
    """One site of each kind: which modalities its cases have."""
    return {f"s{i}": draw(plan, cases, i, has=kind) for i, kind in enumerate(kinds)}


FEDERATIONS = {
    "a single site": (PLAN, sites_of(PLAN, [None], 200)),
    "a single site with both": (PLAN, sites_of(PLAN, [None, ("image",), ("image",), ("text",)], 150)),
    "one modality in all": (make_plan({"image": 6}), sites_of(make_plan({"image": 6}), [None] * 3)),
    "half of the labels": (PLAN, {f"s{i}": draw(PLAN, 120, i, known=0.5) for i in range(3)}),
    "three of any pattern": (
        make_plan(dict(list(MANY.items())[:3])),
        {f"s{i}": some_hidden(draw(make_plan(dict(list(MANY.items())[:3])), 90, i), i) for i in range(4)},
    ),
    "six of any pattern": (
        make_plan(MANY),
        {f"s{i}": some_hidden(draw(make_plan(MANY), 120, i), i) for i in range(4)},
    ),
}


@pytest.mark.parametrize(("plan", "sites"), FEDERATIONS.values(), ids=FEDERATIONS)
def test_experts_know_the_labels_from_whatever_is_shown(plan, sites) -> None:
    """Well above chance on new cases, for each modality alone and for all; every tensor is finite."""
    tensors = solved(plan, sites)
    assert all(np.isfinite(value).all() for value in tensors.values())
    model, new = fusion_model(plan, tensors), draw(plan, 400, 77)
    for shown in (*([m] for m in plan.dims), list(plan.dims)):
        logits = answers(model, new, shown)[0]
        assert min(auc(logits[:, i], new.labels[:, i]) for i in range(len(plan.labels))) > 0.6, shown


@pytest.mark.parametrize(("plan", "sites"), FEDERATIONS.values(), ids=FEDERATIONS)
def test_imputation_explains_what_it_says(plan, sites) -> None:
    """The squared error on new cases is what `spread` claims to be left, to 0.15 of the variance at 60 cases a site."""
    model, new = fusion_model(plan, solved(plan, sites)), draw(plan, 400, 77)
    for source in plan.dims:
        _, mean, spread = answers(model, new, [source])
        for target in set(plan.dims) - {source}:
            left = np.square(mean[target] - new.features[target]).mean(axis=0) / new.features[target].var(
                axis=0
            )
            assert left.mean() == pytest.approx(spread[target].mean(), abs=0.15), (source, target)
            assert left.mean() < 0.95


def test_what_cannot_be_known_is_claimed_as_nothing() -> None:
    """Unrelated modalities: hardly anything explained. A pair that nobody has: nothing; the estimate is the mean."""
    rng = np.random.default_rng(5)
    sites = sites_of(PLAN, [None] * 4)
    for dataset in sites.values():
        dataset.features["text"][:] = rng.normal(size=dataset.features["text"].shape)
    assert solved(PLAN, sites)["gaussian.explained.image.text"].mean() < 0.03
    apart = solved(PLAN, sites_of(PLAN, [("image",), ("text",)] * 2))
    _, mean, spread = answers(fusion_model(PLAN, apart), draw(PLAN, 20, 77), ["image"])
    assert np.abs(mean["text"]).max() == 0.0
    assert (spread["text"] == 1.0).all()


def test_a_modality_that_nobody_has_changes_nothing() -> None:
    """The other's expert is what it is without it; what is asked of it is answered by the labels' rates."""
    sites = sites_of(PLAN, [("image",)] * 3, 200)
    tensors, new = solved(PLAN, sites), draw(PLAN, 300, 77)
    alone = make_plan({"image": 6})
    images = {
        site: Dataset({"image": d.features["image"]}, {"image": d.present["image"]}, d.labels, d.held_out)
        for site, d in sites.items()
    }
    only = solved(alone, images)
    assert np.array_equal(tensors["expert.image.image.weight"], only["expert.image.image.weight"])
    assert not tensors["expert.text.text.weight"].any()
    logits = answers(fusion_model(PLAN, tensors), new, ["text"])[0]
    rate = join(list(sites.values())).labels.mean(axis=0)
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(np.broadcast_to(rate, logits.shape), abs=0.01)


def test_unknown_labels_are_not_negative_ones() -> None:
    """With nine of ten unknown, at random, the answers are those of the known ones: the rates are kept."""
    sites = {f"s{i}": draw(PLAN, 400, i, known=0.1) for i in range(3)}
    rate = np.nanmean(join(list(sites.values())).labels, axis=0)
    logits = answers(fusion_model(PLAN, solved(PLAN, sites)), draw(PLAN, 500, 77))[0]
    assert (1 / (1 + np.exp(-logits))).mean(axis=0) == pytest.approx(rate, abs=0.08)


def test_a_label_without_positives_spoils_no_other() -> None:
    """Nor its own answer: few odds. And one that a site does not know at all is learnt from the others."""
    plan = make_plan(labels=3)
    sites = {f"s{i}": draw(plan, 90, i) for i in range(3)}
    for number, dataset in enumerate(sites.values()):
        dataset.labels[:, 1] = 0.0
        dataset.labels[:, 2] = np.nan if number else dataset.labels[:, 2]
    new = draw(plan, 300, 77)
    logits = answers(fusion_model(plan, solved(plan, sites)), new)[0]
    assert auc(logits[:, 0], new.labels[:, 0]) > 0.7
    assert auc(logits[:, 2], new.labels[:, 2]) > 0.7
    assert logits[:, 1].max() < -4.0


def test_without_any_label_there_are_no_experts() -> None:
    """Imputation is solved all the same."""
    sites = {f"s{i}": replaced(d := draw(PLAN, 60, i), np.full(d.labels.shape, np.nan)) for i in range(3)}
    tensors = solved(PLAN, sites)
    assert not any(tensors[name].any() for name in tensors if name.startswith(("expert", "blend")))
    assert tensors["gaussian.explained.image.text"].mean() > 0.3


def test_nobody_at_all_is_no_error() -> None:
    """Zeros."""
    assert not any(value.any() for value in solved(PLAN, {}).values())


@pytest.mark.parametrize("cases", [1, 2, 5])
def test_very_few_cases_give_a_finite_model(cases: int) -> None:
    """Also where a fold is left with a single case, or with none that has a label."""
    for known in (1.0, 0.3):
        sites = {f"s{i}": draw(PLAN, cases, i, known=known) for i in range(3)}
        assert all(np.isfinite(value).all() for value in solved(PLAN, sites).values())


def test_groups_with_both_modalities_come_into_different_folds() -> None:
    """All eight groups are filled: five folds, two with complete cases, and no case is lost or doubled."""
    names = {}
    for number in range(100):
        names.setdefault(group_of(f"s{number}"), f"s{number}")
    assert len(names) == GROUPS
    sites = {s: draw(PLAN, 9, i, has=None if i < 2 else ("image",)) for i, s in enumerate(names.values())}
    split = folds(PLAN, by_group(folded(PLAN, sites).sums))
    assert len(split) == FOLDS
    assert sorted(fold.cases("image", "text") for fold in split) == [0, 0, 0, 9, 9]
    assert sum(fold.cases("image", "image") for fold in split) == 72
    whole = Moments(PLAN, by_group(folded(PLAN, {"s": join(list(sites.values()))}).sums)[0])
    assert sum(fold.cross("image", "image") for fold in split) == pytest.approx(
        whole.cross("image", "image"), abs=1e-4
    )


def test_an_imputation_across_patterns_has_the_means_of_those_with_both() -> None:
    """Cases that have one alone, and differ, shift no estimate and make no variance negative."""
    plan = make_plan({"a": 5, "b": 4, "c": 3})
    sites = sites_of(plan, [("a", "b"), ("a", "b"), ("a",), ("b",)])
    for site in ("s2", "s3"):
        for modality in sites[site].features:
            sites[site].features[modality][:] += 2.0
    fits = Fits(plan, folds(plan, by_group(folded(plan, sites).sums)))
    fitted, both = fits.imputations["b", "a"].ridge, join([sites["s0"], sites["s1"]])
    assert fitted.mean_x == pytest.approx(both.features["a"].mean(axis=0), abs=1e-6)
    assert fitted.mean_y == pytest.approx(both.features["b"].mean(axis=0), abs=1e-6)
    assert min(fold.imputation("a", "b").var_y.min() for fold in fits.folds[:2]) > 0.05


def test_a_label_that_never_varies_where_it_is_learnt_does_not_drown_the_others() -> None:
    """Its error, in shares of no variance, would be a billion times theirs, and the penalty a matter of luck."""
    sites = {f"s{i}": draw(PLAN, 30, i) for i in range(2)}
    sites["s1"].labels[:, 1] = 0.0
    judge, learn = (fold.expert("image") for fold in folds(PLAN, by_group(folded(PLAN, sites).sums)))
    judge, learn = (judge, learn) if learn.var_y[1] == 0.0 else (learn, judge)
    assert judge.var_y[1] > 0.1
    assert _Learnt(learn).errors(judge).max() < 10 * 30


def test_a_label_that_one_site_knows_has_an_expert_too() -> None:
    """No other can be asked about it: its covariance is reckoned down. Also when every site has its own label."""
    plan = make_plan(labels=3)
    for of_one in ([2], [0, 1, 2]):
        sites = {f"s{i}": draw(plan, 150, i) for i in range(3)}
        for number, dataset in enumerate(sites.values()):
            for label in of_one:
                dataset.labels[:, label] = dataset.labels[:, label] if label == number else np.nan
        new = draw(plan, 300, 77)
        logits = answers(fusion_model(plan, solved(plan, sites)), new)[0]
        assert min(auc(logits[:, i], new.labels[:, i]) for i in range(3)) > 0.65
