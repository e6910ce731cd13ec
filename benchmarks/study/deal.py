"""A data set dealt out by a setting: to the sites, to the public set and to the judge. No group is on two sides.

The file to read first is `deal`. Every draw is a hash of the seed (`draws`),
but for the judge and the public set: those are the same whatever the seed, so that a method can be chosen without them,
unless the setting says `rotate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.data.cases import Cases
from benchmarks.study.draws import generator, uniform
from benchmarks.study.federation import Federation, Texts
from benchmarks.study.settings import Setting
from benchmarks.study.sources import Pool, encode_text
from fedfin.errors import InputError
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds, Training
from fedfin_edge.cases.dataset import VALIDATION, Dataset

INNER = 0.2  # of the training patients: what judges recipes
SPLIT = "held-out"  # in place of a seed
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Recipe:
    """What plans of a study start from. rounds: of training at most; patience: as in a plan."""

    rounds: int
    model: Model
    training: Training
    patience: int = 5


def deal(pool: Pool, setting: Setting, seed: int, recipe: Recipe) -> Federation:
    """Raises InputError when there are not enough cases for sites and judge."""
    cases = pool.cases
    whole = np.logical_and.reduce(list(cases.present.values()))
    split = f"{SPLIT}/{seed}" if setting.rotate else SPLIT
    side = _by_group(cases, [uniform(split, g) for g in np.unique(cases.groups).tolist()])
    judge = (side < setting.held_out) & (whole | (pool.judge == "recorded"))
    public = (side >= setting.held_out) & (side < setting.held_out + setting.public)
    holds = held_by(setting, cases, seed)
    rows = site_rows(pool, np.flatnonzero(side >= setting.held_out + setting.public), holds, setting, seed)
    shown = _shown(cases, rows, holds, setting, seed)
    known = known_labels(len(holds), cases.labels.shape[1], setting.known_labels, seed)
    names = [f"site-{place + 1:02}" for place in range(len(holds))]
    kept = {
        name: (of[np.logical_or.reduce([mask[of] for mask in shown.values()])], known[place])
        for place, (name, of) in enumerate(zip(names, rows, strict=True))
    }
    kept = {name: (of, labels) for name, (of, labels) in kept.items() if len(of)}
    if len(kept) < 2 or not judge.any():
        raise InputError(
            "there are too few cases: two sites with some, and a judge with complete ones, are needed"
        )
    return Federation(
        _plan(cases, seed, recipe, len(kept)),
        {name: _dataset(cases, of, shown, labels) for name, (of, labels) in kept.items()},
        {name: _dataset(cases, of, cases.present, labels) for name, (of, labels) in kept.items()},
        _dataset(cases, np.flatnonzero(public & whole), cases.present),
        _dataset(cases, np.flatnonzero(judge), cases.present, held_out=True),
        tuple(_texts(pool, modality, kept, shown) for modality in pool.encoders),
        {m: cases.public.get(m, values[public & cases.present[m]]) for m, values in cases.features.items()},
        {name: _inner(cases, of) for name, (of, _) in kept.items()},
        tuple(np.array(cases.hospitals)[judge].tolist()) if cases.hospitals else (),
    )


def _inner(cases: Cases, rows: Rows) -> Mask:
    """On which of a site's cases recipes are chosen, by patient, whatever the seed."""
    return np.array([uniform("inner", group) < INNER for group in cases.groups[rows].tolist()], np.bool_)


def held_by(setting: Setting, cases: Cases, seed: int) -> list[frozenset[str]]:
    """What each site holds: in a ratio those with the common modality first, those with all last."""
    modalities = list(cases.present)
    if setting.ratio:
        kinds = (set(modalities[:1]), set(modalities[1:]), set(modalities))
        return [
            frozenset(kind) for kind, count in zip(kinds, setting.counts, strict=True) for _ in range(count)
        ]
    if setting.hospitals:
        return [frozenset(modalities)] * len(_hospitals(cases))
    if setting.missing or setting.recorded:
        return [frozenset(modalities)] * setting.sites
    return [
        frozenset(modalities) if site < 2 else _random_part(modalities, seed, site)
        for site in range(setting.sites)
    ]


def _hospitals(cases: Cases) -> list[str]:
    """By name. Raises InputError where the data knows of none."""
    names = sorted(set(cases.hospitals) - {""})
    if not names:
        raise InputError("the data does not say whose its cases are: no setting with hospitals is for it")
    return names


def _random_part(modalities: Sequence[str], seed: int, site: int) -> frozenset[str]:
    """A non-empty set, each equally likely."""
    drawn = 1 + int(uniform(seed, "pattern", site) * (2 ** len(modalities) - 1))
    return frozenset(m for place, m in enumerate(modalities) if drawn >> place & 1)


def site_rows(
    pool: Pool, rows: Rows, holds: Sequence[frozenset[str]], setting: Setting, seed: int
) -> list[Rows]:
    """The cases of each site: its hospital's, or a group goes to one site, among those its part of the data is for."""
    if setting.hospitals:
        of = np.array(pool.cases.hospitals)[rows]
        return [_some(pool.cases, rows[of == name], setting, seed) for name in _hospitals(pool.cases)]
    cases, found = pool.cases, np.full(len(rows), -1)
    shares = _shares(cases, setting, len(holds), seed)
    draws = {g: uniform(seed, "site", g) for g in np.unique(cases.groups[rows]).tolist()}
    allowed = {
        kind: np.array([_takes(held, kind, list(cases.present)) for held in holds])
        for kind in set(pool.sites)
    }
    classes = group_classes(cases)
    for place, row in enumerate(rows.tolist()):
        group = int(cases.groups[row])
        share = shares[classes[group]] * allowed[pool.sites[row]]
        if share.sum() > 0:
            found[place] = np.searchsorted(np.cumsum(share) / share.sum(), draws[group], side="right")
    return [_some(cases, rows[found == site], setting, seed) for site in range(len(holds))]


def _some(cases: Cases, rows: Rows, setting: Setting, seed: int) -> Rows:
    """No more than the setting's `cases`, the groups in the order that the seed draws."""
    draws = np.array([uniform(seed, "some", g) for g in cases.groups[rows].tolist()])
    kept = np.argsort(draws, kind="stable")[: setting.cases or None]
    return rows[np.sort(kept)]


def _takes(held: frozenset[str], kind: str, modalities: list[str]) -> bool:
    kinds = {"common": set(modalities[:1]), "rare": set(modalities[1:]), "both": set(modalities)}
    return kind == "any" or held == kinds[kind]


def group_classes(cases: Cases) -> dict[int, int]:
    """Each group's class, of its first case: the label that is rarest of its positives; -1 without any."""
    positives = np.nansum(cases.labels, axis=0)
    classes: dict[int, int] = {}
    for group, labels in zip(cases.groups.tolist(), cases.labels, strict=True):
        if group not in classes:
            found = np.flatnonzero(labels == 1)
            classes[group] = int(found[np.argmin(positives[found])]) if len(found) else -1
    return classes


def _shares(cases: Cases, setting: Setting, sites: int, seed: int) -> dict[int, NDArray[np.float64]]:
    """Of each class, the share that each site gets (Hsu et al., arXiv 1909.06335)."""
    even = np.full(sites, 1.0 / sites)
    if not setting.alpha:
        return dict.fromkeys(range(-1, cases.labels.shape[1]), even)
    alphas = np.full(sites, setting.alpha)
    # A small alpha can round all shares of a class to zero; a trace of evenness keeps them usable.
    return {
        c: generator(seed, "dirichlet", c).dirichlet(alphas) + 1e-9 for c in range(-1, cases.labels.shape[1])
    }


def _shown(
    cases: Cases, rows: Sequence[Rows], holds: Sequence[frozenset[str]], setting: Setting, seed: int
) -> dict[str, Mask]:
    """What sites have of their cases, modality -> bool [all cases]."""
    shown = {m: np.zeros(len(cases), np.bool_) for m in cases.present}
    for of, held in zip(rows, holds, strict=True):
        for modality in held:
            shown[modality][of] = cases.present[modality][of]
    return _without(shown, setting.missing, seed) if setting.missing else shown


def _without(shown: dict[str, Mask], rate: float, seed: int) -> dict[str, Mask]:
    """Each case lacks each of its modalities at this rate, but keeps the one that drew highest."""
    there = np.stack(list(shown.values()), axis=1)
    draws = np.where(there, generator(seed, "missing").random(there.shape), -1.0)
    stays = (draws >= rate) | (draws == draws.max(axis=1, keepdims=True))
    return {m: there[:, place] & stays[:, place] for place, m in enumerate(shown)}


def known_labels(sites: int, labels: int, share: float, seed: int) -> Mask:
    """Which labels each site knows, bool [sites, labels]; every label is known at some site."""
    count = max(1, round(share * labels))
    draws = np.array([[uniform(seed, "label", s, label) for label in range(labels)] for s in range(sites)])
    draws[np.arange(labels) % sites, np.arange(labels)] = -1.0
    ranks = np.argsort(np.argsort(draws, axis=1, kind="stable"), axis=1)
    return (ranks < count) | (draws < 0)


def _by_group(cases: Cases, values: Sequence[float]) -> NDArray[np.float64]:
    """Values of the sorted groups, for every case."""
    _, place = np.unique(cases.groups, return_inverse=True)
    return np.asarray(values)[place]


def _dataset(
    cases: Cases, rows: Rows, shown: dict[str, Mask], labels: Mask | None = None, *, held_out: bool = False
) -> Dataset:
    """Rows of the cases, zero where not shown, labels unknown where `labels` [labels] says so."""
    present = {m: mask[rows] for m, mask in shown.items()}
    features = {
        m: np.where(mask[:, None], cases.features[m][rows], np.float32(0)) for m, mask in present.items()
    }
    known = cases.labels[rows] if labels is None else np.where(labels, cases.labels[rows], np.float32(np.nan))
    validation = np.array(
        [uniform("validation", g) < VALIDATION for g in cases.groups[rows].tolist()], np.bool_
    )
    half = np.array([uniform("half", g) < 1 / 2 for g in cases.groups[rows].tolist()], np.bool_)
    return Dataset(
        features, present, known, np.full(len(rows), held_out), validation=validation, second_half=half
    )


def _texts(pool: Pool, modality: str, sites: dict[str, tuple[Rows, Mask]], shown: dict[str, Mask]) -> Texts:
    texts, there = pool.cases.texts[modality], shown[modality]
    train = {
        site: [texts[row] if there[row] else "" for row in rows.tolist()] for site, (rows, _) in sites.items()
    }
    return Texts(modality, train, encode_text(pool.encoders[modality]))


def _plan(cases: Cases, seed: int, recipe: Recipe, sites: int) -> Plan:
    count = cases.labels.shape[1]
    return Plan(
        federation="study",
        labels=tuple(cases.label_names) or tuple(f"label-{place}" for place in range(count)),
        modalities=tuple(
            Modality(name=m, encoder="0" * 64, dim=values.shape[1]) for m, values in cases.features.items()
        ),
        seed=seed,
        model=recipe.model,
        training=recipe.training,
        rounds=Rounds(count=recipe.rounds, sites=sites, patience=recipe.patience),
    )
