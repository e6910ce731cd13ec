"""Whether this site's features are like the pooled ones, where nobody else can see that: with secure sums.

The pooled first moments come with the first version after them; from then on the site holds its own against them.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.errors import StateError
from fedfin.model.model_spec import CLIP, FLOOR, RELATIVE_FLOOR
from fedfin.model.outlying_moments import FeatureMoments, lost_in_the_pool, unlike_the_pool
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.site import SETTINGS, Site
from fedfin_edge.tasks.moments import pool_moments

Floats = NDArray[np.float64]

MOST_CUT = 1 / 3  # of a site's cases, in one feature: of the pool no more than one in CLIP squared can be


def check_own_features(site: Site, dataset: Dataset, model: Tensors) -> None:
    """Raises StateError where this site's features are unlike the rest of the pool, if its people do not allow that."""
    if site.settings.policy.unlike_others:
        return
    for modality, own, mean, variance in _moments(dataset, model):
        shown = dataset.features[modality][dataset.present[modality]].astype(np.float64)
        least = RELATIVE_FLOOR * (variance + np.square(mean)) + FLOOR
        if evidence := unlike_the_pool(own, mean, variance) or cut_off(
            shown, mean, np.maximum(variance, least)
        ):
            raise StateError(
                f"{site.table_path}: this site's {modality} is unlike the federation's: {evidence}. It takes no further"
                " part: see whether units, columns and encoder are the others'; if they are, set policy.unlike_others"
                f" = true in {SETTINGS}"
            )


def cut_off(features: Floats, mean: Floats, variance: Floats) -> str | None:
    """In which feature most cases are alike for being cut at CLIP pooled deviations. features: [n, dim]; mean: [dim].

    An aggregator that makes moments up could have all but one patient of all sites cut, so that sums tell of him alone.
    """
    if not len(features):
        return None
    share = (np.abs(features - mean) >= CLIP * np.sqrt(variance)).mean(axis=0)
    worst = int(share.argmax())
    if share[worst] <= MOST_CUT:
        return None
    return (
        f"feature {worst} of {share[worst]:.0%} of its cases is cut, at {CLIP:g} pooled deviations from the pooled mean"
        " (a third is allowed), as where an aggregator tells other moments than were pooled"
    )


def lost_modalities(dataset: Dataset, model: Tensors) -> list[str]:
    """Of which the pooled moments are so wide that other sites' features must be in other units."""
    return [m for m, own, _, variance in _moments(dataset, model) if lost_in_the_pool(own, variance)]


def _moments(dataset: Dataset, model: Tensors) -> Iterator[tuple[str, FeatureMoments, Floats, Floats]]:
    """By modality, this site's, and the pooled means and variances; nothing where nothing was pooled."""
    values, weights = pool_moments(dataset)
    for modality in dataset.features:
        mean_name, square_name = (f"norm.{modality}.{part}" for part in ("mean", "square"))
        if mean_name not in values or mean_name not in model or _unpooled(model[mean_name]):
            continue
        mean, square = (model[name].astype(np.float64) for name in (mean_name, square_name))
        own = FeatureMoments(
            weights[mean_name], *(values[name].astype(np.float64) for name in (mean_name, square_name))
        )
        yield modality, own, mean, np.maximum(square - np.square(mean), 0.0)


def _unpooled(mean: NDArray[np.float32]) -> bool:
    """As the first version has it: no cases have means of exactly nothing everywhere."""
    return not mean.any()
