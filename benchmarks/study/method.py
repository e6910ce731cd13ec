"""What a method is to the study: something that trains on a federation, then answers any case.

Federated or not, ours or a rival: the study sees all of them through this interface.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.study.federation import Federation

Floats = NDArray[np.float32]
ByModality = Mapping[str, Floats]
Present = Mapping[str, NDArray[np.bool_]]
Progress = Callable[[float], None]  # told the share of the training that is done, 0 to 1


class NotApplicableError(Exception):
    """This method is not for such data: one that writes texts, where no modality is one. Its message says why."""


@dataclass(frozen=True)
class Imputed:
    """One modality's estimates in the encoder's own units: mean float32 [n, dim]; variance alike, if claimed."""

    mean: Floats
    variance: Floats | None = None


@dataclass(frozen=True)
class Costs:
    """Of one site in the mean, over the whole training: bytes both ways. Of one answer: multiply-adds.

    Encoders are not in it: every method needs them alike. A method that encodes what it wrote adds that.
    """

    up: float
    down: float
    multiply_adds: float


class Trained(Protocol):
    """What came out of a training."""

    @property
    def costs(self) -> Costs:
        """What it took, and what an answer takes."""
        ...

    def answer(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]. features: modality -> [n, dim], anything finite where not present [n]."""
        ...

    def impute(self, features: ByModality, present: Present) -> Mapping[str, Imputed]:
        """Estimates of each modality for all n cases, of use where it is not present; empty if it makes none."""
        ...


@dataclass(frozen=True)
class SeparateModels:
    """Several models that answer each for itself: every figure is the mean of theirs."""

    parts: Sequence[Trained]

    @property
    def costs(self) -> Costs:
        """Nothing travels; an answer is one part's."""
        return Costs(0.0, 0.0, self.parts[0].costs.multiply_adds)

    def answer(self, features: ByModality, present: Present) -> Floats:
        """The first part's."""
        return self.parts[0].answer(features, present)

    def impute(self, features: ByModality, present: Present) -> Mapping[str, Imputed]:
        """The first part's."""
        return self.parts[0].impute(features, present)


class Method(Protocol):
    """One way to train. Its other fields, if it is a dataclass, are its settings."""

    @property
    def name(self) -> str:
        """What stands in settings files, results and reports."""
        ...

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """Train from nothing; every draw comes from `federation.plan.seed`. Raises NotApplicableError."""
        ...
