"""Updates on their way in, from any number of sites: what has come, whose turn it is, what was answered.

Memory is flat: of an update there is only its outline here; its chunks go to the spool as they come. Which updates
are wanted at all is its owner's affair: the aggregator's machine, a shard's, or the root's for its shards.
"""

from collections.abc import Callable, Iterable, Mapping

from fedfin.errors import ProtocolError
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Begin, Chunk, Missing, Receipt
from fedfin.protocol.refusals import TWICE, late
from fedfin.protocol.rounds.admission import Admission
from fedfin.protocol.rounds.effects import Judge, Receiving, Send, Spool
from fedfin.protocol.rounds.events import Answer


class Reception:
    """`open` begins each round; a transfer for an earlier one goes on while its owner still wants it.

    `given`: the receipt that a site was given for a round, however long ago.
    """

    def __init__(
        self, *, max_bytes: int, given: Callable[[int, str], Receipt | None] = lambda *_: None
    ) -> None:
        self.receipts: dict[str, Receipt] = {}  # given in this round, by site
        self._round = 0
        self._earlier: dict[str, Receipt] = {}  # for a site that missed its own before the round closed
        self._max_bytes, self._given = max_bytes, given
        self._transfers: dict[
            str, tuple[int, transfer.Arrivals]
        ] = {}  # under way, by site, with their rounds
        self._judging: set[str] = set()  # sites whose update is complete and has no receipt yet
        self._admission = Admission()

    def open(
        self,
        round_: int,
        receipts: Mapping[str, Receipt],
        earlier: Mapping[str, Receipt],
        *,
        wanted: Callable[[int], bool] | None = None,
    ) -> None:
        """A round begins. `receipts`: those given in it already; `earlier`: each site's newest from before.

        `wanted`: whether updates for a round are still wanted; without it, only this round's.
        """
        self._round, self.receipts, self._earlier = round_, dict(receipts), dict(earlier)
        wanted = wanted or round_.__eq__
        for site in [site for site, (other, _) in self._transfers.items() if not wanted(other)]:
            del self._transfers[site]
            self._admission.leave(site)

    @property
    def accepted(self) -> list[str]:
        """The sites with an update that counts in this round."""
        return [site for site, receipt in self.receipts.items() if receipt.accepted]

    def answer(self, site: str, message: Begin, *, over: bool = False) -> Send | None:
        """The receipt for this update, if there is one: repeats get the same again.

        `over`: its round is; then a site that was set back by many rounds gets its receipt, too.
        """
        if (answer := self._repeat(site, message)) is not None or not over:
            return answer
        given = self._given(message.round, site)
        known = given is not None and given.id == message.outline.id
        return Send(site, "dn/ctl", given) if given is not None and known else None

    def _repeat(self, site: str, message: Begin) -> Send | None:
        """The receipt that the site has heard last, if it asks again."""
        for receipt in (self.receipts.get(site), self._earlier.get(site)):
            if receipt is not None and receipt.id == message.outline.id:
                return Send(site, "dn/ctl", receipt)
        return None

    def objection(self, site: str, message: Begin, *, wanted: bool) -> str | None:
        """Why this update cannot be taken, if so. `wanted`: whether updates for its round still are."""
        if not wanted:
            given = self._given(message.round, site)
            counts = given is not None and given.accepted  # of a site that was set back, or has a twin
            return TWICE if counts else late(message.round)
        if message.outline.size > self._max_bytes:
            return f"too large: {message.outline.size} bytes, at most {self._max_bytes}"
        receipt = self.receipts.get(site)
        if message.round == self._round and receipt is not None and receipt.accepted:
            return TWICE
        return None

    def begin(self, site: str, message: Begin, now: float) -> list[Receiving]:
        """An update to which there is no objection is offered, for the first time or again."""
        if (answer := self._repeat(site, message)) is not None:
            return [answer]
        if site in self._judging:
            return []  # its receipt is on the way
        _, known = self._transfers.get(site, (0, None))
        if known is None or known.plan != message.outline:
            self._transfers[site] = message.round, transfer.Arrivals(message.outline)
        return [self._ask_for(site)] if self._admission.ask(site, now) else []

    def chunk(self, site: str, message: Chunk, now: float) -> list[Receiving]:
        """A chunk came; with the last one the update can be judged."""
        round_, under_way = self._transfers.get(site, (0, None))
        if under_way is None or message.id != under_way.plan.id:
            return []
        try:
            if not under_way.add(message):
                return []
        except ProtocolError:
            return []  # damaged, or cut for another packet size: it counts as missing and is asked for again
        self._admission.came(site, len(message.data))
        plan = under_way.plan
        spool = Spool(site, message.index * plan.chunk_size, message.data, plan.size)
        if not under_way.complete:
            return [spool]
        del self._transfers[site]
        self._admission.leave(site)
        return [spool, self._whole(site, round_, under_way), *self.call_next(now)]

    def _whole(self, site: str, round_: int, arrivals: transfer.Arrivals) -> Receiving:
        plan = arrivals.plan
        try:
            checked = arrivals.check()
        except ProtocolError as error:
            return Send(site, "dn/ctl", Receipt(id=plan.id, accepted=False, reason=str(error)))
        self._judging.add(site)
        return Judge(site, round_, plan.id, plan.size, checked)

    def judged(self, answers: Iterable[Answer]) -> list[Receiving]:
        """These are durable; they go out."""
        effects: list[Receiving] = []
        for site, round_, receipt in answers:
            self._judging.discard(site)
            (self.receipts if round_ == self._round else self._earlier)[site] = receipt
            effects.append(Send(site, "dn/ctl", receipt))
        return effects

    def call_next(self, now: float) -> list[Receiving]:
        """Sites that stood in line while others sent are asked for their chunks."""
        return [self._ask_for(site) for site in self._admission.next(now)]

    def _ask_for(self, site: str) -> Send:
        _, under_way = self._transfers[site]
        return Send(site, "dn/ctl", Missing(id=under_way.plan.id, bitmap=under_way.bitmap()))
