"""Rounds of which the aggregator sees the sums alone (docs/secure-sums.md): masked words come in, one sum is folded."""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError, StateError
from fedfin.files import write_atomically
from fedfin.model.answer_counts import suppressed
from fedfin.model.blocks import Blocks, Judgement
from fedfin.model.model_spec import Task
from fedfin.privacy.budget import budget_of
from fedfin.privacy.ledger import LEDGER, Ledger
from fedfin.privacy.release import Release, release_of
from fedfin.protocol import transfer
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.schedule import levels_up, task_of
from fedfin.protocol.subtraction import answered_once
from fedfin.protocol.sum_groups import Groups
from fedfin.secure_sums import masks
from fedfin.secure_sums.masked_size import ATTEMPT_BYTES, most_masked_bytes
from fedfin.secure_sums.quantizer import Quantizer
from fedfin.secure_sums.summand import Opened, Summand
from fedfin.secure_sums.unmask import unmask
from fedfin_aggregator.closed_form.groups import grouped
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.partial_sum import encode_sum
from fedfin_aggregator.rounds import group_sums
from fedfin_aggregator.rounds.enough_answers import few_where_withheld
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import sum_shapes
from fedfin_aggregator.rounds.update_checks import (
    SUPPRESSED,
    WITHHELD,
    WITHOUT_SUM,
    check_granted,
    check_noised,
)
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.update_writer import Entry, UpdateRow

UNOPENED = "too few sites have revealed the shares that open this sum; no other sum of their values is made"
SUM = "sum/1"  # whose update the opened sum is in the journal: no site can be named so


class _Unopened(msgspec.Struct, frozen=True):
    """A sum that sites may have revealed shares of, and its masked words."""

    sum: OpenSum
    words: bytes
    bytes: int


class SecureRounds(RootRounds):
    """As one aggregator's, but for what comes in."""

    def __init__(self, journal: Journal, *, weight_limit: int = limits.ROUND_WEIGHT) -> None:
        super().__init__(journal, weight_limit=weight_limit)
        self._path = journal.folder / "unopened-sum.msgpack"
        self._attempt, self._bytes = b"", 0
        self._groups: Groups = ()
        self._totals = np.zeros((1, 0), np.uint64)  # of each group, or of all sites, [groups, words]
        self._added: set[str] = set()
        self._fixed, self._without = False, ""
        noised = self.plan.privacy.noised
        self.ledger = Ledger(journal.folder / LEDGER, budget_of(self.plan)) if noised else None
        self._restore()

    def _restore(self) -> None:
        """Go on with a sum that an earlier life was about to open.

        Raises StateError where its file is damaged, or another version's.
        """
        if not self._path.exists():
            return
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=_Unopened)
        except UNDECODABLE:
            raise StateError(f"{self._path} is damaged; restore it with the journal from a backup") from None
        if kept.sum.round == self.position.round and not self.position.finished:
            self.unopened = kept.sum
            self._attempt, self._bytes, self._groups = kept.sum.attempt, kept.bytes, kept.sum.groups
            words = np.frombuffer(kept.words, masks.WORD).astype(np.uint64)
            self._totals = words.reshape(max(1, len(self._groups)), -1)
            if self._totals.shape[1] != self._form(kept.sum.round).word_count:
                raise StateError(
                    f"{self._path}: this sum has other words than this version's, as where FedFIN was upgraded while it"
                    " was about to be opened: start the version from before until the round is closed, and upgrade then"
                )
            self._record(kept.sum)

    @property
    def max_update_bytes(self) -> int:
        """Every site's masked values are as long, task by task."""
        return most_masked_bytes(self.plan)

    @property
    def receipts(self) -> dict[str, Receipt]:
        """Of sites alone."""
        return {site: receipt for site, receipt in super().receipts.items() if site != SUM}

    @property
    def summed(self) -> tuple[frozenset[str], ...]:
        """Whom each sum of statistics before this round holds; also one that was refused, or that others may open."""
        rounds = (row.round for row in self.journal.rounds() if answered_once(task_of(self.plan, row.round)))
        before = (self.journal.updates.receipts(number) for number in rounds if number < self.position.round)
        return tuple(frozenset(receipts) - {SUM} for receipts in before if receipts)

    def begin_sum(self, attempt: bytes, groups: Groups = ()) -> None:
        """A new attempt: what came for the one before is forgotten. groups: whose sums are opened apart, if any."""
        self._attempt, self._bytes, self._added, self._fixed = attempt, 0, set(), False
        self._groups = groups
        words = self._form(self.position.round).word_count
        self._totals = np.zeros((max(1, len(groups)), words), np.uint64)

    def _form(self, round_: int) -> Summand:
        return Summand(self.plan, task_of(self.plan, round_), levels_up(self.plan, round_))

    def _steps(self, round_: int) -> Mapping[str, int]:
        """How large they are in this round, by tensor; none where nothing is rounded to steps."""
        levels = levels_up(self.plan, round_)
        return {} if levels is None else Quantizer(self.plan, levels, self._versions.current).steps

    def close_without_sum(self, reason: str) -> None:
        """The current round is about to. Where nothing else says why, its results do."""
        self._without = WITHOUT_SUM.get(reason, "")

    def results(self) -> dict[str, float]:
        """As Rounds; why it has no sum, or what is in its sum of no site."""
        return (
            super().results()
            | ({self._without: 1.0} if self._without else {})
            | {WITHHELD + block: 1.0 for block in self.withheld}
            | {SUPPRESSED + label: 1.0 for label in self.suppressed}
        )

    @property
    def withheld(self) -> list[str]:
        """In words, what too few sites of the sum at hand have, so that it is not in it."""
        judgement = None if self.unopened is None else self._judgement(self.unopened)
        return [] if judgement is None else judgement.says()

    def _judgement(self, sum_: OpenSum) -> Judgement | None:
        """None: the plan asks for no sites behind each block."""
        return Blocks(self.plan, task_of(self.plan, sum_.round)).judge(sum_.gives) if sum_.gives else None

    @property
    def suppressed(self) -> list[str]:
        """In words, of which labels the current round is without, as too few patients have one of the answers."""
        return suppressed(self.plan, task_of(self.plan, self.position.round), self._versions.current)

    def fix_sum(self, attempt: bytes) -> None:
        """Its survivors are named: values that come later would be in the sum, and their masks never taken off."""
        self._fixed = self._attempt == attempt

    def judge(self, round_: int, site: str, id_: bytes, payload: bytes) -> Receipt:
        """Add a site's masked values. Nothing can be said of them but how long they are."""
        if self._fixed or site in self._added:
            return Receipt(id=id_, accepted=False, reason="this sum takes no more values of this site")
        wanted = ATTEMPT_BYTES + self._totals[0].nbytes
        if (round_, payload[:ATTEMPT_BYTES], len(payload)) != (self.position.round, self._attempt, wanted):
            reason = "masked values of another attempt, or of another length"
            return Receipt(id=id_, accepted=False, reason=reason)
        self._totals[self._place(site)] += np.frombuffer(memoryview(payload)[ATTEMPT_BYTES:], masks.WORD)
        self._bytes += len(payload)
        self._added.add(site)
        return Receipt(id=id_, accepted=True)

    def _place(self, site: str) -> int:
        """Of the group's total to which a site adds."""
        return next((place for place, group in enumerate(self._groups) if site in group), 0)

    def keep_sum(self, sum_: OpenSum) -> None:
        """Make durable what opening the sum takes, before any site is asked to reveal.

        Raises StateError when it would tell more of a site's patients than the plan's budget allows.
        """
        if self.ledger is not None:
            self.ledger.check(self._release(sum_))
        if sum_.groups:  # others are not whole, and are never opened
            self._totals = self._totals[[self._groups.index(group) for group in sum_.groups]]
            self._groups = sum_.groups
        words = self._totals.astype(masks.WORD, copy=False).tobytes()
        write_atomically(self._path, msgspec.msgpack.encode(_Unopened(sum_, words, self._bytes)))
        self.unopened = sum_
        self._record(sum_)

    def _record(self, sum_: OpenSum) -> None:
        if self.ledger is not None:
            self.ledger.record(self._release(sum_))

    def _release(self, sum_: OpenSum) -> Release:
        task, update = task_of(self.plan, sum_.round), sum_.attempt.hex()
        return release_of(
            self.plan, task, sum_.survivors, run=self.journal.run, round_=sum_.round, update=update
        )

    def open_sum(self, sum_: OpenSum) -> Receipt:
        """Unmask it, judge it as an update is judged, make it durable; the receipt is for all its sites."""
        totals = self._totals.copy()
        try:
            self._unmask(sum_, totals)
            payload = self._payload(sum_, totals)
            taken = self._take(sum_.round, SUM, payload)
        except ProtocolError as error:
            return self._write(sum_, None, str(error)[: limits.REASON_CHARS], gave=False)
        return self._write(sum_, payload, "", gave=taken.gave_second_moments)

    def _unmask(self, sum_: OpenSum, totals: NDArray[np.uint64]) -> None:
        """In place. In groups all masks are of one's own group, and nobody of a group in the sum is lost."""
        where, keys = (self.journal.run, sum_.round, sum_.attempt), sum_.keys
        for total, group in zip(totals, sum_.groups or (sum_.survivors,), strict=True):
            dealt = {name: keys[name] for name in group} if sum_.groups else keys
            unmask(total, where, sum_.names, dealt, group, sum_.reveals)

    def give_up_sum(self, sum_: OpenSum) -> Receipt:
        """Make it durable that it is never opened."""
        return self._write(sum_, None, UNOPENED, gave=False)

    def _write(self, sum_: OpenSum, payload: bytes | None, reason: str, *, gave: bool) -> Receipt:
        accepted, round_ = payload is not None, sum_.round
        id_ = transfer.whole_id(payload or b"-")
        entries = []
        for site in (SUM, *sum_.survivors):
            own = payload if site == SUM else None
            size = len(own) if own is not None else self._bytes // len(sum_.survivors)
            row = UpdateRow(round_, site, id_, accepted, reason, size, {}, round_, gave and site == SUM)
            entries.append(Entry(row, own))
        self.journal.updates.write(entries)
        return Receipt(id=id_, accepted=accepted, reason=reason)

    def _payload(self, sum_: OpenSum, totals: NDArray[np.uint64]) -> bytes:
        """The opened sum, or the median of the groups' sums, as a shard would send it. totals: [groups, words]."""
        task, form, steps = task_of(self.plan, sum_.round), self._form(sum_.round), self._steps(sum_.round)
        opened = [form.opened(words, steps) for words in totals]
        fold, means = Fold(self._weight_limit), Means()
        if sum_.groups:
            granted, sites = map(self._granted, sum_.groups), map(len, sum_.groups)
            opened = group_sums.possible(list(zip(opened, granted, sites, strict=True)))
            fold.merge(group_sums.median_sums(opened))
        else:
            fold.merge(self._whole(sum_, task, opened[0]))
        means.merge(len(sum_.survivors), self._bytes, group_sums.metric_sums(opened))
        return encode_sum(
            fold,
            means,
            0,
            sum_shapes(self.plan, task),
            shard=SUM,
            plan=self._plan_digest,
            round_=sum_.round,
            task=task,
            base=self.position.version,
        )

    def _whole(self, sum_: OpenSum, task: Task, opened: Opened) -> dict[str, Sum]:
        granted = self._granted(sum_.survivors)
        if self.plan.privacy.noised:
            totals = {name: total for name, (total, _) in opened.tensors.items()}
            check_noised(self.plan, task, totals, granted, len(sum_.survivors))
        else:
            check_granted({name: weight for name, (_, weight) in opened.tensors.items()}, granted)
        sums = {name: Sum(*tensor) for name, tensor in opened.tensors.items()}
        if task == "moments" and (judgement := self._judgement(sum_)) is not None:
            few_where_withheld(sums, judgement)
        return grouped(sums, SUM) if task == "second_moments" else sums

    def _granted(self, sites: Iterable[str]) -> int:
        """How many cases, so how many patients at most, the charter and the plan let these sites have together."""
        most = self.plan.rounds.cases_per_site
        return sum(min(self.case_caps.get(site, most), most) for site in sites)

    def close(self, round_: int, roster: Mapping[str, bool] | None = None) -> tuple[str, ...]:
        """As RootRounds; nothing of this round's sum is left to open."""
        left_out = super().close(round_, roster)
        self.unopened, self._without = None, ""
        self._path.unlink(missing_ok=True)
        return left_out
