"""One federation in one process: the project's own trainer, fold, closed form and codec, without a broker between.

Both directions are compressed as the plan says, with error feedback at every site and at the server. Of secure sums
there are the sums, without masks, keys and sites that are lost on the way; what too few sites have is withheld by
fedfin/model/blocks.py, as at a site. The file to read first is `Rounds.run`: it is the whole protocol of a round.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.codec import compensate, compress, decompress
from fedfin.codec.layout import Tensors
from fedfin.model.blocks import blocks_of
from fedfin.model.initial_model import initial_model
from fedfin.model.model_spec import MAGNITUDES, Task, model_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol.convergence import follow, pooled_loss
from fedfin.protocol.schedule import (
    first_training_round,
    last_round,
    levels_up,
    preset_down,
    preset_up,
    task_of,
)
from fedfin.secure_sums.quantizer import Quantizer
from fedfin_aggregator.fold.fold import Fold
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.rounds.close import Means as Values
from fedfin_aggregator.rounds.close import close_round, fold_update
from fedfin_aggregator.rounds.versions import make_change
from fedfin_edge.agent.update import finite
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.run_task import run_task
from fedfin_edge.tasks.task import TaskResult

# Told of every update before it is compressed: round, site, deltas with what was owed to them.
Recorder = Callable[[int, str, Tensors], None]
PERCENT = 100  # weights are whole numbers: trust is rounded to this part


@dataclass(frozen=True)
class Traffic:
    """Bytes of one round: `up` by site that took part, `down` for every site."""

    up: dict[str, int]
    up_float32: dict[str, int]
    down: int
    down_float32: int


@dataclass
class _Site:
    """What a site keeps between rounds."""

    name: str
    dataset: Dataset
    residual: Tensors = field(default_factory=dict)


@dataclass(frozen=True)
class _Given:
    """What a site sent: as it arrives, with the bytes of its body, and of the same as float32."""

    site: _Site
    values: Tensors
    weights: Mapping[str, int]
    metrics: Mapping[str, float]
    size: int
    float32: int


class Rounds:
    """A federation under way. `model` is the present version; training ends as at an aggregator, by convergence."""

    def __init__(
        self,
        plan: Plan,
        sites: Mapping[str, Dataset],
        *,
        taking_part: int | None = None,
        record: Recorder | None = None,
        trust: Mapping[str, float] | None = None,
    ) -> None:
        """`taking_part`: how many sites a training round asks, drawn by the plan's seed; None: all.

        `trust`: a factor in 0..1 to the weight of each site's training, for methods that trust sites differently.
        """
        self._trust = trust
        self.plan, self._record = plan, record
        self._sites = [_Site(name, dataset) for name, dataset in sites.items()]
        self._taking_part = len(self._sites) if taking_part is None else taking_part
        self._draws = np.random.default_rng(plan.seed)
        self._owed: Tensors = {}
        self.model = initial_model(plan)
        self._losses: dict[
            int, float
        ] = {}  # on held-out cases, by version, as the aggregator's journal has them
        self._versions: dict[int, Tensors] = {}  # what of those is trained
        self._next = 1
        self.trained = 0  # how many rounds of training the model comes of

    @property
    def numbers(self) -> Iterator[int]:
        """The rounds that make a version, while `run` is called for each: all but the last, which evaluates."""
        while self._next < last_round(self.plan):
            yield self._next

    def replace(self, sites: Mapping[str, Dataset]) -> None:
        """From the next round on these are the sites, new ones; all of them take part."""
        self._sites = [_Site(name, dataset) for name, dataset in sites.items()]
        self._taking_part = len(self._sites)

    def run(self, number: int) -> Traffic:
        """Round `number` (from 1) of the protocol: sites do its task and send, the server folds and sends."""
        task, fold, means, up, up_float32 = task_of(self.plan, number), Fold(), Means(), {}, {}
        for given in self._in_sum(task, self._given(task, number)):
            name = given.site.name
            group = "" if self.plan.privacy.summed else name  # all sites are in one sum
            fold_update(fold, task, given.values, given.weights, group)
            means.add(given.size, given.metrics)
            up[name], up_float32[name] = given.size, given.float32
        second_moments = fold.sums if task == "second_moments" else {}
        added, replaced = close_round(self.plan, task, fold.sums, second_moments, self.model)
        self._next, best = follow(self.plan, number, self._known(number, means.results()))
        self.trained += task == "train"
        if best is not None:
            self.trained = best + 1 - first_training_round(self.plan)
            return Traffic(up, up_float32, *self._back(best))
        return Traffic(up, up_float32, self._publish(number, added, replaced), _bytes({**added, **replaced}))

    def _known(self, number: int, results: Mapping[str, float]) -> dict[int, float]:
        """Losses of the versions so far; of the one that this round started from it is in the results."""
        if task_of(self.plan, number) == "train" and (loss := pooled_loss(results)) is not None:
            self._losses[number - 1] = loss
            trained = {name: self.model[name] for name in task_specs(self.plan, "train")}
            self._versions[number - 1] = trained
        return self._losses

    def _back(self, best: int) -> tuple[int, int]:
        """To an earlier version, which travels whole; its bytes as sent and as float32."""
        self.model, self._owed = self.model | self._versions[best], {}
        whole = compress(self.model, model_shapes(self.plan), "exact").body
        return len(whole), _bytes(self.model)

    def _asked(self, task: Task) -> list[_Site]:
        """All sites, or those drawn to train, in a fixed order."""
        if task != "train" or self._taking_part == len(self._sites):
            return self._sites
        chosen = self._draws.choice(len(self._sites), self._taking_part, replace=False)
        return [self._sites[place] for place in sorted(chosen)]

    def _given(self, task: Task, number: int) -> Iterator[_Given]:
        """One site after the other, so that not all updates are in memory."""
        shapes = task_specs(self.plan, task)
        for site in self._asked(task):
            result = self._work(task, number, site)
            body, weights = self._compress_up(task, number, site, result)
            values, full = decompress(body, shapes), _bytes(result.deltas)
            yield _Given(site, values, weights, result.metrics, len(body), full)

    def _in_sum(self, task: Task, given: Iterable[_Given]) -> Iterable[_Given]:
        """Without what too few sites give, where the plan asks for so many behind each block: as all sites judge."""
        if (blocks := blocks_of(self.plan, task)) is None:
            return given
        everyone = list(given)
        judgement = blocks.judge(
            {g.site.name: blocks.given(g.values, g.weights, g.site.dataset.familiar_labels) for g in everyone}
        )
        kept = [judgement.apply(g.values, g.weights) for g in everyone]
        return [
            replace(g, values=values, weights=weights)
            for g, (values, weights) in zip(everyone, kept, strict=True)
        ]

    def _work(self, task: Task, number: int, site: _Site) -> TaskResult:
        """What a site says; tensors that diverged are left out, as at a real site."""
        result = run_task(
            self.plan,
            task,
            number,
            self.model,
            site.dataset,
            site.name,
            progress=lambda _: None,
            stop=lambda: False,
        )
        values = finite(result.deltas)
        weights = {name: result.weights[name] for name in values}
        if self._trust is not None and task == "train":
            weights = {n: max(1, round(PERCENT * self._trust[site.name] * w)) for n, w in weights.items()}
        return TaskResult(values, weights, result.metrics)

    def _compress_up(
        self, task: Task, number: int, site: _Site, result: TaskResult
    ) -> tuple[bytes, Mapping[str, int]]:
        """What the site sends, and how many cases of each tensor; it keeps what the body left out."""
        training, weights = task == "train", result.weights
        values = compensate(result.deltas, site.residual) if training else result.deltas
        if self._record and training:
            self._record(number, site.name, values)
        left: Tensors = {}
        if training and (levels := levels_up(self.plan, number)) is not None:
            values, weights, left = rounded(Quantizer(self.plan, levels, self.model), values, weights)
        done = compress(values, task_specs(self.plan, task), preset_up(self.plan, number))
        if training:
            site.residual = {**site.residual, **done.residual, **left}
        return done.body, weights

    def _publish(self, number: int, added: Values, replaced: Values) -> int:
        """The next model at every site; returns the bytes that brought it there."""
        shapes, preset = model_shapes(self.plan), preset_down(self.plan, number)
        change = make_change(self.model, added, replaced, self._owed, shapes, preset)
        self.model, self._owed = change.tensors, change.owed
        return len(change.set) + len(change.add)


def rounded(
    quantizer: Quantizer, values: Tensors, weights: Mapping[str, int]
) -> tuple[Tensors, dict[str, int], Tensors]:
    """What a secure sum holds of a site's values, in the model's units; the cases of each tensor; what stays there.

    As fedfin_edge/agent/outbox.py gives them, whose sites say besides how large their values are.
    """
    counted = {name: weights[name] for name in values}
    _, left = quantizer.quantize(values, counted)
    given = {name: array - left.get(name, np.float32(0)) for name, array in values.items()}
    given[MAGNITUDES] = quantizer.magnitudes(values, counted)
    return given, counted | {MAGNITUDES: max(counted.values(), default=1)}, left


def _bytes(tensors: Mapping[str, NDArray[Any]]) -> int:
    """As float32."""
    return sum(4 * values.size for values in tensors.values())
