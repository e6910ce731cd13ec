"""What one bad site costs, and whether it is found: the tables of docs/security.md.

    python -m benchmarks.bad_sites [--seeds N] [--rounds N] [--cache FOLDER]
    python -m benchmarks.bad_sites --healthy N [--data NAME] [--first-seed N]

Digits in two views (mfeat), ten sites, eight of which have the common view alone. One site is bad: the first, or the
last, which has pairs. Macro AUC x 100 on complete cases / the common view alone / the rare view alone, of the default
plan: without that site, with it as the checks leave it in or out, and with it in whatever they say.

The second counts alarms in N healthy federations, a third of them with classes dealt unevenly (Dirichlet, 0.3) and a
third very unevenly (0.1); only the checks run. Thresholds were set on mfeat, with seeds from 0: `--first-seed` and
`--data`, of the study's data sets, name others.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.commands import add_cache, cache_folder, positive
from benchmarks.study.deal import Recipe, deal
from benchmarks.study.federation import Federation
from benchmarks.study.measure import auc_figures
from benchmarks.study.methods.plan_method import TrainedPlan
from benchmarks.study.patterns import ALONE, COMPLETE, views
from benchmarks.study.rounds import Rounds
from benchmarks.study.settings import DATA, Setting
from benchmarks.study.sources import Pool, load_pool
from fedfin.errors import InputError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.plan_sections import Model, Training
from fedfin.protocol.schedule import last_round
from fedfin_aggregator.rounds.outlying_sites import Outlier, outliers_by_features, outliers_by_labels
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.moments import pool_moments
from fedfin_edge.tasks.run_task import run_task

NOBODY = frozenset[str]()
SETTING = Setting(ratio="8:0:2")
HEALTHY = (0.0, 0.3, 0.1)  # alpha of the Dirichlet distribution; 0: evenly
SIZES = ("8:0:2", "4:4:2", "0:0:10", "0:0:3", "0:0:2")
SHIFT = 5.0  # deviations
Floats = NDArray[np.float32]
Sites = Mapping[str, Dataset]


def _features(how: Callable[[Floats], Floats]) -> Callable[[Dataset], Dataset]:
    def fault(dataset: Dataset) -> Dataset:
        return replace(dataset, features={m: how(values) for m, values in dataset.features.items()})

    return fault


def _labels(how: Callable[[Floats], Floats]) -> Callable[[Dataset], Dataset]:
    return lambda dataset: replace(dataset, labels=how(dataset.labels))


def _half(values: Floats) -> Floats:
    """Every second row in other units."""
    odd = np.arange(len(values))[:, None] % 2 == 1
    return np.where(odd, 1000 * values, values).astype(np.float32)


def _half_drawn(labels: Floats) -> Floats:
    """Every second case has another's labels."""
    wrong = labels.copy()
    wrong[::2] = labels[::2][np.random.default_rng(0).permutation(len(labels[::2]))]
    return wrong


def _one_class(labels: Floats) -> Floats:
    return np.broadcast_to(np.eye(labels.shape[1], dtype=np.float32)[0], labels.shape).copy()


FAULTS: dict[str, Callable[[Dataset], Dataset]] = {
    "units (x 1000)": _features(lambda x: 1000 * x),
    "units (/ 1000)": _features(lambda x: (x / 1000).astype(np.float32)),
    f"shift ({SHIFT:g} deviations)": _features(lambda x: (x + SHIFT * x.std(axis=0)).astype(np.float32)),
    "half of the rows x 1000": _features(_half),
    "constants": _features(np.ones_like),
    "inverted labels": _labels(lambda y: (1 - y).astype(np.float32)),
    "half of the labels drawn": _labels(_half_drawn),
    "one class": _labels(_one_class),
}


@dataclass(frozen=True)
class Checked:
    """A federation that has pooled its statistics: of the sites that were left, and what was found before."""

    rounds: Rounds
    found: tuple[Outlier, ...]


def checked(plan: Plan, sites: Sites, *, heeded: bool = True) -> Checked:
    """The first two rounds, with the checks that the aggregator makes. `heeded`: who is to be left out is."""
    first = {name: pool_moments(dataset) for name, dataset in sites.items()}
    found = outliers_by_features(plan, lambda: ((n, *update) for n, update in first.items()), NOBODY)
    kept = _kept(sites, found) if heeded else sites
    rounds = Rounds(plan, kept)
    rounds.run(1)
    second = {name: _second_moments(rounds, name, dataset) for name, dataset in kept.items()}
    found += outliers_by_labels(plan, lambda: ((n, *update) for n, update in second.items()), NOBODY)
    if heeded:
        rounds.replace(_kept(kept, found))
    return Checked(rounds, tuple(found))


def _kept(sites: Sites, found: list[Outlier]) -> Sites:
    """Without those that are left out."""
    gone = {outlier.site for outlier in found if outlier.standing != "named"}
    return {name: dataset for name, dataset in sites.items() if name not in gone}


def _second_moments(rounds: Rounds, name: str, dataset: Dataset) -> tuple[dict[str, Floats], dict[str, int]]:
    task: Task = "second_moments"
    result = run_task(
        rounds.plan, task, 2, rounds.model, dataset, name, progress=lambda _: None, stop=lambda: False
    )
    return result.deltas, result.weights


def scores(rounds: Rounds, federation: Federation, seed: int, start: int = 2) -> list[float]:
    """AUCs after the rounds from `start` on."""
    for number in range(start, last_round(rounds.plan) + 1):
        rounds.run(number)
    trained, judge = TrainedPlan(rounds.plan, rounds.model, 0.0, 0.0), federation.judge
    shown = views(judge, seed)
    wanted = [COMPLETE, *(f"{ALONE}{modality}" for modality in rounds.plan.dims)]
    aucs = (
        auc_figures(
            trained.answer(
                {m: values * shown[name][m][:, None] for m, values in judge.features.items()}, shown[name]
            ),
            judge.labels,
        )[0]
        for name in wanted
    )
    return [float("nan") if auc is None else auc for auc in aucs]


def table(pool: Pool, seeds: int, recipe: Recipe) -> Iterator[Table]:
    """One for each bad site."""
    dealt = [deal(pool, SETTING, seed, recipe) for seed in range(seeds)]
    for place, title in ((0, "a site with the common view alone"), (-1, "a site with pairs")):
        shown = Table("fault", "found", "without it", "as checked", "with it in", title=f"bad: {title}")
        without = [_without(federation, seed, place) for seed, federation in enumerate(dealt)]
        for name, fault in FAULTS.items():
            rows = [_bad(federation, seed, place, fault) for seed, federation in enumerate(dealt)]
            found = Counter(row[0] for row in rows)
            shown.add_row(
                name,
                ", ".join(f"{what} {count}/{seeds}" for what, count in found.items()),
                _means(without),
                _means([row[1] for row in rows]),
                _means([row[2] for row in rows]),
            )
        yield shown


def _without(federation: Federation, seed: int, place: int) -> list[float]:
    bad = list(federation.sites)[place]
    sites = {name: dataset for name, dataset in federation.sites.items() if name != bad}
    return scores(Rounds(federation.plan, sites), federation, seed, start=1)


def _bad(
    federation: Federation, seed: int, place: int, fault: Callable[[Dataset], Dataset]
) -> tuple[str, list[float], list[float]]:
    """What is found, and the AUCs as checked and with the bad site in."""
    bad = list(federation.sites)[place]
    sites = federation.sites | {bad: fault(federation.sites[bad])}
    seen = checked(federation.plan, sites)
    others = {outlier.site for outlier in seen.found} - {bad}
    mine = next((outlier.standing for outlier in seen.found if outlier.site == bad), "not found")
    what = f"{mine}, and {len(others)} others" if others else mine
    inside = Rounds(federation.plan, sites)
    return what, scores(seen.rounds, federation, seed), scores(inside, federation, seed, start=1)


def _means(rows: list[list[float]]) -> str:
    return " / ".join(f"{value:.1f}" for value in np.mean(rows, axis=0))


def healthy(pool: Pool, count: int, recipe: Recipe, first: int = 0) -> Table:
    """Alarms by setting; of each as many seeds, from the first."""
    shown = Table("sites", "dealt", "federations", "with a site left out", "asked", "named")
    seeds = max(1, count // (len(SIZES) * len(HEALTHY)))
    for ratio in SIZES:
        for alpha in HEALTHY:
            setting = Setting(ratio=ratio, alpha=alpha)
            federations = [deal(pool, setting, seed, recipe) for seed in range(first, first + seeds)]
            found = [{o.standing for o in checked(f.plan, f.sites, heeded=False).found} for f in federations]
            alarms = (str(sum(what in of for of in found)) for what in ("left out", "asked", "named"))
            shown.add_row(ratio, f"Dirichlet {alpha:g}" if alpha else "evenly", str(len(found)), *alarms)
    return shown


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="draws of sites (default: 3)")
    parser.add_argument("--rounds", type=positive, default=20, metavar="N", help="of training (default: 20)")
    parser.add_argument("--healthy", type=positive, metavar="N", help="count alarms in N healthy federations")
    parser.add_argument(
        "--data", choices=DATA, default="mfeat", help="of healthy ones (default: %(default)s)"
    )
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="of healthy ones (default: 0)")
    add_cache(parser)
    args = parser.parse_args()
    pool = load_pool(DATA[args.data], cache_folder(args), lambda _done, _total: None)
    console, recipe = Console(width=150), Recipe(args.rounds, Model(), Training())
    if args.healthy:
        try:
            console.print(healthy(pool, args.healthy, recipe, args.first_seed))
        except InputError as error:  # few cases, dealt very unevenly
            raise SystemExit(f"{args.data}: {error}; give another --data") from None
        return
    for shown in table(pool, args.seeds, recipe):
        console.print(shown)


if __name__ == "__main__":
    main()
