"""What a score tells of a label that few of its source's cases know is inferred; what was measured prevails."""

from dataclasses import replace

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, solved

from fedfin_aggregator.closed_form.score_covariances import (
    PRIOR_CASES,
    Measured,
    inferred,
    inferred_together,
)

PAIRS = [("image", "image"), ("text", "image"), ("image", "text"), ("text", "text")]
IMAGE = PAIRS.index(("image", "image"))
STAND_IN = PAIRS.index(("image", "text"))  # the image's score, read from the text
# The image is common, the text is rare; all cases with a text have an image.
CASES = np.minimum.outer(*[np.array([900.0, 900.0, 100.0, 100.0])] * 2)


def measured(*, known: float, positive: float, others: float = 0.08) -> Measured:
    """Three labels, of which the first is known of so many cases with a text.

    others: the other labels' covariance with the stand-in. Scores have a variance of 1, those of one expert a
    covariance of 0.5; half of the cases have a label.
    """
    same = np.equal.outer(*[[target for target, _ in PAIRS]] * 2)
    together = np.where(same, 0.5, 0.0) + 0.5 * np.eye(len(PAIRS))
    counts = np.repeat(np.diag(CASES)[:, None], 3, axis=1)
    counts[2:, 0] = known
    positives = counts / 2
    positives[2:, 0] = positive
    with_labels = np.full((len(PAIRS), 3), 0.1)
    with_labels[STAND_IN] = [0.0, others, others]
    return Measured(
        PAIRS, together[..., None].repeat(3, axis=2), with_labels, np.full(3, 0.5), CASES, counts, positives
    )


def test_by_way_of_the_target_where_nothing_else_is_known() -> None:
    """Covariance with the target's own score 0.5, of that with the label 0.1: 0.05, if nothing tells more."""
    found = inferred(measured(known=0, positive=0, others=0.02))
    assert found[STAND_IN, 0] == pytest.approx(0.05)


def test_an_unknown_label_is_predicted_by_as_much_more_as_known_ones() -> None:
    """By way of the target twice as well as the others, whose 0.08 are 0.03 more than by that way: drawn to nothing."""
    one = measured(known=0, positive=0)
    one.with_labels[IMAGE, 0] *= 2
    assert inferred(one)[STAND_IN, 0] == pytest.approx(0.10 + 0.03 * 50 / (50 + PRIOR_CASES))


def test_an_unknown_label_is_predicted_as_well_as_known_ones_in_the_mean() -> None:
    """0.08, drawn to 0.05 as by PRIOR_CASES cases of each class beside the 25 of both other labels that there are.

    Also one of which the target tells nothing.
    """
    found = inferred(measured(known=0, positive=0))
    assert found[STAND_IN, 0] == pytest.approx((50 * 0.08 + PRIOR_CASES * 0.05) / (50 + PRIOR_CASES))
    one = measured(known=0, positive=0)
    one.with_labels[IMAGE, 0] = 0
    assert inferred(one)[STAND_IN, 0] > 0.07
    half = inferred(measured(known=50, positive=0))
    assert half[STAND_IN, 0] == pytest.approx((0.05 + found[STAND_IN, 0]) / 2)


def test_a_label_that_is_known_to_have_no_positives_is_not() -> None:
    """Imputation has never seen one either."""
    found = inferred(measured(known=100, positive=0))
    assert found[STAND_IN, 0] == pytest.approx(0.05)


def test_what_was_measured_prevails_as_cases_come() -> None:
    """Of 25 cases of each class or so it is most of what is said; scores of their own modality are as measured."""
    one = measured(known=100, positive=50)
    found = inferred(one)
    assert found[STAND_IN, 1] == pytest.approx((25 * 0.08 + PRIOR_CASES * 0.05) / (25 + PRIOR_CASES))
    for place in (0, 3):
        assert (found[place] == one.with_labels[place]).all()


def test_a_modality_without_any_label_is_predicted_by_others() -> None:
    """It has no expert; what it imputes has."""
    plan = make_plan(labels=2)
    sites = {f"b{i}": draw(plan, 80, i) for i in range(2)} | {"i": draw(plan, 80, 5, has=["image"])}
    sites = {
        name: replace(d, labels=np.where(d.present["text"][:, None], np.nan, d.labels))
        for name, d in sites.items()
    }
    assert solved(plan, sites)["blend.power"][2].min() > 0


def test_scores_of_modalities_that_no_case_has_both_of_are_independent_within_a_class() -> None:
    """Then the label alone makes them vary together, as 0.1^2 / 0.25; scores of one source are as measured."""
    one, source = measured(known=100, positive=50), [source for _, source in PAIRS]
    apart = replace(one, cases=one.cases * np.equal.outer(source, source))
    found = inferred_together(apart, one.with_labels)
    assert found[IMAGE, PAIRS.index(("text", "text"))] == pytest.approx(0.04)
    assert found[IMAGE, 1] == pytest.approx(one.together[IMAGE, 1])


def test_scores_of_modalities_that_cases_have_together_vary_as_measured() -> None:
    """A hundred such cases leave a tenth of what is inferred."""
    one = measured(known=100, positive=50)
    found = inferred_together(one, one.with_labels)[IMAGE, STAND_IN, 1]
    assert found == pytest.approx((100 * 0.5 + PRIOR_CASES * 0.1 * 0.08 / 0.25) / (100 + PRIOR_CASES))
