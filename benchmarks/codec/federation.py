"""A data set dealt out to the sites of a study, its plan, and the cases that judge its models.

Sites hold different modalities, as hospitals do; a share of the groups at every site is held out.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cases import Cases
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds, Training
from fedfin_edge.cases.dataset import Dataset

SITES = 8
HELD_OUT = 0.3

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Scale:
    """How large a study of one data set is.

    held_by: for each site, the places of its modalities in the sorted list of all.
    """

    held_by: tuple[tuple[int, ...], ...]
    fin_width: int
    head_width: int
    batch_size: int


# About 1.2 million parameters each. Batches are chosen so that one federation trains in half a minute on a core.
SCALES = {
    "mfeat": Scale(
        ((0, 1, 2, 3, 4, 5),) * 2 + tuple((i % 6, (i + 1) % 6, (i + 3) % 6) for i in range(2, SITES)),
        320,
        256,
        64,
    ),
    "open-i": Scale(((0, 1),) * 4 + ((0,),) * 2 + ((1,),) * 2, 288, 256, 64),
}


@dataclass(frozen=True)
class Federation:
    """What trains, and what judges.

    sites: what each trains on, by name; judge: the held-out cases of all, with every modality they have;
    as_held: modality -> bool [cases of judge], what their sites hold of them.
    """

    plan: Plan
    sites: dict[str, Dataset]
    judge: Dataset
    as_held: dict[str, Mask]


def deal(cases: Cases, scale: Scale, *, seed: int, rounds: int) -> Federation:
    """Deal groups to sites and to the two sides, by a hash of the seed."""
    draws = np.array([_draw(seed, group) for group in cases.groups.tolist()])
    site_of = (draws * len(scale.held_by)).astype(np.int64)
    held_out = (draws * len(scale.held_by)) % 1.0 < HELD_OUT
    modalities = list(cases.dims)
    sites, judged = {}, []
    for place, held in enumerate(scale.held_by):
        present = _present(cases, [modalities[i] for i in held])
        rows = np.flatnonzero((site_of == place) & np.logical_or.reduce(list(present.values())))
        sites[f"site-{place + 1}"] = _dataset(cases, rows, present, held_out)
        judged.append((rows[held_out[rows]], present))
    judge = np.concatenate([rows for rows, _ in judged])
    return Federation(
        _plan(cases, scale, seed, rounds),
        sites,
        _dataset(cases, judge, cases.present, held_out),
        {m: np.concatenate([present[m][rows] for rows, present in judged]) for m in modalities},
    )


def _draw(seed: int, group: int) -> float:
    """Uniform in [0, 1)."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _present(cases: Cases, held: Sequence[str]) -> dict[str, Mask]:
    return {m: values & (m in held) for m, values in sorted(cases.present.items())}


def _dataset(cases: Cases, rows: NDArray[np.intp], present: dict[str, Mask], held_out: Mask) -> Dataset:
    shown = {m: mask[rows] for m, mask in present.items()}
    features = {
        m: np.where(mask[:, None], cases.features[m][rows], np.float32(0)) for m, mask in shown.items()
    }
    return Dataset(features, shown, cases.labels[rows], held_out[rows])


def _plan(cases: Cases, scale: Scale, seed: int, rounds: int) -> Plan:
    return Plan(
        federation="study",
        labels=tuple(f"label-{i}" for i in range(cases.labels.shape[1])),
        modalities=tuple(Modality(name=m, encoder="0" * 64, dim=dim) for m, dim in cases.dims.items()),
        seed=seed,
        model=Model(fin="mlp", answer="head", fin_width=scale.fin_width, head_width=scale.head_width),
        training=Training(batch_size=scale.batch_size),
        rounds=Rounds(count=rounds, sites=len(scale.held_by)),
    )
