"""The root's side of a sharded federation, sans-IO: the aggregator's machine, whose updates arrive as shards' sums.

Rounds, versions and what sites ask about them are the inner machine's, which does not know of shards: what it would
have judged itself it is told by tallies. When it closes a round, the shards are told, and the round is folded when
the sum of every one of them is here: each holds updates that it has promised to count.

A root's folder may be restored from a backup, and a shard's. Whoever knows more than the other says so (`Tally`,
`Hello`), and the rounds go on in a new life, which the shards begin before the sites do (renewal.py).
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from fedfin import limits
from fedfin.plan import Plan
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin.protocol.messages.joining import Evict, Welcome
from fedfin.protocol.messages.manifest import RoundManifest
from fedfin.protocol.messages.message import Message
from fedfin.protocol.messages.shards import Deliver, Enough, Heard, Rewind, Tally
from fedfin.protocol.messages.transfers import Begin, Chunk, Receipt
from fedfin.protocol.rounds.effects import BeginLife, CloseRound, Effect, Lacking, Rewinding, Send, Unheard
from fedfin.protocol.rounds.events import (
    Answer,
    Delivers,
    Disconnected,
    Event,
    FromShard,
    FromSite,
    Judged,
    Opened,
    Reconnected,
    Seal,
    Tick,
)
from fedfin.protocol.rounds.machine import RoundMachine
from fedfin.protocol.rounds.reception import Reception
from fedfin.protocol.rounds.states import State
from fedfin.protocol.shards.renewal import Renewal
from fedfin.protocol.shards.shard import Shard, shard_name

UNKNOWN = bytes(32)  # the id in a receipt that a shard gave: the root does not know it


class RootMachine:
    """All rounds of one federation with `shards` shards.

    `receipt`: the one that a shard was given for a round, however long ago.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        run: str,
        shards: int,
        max_sum_bytes: int,
        chunk_size: int = limits.MOST_CHUNK_BYTES,
        enrolled: frozenset[str] | None = None,
        life: Life = FIRST_LIFE,
        receipt: Callable[[int, str], Receipt | None] = lambda *_: None,
    ) -> None:
        self._inner = RoundMachine(
            plan,
            run=run,
            max_update_bytes=0,
            chunk_size=chunk_size,
            enrolled=enrolled,
            life=life,
            sharded=True,
        )
        self._plan, self._run = plan, run
        self._digest = plan.digest()
        self._shards = [Shard(index, shards) for index in range(shards)]
        self._renewal = Renewal(shard.name for shard in self._shards)
        self._heard: dict[str, float] = {}  # when each shard said something last; empty while we are cut off
        self._now = 0.0
        self._round = 0
        self._max_sum_bytes, self._given = max_sum_bytes, receipt
        self._reception = self._new_reception()
        self._answered: set[tuple[str, int, bool]] = set()  # (site, round, accepted) of the tallies
        self._tallied: set[str] = set()  # shards that have said where they stand in this round and life
        self._opening: Opened | None = None
        self._closing: CloseRound | None = None  # the inner machine's wish, until every sum is here
        self._remind_at = 0.0

    @property
    def state(self) -> State:
        """The inner machine's: folding, until every shard's sum is here."""
        return self._inner.state

    def knows(self, site: str) -> bool:
        """Whether the name holds a place among those that may take part."""
        return self._inner.knows(site)

    def revision(self, site: str) -> int:
        """The newest one that a site which has said hello understands."""
        return self._inner.revision(site)

    def receive(self, event: Event, now: float) -> list[Effect]:
        """One event at `now` seconds (monotonic); what must be done, in this order."""
        self._now = now
        if isinstance(event, FromShard):
            return self._from_shard(event)
        if isinstance(event, Opened):
            return self._opened(event)
        if isinstance(event, Judged):
            return [*self._reception.judged(event.answers), *self._fold_if_complete()]
        if isinstance(event, FromSite) and isinstance(event.message, Begin | Chunk):
            return self._for_its_shard(event.site, event.message)
        if isinstance(event, Disconnected):
            self._heard.clear()
        elif isinstance(event, Reconnected):
            self._expect_shards()
        reminder = self._remind() if isinstance(event, Tick) else []
        return [*reminder, *self._feed(event)]

    def _for_its_shard(self, site: str, message: Begin | Chunk) -> list[Effect]:
        """Not for us; but it shows that the site is worth waiting for."""
        if isinstance(message, Begin) and message.run == self._run:
            return self._feed(Delivers(site, message.round))
        return []

    def _feed(self, event: Event) -> list[Effect]:
        """The inner machine's effects; what closes a round, or begins a life, is done by the shards first."""
        effects: list[Effect] = []
        for effect in self._inner.receive(event, self._now):
            if isinstance(effect, CloseRound):
                effects += self._close(effect)
            elif isinstance(effect, BeginLife):
                effects += self._prepare(effect, anew=True)
            else:
                effects.append(effect)
        return effects

    # Rounds.

    def _opened(self, event: Opened) -> list[Effect]:
        """`receipts`, from the journal, are those of shards."""
        self._round, self._closing = event.round, None
        self._expect_shards()
        self._answered, self._opening = set(), event
        self._tallied.clear()
        self._reception.open(event.round, event.receipts, event.earlier)
        effects = self._feed(replace(event, receipts={}, earlier={}))
        # A shard closes when the root has told it to: that was before a restart, and cannot be taken back.
        return effects + (self._feed(Seal()) if self._reception.accepted else [])

    def _close(self, closing: CloseRound) -> list[Effect]:
        self._closing, self._remind_at = closing, self._now + limits.REMIND_S
        called = self._lacking if self._inner.has_quorum else []  # else tallies must say what is promised
        calls = [self._ask_for(shard) for shard in self._shards if shard.name in called]
        return [*calls, *self._fold_if_complete()]

    def _ask_for(self, shard: Shard) -> Effect:
        promised = {site for site, _, accepted in self._answered if accepted and shard.serves(site)}
        enough = Enough(
            run=self._run, round=self._round, life=self._inner.life, promised=tuple(sorted(promised))
        )
        return Send(shard.name, "dn/ctl", enough)

    @property
    def _lacking(self) -> list[str]:
        """The shards whose sum is not here."""
        accepted = self._reception.accepted
        return [shard.name for shard in self._shards if shard.name not in accepted]

    def _fold_if_complete(self) -> list[Effect]:
        return [self._closing] if self._closing is not None and not self._lacking else []

    def _remind(self) -> list[Effect]:
        if self._now < self._remind_at or (complaint := self._complaint()) is None:
            return []
        self._remind_at = self._now + limits.REMIND_S
        return [complaint]

    def _complaint(self) -> Effect | None:
        """Which shards we wait for, if any."""
        if self._renewal.life is not None:
            return Rewinding(self._round, self._renewal.missing)
        if self._closing is not None:
            return Lacking(self._round, tuple(self._lacking))
        silent = [name for name, at in self._heard.items() if self._now - at >= limits.AWAIT_S]
        if not silent or self.state is not State.COLLECTING:
            return None
        return Unheard(self._round, tuple(silent), self._now - max(self._heard[name] for name in silent))

    def _expect_shards(self) -> None:
        self._heard = {shard.name: self._now for shard in self._shards}

    # Messages of shards.

    def _from_shard(self, event: FromShard) -> list[Effect]:
        name = shard_name(event.index)
        if event.index >= len(self._shards):
            return _answer(
                name, Evict(reason=f"the root has {len(self._shards)} shards, 0 to {len(self._shards) - 1}")
            )
        match event.message:
            case Tally():
                return self._tally(self._shards[event.index], event.message)
            case _ if not self._renewal.allows(name, self._inner.life):
                return []  # its sum may be one that it has to drop
            case Deliver():
                return self._sum(name, event.message.begin, event.message.life)
            case Chunk():
                return [*self._reception.chunk(name, event.message, self._now)]

    def _sum(self, name: str, begin: Begin, life: Life) -> list[Effect]:
        if (begin.run, life) != (self._run, self._inner.life) or begin.round > self._round:
            return []  # a refusal would end the shard; what its tally is answered says where it has to be
        over = begin.round < self._round  # as of a twin's folder, or one that was restored
        if (answer := self._reception.answer(name, begin, over=over)) is not None:
            return [answer]
        reason = self._reception.objection(name, begin, wanted=begin.round == self._round)
        if reason is not None:
            return _answer(name, Receipt(id=begin.outline.id, accepted=False, reason=reason))
        return [*self._reception.begin(name, begin, self._now)]

    def _tally(self, shard: Shard, tally: Tally) -> list[Effect]:
        if (reason := self._objection(shard, tally)) is not None:
            return _answer(shard.name, Evict(reason=reason))
        manifest = self._inner.manifest
        if manifest is None:
            return []
        if shard.name in self._heard:
            self._heard[shard.name] = self._now
        if tally.run != self._run:
            return _answer(shard.name, Welcome(run=self._run, plan=self._plan), manifest)
        return [*self._catch_up(shard, tally), *self._of_our_run(shard, tally, manifest)]

    def _of_our_run(self, shard: Shard, tally: Tally, manifest: RoundManifest) -> list[Effect]:
        if tally.life != self._life:
            return self._call_back(shard, tally, manifest)
        if self._renewal.life is not None:
            return _answer(shard.name, Heard())
        if tally.round != self._round or self.state is State.FINISHED:
            return _answer(shard.name, manifest)
        return self._take(shard, tally)

    def _take(self, shard: Shard, tally: Tally) -> list[Effect]:
        """Of the round and life that we are in."""
        closing = self._closing is not None
        effects = self._count(shard, tally)
        if tally.closed and self._closing is None:
            effects += self._feed(Seal())
        elif closing and shard.name in self._lacking and not tally.closed and self._inner.has_quorum:
            effects.append(self._ask_for(shard))
        self._tallied.add(shard.name)
        effects += self._miss_promises(shard)
        answered = any(isinstance(effect, Send) and effect.site == shard.name for effect in effects)
        return effects if answered else [*effects, *_answer(shard.name, Heard())]

    # Folders that were restored from backups.

    @property
    def _life(self) -> Life:
        """The one that shards are to be in."""
        return self._renewal.life or self._inner.life

    def _catch_up(self, shard: Shard, tally: Tally) -> list[Effect]:
        """Draw a new life when this shows that we, or the shard, were set back; begin it when all shards are in it."""
        self._renewal.heard(shard.name, tally.life)
        ours, its = self._is_behind(shard, tally), self._is_ahead(shard, tally)
        life = self._inner.draw_life(shard.name, tally.life) if ours or its else None
        if life is None:
            return self._begin_life_if_all_are_there()
        return self._prepare(BeginLife(life, self._round, shard.name, tally.seen), anew=ours)

    def _is_behind(self, shard: Shard, tally: Tally) -> bool:
        """Whether the shard knows of more than we do."""
        if tally.life != self._life:
            return tally.life.number >= self._life.number
        lost = shard.name in self._lacking and tally.settled >= self._round
        return self._renewal.life is None and (lost or tally.seen > self._round)

    def _is_ahead(self, shard: Shard, tally: Tally) -> bool:
        """Whether the shard lacks what it has promised to count."""
        return tally.behind and tally.life == self._life and shard.name in self._lacking

    def _prepare(self, begin: BeginLife, *, anew: bool) -> list[Effect]:
        """Of two that are about to begin the one with the higher number does."""
        if begin.life.number > self._life.number:
            self._renewal.prepare(begin.life, begin.site, begin.seen, anew=anew)
            self._remind_at = self._now + limits.REMIND_S
        return self._begin_life_if_all_are_there()

    def _begin_life_if_all_are_there(self) -> list[Effect]:
        """At once when all is finished: then shards have nothing to drop."""
        renewal = self._renewal
        if renewal.life is None or (renewal.missing and self.state is not State.FINISHED):
            return []
        effects = self._inner.begin_life(renewal.life, renewal.party, renewal.seen)
        renewal.end()
        return [*effects, *self._reopen()]

    def _reopen(self) -> list[Effect]:
        """The same round: sums that we had of it are gone, and tallies say anew who has an answer."""
        assert self._opening is not None
        if self.state is State.FINISHED:
            return []
        self._reception = self._new_reception()
        return self._opened(replace(self._opening, receipts={}, late=0))

    def _call_back(self, shard: Shard, tally: Tally, manifest: RoundManifest) -> list[Effect]:
        """A shard that is in another life than it should be. What it holds of the round is of ours if the life is."""
        keep = tally.life == self._inner.life and not self._renewal.anew
        manifest = msgspec.structs.replace(manifest, life=self._life)
        return _answer(shard.name, Rewind(manifest=manifest, keep=keep))

    def _miss_promises(self, shard: Shard) -> list[Effect]:
        """A round that a shard has closed had its quorum: where the shards together have less, one was set back."""
        complete = len(self._tallied) == len(self._shards)
        if self._closing is None or self._inner.has_quorum or not complete:
            return []
        life = self._inner.draw_life(shard.name, self._inner.life)
        begin = None if life is None else BeginLife(life, self._round, shard.name, self._round)
        return [] if begin is None else self._prepare(begin, anew=False)

    def _objection(self, shard: Shard, tally: Tally) -> str | None:
        if tally.plan != self._digest:
            return "its plan differs; set this shard's folder up with the root's plan"
        if tally.shards != shard.count:
            return f"the root has {shard.count} shards, this one was started as {shard.index}/{tally.shards}"
        return None

    def _count(self, shard: Shard, tally: Tally) -> list[Effect]:
        """Tell the inner machine of the sites that have an answer since the last tally; they have heard it."""
        answered = {(site, self._round, True) for site in tally.accepted}
        answered |= {(site, self._round, False) for site in tally.refused}
        answered |= {(site, self._round - 1, True) for site in tally.late}
        new = sorted(answer for answer in answered - self._answered if shard.serves(answer[0]))
        self._answered.update(new)
        answers = [Answer(site, round_, Receipt(id=UNKNOWN, accepted=ok)) for site, round_, ok in new]
        effects = self._feed(Judged(tuple(answers))) if answers else []
        return [e for e in effects if not (isinstance(e, Send) and isinstance(e.message, Receipt))]

    def _new_reception(self) -> Reception:
        return Reception(max_bytes=self._max_sum_bytes, given=self._given)


def _answer(name: str, *messages: Message) -> list[Effect]:
    return [Send(name, "dn/ctl", message) for message in messages]
