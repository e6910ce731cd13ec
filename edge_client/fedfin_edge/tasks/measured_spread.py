"""What FIN leaves of each feature's variance, measured on what it is asked for in a round's first epoch."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class MeasuredSpread:
    """Mean squared errors by feature, over an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._cases: dict[str, int] = {}

    def add(self, errors: Mapping[str, Tensor], asked: Mapping[str, Tensor]) -> None:
        """One batch's squared errors, modality -> [n, dim], and which of them were asked for, bool [n]."""
        for modality, values in errors.items():
            if count := int(asked[modality].sum()):
                total = values.detach()[asked[modality]].sum(dim=0)
                self._sums[modality] = self._sums.get(modality, torch.zeros_like(total)) + total
                self._cases[modality] = self._cases.get(modality, 0) + count

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """By the model's names, of what was asked for."""
        return {f"spread.{m}": (total / self._cases[m]).numpy() for m, total in self._sums.items()}
