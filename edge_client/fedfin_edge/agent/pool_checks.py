"""Whether this site's features are like the pooled ones, where nobody else can see that: with secure sums.

The pooled first moments come with the first version after them; from then on the site holds its own against them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.errors import StateError
from fedfin.model.model_spec import CLIP, FLOOR, RELATIVE_FLOOR
from fedfin.model.outlying_moments import LEAST_CASES, FeatureMoments, lost_in_the_pool, unlike_the_pool
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.site import SETTINGS, Site
from fedfin_edge.tasks.moments import pool_moments

Floats = NDArray[np.float64]

MOST_CUT = 1 / 3  # of a site's cases, in one feature: of the pool no more than one in CLIP squared can be
SAMPLE = 501  # cases


def check_own_features(site: Site, plan: Plan, dataset: Dataset, model: Tensors) -> None:
    """Raises StateError where this site's features are unlike the rest of the pool, if its people do not allow that."""
    if site.settings.policy.unlike_others:
        return
    for modality, own, mean, variance in _moments(dataset, model):
        shown = dataset.features[modality][dataset.present[modality]]
        pooled = bool(mean.any())
        if not pooled and plan.privacy.least_sites_per_block:
            continue  # it is read nowhere (pooled_modalities.py)
        evidence = unlike_the_pool(own, mean, variance) if pooled else None
        if evidence := evidence or cut_off(shown, mean, variance):
            raise StateError(
                f"{site.table_path}: this site's {modality} is unlike the federation's: {evidence}. It takes no further"
                " part: see whether units, columns and encoder are the others'; if they are, set policy.unlike_others"
                f" = true in {SETTINGS}"
            )


def cut_off(features: NDArray[np.float32], mean: Floats, variance: Floats) -> str | None:
    """In which feature more than MOST_CUT are cut at CLIP pooled deviations. features: [n, dim]; mean: [dim].

    An aggregator that makes moments up could have all but one patient of all sites cut, so that sums tell of him alone.
    Those who have the value that most have here are not counted: that of a category that is this site's is no secret.
    """
    if len(features) < LEAST_CASES:
        return None
    least = RELATIVE_FLOOR * (variance + np.square(mean)) + FLOOR
    limit, usual = CLIP * np.sqrt(np.maximum(variance, least)), np.median(features[:SAMPLE], axis=0)
    counts = np.zeros(len(mean), np.int64)
    for start in range(0, len(features), SAMPLE):  # block by block, to bound memory
        block = features[start : start + SAMPLE]
        counts += ((np.abs(block - mean) >= limit) & (block != usual)).sum(axis=0)
    share, worst = counts.max() / len(features), int(counts.argmax())
    if share <= MOST_CUT:
        return None
    return (
        f"feature {worst} of {share:.0%} of its cases is cut, at {CLIP:g} pooled deviations from the pooled mean (a"
        " third is allowed), as where an aggregator tells other moments than were pooled"
    )


def lost_modalities(dataset: Dataset, model: Tensors) -> list[str]:
    """Of which the pooled moments are so wide that other sites' features must be in other units."""
    return [
        m
        for m, own, mean, variance in _moments(dataset, model)
        if mean.any() and lost_in_the_pool(own, variance)
    ]


def _moments(dataset: Dataset, model: Tensors) -> Iterator[tuple[str, FeatureMoments, Floats, Floats]]:
    """By modality of which this site gives moments, these, and the pooled means and variances."""
    values, weights = pool_moments(dataset)
    for modality in dataset.features:
        mean_name, square_name = (f"norm.{modality}.{part}" for part in ("mean", "square"))
        if mean_name not in values or mean_name not in model:
            continue
        mean, square = (model[name].astype(np.float64) for name in (mean_name, square_name))
        own = FeatureMoments(
            weights[mean_name], *(values[name].astype(np.float64) for name in (mean_name, square_name))
        )
        yield modality, own, mean, np.maximum(square - np.square(mean), 0.0)
