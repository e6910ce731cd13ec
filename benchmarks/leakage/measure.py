"""One cell of the leakage table: a federation, and every attack on what is seen of it at each level."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.leakage import (
    final_model,
    first_moments,
    held_out,
    known_labels,
    reconstruction,
    second_moments,
    train_delta,
)
from benchmarks.leakage.hits import area, joint_membership, membership
from benchmarks.leakage.levels import LEAST_SITES, NOISED, PLAIN, Level, views
from benchmarks.leakage.listener import Listened, Seen, in_sums, listen, make_plan, with_noise, without_noise
from benchmarks.leakage.people import MODALITY, Floats, People, together
from benchmarks.leakage.spectrum import Spectrum, spectrum
from fedfin.codec import Tensors
from fedfin.fusion.model import load_model
from fedfin.model.model_spec import Task
from fedfin.plan import Plan

NEXT_TO_NO_NOISE = 100.0  # epsilon: of what the strong one trains by itself, to compare
MOST_NOISED = (
    128  # dimensions that are attacked under noise: in all of them it hides everything, the finding, too
)
MOST_CANDIDATES = 600  # members, and as many others, whose membership is guessed
TRAIN_PER_JUDGE = 4  # a site keeps a fifth of its patients to judge models
EVERYTHING = "all that is seen"
CALIBRATING = "all that is seen of who calibrates"
WEAK, STRONG = "weak", "strong"  # who knows a record, and who knows the population, too


Tests = tuple[
    list[Floats], list[Floats]
]  # scores of the weak one's tests, and of what the strong one does beside
HeldOutAttack = Callable[[Plan, Tensors, Seen, People, People], Tests]


@dataclass(frozen=True)
class Listener:
    """What the strong one has besides what it hears: cases of the population, and what was trained on them alone."""

    reference: People
    whiteners: first_moments.Whiteners
    heard: Listened

    @cached_property
    def noised(self) -> "Listener":
        """As `private` trains, with hardly any noise."""
        return replace(self, heard=listen(self.plan(NEXT_TO_NO_NOISE, [self.reference]), [self.reference]))

    def plan(self, epsilon: float, sites: Sequence[People]) -> Plan:
        """With noise, for these; what features are divided by is that of the reference cases."""
        deviation = float(np.sqrt(self.reference.features.astype(np.float64).var(axis=0).mean()))
        patients = sum(int(site.trained_on.sum()) for site in sites)
        return with_noise(self.heard.plan, epsilon, deviation, max(len(sites), LEAST_SITES), patients)


@dataclass(frozen=True)
class Cell:
    """What every attack reached on the sum of so many sites, each of so many patients, in so many dimensions.

    scores: by name of attack and adversary: AUC; of "records found" and "records by chance" a share.
    """

    level: str
    sites: int
    patients: int
    dims: int
    scores: Mapping[str, float]


def make_listener(reference: People, rounds: int, epochs: int) -> Listener:
    """Once for all federations over the same features."""
    plan = make_plan({MODALITY: reference.features.shape[1]}, rounds, epochs)
    return Listener(reference, first_moments.whiteners(reference), listen(plan, [reference]))


def attack(
    listener: Listener, sites: Sequence[People], others: People, seed: int, levels: Sequence[Level] = PLAIN
) -> list[Cell]:
    """Every attack at levels without noise. others: of the same distribution; some of them judge the models."""
    found, (judges, strangers) = list[Cell](), judging(others, sites)
    for level, count in views(levels, len(sites)):
        plan = listener.heard.plan if count == 1 else in_sums(listener.heard.plan, len(sites))
        heard = listen(plan, sites, judges)
        seen = {task: level.sees(parts[:count]) for task, parts in heard.sent.items()}
        changes = heard.first_site if count == 1 else heard.changes
        members = members_of(sites[:count], seed)
        held_out = HeldOut(
            together([site.rows(~site.trained_on) for site in sites[:count]]), together(judges[:count])
        )
        view = View(
            listener, heard, seen, changes, together([members, strangers]), len(members), seed, held_out
        )
        found.append(Cell(level.name, count, len(sites[0]), others.features.shape[1], view.scores()))
    return found


def judging(others: People, sites: Sequence[People]) -> tuple[list[People], People]:
    """A fourth as many as train at each site, as long as half of the others are left, and who is left."""
    each = min(len(sites[0]) // TRAIN_PER_JUDGE, len(others) // 2 // len(sites))
    ends = np.arange(1, len(sites) + 1) * each
    return [others.rows(slice(end - each, end)) for end in ends], others.rows(slice(each * len(sites), None))


def attack_noised(listener: Listener, sites: Sequence[People], others: People, seed: int) -> list[Cell]:
    """Every attack that there is at the levels with noise, where there are few enough dimensions."""
    dims, found = others.features.shape[1], list[Cell]()
    if dims > MOST_NOISED:
        return found
    members, usual = members_of(sites, seed), listener.noised
    for level, count in views(NOISED, len(sites)):
        assert level.epsilon is not None
        heard = listen(listener.plan(level.epsilon, sites), sites)
        seen: dict[Task, Seen] = {"second_moments": without_noise(heard.plan, heard.sent["second_moments"])}
        view = View(usual, heard, seen, heard.changes, together([members, others]), len(members), seed)
        found.append(Cell(level.name, count, len(sites[0]), dims, view.scores()))
    return found


def members_of(sites: Sequence[People], seed: int) -> People:
    """Patients who are in all that the sites send: some, in an order that the seed draws."""
    everyone = together([site.rows(site.trained_on) for site in sites])
    return everyone.rows(np.random.default_rng([seed, 4]).permutation(len(everyone))[:MOST_CANDIDATES])


@dataclass(frozen=True)
class HeldOut:
    """Who calibrates the model, and who judges it."""

    calibrating: People
    judging: People


@dataclass(frozen=True)
class View:
    """What is seen of a federation, and of whom the adversary asks whether he is in it: the first `members` are.

    changes: what is seen of each round of training, as changes of the model that it started from. held_out: patients
    who do not train, where what they add is attacked, too.
    """

    listener: Listener
    heard: Listened
    seen: Mapping[Task, Seen]
    changes: Sequence[Tensors]
    candidates: People
    members: int
    seed: int
    held_out: HeldOut | None = None

    def scores(self) -> dict[str, float]:
        """Of every attack."""
        found, tests = {}, self.tests()
        for attack_, (weak, more) in tests.items():
            found[f"{attack_}, {WEAK}"] = membership(weak, self.is_member)
            found[f"{attack_}, {STRONG}"] = membership([*weak, *more], self.is_member)
        of_weak = [test for weak, _ in tests.values() for test in weak]
        of_strong = of_weak + [test for _, more in tests.values() for test in more]
        found[f"{EVERYTHING}, {WEAK}"] = joint_membership(of_weak, self.is_member)
        found[f"{EVERYTHING}, {STRONG}"] = joint_membership(of_strong, self.is_member)
        found["records found"], found["records by chance"] = self.records()
        return found | self.of_held_out() | {"label": self.label()}

    def tests(self) -> dict[str, Tests]:
        """By what is attacked."""
        return {
            **({"moments": self.moments()} if "moments" in self.seen else {}),
            "second moments": self.second_moments(),
            "train delta": self.train_delta(0),
            "last train delta": self.train_delta(-1),
            "all train deltas": self.train_deltas(),
            "final model": self.final_model(),
        }

    def of_held_out(self) -> dict[str, float]:
        """Of who is in the sums of those who do not train."""
        if self.held_out is None:
            return {}
        calibrating = self._asked_of(self.held_out.calibrating)
        judging_ = self._asked_of(self.held_out.judging)
        return (
            calibrating.of_task("calibrate", held_out.calibration)
            | calibrating.of_who_calibrates()
            | judging_.of_task("evaluate", held_out.evaluation)
        )

    def _asked_of(self, members: People) -> "View":
        """The same, of other members and the same strangers."""
        candidates = together([members, self.candidates.rows(~self.is_member)])
        return replace(self, candidates=candidates, members=len(members))

    def _tests_of(self, task: Task, attack_: HeldOutAttack) -> Tests:
        model, seen = self.heard.before[task], self.seen[task]
        return attack_(self.heard.plan, model, seen, self.candidates, self.listener.reference)

    def of_task(self, task: Task, attack_: HeldOutAttack) -> dict[str, float]:
        """Of members and strangers."""
        weak, more = self._tests_of(task, attack_)
        return {
            f"{task}, {WEAK}": membership(weak, self.is_member),
            f"{task}, {STRONG}": membership([*weak, *more], self.is_member),
        }

    def of_who_calibrates(self) -> dict[str, float]:
        """They are in moments and second moments, too, and the model is made of these."""
        found = [
            self.moments(),
            self.second_moments(),
            self._tests_of("calibrate", held_out.calibration),
            self.final_model(),
        ]
        of_weak = [test for weak, _ in found for test in weak]
        of_strong = of_weak + [test for _, more in found for test in more]
        return {
            f"{CALIBRATING}, {WEAK}": joint_membership(of_weak, self.is_member),
            f"{CALIBRATING}, {STRONG}": joint_membership(of_strong, self.is_member),
        }

    @cached_property
    def is_member(self) -> NDArray[np.bool_]:
        """Of the candidates, [n]."""
        return np.asarray(np.arange(len(self.candidates)) < self.members)

    def moments(self) -> tuple[list[Floats], list[Floats]]:
        """Scores of the weak one's tests, and of what the strong one can do beside them."""
        seen, whiteners = self.seen["moments"], self.listener.whiteners
        weak = first_moments.closeness(seen, self.candidates)
        return [weak], [first_moments.likelihood_ratio(seen, self.candidates, whiteners)]

    def second_moments(self) -> tuple[list[Floats], list[Floats]]:
        """As `moments`."""
        usual_rows = self._basis(self.listener.reference)
        population = usual_rows.T @ usual_rows / len(usual_rows)
        usual, rows = spectrum(population), self._rows
        more = [
            second_moments.likelihood_ratio(self._spectrum, usual, rows),
            second_moments.lean(self._square, population, usual, rows),
        ]
        by_half = [
            spectrum(second_moments.of_features(half))
            for half in second_moments.halves(self.seen["second_moments"])
        ]
        unlike = [second_moments.unlike(by_half, rows)] if len(by_half) > 1 else []
        return [second_moments.leverage(self._spectrum, rows), self._cosines, *unlike], more

    def train_delta(self, round_: int) -> tuple[list[Floats], list[Floats]]:
        """As `moments`, of one round of training."""
        drop = self._drops[round_]
        after = self._losses_before[round_] - drop
        return [drop, -after], [drop - self._usual_drops[round_]]

    def train_deltas(self) -> tuple[list[Floats], list[Floats]]:
        """As `moments`, of all rounds together."""
        more = self._drops - self._usual_drops
        low = (self._drops - self._losses_before).sum(axis=0)
        weak = [self._drops.sum(axis=0), train_delta.all_rounds(self._drops), low]
        return weak, [more.sum(axis=0), train_delta.all_rounds(more)]

    def final_model(self) -> tuple[list[Floats], list[Floats]]:
        """As `moments`."""
        plan, final, usual = self.heard.plan, self.heard.final, self.listener.heard.final
        weak = final_model.knowledge(plan, final, self.candidates)
        return weak, final_model.likelihood_ratios(plan, final, usual, self.candidates)

    def records(self) -> tuple[float, float]:
        """Shares of members, and of the others, who were found in the second moments without being known."""
        hits = self._cosines > reconstruction.FOUND
        return float(hits[self.is_member].mean()), float(hits[~self.is_member].mean())

    def label(self) -> float:
        """AUC of a coin that only members' label products tell of, among members."""
        products = second_moments.with_labels(self._whole)
        read = known_labels.scores(self._spectrum, products, self._rows)[self.is_member]
        return area(read, self.candidates.labels[self.is_member, known_labels.COIN] == 1)

    @cached_property
    def _losses_before(self) -> Floats:
        return train_delta.losses_before(self.heard.plan, self.heard.models, self.candidates)

    def _losses_after(self, changes: Sequence[Tensors]) -> Floats:
        return train_delta.losses_after(self.heard.plan, self.heard.models, changes, self.candidates)

    @cached_property
    def _drops(self) -> Floats:
        """By how much each round lowers the loss of each candidate, [rounds, n]."""
        return self._losses_before - self._losses_after(self.changes)

    @cached_property
    def _usual_drops(self) -> Floats:
        """By how much that of the reference cases would have."""
        return self._losses_before - self._losses_after(self.listener.heard.changes)

    @cached_property
    def _whole(self) -> Seen:
        return second_moments.whole(self.seen["second_moments"])

    @cached_property
    def _square(self) -> Floats:
        return second_moments.of_features(self._whole)

    @cached_property
    def _spectrum(self) -> Spectrum:
        return spectrum(self._square)

    @cached_property
    def _rows(self) -> Floats:
        return self._basis(self.candidates)

    @cached_property
    def _cosines(self) -> Floats:
        patients = next(iter(self._whole.weights.values()))
        found = reconstruction.reconstruct(self._spectrum, patients, self.seed)
        return reconstruction.nearest(found[:, 1:], self._rows[:, 1:])

    def _basis(self, people: People) -> Floats:
        """As second moments see them: standardised, with the constant."""
        model = load_model(self.heard.plan, self.heard.before["second_moments"])
        there = torch.ones(len(people), dtype=torch.bool)
        features = {MODALITY: torch.from_numpy(people.features)}
        standard = model.standardise(features, {MODALITY: there})[MODALITY]
        return second_moments.with_constant(standard.numpy().astype(np.float64))
