"""Lies after decoding: updates of every task, honest but for some changes, through all that an aggregator does.

judge, fold, close, solve, publish, print; then the journal is opened again, and the federation played to its end. An
update is refused or folded, and nothing raises.
"""

import functools
import hashlib
import io
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from closed_form_cases import draw, make_plan, second_moments, some_hidden
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.transport.stand_in_values import possible
from fedfin import limits
from fedfin.codec import Tensors, compress
from fedfin.command_line.progress import RoundBar
from fedfin.model.model_spec import Task, task_specs
from fedfin.protocol.payloads import encode_update
from fedfin.protocol.schedule import last_round, task_of
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary
from fedfin_edge.cases.dataset import Dataset

PLAN = make_plan(rounds=1, head_width=3, answer="both")
HONEST, LIARS = ("honest-1", "honest-2"), ("liar-1", "liar-2")
CASES = 70
# Honest ones that a lie starts from: how many cases, and the deviation of what is not the labels' in their features.
KINDS = ((CASES, 0.5), (CASES, 0.0), (CASES, 100.0), (CASES, 1e-4), (1, 0.5), (2, 0.0))
MOST_CHANGES = 6
# What values are set to or multiplied by: the edges of what the codec carries, and of what moments are.
EDGES = (0.0, 1.0, -1.0, 0.5, 2.0, 6.0, 36.0, 1 / CASES, 1e-6, 1e-30, limits.VALUE_ABS, -limits.VALUE_ABS)
COUNTS = (1, 2, CASES, CASES + 1, 1000, 100_000, limits.SITE_WEIGHT)
METRICS = ("cases", "cases", "cases", "\x1b[2J", "[/red]", "x" * limits.NAME_CHARS, "auc.all", "late")
NUMBERS = (0.0, -1.0, 1e308, -1e308, 5e-324, 1e16)
Update = tuple[Tensors, dict[str, int]]
_T = TypeVar("_T")


class Choices:
    """Bytes as decisions; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, count: int) -> int:
        """A number below `count`, of two bytes."""
        return (256 * next(self._data, 0) + next(self._data, 0)) % count

    def one(self, values: Sequence[_T]) -> _T:
        """One of these."""
        return values[self.below(len(values))]


def fuzz(data: bytes) -> None:
    """A round with two liars in it, of a federation that has come to it, and the rounds after it."""
    choices = Choices(data)
    round_ = 1 + choices.below(last_round(PLAN))
    with standing(round_) as rounds:
        for site in HONEST:
            assert judge(rounds, site, task_of(PLAN, round_), honest(site, task_of(PLAN, round_)), {})
        for site in LIARS:
            task = task_of(PLAN, round_)
            if task == "train":  # who comes late gives second moments instead
                task = choices.one((task, "second_moments"))
            sent = lie(choices, honest(site, task, choices.one(KINDS)))
            judge(rounds, site, task, sent, {choices.one(METRICS): choices.one(NUMBERS)})
        finish(reopened(rounds))


@contextmanager
def standing(round_: int, kind: type[Rounds] = Rounds) -> Iterator[Rounds]:
    """An aggregator at this round; nobody has sent anything before."""
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copytree(_stood(round_), Path(folder) / "aggregator")
        yield kind(Journal(copied / "journal.sqlite"))


@functools.cache
def _stood(round_: int) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-rounds-"))
    rounds = Rounds(Journal(folder / "journal.sqlite", create=PLAN))
    while rounds.position.round < round_:
        rounds.close(rounds.position.round)
    rounds.journal.close()
    return folder


@functools.cache
def honest(site: str, task: Task, kind: tuple[int, float] = KINDS[0]) -> Update:
    """What a real site gives of its second moments; of the rest what one could."""
    seed = int.from_bytes(hashlib.sha256(site.encode()).digest()[:4], "big")
    if task == "second_moments":
        given: Update = second_moments(PLAN, _cases(seed, *kind), site)
        return given
    values = possible(task, task_specs(PLAN, task), np.random.default_rng(seed))
    return values, dict.fromkeys(values, kind[0])


def _cases(seed: int, count: int, noise: float) -> Dataset:
    """Complete ones in two halves, or of any pattern."""
    cases = draw(PLAN, count, seed, noise=noise)
    if seed % 2:
        hidden: Dataset = some_hidden(cases, seed)
        return hidden
    half = np.arange(count) % 2 == 0
    return Dataset(cases.features, cases.present, cases.labels, cases.held_out, second_half=half)


def lie(choices: Choices, truth: Update) -> Update:
    """Some changes."""
    values, weights = dict(truth[0]), dict(truth[1])
    for _ in range(choices.below(MOST_CHANGES + 1)):
        name = choices.one(sorted(truth[0]))
        if name in values:
            choices.one((_change, _change, _change, _leave_out, _recount, _recount_all))(
                choices, values, weights, name
            )
    return values, weights


def _leave_out(_: Choices, values: Tensors, weights: dict[str, int], name: str) -> None:
    del values[name], weights[name]


def _recount(choices: Choices, _: Tensors, weights: dict[str, int], name: str) -> None:
    weights[name] = choices.one(COUNTS)


def _recount_all(choices: Choices, _: Tensors, weights: dict[str, int], __: str) -> None:
    weights.update(dict.fromkeys(weights, choices.one(COUNTS)))


def _change(choices: Choices, values: Tensors, _: dict[str, int], name: str) -> None:
    array = values[name].astype(np.float64)
    way: Callable[[Choices, NDArray[np.float64]], None] = choices.one(
        (_set, _shift, _fill_row, _scale, _blur)
    )
    way(choices, array)
    values[name] = array.clip(-limits.VALUE_ABS, limits.VALUE_ABS).astype(np.float32)


def _set(choices: Choices, array: NDArray[np.float64]) -> None:
    array.reshape(-1)[choices.below(array.size)] = choices.one(EDGES)


def _shift(choices: Choices, array: NDArray[np.float64]) -> None:
    array.reshape(-1)[choices.below(array.size)] += _small(choices)


def _fill_row(choices: Choices, array: NDArray[np.float64]) -> None:
    array[choices.below(len(array))] = choices.one(EDGES)


def _scale(choices: Choices, array: NDArray[np.float64]) -> None:
    """All but the first value, which is a constant's in second moments."""
    array.reshape(-1)[1:] *= choices.one(EDGES)


def _blur(choices: Choices, array: NDArray[np.float64]) -> None:
    array += _small(choices) * np.random.default_rng(choices.below(65536)).standard_normal(array.shape)


def _small(choices: Choices) -> float:
    """From much to less than rounding."""
    return choices.one(EDGES) * math.ldexp(1.0, -choices.below(32))


def judge(rounds: Rounds, site: str, task: Task, sent: Update, metrics: dict[str, float]) -> bool:
    """Whether the update is accepted."""
    at, shapes = rounds.position, task_specs(PLAN, task)
    facts: dict[str, Any] = {
        "site": site,
        "plan": PLAN.digest(),
        "run": rounds.journal.run,
        "round_": at.round,
        "base": at.version,
    }
    body = compress(sent[0], shapes, "exact").body
    payload = encode_update(body, sent[1], shapes, task=task, metrics=metrics, **facts)
    return rounds.judge(at.round, site, hashlib.sha256(payload).digest(), payload).accepted


def reopened(rounds: Rounds) -> Rounds:
    """By a later life of the aggregator."""
    rounds.journal.close()
    return type(rounds)(Journal(rounds.journal.folder / "journal.sqlite"))


def finish(rounds: Rounds) -> None:
    """All rounds that are left, each seen as people see it."""
    while not rounds.position.finished:
        assert not rounds.close(rounds.position.round), "what has no solution is refused, not left out"
        _check_shown(rounds)
        rounds = reopened(rounds)
    rounds.journal.close()


def _check_shown(rounds: Rounds) -> None:
    """Nothing that a terminal obeys, and every result a number; the version can be read."""
    shown = io.StringIO()
    print_summary(rounds.journal, Console(file=shown))
    bar = RoundBar(Console(file=shown), total=None)
    for row in rounds.journal.rounds():
        bar("closed", {"round": row.round} | row.results)
        assert all(map(math.isfinite, row.results.values()))
    assert "\x1b" not in shown.getvalue()
    assert rounds.model_file(rounds.position.version)
