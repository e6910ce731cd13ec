"""Sites whose statistics do not go with those of the others are named before anything is pooled (docs/security.md).

Pure functions, for the aggregator and for benchmarks alike. Who is unlike two other sites or more is left out until
the coordinator includes it. Of two that are unlike each other nobody can say which is wrong: the coordinator is asked.
Whose labels go with its features much less than elsewhere is named and stays: its patients may be so.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.model.outlying_moments import CHANCE, LEAST_CASES, FeatureMoments, outlying
from fedfin.plan import Plan
from fedfin_aggregator.closed_form.label_agreement import (
    Classes,
    Separation,
    classes,
    direction,
    separation,
)
from fedfin_aggregator.store.outlier_records import Standing

Floats = NDArray[np.float64]
Known = Mapping[str, Mapping[str, Classes]]  # by site and modality
_T = TypeVar("_T")
Updates = Callable[[], Iterable[tuple[str, Tensors, Mapping[str, int]]]]

INVERTED = 4.0  # standard errors below none at all, over all labels; of one label alone:
INVERTED_LABEL = 5.0
WEAK, WEAK_ERRORS = (
    0.7,
    2.0,
)  # of what separates classes at other sites; standard errors, and the others' deviations
MEDIAN_OF = 2  # others at least, of which one may be the wrong one
SHARES_OF = 4  # others, whose shares say how they differ from site to site
SHARES, SHARES_FAR = 0.3, 8.0  # nats for each case, by which the labels' shares differ; of the others' spread
MEASURES = 32  # sites of a modality that all sites are held against: medians of more say nothing else
_DEVIATION = 1.4826


@dataclass(frozen=True)
class Outlier:
    """A site, what becomes of it, and why; the evidence holds figures of the site, none of a case.

    strength: in standard errors, by which the gravest of several is found first.
    """

    site: str
    standing: Standing
    evidence: str
    strength: float = 0.0


def outliers_by_features(plan: Plan, updates: Updates, included: frozenset[str]) -> list[Outlier]:
    """Of a round of first moments. `included`: sites that the coordinator vouches for."""
    read = partial(_read_first_moments, plan, updates)
    measure = dict(_measures({site: set(of) for site, of in read()}, read, included))

    def judge(sites: frozenset[str]) -> list[Outlier]:
        kept = _only(measure, sites)
        return [o for site in sorted(sites - included) for o in _by_features(site, kept, included)]

    found = _one_by_one(frozenset(measure), judge)
    kept = _only(measure, _trusted(measure, found))
    for site, own in read():
        if site not in measure and site not in included:
            found += _gravest(_by_features(site, kept | {site: own}, included))
    return found


def _read_first_moments(plan: Plan, updates: Updates) -> Iterator[tuple[str, Mapping[str, FeatureMoments]]]:
    return ((site, _first_moments(plan, values, weights)) for site, values, weights in updates())


def _measures(
    has: Mapping[str, Iterable[str]],
    read: Callable[[], Iterable[tuple[str, Mapping[str, _T]]]],
    included: frozenset[str],
) -> Iterator[tuple[str, Mapping[str, _T]]]:
    """What the sites have that all are held against: of each modality MEASURES. `has`: each site's modalities.

    So time is linear in the sites, and memory flat. They are drawn by a hash of their names, those vouched for first.
    """
    drawn = sorted(has, key=lambda site: (site not in included, hashlib.sha256(site.encode()).digest()))
    by_modality = {
        m: [site for site in drawn if m in has[site]] for m in {m for of in has.values() for m in of}
    }
    chosen = {site for sites in by_modality.values() for site in sites[:MEASURES]}
    return ((site, of) for site, of in read() if site in chosen)


def _only(of: Mapping[str, Mapping[str, _T]], sites: Iterable[str]) -> dict[str, Mapping[str, _T]]:
    wanted = set(sites)
    return {site: has for site, has in of.items() if site in wanted}


def _trusted(measure: Iterable[str], found: Iterable[Outlier]) -> set[str]:
    return set(measure) - {outlier.site for outlier in found if outlier.standing == "left out"}


def _by_features(
    site: str, moments: Mapping[str, Mapping[str, FeatureMoments]], included: frozenset[str]
) -> Iterator[Outlier]:
    for modality, own in moments[site].items():
        others = _others(moments, site, modality)
        if (evidence := outlying(own, list(others.values()))) is not None:
            yield Outlier(site, _standing(others, included), f"{modality}: {evidence}")


def _one_by_one(sites: frozenset[str], judge: Callable[[frozenset[str]], list[Outlier]]) -> list[Outlier]:
    """Who is left out is no measure for the others: they are judged again without it, until nobody is left out."""
    found: list[Outlier] = []
    while True:
        judged = judge(sites - {outlier.site for outlier in found})
        certain = next((outlier for outlier in judged if outlier.standing == "left out"), None)
        if certain is None:
            return found + list({outlier.site: outlier for outlier in reversed(judged)}.values())[::-1]
        found.append(certain)


def _first_moments(plan: Plan, values: Tensors, weights: Mapping[str, int]) -> dict[str, FeatureMoments]:
    return {
        modality: FeatureMoments(
            weights[f"norm.{modality}.mean"],
            values[f"norm.{modality}.mean"].astype(np.float64),
            values[f"norm.{modality}.square"].astype(np.float64),
        )
        for modality in plan.dims
        if f"norm.{modality}.mean" in values
    }


def _standing(others: Iterable[str], included: frozenset[str]) -> Standing:
    others = set(others)
    return "left out" if len(others) > 1 or others & included else "asked"


def outliers_by_labels(plan: Plan, updates: Updates, included: frozenset[str]) -> list[Outlier]:
    """Of second moments. `updates`: each site's, which are read again and again, one site at a time: they are large."""
    read = partial(_read_classes, plan, updates)
    measure = dict(_measures({site: set(of) for site, of in read()}, read, included))

    def judge(sites: frozenset[str]) -> list[Outlier]:
        kept = _only(measure, sites)
        separations = _separations(plan, kept, updates)
        found = (o for site in sites - included for o in _by_labels(plan, site, kept, separations, included))
        return sorted(found, key=lambda outlier: outlier.strength, reverse=True)

    found = _one_by_one(frozenset(measure), judge)
    if all(site in measure for site, _, _ in updates()):
        return found
    kept = _only(measure, _trusted(measure, found))
    separations = _separations(plan, kept, updates)
    for update in updates():
        if (site := update[0]) not in measure and site not in included:
            known = kept | {site: _classes(plan, *update[1:])}
            both = {**separations, **_separations(plan, known, partial(iter, [update]))}
            found += _gravest(_by_labels(plan, site, known, both, included))
    return found


def _gravest(of_one: Iterable[Outlier]) -> list[Outlier]:
    """At most one."""
    return sorted(of_one, key=lambda outlier: outlier.strength, reverse=True)[:1]


def _read_classes(plan: Plan, updates: Updates) -> Iterator[tuple[str, Mapping[str, Classes]]]:
    return ((site, _classes(plan, values, weights)) for site, values, weights in updates())


def _classes(plan: Plan, values: Tensors, weights: Mapping[str, int]) -> dict[str, Classes]:
    return {m: of for m in plan.dims if (of := classes(plan, m, values, weights)) is not None}


def _separations(plan: Plan, known: Known, updates: Updates) -> dict[str, Mapping[str, Separation]]:
    return {
        site: {
            m: separation(plan, m, own, direction(list(others.values())), values, weights)
            for m, own in known[site].items()
            if (others := _others(known, site, m))
        }
        for site, values, weights in updates()
        if site in known
    }


def _others(of: Mapping[str, Mapping[str, _T]], site: str, modality: str) -> dict[str, _T]:
    """What the other sites have of a modality."""
    return {other: has[modality] for other, has in of.items() if other != site and modality in has}


def _by_labels(
    plan: Plan,
    site: str,
    known: Known,
    separations: Mapping[str, Mapping[str, Separation]],
    included: frozenset[str],
) -> Iterator[Outlier]:
    """What is found in a site, the gravest first."""
    for modality, own in separations[site].items():
        others = _others(separations, site, modality)
        if evidence := _inverted(own):
            judged = _standing(_judges(others, own.weight > 0), included)
            yield Outlier(site, judged, f"{modality}: {evidence}", -own.mean / own.error)
        elif (contradicted := _contradicted(own)) is not None:
            yield _by_label(plan, site, modality, *contradicted, others, included)
    counts = {other: _most_known(of) for other, of in known.items() if of}
    if site in counts and (evidence := _other_shares(counts[site], _without(counts, site))):
        standing: Standing = "left out" if len(counts) > SHARES_OF else "named"
        yield Outlier(site, standing, evidence)
    for modality, own in separations[site].items():
        if evidence := _weak(own, list(_others(separations, site, modality).values())):
            yield Outlier(site, "named", f"{modality}: {evidence}")


def _most_known(of: Mapping[str, Classes]) -> Classes:
    """Of the modality that most of a site's cases have."""
    return max(of.values(), key=lambda classes: float(classes.known.sum()))


def _without(counts: Mapping[str, Classes], site: str) -> list[Classes]:
    return [of for other, of in counts.items() if other != site]


def _judges(others: Mapping[str, Separation], labels: NDArray[np.bool_]) -> set[str]:
    """Who knows both classes of one of the labels, bool [labels]: nobody else says how these go with features."""
    return {site for site, of in others.items() if (of.weight[labels] > 0).any()}


def _inverted(own: Separation) -> str | None:
    if own.mean >= -INVERTED * own.error:
        return None
    return (
        f"its labels contradict the other sites': its classes lie {own.mean:.2f} deviations apart along what tells"
        f" them elsewhere (by chance {-INVERTED * own.error:.2f} at least)"
    )


def _contradicted(own: Separation) -> tuple[int, float] | None:
    """The label that goes most against the other sites', and by how many standard errors."""
    errors = -own.by_label * np.sqrt(own.weight)
    worst = int(np.argmax(errors))
    return (worst, float(errors[worst])) if errors[worst] > INVERTED_LABEL else None


def _by_label(
    plan: Plan,
    site: str,
    modality: str,
    label: int,
    errors: float,
    others: Mapping[str, Separation],
    included: frozenset[str],
) -> Outlier:
    """Against a single site it is named alone: how a label goes with features differs from hospital to hospital."""
    judges = _judges(others, np.arange(len(plan.labels)) == label)
    standing: Standing = "left out" if _standing(judges, included) == "left out" else "named"
    evidence = f"its label {plan.labels[label]} contradicts the other sites', by {errors:.1f} standard errors"
    return Outlier(site, standing, f"{modality}: {evidence}", errors)


def _weak(own: Separation, others: list[Separation]) -> str | None:
    """Against the median of two other sites or more."""
    theirs = [other.mean for other in others if other.total >= LEAST_CASES]
    if len(theirs) < MEDIAN_OF or own.total < LEAST_CASES:
        return None
    middle = float(np.median(theirs))
    spread = _DEVIATION * float(np.median(np.abs(np.array(theirs) - middle)))
    if own.mean + WEAK_ERRORS * own.error >= WEAK * middle - WEAK_ERRORS * spread:
        return None
    return (
        f"its labels go little with its features: its classes lie {own.mean:.2f} deviations apart along what tells them"
        f" elsewhere, those of other sites {middle:.2f}"
    )


def _other_shares(own: Classes, others: list[Classes]) -> str | None:
    """By the shares of positives, of labels that the site knows of LEAST_CASES or more."""
    theirs = [_distance(other, [o for o in others if o is not other]) for other in others]
    middle = float(np.median(theirs)) if theirs else 0.0
    spread = _DEVIATION * float(np.median(np.abs(np.array(theirs) - middle))) if theirs else 0.0
    count = len(own.known)
    cases = float(own.known.max(initial=0.0))
    if cases < LEAST_CASES or not others:
        return None
    if (
        len(others) < MEDIAN_OF and own.weight.any()
    ):  # two sites may differ in that: only one class alone is named
        return None
    chance = (count + CHANCE * math.sqrt(2 * count)) / (2 * cases)
    usual = SHARES + chance + middle + SHARES_FAR * spread
    if (distance := _distance(own, others)) <= usual:
        return None
    usual_is = f"up to {usual:.2g} is usual"
    return f"the shares of its labels are {distance:.2g} nats a case off those of other sites ({usual_is})"


def _distance(own: Classes, others: list[Classes]) -> float:
    """The information that says this site's shares apart from the others' median ones, for each of its cases."""
    if not others:
        return 0.0
    shares = np.array([(of.positive + 0.5) / (of.known + 1.0) for of in others])
    theirs = np.median(shares, axis=0)
    ours = own.positive / np.maximum(own.known, 1.0)
    known = (own.known >= LEAST_CASES) & (np.array([of.known for of in others]).max(axis=0) >= LEAST_CASES)
    return float((_divergence(ours, theirs) * known).sum())


def _divergence(p: Floats, q: Floats) -> Floats:
    """Of two yes-or-no distributions, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        yes = np.where(p > 0, p * np.log(p / q), 0.0)
        no = np.where(p < 1, (1 - p) * np.log((1 - p) / (1 - q)), 0.0)
    total: Floats = yes + no
    return total
