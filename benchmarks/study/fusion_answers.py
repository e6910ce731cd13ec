"""What a FusionModel answers and imputes, in arrays and in the encoders' units; and what one answer takes."""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.study.method import ByModality, Floats, Imputed, Present
from fedfin.fusion.modality import key
from fedfin.fusion.model import FusionModel, Imputation, Standardise
from fedfin.plan import Plan

BATCH = 256  # cases at a time, to bound memory


class FusionAnswers:
    """A plan's model with its trained tensors."""

    def __init__(self, plan: Plan, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        self._plan = plan
        self._model = FusionModel(plan)
        self._model.load_tensors(tensors)

    def probability(self, features: ByModality, present: Present) -> Floats:
        """Probability [n, labels]."""
        return np.concatenate([logits.sigmoid().numpy() for logits, _ in self._batches(features, present)])

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:
        """Estimates of every modality for all cases [n, dim]; empty from a model that makes none."""
        parts = [imputed for _, imputed in self._batches(features, present)]
        return {m: self._in_units(m, parts) for m in parts[0].mean} if parts else {}

    def multiply_adds(self) -> float:
        """Of one case of which only the plan's first modality is there; two floating-point operations are one."""
        features = {m: torch.zeros(1, dim) for m, dim in self._plan.dims.items()}
        present = {m: torch.tensor([m == next(iter(features))]) for m in features}
        # The fused attention kernel for CPUs is not counted; the plain one is, and multiplies as much.
        with (
            torch.inference_mode(),
            torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            self._model(features, present)
        return float(counter.get_total_flops()) / 2

    def _batches(self, features: ByModality, present: Present) -> Iterator[tuple[Tensor, Imputation]]:
        count = len(next(iter(present.values())))
        with torch.inference_mode():
            for at in range(0, count, BATCH):
                rows = slice(at, at + BATCH)
                chosen = {m: torch.from_numpy(features[m][rows]) for m in self._plan.dims}
                yield self._model(chosen, {m: torch.from_numpy(present[m][rows]) for m in self._plan.dims})

    def _in_units(self, modality: str, parts: list[Imputation]) -> Imputed:
        """From standardised units back to the encoder's."""
        norm = self._model.norm[key(modality)]
        assert isinstance(norm, Standardise)
        mean, unit, variance = (part.numpy() for part in (norm.mean, norm.unit(), norm.pooled_variance()))
        estimate = np.concatenate([part.mean[modality].numpy() for part in parts])
        claimed = [_rows(part.spread[modality], part.mean[modality]) for part in parts if part.spread]
        return Imputed(
            (estimate * unit + mean).astype(np.float32),
            (np.concatenate(claimed) * variance).astype(np.float32) if claimed else None,
        )


def _rows(spread: Tensor, mean: Tensor) -> Floats:
    """A variance for each case, also where it is the same for all."""
    values: Floats = spread.expand_as(mean).numpy()
    return values
