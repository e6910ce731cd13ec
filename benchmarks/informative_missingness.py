"""Whether what is missing tells of the label, and who makes use of it: the table of docs/method-measured.md.

    python -m benchmarks.informative_missingness [--seeds N] [--cache FOLDER]

UCI's heart disease at its four hospitals, each method at its best, as `fedfin study run fair` has it. AUC is the share
of pairs of an ill and a healthy case in which the ill one scores higher. Here it is said for all pairs of judge cases;
for pairs of which the same is shown or not; and for pairs of one hospital or of two. `pattern alone` knows nothing but
what is shown of a case, and the share of ill ones among training cases of which the same is shown. Mean over seeds.
Where the same is shown of all cases, a view is left out.
"""

import argparse
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.commands import add_cache, cache_folder, positive
from benchmarks.study.federation import Federation
from benchmarks.study.jobs import Job, jobs
from benchmarks.study.method import Present
from benchmarks.study.methods.registry import METHODS
from benchmarks.study.patterns import View, views
from benchmarks.study.run import prepare
from benchmarks.study.settings import read_study

STUDY, DATA, SETTING = "fair", "uci-heart", "hospitals"
COMPARED = ("fedfin", "zero-fill", "indicator-logistic", "late-logits")
PATTERN_ALONE = "pattern alone"
LABEL = 0  # its only one
PAIRS = ("all pairs", "same pattern", "other pattern", "same hospital", "other hospital")

Floats = NDArray[np.floating]
Groups = Sequence[Hashable]


def pair_aucs(scores: Floats, ill: NDArray[np.bool_], groups: Groups) -> tuple[float, float, float]:
    """AUC x 100 of all pairs, of those within a group and of those between two; NaN where there is none.

    scores, ill: [n]; the first is the mean of the others, weighted by their pairs.
    """
    numbers = np.unique([str(group) for group in groups], return_inverse=True)[1]
    wins = np.heaviside(scores[ill][:, None] - scores[~ill][None, :], 0.5)
    same = numbers[ill][:, None] == numbers[~ill][None, :]
    return _percent(wins), _percent(wins[same]), _percent(wins[~same])


def _percent(wins: Floats) -> float:
    return 100 * float(wins.mean()) if wins.size else float("nan")


def patterns(shown: Present) -> list[tuple[bool, ...]]:
    """What is shown of each case."""
    return list(zip(*(mask.tolist() for mask in shown.values()), strict=True))


def prevalence(federation: Federation, shown: Present) -> Floats:
    """Of each case of the judge: the share of ill ones among training cases of its pattern, [n].

    Of a pattern that no site has, that of all; both are counted as if one case more of either class were there.
    """
    counts: dict[Hashable, list[float]] = defaultdict(lambda: [1.0, 2.0])
    for dataset in federation.sites.values():
        for pattern, label in zip(patterns(dataset.present), dataset.labels[:, LABEL].tolist(), strict=True):
            for of in (pattern, None):
                counts[of][0] += label
                counts[of][1] += 1
    found = (counts[pattern if pattern in counts else None] for pattern in patterns(shown))
    return np.array([ill / cases for ill, cases in found])


def measured(federation: Federation, scores: Floats, shown: View) -> list[float]:
    """PAIRS of one method in one view, of the cases of which something is shown."""
    judges = np.logical_or.reduce(list(shown.values()))
    ill = federation.judge.labels[judges, LABEL] == 1
    of_hospital = np.array(federation.judge_hospitals)[judges].tolist()
    by_pattern = pair_aucs(scores[judges], ill, patterns({m: mask[judges] for m, mask in shown.items()}))
    by_hospital = pair_aucs(scores[judges], ill, of_hospital)
    return [*by_pattern, *by_hospital[1:]]


def run(job: Job, cache: Path) -> dict[tuple[str, str], list[float]]:
    """View and method -> PAIRS; `pattern alone` beside the method."""
    federation, _ = prepare(job, cache)
    trained, judge = job.method.train(federation, lambda _share: None), federation.judge
    found = {}
    for name, shown in views(judge, job.seed).items():
        if len({pattern for pattern in patterns(shown) if any(pattern)}) == 1:
            continue
        visible = {m: values * shown[m][:, None] for m, values in judge.features.items()}
        found[name, job.method.name] = measured(federation, trained.answer(visible, shown)[:, LABEL], shown)
        found[name, PATTERN_ALONE] = measured(federation, prevalence(federation, shown), shown)
    return found


def table(rows: Iterable[dict[tuple[str, str], list[float]]]) -> Table:
    """A line for each view and method: means over seeds."""
    by_line: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for row in rows:
        for line, values in row.items():
            by_line[line].append(values)
    shown = Table("shown", "method", *PAIRS)
    order = [*COMPARED, PATTERN_ALONE]
    names = list(dict.fromkeys(name for name, _ in by_line))
    for name, method in sorted(by_line, key=lambda line: (names.index(line[0]), order.index(line[1]))):
        means = (fmean(values) for values in zip(*by_line[name, method], strict=True))
        shown.add_row(name, method, *("-" if np.isnan(value) else f"{value:.1f}" for value in means))
    return shown


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="draws (default: %(default)s)")
    add_cache(parser)
    args = parser.parse_args()
    todo = jobs(read_study(STUDY), METHODS, seeds=args.seeds, only=COMPARED)
    todo = [job for job in todo if (job.data_name, job.setting_name, job.best) == (DATA, SETTING, True)]
    Console(width=120).print(table(run(job, cache_folder(args)) for job in todo))


if __name__ == "__main__":
    main()
