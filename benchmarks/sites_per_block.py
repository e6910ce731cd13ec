"""What three sites behind every block cost: the tables of docs/secure-sums.md.

    python -m benchmarks.sites_per_block [--data synthetic mfeat] [--seeds N] [--cache FOLDER]

Macro AUC x 100 without `privacy.least_sites_per_block` / with it, by what is shown of cases that neither sites nor the
public have; `mean` is that of all four. Cases, settings and judges are those of benchmarks/private.py, besides three
sites of ten with pairs in place of two (`7:0:3`). The plan is as `aggregator draft --patients` writes it: secure sums,
few columns, int4, two rounds of training; sites have their floor.

The rounds are the study's (benchmarks/study/rounds.py): nothing is masked, and no site is lost on the way. What each
site gives is judged and withheld in every round by fedfin/model/blocks.py, as in service.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.commands import add_cache, cache_folder, positive
from benchmarks.private import SETTINGS, by_view, fewer, pool_of
from benchmarks.study.deal import Recipe, deal
from benchmarks.study.federation import Federation
from benchmarks.study.methods.drafted import Drafted
from benchmarks.study.methods.plan_method import PlanMethod
from benchmarks.study.patterns import ALONE, COMPLETE, HALF
from benchmarks.study.settings import Setting
from benchmarks.study.sources import Pool
from fedfin.errors import InputError
from fedfin.limits import LEAST_SUMMED, SUMMED_ROUNDS
from fedfin.plan import Plan
from fedfin.plan_sections import Model, Training

PATIENTS = {"synthetic": (1000, 3000), "mfeat": (1000,)}
OF_TEN = {
    "8:0:2": SETTINGS["8:0:2"],
    "7:0:3": msgspec.structs.replace(SETTINGS["8:0:2"], ratio="7:0:3"),
    "missing": SETTINGS["missing"],
}
RECIPE = Recipe(SUMMED_ROUNDS, Model(), Training())


@dataclass(frozen=True)
class PerBlock(Drafted):
    """As drafted, with three sites behind every block."""

    def plan(self, base: Plan, columns: Mapping[str, int]) -> Plan:
        """With the key."""
        plan = super().plan(base, columns)
        privacy = msgspec.structs.replace(plan.privacy, least_sites_per_block=LEAST_SUMMED)
        return msgspec.structs.replace(plan, privacy=privacy)


def drafted(kind: type[Drafted]) -> Drafted:
    """A draft of this kind."""
    return kind(kind.__name__, PlanMethod("fedfin"), "principal", "modality", 0, 1.0, level="secure")


WITHOUT, WITH = drafted(Drafted), drafted(PerBlock)


def table(
    pool: Pool, patients: Sequence[int], seeds: int, methods: tuple[Drafted, Drafted] = (WITHOUT, WITH)
) -> Table:
    """A line for each number of patients and setting: by the method without a key / with it."""
    shown = [COMPLETE, *(f"{ALONE}{modality}" for modality in pool.cases.features), HALF]
    found = Table("patients", "setting", *shown, "mean")
    for count, (name, setting) in product(patients, OF_TEN.items()):
        dealt = [_dealt(pool, setting, seed, count) for seed in range(seeds)]
        without, with_key = (_means(one, dealt, shown) for one in methods)
        cells = [f"{one:.1f} / {other:.1f}" for one, other in zip(without, with_key, strict=True)]
        found.add_row(f"{count:,}", name, *cells)
    return found


def _dealt(pool: Pool, setting: Setting, seed: int, patients: int) -> Federation:
    """Raises InputError where the sites have fewer."""
    federation = fewer(deal(pool, setting, seed, RECIPE), patients, seed)
    if federation is None:
        raise InputError(f"the sites of seed {seed} have fewer than {patients} training cases")
    return federation


def _means(method: Drafted, dealt: Sequence[Federation], shown: Sequence[str]) -> list[float]:
    """Over the seeds' federations, of each view, and of all of them."""
    found = [
        by_view(method.train(federation, lambda _: None), federation, seed)
        for seed, federation in enumerate(dealt)
    ]
    means = [fmean(of[view] for of in found) for view in shown]
    return [*means, fmean(means)]


def main(methods: tuple[Drafted, Drafted] = (WITHOUT, WITH), says: str = __doc__) -> None:
    """Print the tables of what a key costs, of the methods without and with it."""
    parser = argparse.ArgumentParser(description=says.partition("\n")[0])
    parser.add_argument(
        "--data", choices=list(PATIENTS), default=list(PATIENTS), nargs="+", help="which cases (default: all)"
    )
    parser.add_argument(
        "--seeds", type=positive, default=3, metavar="N", help="draws of sites and cases (default: 3)"
    )
    add_cache(parser)
    args = parser.parse_args()
    console = Console(width=150)
    for data in args.data:
        console.print(f"{data}, macro AUC x 100 without / with the key, seeds: {args.seeds}")
        console.print(table(pool_of(data, cache_folder(args)), PATIENTS[data], args.seeds, methods))


if __name__ == "__main__":
    main()
