"""P-FIN (arXiv 2604.12970): imputation with a variance, a gate on what is unreliable, updates weighted by reliability.

Its abstract tells: the network gives a mean and a calibrated variance, a sigmoid of the variance attenuates features
before they are classified, and Fed-UQ-Avg prefers sites whose imputation is reliable. Decided here, for want of more:
Gaussian negative log-likelihood; the gate sigmoid(-log variance) = 1 / (1 + variance) in standardised units; a site's
weight times the mean gate of what it imputed (1 where it imputes nothing); the network trains first, in as many rounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.study.federation import Federation
from benchmarks.study.method import (
    ByModality,
    Costs,
    Floats,
    Imputed,
    NotApplicableError,
    Present,
    Progress,
    Trained,
)
from benchmarks.study.methods.averaging import Batch, Recipe, average
from benchmarks.study.methods.filled import ON_FILLED, TrainedFilled, add, fill
from benchmarks.study.methods.units import Units, pooled
from fedfin.plan_sections import Training
from fedfin_edge.cases.dataset import Dataset

LEAST, MOST = -6.0, 2.0  # of the log variance


@dataclass(frozen=True)
class ProbabilisticFin:
    """width: of the network."""

    name: str = "p-fin"
    width: int = 256

    def train(self, federation: Federation, progress: Progress) -> Trained:
        """First the imputation, then the ordinary rounds on gated estimates. Raises NotApplicableError."""
        units = pooled(federation.sites.values())
        dims, training = federation.plan.dims, federation.plan.training
        pairs = {name: _complete(d, units) for name, d in federation.sites.items()}
        pairs = {name: tensors for name, tensors in pairs.items() if len(tensors[0])}
        if not pairs:
            raise NotApplicableError("no site has complete cases to learn imputation from")
        torch.manual_seed(federation.plan.seed)
        network = _Network(dims, self.width)
        sent = average(
            network,
            pairs,
            _loss,
            _recipe(training, federation.plan.rounds.count),
            federation.plan.seed,
            lambda share: progress(share / 2),
        )
        imputer = _Imputer(network, units)
        gated = {name: imputer.gated(d.features, d.present) for name, d in federation.sites.items()}
        sites = {name: fill(d, gated[name]) for name, d in federation.sites.items()}
        trust = {name: imputer.reliability(d.features, d.present) for name, d in federation.sites.items()}
        inner = ON_FILLED.train(
            replace(federation, sites=sites), lambda s: progress(0.5 + s / 2), trust=trust
        )
        used = sum(value.numel() for value in network.parameters())
        return _Trained(
            inner, imputer, add(inner.costs, up=sent * len(pairs) / len(sites), down=sent, multiply_adds=used)
        )


def _recipe(training: Training, rounds: int) -> Recipe:
    return Recipe(rounds, training.epochs, training.batch_size, training.learning_rate, training.weight_decay)


class _Network(nn.Module):
    """From the shown modalities' features side by side to mean and log variance of all."""

    def __init__(self, dims: Mapping[str, int], width: int) -> None:
        super().__init__()
        self.sizes = list(dims.values())
        total = sum(self.sizes)
        self.hidden = nn.Sequential(nn.Linear(total, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(width, total), nn.Linear(width, total)

    def forward(self, shown: Tensor) -> tuple[Tensor, Tensor]:
        """[n, all features], zero where not shown, to two of the same shape."""
        state = self.hidden(shown)
        return self.mean(state), self.log_variance(state).clamp(LEAST, MOST)


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    """Negative log-likelihood of modalities that are hidden in turn, one of each case."""
    (whole,) = batch
    assert isinstance(network, _Network)
    hidden = torch.zeros_like(whole, dtype=torch.bool)
    ends = np.cumsum(network.sizes)
    for place, (size, end) in enumerate(zip(network.sizes, ends, strict=True)):
        rows = torch.arange(len(whole)) % len(network.sizes) == place
        hidden[rows, int(end) - size : int(end)] = True
    mean, log_variance = network(whole.masked_fill(hidden, 0.0))
    losses = 0.5 * (log_variance + (whole - mean).square() * (-log_variance).exp())
    loss: Tensor = losses[hidden].mean()
    return loss


class _Imputer:
    """The trained network in arrays and units."""

    def __init__(self, network: _Network, units: Units) -> None:
        self._network, self._units = network, units

    def _estimates(
        self, features: ByModality, present: Present
    ) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Standardised mean and variance of every modality, [n, dim]."""
        shown = [self._units.standard(m, v) * present[m][:, None] for m, v in features.items()]
        with torch.inference_mode():
            mean, log_variance = self._network(torch.from_numpy(np.concatenate(shown, axis=1)))
        ends = np.cumsum(self._network.sizes)[:-1]
        means, variances = (np.split(t.numpy(), ends, axis=1) for t in (mean, log_variance.exp()))
        return dict(zip(features, means, strict=True)), dict(zip(features, variances, strict=True))

    def gated(self, features: ByModality, present: Present) -> dict[str, Floats]:
        """What the head sees, in the encoder's units."""
        mean, variance = self._estimates(features, present)
        return {m: self._units.back(m, mean[m] / (1 + variance[m])) for m in features}

    def reliability(self, features: ByModality, present: Present) -> float:
        """The mean gate of what a site imputes."""
        _, variance = self._estimates(features, present)
        gates = [1 / (1 + variance[m][~mask]) for m, mask in present.items() if (~mask).any()]
        return float(np.mean([gate.mean() for gate in gates])) if gates else 1.0

    def imputed(self, features: ByModality, present: Present) -> dict[str, Imputed]:
        """Mean and variance in the encoder's units."""
        mean, variance = self._estimates(features, present)
        scale = {m: np.square(self._units.deviation[m]) for m in features}
        return {m: Imputed(self._units.back(m, mean[m]), variance[m] * scale[m]) for m in features}


class _Trained(TrainedFilled):
    """Estimates are shown without the gate, with the variance that is claimed for them."""

    def __init__(self, inner: Trained, imputer: _Imputer, costs: Costs) -> None:
        super().__init__(inner, imputer.gated, costs)
        self._imputer = imputer

    def impute(self, features: ByModality, present: Present) -> dict[str, Imputed]:
        """Mean and variance."""
        return self._imputer.imputed(features, present)


def _complete(dataset: Dataset, units: Units) -> list[Tensor]:
    rows = np.logical_and.reduce(list(dataset.present.values()))
    standard = [units.standard(m, values[rows]) for m, values in dataset.features.items()]
    return [torch.from_numpy(np.concatenate(standard, axis=1))]
