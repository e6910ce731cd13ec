"""The whole model that trains: standardisation, FIN and fusion head, filled from named numpy tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fedfin.fusion.basis import Basis
from fedfin.fusion.calibration import Calibration
from fedfin.fusion.closed_form_fin import Gaussian
from fedfin.fusion.enough import Enough
from fedfin.fusion.experts import Blend, Experts, pattern_rows
from fedfin.fusion.fin import make_fin
from fedfin.fusion.head import FusionHead
from fedfin.fusion.magnitudes import Magnitudes
from fedfin.fusion.modality import ByModality, key, parts, total, wire_name
from fedfin.fusion.spread import Spread
from fedfin.model.answer_counts import enough_shapes
from fedfin.model.fin_spec import CLOSED_FORMS, TRAINED, fin_variant
from fedfin.model.model_spec import CLIP, FLOOR, RELATIVE_FLOOR, cosines, has_own_columns, quantized_shapes
from fedfin.plan import Plan
from fedfin.plan_sections import Scale


@dataclass(frozen=True)
class Imputation:
    """Estimates of every modality, standardised; empty where the FIN makes none.

    mean: modality -> float32 [n, dim]; spread: the share of the variance that is left, [n or 1, dim], 1 where nothing
    is known.
    """

    mean: dict[str, Tensor]
    spread: dict[str, Tensor]


class FusionModel(nn.Module):
    """A plan's model. Its values are undefined until `load_tensors`.

    Raw features and which are present go in; logits and the imputed standardised features come out.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        dims, labels, variant = plan.dims, len(plan.labels), fin_variant(plan)
        widths = cosines(plan)
        reads = {modality: dim + widths.get(modality, 0) for modality, dim in dims.items()}
        self._gate, self._answer = plan.model.gate, plan.model.answer
        self._may_lose_modalities = bool(plan.privacy.least_sites_per_block)
        self.fin = make_fin(plan)
        self.gaussian = Gaussian(dims, reads) if variant in CLOSED_FORMS else None
        self.spread = Spread(dims) if variant in TRAINED else None
        self.basis = Basis(dims, widths)
        self.head = FusionHead(dims, labels, plan.model.head_width, own=has_own_columns(plan))
        self.expert = None if self._answer == "head" else Experts(reads, labels)
        self.blend = None if self._answer == "head" else Blend(len(dims), labels)
        self.calibration = Calibration(2 ** len(dims), labels) if self._answer == "both" else None
        self.update = Magnitudes(len(quantized_shapes(plan))) if plan.codec.quantized else None
        self.enough = Enough(enough_shapes(plan)) if plan.privacy.least_answers else None
        self.norm = parts({m.name: Standardise(m.dim, m.scale) for m in plan.modalities})

    def forward(self, features: ByModality, present: ByModality) -> tuple[Tensor, Imputation]:
        """Answer cases as they come.

        features: modality -> float32 [n, dim]; present: modality -> bool [n]. Every modality of the plan is
        given; rows that are not present may hold anything finite. Returns logits [n, labels] and what was imputed,
        of which the head used the rows not present.
        """
        standard = self.standardise(features, present)
        imputed = self.impute(standard, present)
        if self.expert is None:
            return self.head(standard, present, self.gated(imputed), missing(present)), imputed
        experts = self.experts(standard, present)
        if self.calibration is None:
            return experts, imputed
        head = self.head(standard, present, self.gated(imputed), missing(present))
        return self.calibration(head, experts, pattern_rows(present)), imputed

    def calibration_logits(self, features: ByModality, present: ByModality) -> tuple[Tensor, Tensor]:
        """What calibration measures, [n, labels] each: the head's logits, as it trains; the experts' in deviations."""
        assert self.blend is not None, "the plan has experts"
        experts = self.experts(self.standardise(features, present), present)
        return self.head_logits(features, present), self.blend.deviations(experts, present)

    def head_logits(self, features: ByModality, present: ByModality) -> Tensor:
        """The head's, as it trains, [n, labels]."""
        standard = self.standardise(features, present)
        logits: Tensor = self.head(
            standard, present, self.gated(self.impute(standard, present)), missing(present)
        )
        return logits

    def impute(self, standard: ByModality, shown: ByModality) -> Imputation:
        """Estimate every modality from those shown. standard: float32 [n, dim], zero where not shown."""
        mean = self.fin(standard, shown)
        spread = {} if self.spread is None else self.spread({m: self._norm(m).variance() for m in shown})
        if self.gaussian is not None:
            closed, left = self.gaussian(self.expanded(standard), shown)
            mean = {m: values + mean[m] if m in mean else values for m, values in closed.items()}
            spread = spread or left
        return Imputation(mean, spread)

    def explained(self, imputed: Imputation, present: ByModality) -> Tensor:
        """What is known of each missing modality: share of its features' variance, [n, modalities]; 0 where given."""
        known = missing(present)
        columns = [
            known[m] * self._norm(m).mean_share(1 - imputed.spread[m]) if m in imputed.spread else 0.0 * mask
            for m, mask in present.items()
        ]
        return torch.stack(columns, dim=1)

    def gated(self, imputed: Imputation) -> dict[str, Tensor]:
        """What the head sees of the estimates, for a constant to it: FIN learns from its own loss only.

        Fill-ins that claim no variance pass as they are.
        """
        mean = {m: values.detach() for m, values in imputed.mean.items()}
        if self._gate == "none" or not imputed.spread:
            return mean
        return {m: values * (1 - imputed.spread[m].detach()).clamp(0, 1) for m, values in mean.items()}

    def experts(self, standard: ByModality, shown: ByModality) -> Tensor:
        """The closed-form experts' logits, [n, labels]."""
        assert self.expert is not None, "the plan has experts"
        logits: Tensor = self.expert(self.expanded(standard), shown, self.blend)
        return logits

    def expanded(self, standard: ByModality) -> ByModality:
        """What closed forms read: the features, and random ones where the plan has some."""
        expanded: dict[str, Tensor] = self.basis(standard)
        return expanded

    def standardise(self, features: ByModality, present: ByModality) -> dict[str, Tensor]:
        """Features in pooled standard deviations from the pooled mean; zero where not present, or not pooled."""
        read = {
            m: mask & self._norm(m).pooled() if self._may_lose_modalities else mask
            for m, mask in present.items()
        }
        return {
            m: torch.where(read[m].unsqueeze(1), self._norm(m)(values), 0.0) for m, values in features.items()
        }

    def _norm(self, modality: str) -> "Standardise":
        norm = self.norm[key(modality)]
        assert isinstance(norm, Standardise)
        return norm

    def draw_features(self, modality: str, count: int, generator: torch.Generator) -> Tensor:
        """So many cases' that are distributed as the pooled ones, feature by feature: float32 [count, dim]."""
        norm = self._norm(modality)
        drawn = torch.randn((count, len(norm.mean)), generator=generator)
        return norm.mean + drawn * norm.pooled_variance().sqrt()

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


def load_model(plan: Plan, tensors: Mapping[str, NDArray[np.float32]]) -> FusionModel:
    """The plan's model with these values. Raises KeyError or ValueError when they are not the plan's."""
    model = FusionModel(plan)
    model.load_tensors(tensors)
    return model


class Standardise(nn.Module):
    """Pooled moments of one modality; buffers, so that no gradient trains them."""

    def __init__(self, dim: int, scale: Scale = "feature") -> None:
        super().__init__()
        self._keeps_scale = scale == "modality"
        self.mean: Tensor
        self.square: Tensor
        self.register_buffer("mean", torch.empty(dim))
        self.register_buffer("square", torch.empty(dim))

    def forward(self, features: Tensor) -> Tensor:
        """[n, dim] to [n, dim]: deviations of each feature, clipped to +-CLIP, then at the features' own scale."""
        clipped = ((features - self.mean) / self.pooled_variance().sqrt()).clamp(-CLIP, CLIP)
        return clipped * self.variance().sqrt() if self._keeps_scale else clipped

    def pooled(self) -> Tensor:
        """Whether anybody has pooled any, bool: the first version's mean is zero."""
        return self.mean.any()

    def pooled_variance(self) -> Tensor:
        """[dim], in the encoder's units."""
        floor = RELATIVE_FLOOR * self.square + FLOOR
        return torch.maximum(self.square - self.mean.square(), floor)

    def variance(self) -> Tensor:
        """[dim], of the standardised features: all 1, or 1 in the mean."""
        pooled = self.pooled_variance()
        return pooled / pooled.mean() if self._keeps_scale else torch.ones_like(pooled)

    def mean_share(self, shares: Tensor) -> Tensor:
        """The share of the modality's variance, [n], from those of its features, [n or 1, dim]."""
        return (shares * self.variance()).mean(dim=1)

    def unit(self) -> Tensor:
        """What one is of the standardised features in the encoder's units, [dim]."""
        return (self.pooled_variance() / self.variance()).sqrt()


def missing(shown: ByModality) -> dict[str, Tensor]:
    """Which modalities are to be imputed, bool [n]: those not shown, of cases that show at least one."""
    known = total(mask.to(torch.int32) for mask in shown.values()) > 0
    return {modality: ~mask & known for modality, mask in shown.items()}
