"""What one exchange with noise reaches, by the number of patients and epsilon: the tables of docs/privacy.md.

    python -m benchmarks.private [--data synthetic|mfeat] [--seeds N] [--cache FOLDER]
    python -m benchmarks.private --trained

The second compares the experts with a linear head that trains under noise in TRAINED.rounds rounds, alone and beside
the experts, of the same budget.

Macro AUC x 100 on cases that neither sites nor the public have, complete ones / in the mean over what is shown of them
(both, either, half of them a random one). `no noise` is the same experts from secure sums. Synthetic cases: sixteen
latent normal numbers seen through two modalities of 64 features, six labels of 8 to 40 % that follow from them. Every
case is another patient. Ten sites; in `8:0:2` eight of them have the first modality alone, in `missing` all have both
and a case lacks either at 30 %.
"""

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.commands import add_cache, cache_folder, positive
from benchmarks.data.cases import Cases
from benchmarks.study.deal import Recipe, deal
from benchmarks.study.federation import Federation
from benchmarks.study.measure import auc_figures
from benchmarks.study.method import Floats, Method, Trained
from benchmarks.study.methods.private_experts import EXPERTS, OneExchange, PrivateExperts, PrivateHead
from benchmarks.study.methods.projected import Projected
from benchmarks.study.patterns import COMPLETE, views
from benchmarks.study.settings import DATA, Setting
from benchmarks.study.sources import Pool, load_pool
from fedfin.plan_sections import Model, Privacy, Training
from fedfin_edge.cases.dataset import Dataset

PATIENTS = {"synthetic": (100, 300, 1000, 3000, 10_000), "mfeat": (100, 300, 1000)}
EPSILONS = (8.0, 3.0, 1.0)
DELTA = 1e-5
COLUMNS = (8, 32)
SETTINGS = {
    "8:0:2": Setting(ratio="8:0:2", held_out=0.15, public=0.1),
    "missing": Setting(missing=0.3, held_out=0.15, public=0.1),
}

RECIPE = Recipe(1, Model(), Training())


@dataclass(frozen=True)
class TrainedUnderNoise:
    """How, and of how many patients."""

    rounds: int = 20
    learning_rate: float = 1.0
    training_share: float = 0.5
    patients: tuple[int, ...] = (1000, 3000)


TRAINED = TrainedUnderNoise()

LATENT, FEATURES, RATES = 16, 64, (0.08, 0.1, 0.15, 0.2, 0.3, 0.4)
POOL = 13_500  # cases, of which 75 % may train


def synthetic(count: int) -> Pool:
    """Cases of the module's docstring."""
    rng = np.random.default_rng(1)
    latent = rng.standard_normal((count, LATENT))
    features = {name: _seen(latent, rng) for name in ("image", "text")}
    scores = latent @ rng.standard_normal((LATENT, len(RATES))) + rng.logistic(0.0, 1.5, (count, len(RATES)))
    labels = scores > [np.quantile(column, 1 - rate) for column, rate in zip(scores.T, RATES, strict=True)]
    present = dict.fromkeys(features, np.ones(count, np.bool_))
    return Pool(Cases(features, present, labels.astype(np.float32), np.arange(count)), ("any",) * count, {})


def _seen(latent: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """Through random axes, with as much noise, at scales that fall like those of encoders' features."""
    scale = np.arange(1, FEATURES + 1) ** -0.5
    seen = latent @ rng.standard_normal((LATENT, FEATURES)) / LATENT**0.5
    features: Floats = ((seen + rng.standard_normal(seen.shape)) * scale).astype(np.float32)
    return features


def fewer(federation: Federation, patients: int, seed: int) -> Federation | None:
    """So many training cases of it, drawn over all sites; None where it has not as many."""
    sizes = {name: len(dataset) for name, dataset in federation.sites.items()}
    total = sum(sizes.values())
    if total < patients:
        return None
    kept = np.zeros(total, np.bool_)
    kept[np.random.default_rng([seed, patients]).permutation(total)[:patients]] = True
    parts = np.split(kept, np.cumsum(list(sizes.values()))[:-1])
    sites = {
        name: _rows(dataset, part)
        for (name, dataset), part in zip(federation.sites.items(), parts, strict=True)
    }
    return dataclasses.replace(federation, sites=sites, recorded={})


def _rows(dataset: Dataset, kept: NDArray[np.bool_]) -> Dataset:
    return Dataset(
        {m: values[kept] for m, values in dataset.features.items()},
        {m: values[kept] for m, values in dataset.present.items()},
        dataset.labels[kept],
        dataset.held_out[kept],
        validation=dataset.calibration_held_out[kept],
        second_half=dataset.in_second_half[kept],
    )


def methods(columns: int) -> list[Method]:
    """Without noise, then by epsilon."""
    plain = OneExchange("no noise", model={"answer": EXPERTS.answer})
    noised = [
        PrivateExperts(f"epsilon {epsilon:g}", privacy=Privacy(level="private", epsilon=epsilon, delta=DELTA))
        for epsilon in EPSILONS
    ]
    return [Projected(m.name, m, "principal", "modality", columns, 1.0) for m in (plain, *noised)]


def trained_methods(columns: int) -> list[Method]:
    """The experts of one exchange, a head alone, and both, by epsilon."""
    found = []
    for epsilon in EPSILONS:
        privacy = Privacy(
            level="private", epsilon=epsilon, delta=DELTA, training_share=TRAINED.training_share
        )
        rates = {"learning_rate": TRAINED.learning_rate}
        found += [
            PrivateExperts(f"{epsilon:g}: experts", privacy=privacy),
            *(
                PrivateHead(
                    f"{epsilon:g}: {answer}",
                    model={"answer": answer},
                    training=rates,
                    privacy=privacy,
                    rounds=TRAINED.rounds,
                )
                for answer in ("head", "both")
            ),
        ]
    return [Projected(m.name, m, "principal", "modality", columns, 1.0) for m in found]


def scores(trained: Trained, federation: Federation, seed: int) -> tuple[float, float]:
    """Macro AUC x 100 of complete cases, and in the mean over views."""
    found = by_view(trained, federation, seed)
    return found[COMPLETE], float(np.mean(list(found.values())))


def by_view(trained: Trained, federation: Federation, seed: int) -> dict[str, float]:
    """Macro AUC x 100 by what is shown of the judge's cases."""
    judge, found = federation.judge, {}
    for name, shown in views(judge, seed).items():
        visible = {m: values * shown[m][:, None] for m, values in judge.features.items()}
        found[name] = auc_figures(trained.answer(visible, shown), judge.labels)[0]
    return {name: auc for name, auc in found.items() if auc is not None}


def table(
    pool: Pool,
    setting: Setting,
    patients: Sequence[int],
    seeds: int,
    *,
    made: Callable[[int], Sequence[Method]] = methods,
    columns: Sequence[int] = COLUMNS,
) -> Table:
    """A line for each number of columns and patients. made: by the number of columns, the methods."""
    shown = Table("columns", "patients", *(method.name for method in made(columns[0])))
    dealt = [deal(pool, setting, seed, RECIPE) for seed in range(seeds)]
    for number in columns:
        for count in patients:
            cells = [_cell(dealt, method, count) for method in made(number)]
            shown.add_row(str(number), f"{count:,}", *cells)
    return shown


def _cell(dealt: Sequence[Federation], method: Method, patients: int) -> str:
    found = []
    for seed, whole in enumerate(dealt):
        federation = fewer(whole, patients, seed)
        if federation is not None:
            found.append(scores(method.train(federation, lambda _: None), federation, seed))
    return " / ".join(f"{value:.1f}" for value in np.mean(found, axis=0)) if found else "-"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", choices=sorted(PATIENTS), default="synthetic")
    parser.add_argument(
        "--seeds", type=positive, default=3, metavar="N", help="draws of sites and noise (default: 3)"
    )
    parser.add_argument(
        "--trained", action="store_true", help="a head that trains under noise, beside experts"
    )
    add_cache(parser)
    args = parser.parse_args()
    pool, console = pool_of(args.data, cache_folder(args)), Console(width=150)
    for name, setting in SETTINGS.items():
        console.print(f"{args.data}, {name}, delta {DELTA:g}, {args.seeds} seeds")
        if args.trained:
            few = [count for count in PATIENTS[args.data] if count in TRAINED.patients]
            columns = COLUMNS[-1:]
            console.print(table(pool, setting, few, args.seeds, made=trained_methods, columns=columns))
        else:
            console.print(table(pool, setting, PATIENTS[args.data], args.seeds))


def pool_of(data: str, cache: Path) -> Pool:
    """The cases of `--data`."""
    return (
        synthetic(POOL) if data == "synthetic" else load_pool(DATA[data], cache, lambda _done, _total: None)
    )


if __name__ == "__main__":
    main()
