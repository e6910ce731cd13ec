"""AUC equals its definition: the share of (positive, negative) pairs in the right order, ties half."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedfin.model.metrics import auc, histogram_auc, macro_auc, macro_histogram_auc, per_label_auc

PAIRS = st.lists(
    st.tuples(st.integers(-3, 3) | st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, math.nan])), max_size=40
)
COUNTS = st.integers(1, 8).flatmap(
    lambda bins: st.lists(st.lists(st.integers(0, 9), min_size=bins, max_size=bins), min_size=2, max_size=2)
)


def by_definition(scores, labels):
    positives = [s for s, y in zip(scores, labels, strict=True) if y == 1]
    negatives = [s for s, y in zip(scores, labels, strict=True) if y == 0]
    if not positives or not negatives:
        return None
    wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def same(left, right):
    return (left is None and right is None) or left == pytest.approx(right, abs=1e-12)


@given(PAIRS)
def test_auc_is_the_share_of_pairs_in_order(pairs):
    scores = [score for score, _ in pairs]
    labels = [label for _, label in pairs]
    assert same(auc(scores, labels), by_definition(scores, labels))


@given(PAIRS)
def test_auc_of_reversed_scores_is_the_complement(pairs):
    scores = np.array([score for score, _ in pairs])
    labels = np.array([label for _, label in pairs])
    forward, backward = auc(scores, labels), auc(-scores, labels)
    assert same(forward, None if backward is None else 1 - backward)


@given(COUNTS, st.sampled_from([1.0, 1e-12, 1e200]))
def test_histogram_auc_is_the_auc_of_binned_scores(counts, scale):
    """Counts or fractions: only their proportions matter."""
    scores, labels = [], []
    for label, row in enumerate(counts):
        for position, count in enumerate(row):
            scores += [position] * count
            labels += [label] * count
    assert same(histogram_auc(np.array(counts) * scale), by_definition(scores, labels))


def test_axis_zero_of_a_histogram_is_the_negatives():
    assert histogram_auc([[4, 0, 0], [0, 0, 1]]) == 1.0
    assert histogram_auc([[0, 0, 1], [4, 0, 0]]) == 0.0


def test_macro_auc_leaves_out_labels_without_both_classes():
    scores = [[0.1, 5, 0.0], [0.9, 5, 1.0], [0.5, 5, 0.5]]
    labels = [[0, 1, 1], [1, 1, 0], [math.nan, math.nan, 0]]
    assert per_label_auc(scores, labels) == [1.0, None, 0.0]
    assert macro_auc(scores, labels) == 0.5


def test_macro_histogram_auc_leaves_out_labels_without_both_classes():
    assert macro_histogram_auc([[[1, 0], [0, 1]], [[1, 1], [0, 0]], [[1, 1], [1, 1]]]) == 0.75


def test_nothing_left_to_average_is_none():
    assert macro_auc(np.zeros((3, 2)), np.full((3, 2), np.nan)) is None
    assert macro_histogram_auc(np.zeros((2, 2, 4))) is None
    assert auc([], []) is None


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([math.nan, 1], [0, 1], "no rank"),
        ([0, 1], [0, 2], "1, 0 or NaN"),
        ([0, 1], [0, 1, 1], "one shape"),
        ([[0], [1]], [[0], [1]], "one shape"),
    ],
)
def test_auc_refuses_what_it_cannot_rank(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        auc(scores, labels)


@pytest.mark.parametrize("histogram", [[[1, 2]], [1, 2], [[1, -1], [0, 1]], [[1, math.nan], [0, 1]]])
def test_histogram_auc_refuses_what_is_no_histogram(histogram):
    with pytest.raises(ValueError, match="histogram"):
        histogram_auc(histogram)
