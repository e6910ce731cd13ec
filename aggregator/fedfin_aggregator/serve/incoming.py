"""Where updates lie while they arrive, and are judged when they are complete; receipts follow when they are durable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fedfin.errors import ProtocolError
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.effects import Judge
from fedfin.protocol.rounds.effects import Spool as Keep
from fedfin.protocol.rounds.events import Answer, Judged
from fedfin.trust.channel import AggregatorEnd, OpenAggregatorEnd
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.serve.disk import Disk
from fedfin_aggregator.store.spool import Spool

Report = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Written:
    """Among the events that the owner reads: updates have become durable, and `answers` has their receipts."""


class Incoming:
    """One aggregator's. `report` is told of every update, `tell` of Written, from another thread."""

    def __init__(
        self,
        rounds: Rounds,
        report: Report,
        tell: Callable[[Written], None],
        channel: AggregatorEnd | None = None,
    ) -> None:
        self._rounds, self._report = rounds, report
        self._channel = channel or OpenAggregatorEnd()
        rounds.journal.tidy()  # after an earlier life; only who serves may: what is being written has no row yet
        self._spool = Spool(rounds.journal.folder / "spool")
        self._at_once: list[Answer] = []  # for which there is nothing to write
        self._disk = Disk(rounds.journal.updates.write, lambda: tell(Written()))

    def take(self, effect: Keep | Judge) -> None:
        """A chunk to keep, or an update that is complete: it is judged while the processor still has it at hand."""
        if not isinstance(effect, Judge):
            self._spool.put(effect.site, effect.offset, effect.data, effect.size)
        elif (answer := self._answer(effect)) is not None:
            self._at_once.append(answer)

    def write(self) -> Judged | None:
        """Have what was judged written down, together; the receipts, where there is nothing to write."""
        at_once, self._at_once = self._at_once, []
        self._disk.begin()
        return _judged(at_once)

    def answers(self) -> Judged | None:
        """The receipts that may go out by now. Raises StateError when updates could not be written."""
        return _judged(self._disk.take())

    def settle(self) -> Judged | None:
        """Those of all complete updates. It waits for the disk, and raises as `answers` does."""
        at_once = self.write()
        return _judged([*self._disk.settle(), *(at_once.answers if at_once else ())])

    def close(self) -> None:
        """Wait for the disk; what it has written is answered in another life."""
        self._disk.close()

    def _answer(self, judge: Judge) -> Answer | None:
        """None where it has to wait for the disk."""
        with self._rounds.journal.updates.gathered() as entries:
            answer = Answer(judge.site, judge.round, self._receipt(judge))
        if not entries:
            return answer
        self._disk.add(entries, answer)
        return None

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


def _judged(answers: Sequence[Answer]) -> Judged | None:
    return Judged(tuple(answers)) if answers else None
