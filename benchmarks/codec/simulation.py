"""A federation of the codec's study: one preset for each direction, and some of the sites in each round.

What happens in a round is `benchmarks.study.rounds`.
"""

from collections.abc import Callable

import msgspec

from benchmarks.codec.federation import Federation
from benchmarks.study.rounds import Rounds, Traffic
from fedfin.codec import Preset
from fedfin.codec.layout import Tensors
from fedfin.plan_sections import Codec

# Told of every update before it is compressed: training round, site, deltas with what was owed to them.
Recorder = Callable[[int, str, Tensors], None]


class Simulation:
    """Its rounds are those of training, from 1; the features' moments are pooled when it is made."""

    def __init__(
        self,
        federation: Federation,
        up: Preset,
        down: Preset,
        *,
        taking_part: int,
        record: Recorder | None = None,
    ) -> None:
        def keep(number: int, site: str, deltas: Tensors) -> None:
            if record is not None:
                record(number - 1, site, deltas)

        plan = msgspec.structs.replace(federation.plan, codec=Codec(up=up, down=down))
        self._rounds = Rounds(plan, federation.sites, taking_part=taking_part, record=keep)
        self._rounds.run(1)

    @property
    def model(self) -> Tensors:
        """The present version."""
        return self._rounds.model

    def round(self, number: int) -> Traffic:
        """Training round `number`: who was drawn trains and sends, the server folds and sends."""
        return self._rounds.run(number + 1)
