"""Which cases an evaluation scores, and what it shows of each; and which a calibration does."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.floor import Mask
from fedfin_edge.cases.populations import k_anonymous

Present = dict[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Scenario:
    """cases: bool [n], whom it scores; present: modality -> bool [n], what it shows."""

    name: str
    cases: NDArray[np.bool_]
    present: Present


def scenarios(present: Mapping[str, NDArray[np.bool_]]) -> Iterator[Scenario]:
    """Those of `fedfin.model.model_spec.scenarios`, in its order. present: modality -> bool [n], as recorded."""
    recorded = dict(present)
    complete = np.logical_and.reduce(list(recorded.values()))
    yield Scenario("all", complete, recorded)
    nothing = np.zeros(len(complete), np.bool_)
    for modality, mask in recorded.items():
        yield Scenario(f"only-{modality}", mask, dict.fromkeys(recorded, nothing) | {modality: mask})
    yield Scenario("as-is", np.logical_or.reduce(list(recorded.values())), recorded)


def judging(plan: Plan, dataset: Dataset) -> Iterator[tuple[Scenario, Mask, NDArray[np.float32]]]:
    """Each scenario with held-out cases of enough patients for the floor: these, bool [n], and their labels.

    Of labels NaN that the site keeps to itself (Dataset.judged_labels).
    """
    present = {modality: dataset.present[modality] for modality in plan.dims}
    held_out = k_anonymous(dataset.held_out, present, dataset.floor)
    for scenario in scenarios(present):
        chosen = scenario.cases & held_out
        if dataset.floor.allows(chosen):
            yield scenario, chosen, dataset.judged_labels(chosen, summed=plan.privacy.summed)


def calibrating(plan: Plan, dataset: Dataset) -> Mask:
    """The cases that are kept from the head's training, bool [n], but for those that so few have the modalities of."""
    present = {modality: dataset.present[modality] for modality in plan.dims}
    return k_anonymous(dataset.calibration_held_out, present, dataset.floor)
