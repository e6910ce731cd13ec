"""Real patients whose records the attacks look for, of public data sets.

One case of each, in an order that a seed draws. Both raise InputError when the files, or the encoders, cannot be had.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.data.loaders import default_cache, load_cases
from benchmarks.leakage.people import People, with_coin
from fedfin.errors import InputError

STAINS = ("CD3", "CD8", "HE")  # of the HANCOCK data set's eight, 512 features each


@dataclass(frozen=True)
class Collection:
    """How many of its patients the strong adversary has, how many are at no site, and how many may be at sites."""

    name: str
    load: Callable[[Path, int], People]
    reference: int
    others: int
    at_sites: int


def hancock(folder: Path, seed: int) -> People:
    """Features of stained tissue, and whether the cancer came back."""
    try:
        stains = [np.load(folder / f"tma_tile_dtr_256_{stain}.npz") for stain in STAINS]
        with (folder / "targets.csv").open(encoding="utf-8", newline="") as file:
            recurred = {row["patient_id"]: row["recurrence"] == "yes" for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: is not the folder of the HANCOCK data set ({error})") from None
    everywhere = sorted(set(recurred).intersection(*stains))
    rng = np.random.default_rng([seed, 2])
    patients = [everywhere[row] for row in rng.permutation(len(everywhere))]
    features = np.concatenate([[stain[patient] for patient in patients] for stain in stains], axis=1)
    return People(features, with_coin(np.array([recurred[patient] for patient in patients]), rng))


def covid_cxr(folder: Path, seed: int) -> People:
    """Features of an X-ray and its note by the study's encoders, and whether it is COVID-19."""
    cases = load_cases("covid", default_cache(), folder=folder)
    both = np.flatnonzero(cases.present["image"] & cases.present["text"])
    _, first = np.unique(cases.groups[both], return_index=True)
    rng = np.random.default_rng([seed, 2])
    rows = rng.permutation(both[first])
    features = np.concatenate([cases.features["image"][rows], cases.features["text"][rows]], axis=1)
    return People(features, with_coin(cases.labels[rows, 0], rng))


COLLECTIONS = {
    "hancock": Collection("HANCOCK", hancock, reference=300, others=150, at_sites=250),
    "covid-cxr": Collection("COVID-19 X-ray", covid_cxr, reference=100, others=49, at_sites=100),
}
