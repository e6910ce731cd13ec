"""One federation in one process: the real trainer, fold and codec, without a broker between them.

Both directions are compressed, with error feedback at every site and at the server. The file to read first is
`Simulation.round`: it is the whole protocol of a round.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from aggregator.fold import Fold, apply_means
from benchmarks.codec.federation import Federation
from edge_client.dataset import Dataset
from edge_client.trainer import TaskResult, run_task
from fedfin.model_spec import Task, initial_model, task_specs
from fedfin.plan import Codec, Plan
from fedfin.protocol import limits
from fedfin.protocol.codec import Preset, compensate, compress, decompress
from fedfin.protocol.codec.layout import Tensors

# Told of every update before it is compressed: round, site, deltas with what was owed to them.
Recorder = Callable[[int, str, Tensors], None]


@dataclass(frozen=True)
class Traffic:
    """Bytes of one training round: `up` by site that took part, `down` for every site."""

    up: dict[str, int]
    up_float32: dict[str, int]
    down: int
    down_float32: int


@dataclass
class Site:
    """What a site keeps between rounds."""

    name: str
    dataset: Dataset
    residual: Tensors = field(default_factory=dict)


class Simulation:
    """A federation under one preset for each direction."""

    def __init__(
        self,
        federation: Federation,
        up: Preset,
        down: Preset,
        *,
        taking_part: int,
        record: Recorder | None = None,
    ) -> None:
        self._up, self._down = up, down
        self._plan = msgspec.structs.replace(federation.plan, codec=Codec(up=up, down=down))
        self._shapes = task_specs(federation.plan, "train")
        self._sites = [Site(name, dataset) for name, dataset in federation.sites.items()]
        self._taking_part, self._record = taking_part, record
        self._draws = np.random.default_rng(federation.plan.seed)
        self._owed: Tensors = {}
        self.model = self._moments(initial_model(federation.plan))

    def round(self, number: int) -> Traffic:
        """Training round `number` (from 1): who was drawn trains and sends, the server folds and sends."""
        fold, up, up_float32 = Fold(), {}, {}
        for site in self._drawn():
            result = _run(self._plan, "train", number + 1, self.model, site)
            body = self._compress_up(number, site, result.deltas)
            fold.add(decompress(body, self._shapes), result.weights)
            up[site.name], up_float32[site.name] = len(body), _bytes(result.deltas)
        down = self._publish(fold)
        return Traffic(up, up_float32, down, sum(4 * int(np.prod(s)) for s in self._shapes.values()))

    def _moments(self, model: Tensors) -> Tensors:
        fold = Fold()
        for site in self._sites:
            result = _run(self._plan, "moments", 1, model, site)
            fold.add(result.deltas, result.weights)
        return apply_means(model, fold.means(), replace=True)

    def _drawn(self) -> list[Site]:
        """Some of the sites, in a fixed order; the seed draws them."""
        chosen = self._draws.choice(len(self._sites), self._taking_part, replace=False)
        return [self._sites[place] for place in sorted(chosen)]

    def _compress_up(self, number: int, site: Site, deltas: Tensors) -> bytes:
        """What the site sends; it keeps what the body left out."""
        values = compensate(deltas, site.residual)
        if self._record:
            self._record(number, site.name, values)
        done = compress(values, self._shapes, self._up)
        site.residual = {**site.residual, **done.residual}
        return done.body

    def _publish(self, fold: Fold) -> int:
        """The next model at every site; returns the bytes that brought it there."""
        target = apply_means(self.model, fold.means(), replace=False)
        values = compensate({name: target[name] - self.model[name] for name in fold.means()}, self._owed)
        if self._down == "exact":
            body = compress({name: target[name] for name in values}, self._shapes, "exact").body
            self.model = target
            return len(body)
        done = compress(values, self._shapes, self._down)
        self._owed = {**self._owed, **done.residual}
        for name, change in decompress(done.body, self._shapes).items():
            following = np.clip(self.model[name] + change, -limits.VALUE_ABS, limits.VALUE_ABS)
            self.model = self.model | {name: following}
        return len(done.body)


def _run(plan: Plan, task: Task, number: int, model: Tensors, site: Site) -> TaskResult:
    return run_task(
        plan, task, number, model, site.dataset, site.name, progress=lambda _: None, stop=lambda: False
    )


def _bytes(tensors: Tensors) -> int:
    return sum(4 * values.size for values in tensors.values())
