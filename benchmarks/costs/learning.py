"""How many rounds a federation needs until its model has 99 % of the final AUC, by codec preset and for closed forms.

UCI mfeat, two views of 2,000 digits, ten sites, `8:0:2`, the demo's model and rounds: the project's own trainer, fold,
closed forms and codec in one process (benchmarks/study/rounds.py). AUC is the mean over complete cases, each view
alone, and cases of which half are missing. The final AUC is that of the finished model under `exact`, head and closed
forms together; on the way there the head answers alone.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.costs.wire.federation import demo_settings
from benchmarks.study.deal import Recipe, deal
from benchmarks.study.federation import Federation
from benchmarks.study.fusion_answers import FusionAnswers
from benchmarks.study.measure import auc_figures
from benchmarks.study.patterns import views
from benchmarks.study.rounds import Rounds
from benchmarks.study.settings import DATA, SETTINGS
from benchmarks.study.sources import load_pool
from fedfin.codec.presets import Preset
from fedfin.demo.stages import LEARNING_RATE
from fedfin.model.model_spec import model_shapes
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Model, Training
from fedfin.protocol.schedule import first_training_round, last_round, task_of

SETTING = "8:0:2"
SHARE = 0.99
Step = Callable[[str, int, int], None]


class Course(msgspec.Struct, frozen=True):
    """Of one federation, AUC x 100.

    closed: of the closed forms before any training; auc: of the head after each round of it; final: of the finished
    model; up, down: payload of a site in the mean, by task.
    """

    preset: Preset
    seed: int
    closed: float
    auc: list[float]
    final: float
    up: dict[str, float]
    down: dict[str, float]


def run(cache: Path, presets: Sequence[Preset], seeds: int, step: Step) -> Iterator[Course]:
    """One federation after the other. Raises InputError when the data cannot be had."""
    pool = load_pool(DATA["mfeat"], cache, lambda done, of: step("reading mfeat", done, of))
    rounds = demo_settings().rounds
    recipe = Recipe(rounds, Model(basis_total=0), Training(learning_rate=LEARNING_RATE))
    for seed in range(seeds):
        federation = deal(pool, SETTINGS[SETTING], seed, recipe)
        for preset in presets:
            yield _course(federation, preset, seed)


def _course(federation: Federation, preset: Preset, seed: int) -> Course:
    plan = msgspec.structs.replace(federation.plan, codec=Codec(up=preset, down=preset))
    rounds, first = Rounds(plan, federation.sites), first_training_round(plan)
    auc, closed = [], 0.0
    up: dict[str, list[float]] = {}
    down: dict[str, list[float]] = {}
    for number in range(1, last_round(plan)):
        traffic, task = rounds.run(number), task_of(plan, number)
        up.setdefault(task, []).append(sum(traffic.up.values()) / len(federation.sites))
        down.setdefault(task, []).append(traffic.down)
        if task == "train":
            auc.append(_auc(_by(plan, "head"), rounds, federation, seed))
        if number == first - 1:
            closed = _auc(_by(plan, "experts"), rounds, federation, seed)
    final = _auc(plan, rounds, federation, seed)
    means = ({task: float(np.mean(values)) for task, values in way.items()} for way in (up, down))
    return Course(preset, seed, closed, auc, final, *means)


def _by(plan: Plan, answer: str) -> Plan:
    """The same plan, answered by one of the two."""
    model = msgspec.convert(msgspec.to_builtins(plan.model) | {"answer": answer}, Model)
    return msgspec.structs.replace(plan, model=model)


def _auc(plan: Plan, rounds: Rounds, federation: Federation, seed: int) -> float:
    """Macro AUC x 100 in the mean over what is shown."""
    tensors = {name: rounds.model[name] for name in model_shapes(plan)}
    answers, judge, found = FusionAnswers(plan, tensors), federation.judge, []
    for shown in views(judge, seed).values():
        visible = {m: values * shown[m][:, None] for m, values in judge.features.items()}
        value = auc_figures(answers.probability(visible, shown), judge.labels)[0]
        if value is not None:
            found.append(value)
    return float(np.mean(found))


def goal(courses: Sequence[Course]) -> float:
    """The AUC to reach: a share of what `exact` ends with."""
    finals = [course.final for course in courses if course.preset == "exact"]
    return SHARE * float(np.mean(finals))


def rounds_needed(courses: Sequence[Course], preset: Preset) -> int | None:
    """Of training, by the mean over seeds; None where it does not get there."""
    mean = np.mean([course.auc for course in courses if course.preset == preset], axis=0)
    reached = np.flatnonzero(mean >= goal(courses))
    return int(reached[0]) + 1 if len(reached) else None


def closed_forms_reach(courses: Sequence[Course]) -> bool:
    """Whether one exchange without any training is enough."""
    return bool(np.mean([course.closed for course in courses]) >= goal(courses))
