"""Rounds of which the aggregator sees the sums alone (docs/secure-sums.md): masked words come in, one sum is folded."""

from collections.abc import Mapping
from fractions import Fraction

import msgspec
import numpy as np

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.errors import ProtocolError, StateError
from fedfin.files import write_atomically
from fedfin.privacy.budget import budget_of
from fedfin.privacy.ledger import LEDGER, Ledger
from fedfin.privacy.release import Release, release_of
from fedfin.protocol import transfer
from fedfin.protocol.messages import Receipt
from fedfin.protocol.schedule import last_round, levels_up, task_of
from fedfin.protocol.subtraction import answered_once
from fedfin.protocol.sum_states import OpenSum
from fedfin.secure_sums import masks
from fedfin.secure_sums.fixed_point import ONE
from fedfin.secure_sums.quantizer import Quantizer
from fedfin.secure_sums.summand import Summand
from fedfin.secure_sums.unmask import unmask
from fedfin_aggregator.closed_form.groups import grouped
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.partial_sum import encode_sum
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import sum_shapes
from fedfin_aggregator.rounds.update_checks import check_noised
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.update_writer import Entry, UpdateRow

UNOPENED = "too few sites have revealed the shares that open this sum; no other sum of their values is made"
SUM = "sum/1"  # whose update the opened sum is in the journal: no site can be named so
_ID_BYTES = 16


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
        self._attempt, self._total, self._bytes = b"", np.zeros(0, np.uint64), 0
        self._added: set[str] = set()
        self._fixed = False
        noised = self.plan.privacy.noised
        self.ledger = Ledger(journal.folder / LEDGER, budget_of(self.plan)) if noised else None
        self._restore()

    def _restore(self) -> None:
        """Go on with a sum that an earlier life was about to open. Raises StateError when its file is damaged."""
        if not self._path.exists():
            return
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=_Unopened)
        except UNDECODABLE:
            raise StateError(f"{self._path} is damaged; restore it with the journal from a backup") from None
        if kept.sum.round == self.position.round and not self.position.finished:
            self.unopened = kept.sum
            self._attempt, self._bytes = kept.sum.attempt, kept.bytes
            self._total = np.frombuffer(kept.words, masks.WORD).astype(np.uint64)
            self._record(kept.sum)

    @property
    def max_update_bytes(self) -> int:
        """Every site's masked values are as long, task by task."""
        longest = max(self._form(round_).word_count for round_ in range(1, last_round(self.plan) + 1))
        return _ID_BYTES + masks.WORD.itemsize * longest

    @property
    def receipts(self) -> dict[str, Receipt]:
        """Of sites alone."""
        return {site: receipt for site, receipt in super().receipts.items() if site != SUM}

    @property
    def summed(self) -> tuple[frozenset[str], ...]:
        """Whom each sum of statistics before this round holds; also one that was refused, or that others may open."""
        rounds = (row.round for row in self.journal.rounds() if answered_once(task_of(self.plan, row.round)))
        before = (self.journal.receipts(number) for number in rounds if number < self.position.round)
        return tuple(frozenset(receipts) - {SUM} for receipts in before if receipts)

    def begin_sum(self, attempt: bytes) -> None:
        """A new attempt: what came for the one before is forgotten."""
        self._attempt, self._bytes, self._added, self._fixed = attempt, 0, set(), False
        self._total = np.zeros(self._form(self.position.round).word_count, np.uint64)

    def _form(self, round_: int) -> Summand:
        return Summand(self.plan, task_of(self.plan, round_), levels_up(self.plan, round_))

    def _steps(self, round_: int) -> Mapping[str, int]:
        """How large they are in this round, by tensor; none where nothing is rounded to steps."""
        levels = levels_up(self.plan, round_)
        return {} if levels is None else Quantizer(self.plan, levels, self._versions.current).steps

    def fix_sum(self, attempt: bytes) -> None:
        """Its survivors are named: values that come later would be in the sum, and their masks never taken off."""
        self._fixed = self._attempt == attempt

    def judge(self, round_: int, site: str, id_: bytes, payload: bytes) -> Receipt:
        """Add a site's masked values. Nothing can be said of them but how long they are."""
        if self._fixed or site in self._added:
            return Receipt(id=id_, accepted=False, reason="this sum takes no more values of this site")
        wanted = _ID_BYTES + self._total.nbytes
        if (round_, payload[:_ID_BYTES], len(payload)) != (self.position.round, self._attempt, wanted):
            reason = "masked values of another attempt, or of another length"
            return Receipt(id=id_, accepted=False, reason=reason)
        self._total += np.frombuffer(memoryview(payload)[_ID_BYTES:], masks.WORD)
        self._bytes += len(payload)
        self._added.add(site)
        return Receipt(id=id_, accepted=True)

    def keep_sum(self, sum_: OpenSum) -> None:
        """Make durable what opening the sum takes, before any site is asked to reveal.

        Raises StateError when it would tell more of a site's patients than the plan's budget allows.
        """
        if self.ledger is not None:
            self.ledger.check(self._release(sum_))
        words = self._total.astype(masks.WORD, copy=False).tobytes()
        write_atomically(self._path, msgspec.msgpack.encode(_Unopened(sum_, words, self._bytes)))
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
        total = self._total.copy()
        try:
            where = self.journal.run, sum_.round, sum_.attempt
            unmask(total, where, sum_.names, sum_.keys, sum_.survivors, sum_.reveals)
            payload = self._payload(sum_, total)
            taken = self._take(sum_.round, SUM, payload)
        except ProtocolError as error:
            return self._write(sum_, None, str(error)[: limits.REASON_CHARS], gave=False)
        return self._write(sum_, payload, "", gave=taken.gave_second_moments)

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
        self.journal.write(entries)
        return Receipt(id=id_, accepted=accepted, reason=reason)

    def _payload(self, sum_: OpenSum, words: masks.Words) -> bytes:
        """The opened sum as a shard would send it."""
        task = task_of(self.plan, sum_.round)
        tensors, metrics = self._form(sum_.round).opened(words, self._steps(sum_.round))
        if self.plan.privacy.noised:
            totals = {name: total for name, (total, _) in tensors.items()}
            check_noised(self.plan, task, totals, self._granted(sum_), len(sum_.survivors))
        sums = {name: Sum(*tensor) for name, tensor in tensors.items()}
        fold, means = Fold(self._weight_limit), Means()
        fold.merge(grouped(sums, SUM) if task == "second_moments" else sums)
        shares = {name: (Fraction(total, int(ONE)), count) for name, (total, count) in metrics.items()}
        means.merge(len(sum_.survivors), self._bytes, shares)
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

    def _granted(self, sum_: OpenSum) -> int:
        """How many cases, so how many patients at most, the charter and the plan let these sites have together."""
        most = self.plan.rounds.cases_per_site
        return sum(min(self.case_caps.get(site, most), most) for site in sum_.survivors)

    def close(self, round_: int, roster: Mapping[str, bool] | None = None) -> tuple[str, ...]:
        """As RootRounds; nothing of this round's sum is left to open."""
        left_out = super().close(round_, roster)
        self.unopened = None
        self._path.unlink(missing_ok=True)
        return left_out
