"""The whole model that trains: standardisation, FIN and fusion head, filled from named numpy tensors."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedfin.plan import Plan
from fusion.fin import make_fin
from fusion.head import FusionHead
from fusion.modality import ByModality, key, parts, total, wire_name

# In standard deviations. Beyond, a feature is an outlier, and one case would steer a small site's round.
CLIP = 6.0
# The least variance, of the mean square (float32 moments know no better) and absolutely (a constant zero).
RELATIVE_FLOOR, FLOOR = 1e-6, 1e-12


class FusionModel(nn.Module):
    """A plan's model. Its values are undefined until `load_tensors`.

    Raw features and which are present go in; logits and the imputed standardised features come out.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.fin = make_fin(plan)
        imputes = any(True for _ in self.fin.parameters())
        self.head = FusionHead(plan.dims, len(plan.labels), plan.model.head_width, imputes=imputes)
        self.norm = parts({modality: Standardise(dim) for modality, dim in plan.dims.items()})

    def forward(self, features: ByModality, present: ByModality) -> tuple[Tensor, dict[str, Tensor]]:
        """Answer cases as they come.

        features: modality -> float32 [n, dim]; present: modality -> bool [n]. Every modality of the plan is
        given; rows that are not present may hold anything finite. Returns logits [n, labels] and the imputed
        features, modality -> float32 [n, dim], of which the head used the rows not present.
        """
        standard = self.standardise(features, present)
        imputed = self.fin(standard, present)
        return self.head(standard, present, imputed, missing(present)), imputed

    def standardise(self, features: ByModality, present: ByModality) -> dict[str, Tensor]:
        """Features in pooled standard deviations from the pooled mean; zero where not present."""
        return {
            modality: torch.where(present[modality].unsqueeze(1), self.norm[key(modality)](values), 0.0)
            for modality, values in features.items()
        }

    def load_tensors(self, tensors: Mapping[str, NDArray[np.float32]]) -> None:
        """Copy values from wire tensors. Raises KeyError or ValueError when they are not the plan's."""
        own = self._named()
        if own.keys() != tensors.keys():
            raise KeyError(f"tensors differ from the plan's: {sorted(own.keys() ^ tensors.keys())}")
        for name, value in own.items():
            if tuple(value.shape) != tensors[name].shape:
                raise ValueError(
                    f"{name} has shape {tensors[name].shape}, the plan's is {tuple(value.shape)}"
                )
            value.copy_(torch.from_numpy(np.array(tensors[name], dtype=np.float32)))

    def dump_tensors(self) -> dict[str, NDArray[np.float32]]:
        """Wire tensors by name, sorted; copies."""
        return {name: value.numpy().copy() for name, value in sorted(self._named().items())}

    def trainable(self) -> dict[str, nn.Parameter]:
        """Everything that learns by gradient, by wire name, sorted."""
        return dict(sorted((wire_name(name), value) for name, value in self.named_parameters()))

    def _named(self) -> dict[str, Tensor]:
        return {wire_name(name): value for name, value in self.state_dict().items()}


class Standardise(nn.Module):
    """Pooled moments of one modality; buffers, so that no gradient trains them."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.square: Tensor
        self.register_buffer("mean", torch.empty(dim))
        self.register_buffer("square", torch.empty(dim))

    def forward(self, features: Tensor) -> Tensor:
        """[n, dim] to [n, dim], clipped to +-CLIP."""
        floor = RELATIVE_FLOOR * self.square + FLOOR
        std = torch.maximum(self.square - self.mean.square(), floor).sqrt()
        return ((features - self.mean) / std).clamp(-CLIP, CLIP)


def missing(shown: ByModality) -> dict[str, Tensor]:
    """Which modalities are to be imputed, bool [n]: those not shown, of cases that show at least one."""
    known = total(mask.to(torch.int32) for mask in shown.values()) > 0
    return {modality: ~mask & known for modality, mask in shown.items()}
