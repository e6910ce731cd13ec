"""Where updates lie while they arrive, and are judged when they are complete: those that are together, together."""

from collections.abc import Callable
from typing import Any

from fedfin.errors import ProtocolError
from fedfin.protocol import transfer
from fedfin.protocol.messages import Receipt
from fedfin.protocol.round_states import Answer, Judge, Judged
from fedfin.protocol.round_states import Spool as Keep
from fedfin.trust.channel import AggregatorEnd, OpenAggregatorEnd
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.spool import Spool

Report = Callable[[str, dict[str, Any]], None]


class Incoming:
    """One aggregator's. `report` is told of every update."""

    def __init__(self, rounds: Rounds, report: Report, channel: AggregatorEnd | None = None) -> None:
        self._rounds, self._report = rounds, report
        self._channel = channel or OpenAggregatorEnd()
        rounds.journal.tidy()  # after an earlier life; only who serves may: what is being written has no row yet
        self._spool = Spool(rounds.journal.folder / "spool")
        self._complete: list[Judge] = []

    def take(self, effect: Keep | Judge) -> None:
        """A chunk to keep, or an update that is complete."""
        if isinstance(effect, Judge):
            self._complete.append(effect)
        else:
            self._spool.put(effect.site, effect.offset, effect.data, effect.size)

    def judge(self) -> Judged | None:
        """Judge all complete updates with one write to the disk; their receipts, or None if there are none."""
        if not self._complete:
            return None
        complete, self._complete = self._complete, []
        with self._rounds.journal.together():
            return Judged(tuple(Answer(judge.site, judge.round, self._receipt(judge)) for judge in complete))

    def _receipt(self, judge: Judge) -> Receipt:
        payload = self._spool.take(judge.site, judge.size)
        try:
            if not judge.checked:
                transfer.check(judge.id, payload)
            update = self._channel.open_update(judge.site, judge.round, payload)
        except ProtocolError as error:
            receipt = Receipt(id=judge.id, accepted=False, reason=str(error))
        else:
            receipt = self._rounds.judge(judge.round, judge.site, judge.id, update)
        result = {"accepted": receipt.accepted, "reason": receipt.reason}
        facts = {"bytes": len(payload), "id": judge.id.hex()}
        self._report("update", {"site": judge.site, "round": judge.round} | result | facts)
        return receipt
