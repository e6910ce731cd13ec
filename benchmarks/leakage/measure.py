"""One cell of the leakage table: a federation, and every attack on what is seen of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.leakage import first_moments, known_labels, reconstruction, second_moments, train_delta
from benchmarks.leakage.final_model import likelihood_ratio, losses
from benchmarks.leakage.first_moments import Whiteners, whiteners
from benchmarks.leakage.listener import Listened, Seen, listen, make_plan
from benchmarks.leakage.people import MODALITY, Floats, People, together
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.model.metrics import auc
from fedfin.model.model_spec import Task

MOST_CANDIDATES = 100  # members, and as many others, whose membership is guessed


@dataclass(frozen=True)
class Listener:
    """What it has besides what it hears: cases of its own, and a model that was trained on them alone."""

    reference: People
    whiteners: Whiteners
    model: Tensors


@dataclass(frozen=True)
class Leak:
    """What an attack reached. score: AUC, or a share found; by_chance: the same where nothing can leak."""

    attack: str
    scope: str
    patients: int
    dims: int
    seed: int
    score: float
    by_chance: float


def make_listener(reference: People, rounds: int) -> Listener:
    """Once for all federations over the same features."""
    plan = make_plan({MODALITY: reference.features.shape[1]}, rounds)
    return Listener(reference, whiteners(reference), listen(plan, [reference]).final)


def attack(
    listener: Listener, sites: list[People], others: People, *, rounds: int, seed: int, dims: int
) -> list[Leak]:
    """Every attack on one site's part and on the sum. others: of the same distribution, at no site."""
    plan = make_plan({MODALITY: others.features.shape[1]}, rounds)
    heard = listen(plan, sites)
    found = []
    for scope, seen in heard.seen.items():
        members = sites[0] if scope == "one site" else _some(together(sites), seed)
        members = members.rows(slice(MOST_CANDIDATES))
        candidates = together([members, others])
        scores = _scores(listener, heard, seen, candidates, len(members), seed)
        size = len(sites[0])
        found += [Leak(name, scope, size, dims, seed, *pair) for name, pair in scores.items()]
    return found


def _scores(
    listener: Listener,
    heard: Listened,
    seen: Mapping[Task, Seen],
    candidates: People,
    members: int,
    seed: int,
) -> dict[str, tuple[float, float]]:
    """By attack. The candidates' first `members` are members."""
    plan, before = heard.plan, heard.before

    def membership(scores: Floats) -> tuple[float, float]:
        return _auc(scores, np.arange(len(candidates)) < members), 0.5

    moments = first_moments.scores(seen["moments"], candidates, listener.whiteners)
    found = {"moments: membership": membership(moments)}
    found |= _of_second_moments(listener, heard, seen["second_moments"], candidates, members, seed)
    train, start = seen["train"], before["train"]
    aligned = train_delta.alignment(plan, train, start, candidates, listener.reference)
    found["train delta: membership, alignment"] = membership(aligned)
    found["train delta: membership, loss"] = membership(train_delta.loss_drop(plan, train, start, candidates))
    found["final model: membership, loss"] = membership(-losses(plan, heard.final, candidates))
    ratio = likelihood_ratio(plan, heard.final, listener.model, candidates)
    found["final model: membership, ratio"] = membership(ratio)
    return found


def _of_second_moments(
    listener: Listener, heard: Listened, seen: Seen, candidates: People, members: int, seed: int
) -> dict[str, tuple[float, float]]:
    square, products = second_moments.of_features(seen), second_moments.with_labels(seen)
    rows, usual_rows = (_basis(heard, people) for people in (candidates, listener.reference))
    usual = usual_rows.T @ usual_rows / len(usual_rows)
    is_member = np.arange(len(candidates)) < members
    tests = {
        "second moments: membership, leverage": second_moments.leverage(square, usual, rows),
        "second moments: membership, first order": second_moments.lean(square, usual, rows),
    }
    patients = next(iter(seen.weights.values()))
    cosines = reconstruction.nearest(reconstruction.reconstruct(square, patients, seed)[:, 1:], rows[:, 1:])
    tests["second moments: membership, nearest record"] = cosines
    found = {name: (_auc(scores, is_member), 0.5) for name, scores in tests.items()}
    hits = cosines > reconstruction.FOUND
    found["second moments: records found"] = float(hits[is_member].mean()), float(hits[~is_member].mean())
    read = known_labels.scores(square, products, rows)
    right = _auc(read[is_member], candidates.labels[is_member, known_labels.COIN] == 1)
    found["second moments: a known member's label"] = right, 0.5
    return found


def _basis(heard: Listened, people: People) -> Floats:
    """As second moments see them: standardised, with the constant."""
    model = load_model(heard.plan, heard.before["second_moments"])
    there = torch.ones(len(people), dtype=torch.bool)
    standard = model.standardise({MODALITY: torch.from_numpy(people.features)}, {MODALITY: there})[MODALITY]
    return second_moments.with_constant(standard.detach().numpy().astype(np.float64))


def _some(people: People, seed: int) -> People:
    return people.rows(np.random.default_rng([seed, 4]).permutation(len(people)))


def _auc(scores: Floats, is_member: NDArray[np.bool_]) -> float:
    found = auc(scores, is_member.astype(np.float64))
    return 0.5 if found is None else found
