"""A site's cases without the modalities that nobody pooled, where the plan asks for so many sites behind each.

Too few sites gave their moments, so that these were in no sum: features that nobody can standardise train nothing.
"""

import numpy as np

from fedfin.codec import Tensors
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset


def with_pooled_modalities(plan: Plan, model: Tensors, dataset: Dataset) -> Dataset:
    """As if cases had no others; those that have nothing else are left out. model: of any round after the first."""
    lost = [m for m in plan.dims if not model[f"norm.{m}.mean"].any()]  # as the first version has it
    if not any(dataset.present[m].any() for m in lost):
        return dataset
    features, present = dict(dataset.features), dict(dataset.present)
    for modality in lost:
        features[modality] = np.zeros_like(features[modality])
        present[modality] = np.zeros_like(present[modality])
    return dataset.of(np.logical_or.reduce(list(present.values())), features, present)
