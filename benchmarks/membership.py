"""How well members of one exchange with noise are told from others, beside sums without noise: docs/privacy.md.

    python -m benchmarks.membership

AUC by who knows the released second moments alone / who knows the population's second moments exactly, too / and all
that a candidate would add, his labels among it, at most / who knows all others, at most.
The last two are no attacks but bounds, of two normal distributions that are one clipped patient apart: their spread is
that of the population's sums and of the noise, or of the noise alone, so that the last is 1 without it. Features are
jointly normal, of one modality; mean of five draws.
"""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.dimensions import membership_auc
from fedfin import limits
from fedfin.model.second_moment_spec import second_moment_name, unpack
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds
from fedfin.privacy import contributions
from fedfin.privacy.budget import budget_of
from fedfin.privacy.clipping import STEPS, clipped, in_steps
from fedfin.privacy.discrete_gaussian import discrete_gaussian
from fedfin.privacy.shared_noise import share_of
from fedfin_aggregator.closed_form.denoised import denoised
from fedfin_aggregator.fold.fold import Sum

PATIENTS = (72, 300, 720, 3000)
DIMENSIONS = (8, 16, 32)
EPSILONS = (None, 8.0, 3.0, 1.0)  # None: no noise
DELTA = 1e-5
SITES, LABELS, TRIES = 10, 6, 5
SAMPLE, ROUNDING = 8000, 1e-9  # patients whose covariance is taken; of eigenvalues, against the largest
NAME = second_moment_name("partial", "image", "image")

Floats = NDArray[np.float64]


def table() -> Table:
    """A line for each number of dimensions and patients."""
    shown = Table(
        "dimensions", "patients", *("no noise" if e is None else f"epsilon {e:g}" for e in EPSILONS)
    )
    for dims in DIMENSIONS:
        for patients in PATIENTS:
            shown.add_row(str(dims), f"{patients:,}", *(_cell(patients, dims, e) for e in EPSILONS))
    return shown


def bound(epsilon: float | None) -> float:
    """AUC of who knows all but the candidate and the noise: of two normals, one clipped patient apart."""
    if epsilon is None:
        return 1.0
    return NormalDist().cdf(math.sqrt(budget_of(_plan(1, epsilon)).rho))


def population_bound(patients: int, dims: int, epsilon: float | None) -> float:
    """AUC of the best test for who knows the distribution of what patients add, and what the candidate would.

    A sum of n patients has n times the covariance C of one, and the noise v: a candidate is d deviations away, with d^2
    the trace of C (n C + v)^-1 in the mean. He is in one half; which one is not known here.
    """
    rng = np.random.default_rng([dims, SAMPLE])
    flat = _flat(_contributions(_plan(dims, epsilon or 1.0), rng.standard_normal((SAMPLE, dims)), rng))
    spread = np.maximum(np.linalg.eigvalsh(np.cov(clipped(flat, contributions.NORM).T)), 0.0)
    spread = spread[spread > ROUNDING * spread[-1]]
    noise = 0.0 if epsilon is None else 2 * _noise(_plan(dims, epsilon))
    away = float((spread / (patients * spread + noise)).sum())
    return NormalDist().cdf(math.sqrt(away / 2))


def _noise(plan: Plan) -> float:
    """The variance in a half's sum, in units of the norm."""
    return SITES * share_of(plan, "second_moments") / STEPS**2


def attack(patients: int, dims: int, epsilon: float | None, seed: int) -> tuple[float, float]:
    """By the sum alone; and by how it differs from what all have."""
    rng = np.random.default_rng([patients, dims, seed])
    members, others = rng.standard_normal((2, patients, dims))
    released = _released(_plan(dims, epsilon or 1.0), members, rng, noise=epsilon is not None)
    moments = released[1:, 1:] / max(released[0, 0], 1.0)
    by_sum = np.linalg.pinv(moments, hermitian=True)
    return membership_auc(members, others, by_sum), membership_auc(members, others, np.eye(dims) - moments)


def _cell(patients: int, dims: int, epsilon: float | None) -> str:
    found = np.mean([attack(patients, dims, epsilon, seed) for seed in range(TRIES)], axis=0)
    bounds = population_bound(patients, dims, epsilon), bound(epsilon)
    return " / ".join(f"{value:.2f}" for value in (*found, *bounds))


def _released(plan: Plan, members: Floats, rng: np.random.Generator, *, noise: bool) -> Floats:
    """[1 + dims, 1 + dims]: what the aggregator makes of the halves' second moments, both together."""
    if not noise:
        rows = np.insert(members, 0, 1.0, axis=1)
        return rows.T @ rows
    cases = _contributions(plan, members, rng)
    halves = np.arange(len(members)) % 2
    gram = np.zeros((1 + members.shape[1],) * 2)
    for half in (0, 1):
        parts = {name: values[halves == half] for name, values in cases.items()}
        gram += unpack(denoised(plan, _noised(plan, parts))[NAME].total / 2.0**limits.FRACTION_BITS)
    return gram


def _contributions(plan: Plan, members: Floats, rng: np.random.Generator) -> dict[str, Floats]:
    """What each of them adds, by tensor; labels are of a fifth, drawn."""
    basis = {"image": np.insert(members, 0, 1.0, axis=1)}
    labels = (rng.random((len(members), LABELS)) < 0.2).astype(np.float64)
    return contributions.second_moments(plan, basis, {"image": np.ones(len(members), np.bool_)}, labels)


def _flat(cases: dict[str, Floats]) -> Floats:
    return np.concatenate([values.reshape(len(values), -1) for values in cases.values()], axis=1)


def _noised(plan: Plan, cases: dict[str, Floats]) -> dict[str, Sum]:
    """As the sites of a federation together."""
    total = in_steps(_flat(cases), contributions.NORM).sum(axis=0)
    for _ in range(SITES):
        total += discrete_gaussian(share_of(plan, "second_moments"), total.size)
    sums, start = {}, 0
    for name, values in cases.items():
        size = values[0].size
        part = total[start : start + size].reshape(values.shape[1:])
        sums[name] = Sum(part * (2**limits.FRACTION_BITS // STEPS), SITES)
        start += size
    return sums


def _plan(dims: int, epsilon: float) -> Plan:
    modality = Modality(name="image", encoder="0" * 64, dim=dims, scale="modality", deviation=1.0)
    return Plan(
        federation="benchmark",
        labels=tuple(f"l{place}" for place in range(LABELS)),
        modalities=(modality,),
        model=Model(answer="experts", basis_total=0),
        rounds=Rounds(sites=SITES, min_sites=SITES),
        privacy=Privacy(level="private", epsilon=epsilon, delta=DELTA),
    )


if __name__ == "__main__":
    Console(width=150).print(table())
