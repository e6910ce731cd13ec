"""The rounds' arithmetic and records: judge an update, fold it, close a round. No network in here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

from fedfin import limits
from fedfin.codec import Shape, Tensors
from fedfin.errors import ProtocolError
from fedfin.model.model_file import ModelFile, encode_model_file
from fedfin.model.model_spec import MAGNITUDES, Task, needs_second_moments, task_specs
from fedfin.plan import Plan
from fedfin.protocol.convergence import follow, pooled_loss
from fedfin.protocol.life import Life
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.payloads import most_update_bytes
from fedfin.protocol.refusals import TWICE, late
from fedfin.protocol.rounds.events import Payload
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.schedule import last_round, preset_down, task_of
from fedfin.protocol.staleness import late_share
from fedfin_aggregator.closed_form.groups import group_shapes
from fedfin_aggregator.fold.fold import Fold, Sum
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.site_shares import SiteShares, scaled
from fedfin_aggregator.rounds.close import fold_update
from fedfin_aggregator.rounds.evaluation import evaluation
from fedfin_aggregator.rounds.given_second_moments import GivenSecondMoments
from fedfin_aggregator.rounds.noised_evaluation import noised_evaluation
from fedfin_aggregator.rounds.outlying_sites import Outlier, outliers_by_features, outliers_by_labels
from fedfin_aggregator.rounds.pooled_second_moments import SecondMoments
from fedfin_aggregator.rounds.shared_sums import capped_sums, robust_round
from fedfin_aggregator.rounds.solvable import Solvable, close_solvable
from fedfin_aggregator.rounds.update_checks import (
    BEST,
    DROPPED,
    LEFT_OUT,
    ROLLED_BACK,
)
from fedfin_aggregator.rounds.update_reader import CheckedUpdate, UpdateReader
from fedfin_aggregator.rounds.versions import Versions
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.update_writer import UpdateRow
from fedfin_aggregator.store.version_records import Step

LEFT_OUT_SITE = "left out, until the coordinator includes this site"


def tasks(plan: Plan) -> set[Task]:
    """All that rounds of this plan are for."""
    return {task_of(plan, round_) for round_ in (1, 2, 3, last_round(plan) - 1, last_round(plan))}


def sum_shapes(plan: Plan, task: Task) -> dict[str, Shape]:
    """What a round's fold may hold, by name: in training also the second moments of sites that came late."""
    if task == "second_moments":
        return group_shapes(plan)
    late = group_shapes(plan) if task == "train" and needs_second_moments(plan) else {}
    return task_specs(plan, task) | late


@dataclass(frozen=True)
class Taken:
    """An update that is folded: its metrics, and whether it gave second moments that count."""

    metrics: dict[str, float]
    gave_second_moments: bool


@dataclass(frozen=True)
class Position:
    """Where the federation stands."""

    round: int
    version: int
    model: bytes  # its id
    finished: bool


class Rounds:
    """All rounds of one federation, on top of its journal."""

    def __init__(self, journal: Journal, *, weight_limit: int = limits.ROUND_WEIGHT) -> None:
        self.journal = journal
        self.plan = journal.plan
        self._plan_digest = self.plan.digest()
        self._reader = UpdateReader(journal)
        self._weight_limit = weight_limit
        self.unopened: OpenSum | None = None  # a secure sum that was about to be opened (secure_rounds.py)
        self.case_caps: Mapping[str, int] = {}  # more cases than these a site may not claim
        self._second_moments = SecondMoments(journal.folder, self.plan)
        self._begin()

    def _begin(self) -> None:
        """Stand where the journal says."""
        self._versions = Versions(self.journal, self.plan)
        if not self.journal.rounds():
            self.journal.open_round(1, task_of(self.plan, 1), self._versions.first())
        self._collect()

    def _collect(self, left_out: frozenset[str] = frozenset()) -> None:
        """Turn to the current round, with what the journal has of it already, but of these sites."""
        self.position = self._position()
        self._fold, self._means = Fold(self._weight_limit), Means()
        self._shares = SiteShares(self.plan.rounds.max_share)
        self.late = 0  # updates for earlier rounds that count in this one
        self._given = GivenSecondMoments(
            self.journal,
            self.position.round,
            self._second_moments_of,
            max_share=self.plan.rounds.max_share,
            weight_limit=self._weight_limit,
        )
        for round_, site, payload in self.journal.updates.payloads(self.position.round):
            if site not in left_out:
                self._take(round_, site, payload)

    def _position(self) -> Position:
        """The current round; after the last one, that one, finished."""
        row = self.journal.rounds()[-1]
        return Position(
            row.round, row.version, self.journal.versions.model_id(row.version), row.closed is not None
        )

    @property
    def parts(self) -> tuple[Payload, ...]:
        """The way to the current version, for who has none and for who has one of the last."""
        return self.journal.versions.listed()

    @property
    def receipts(self) -> dict[str, Receipt]:
        """The receipts given in the current round, by site."""
        return self.journal.updates.receipts(self.position.round)

    @property
    def summed(self) -> tuple[frozenset[str], ...]:
        """Whom each secure sum of statistics before this round holds (secure_rounds.py)."""
        return ()

    @property
    def earlier_receipts(self) -> dict[str, Receipt]:
        """Each site's newest receipt of the rounds before the current one."""
        return self.journal.updates.earlier_receipts(self.position.round)

    @property
    def max_update_bytes(self) -> int:
        """No honest update of any task is larger."""
        return max(most_update_bytes(task_specs(self.plan, task)) for task in tasks(self.plan))

    def results(self) -> dict[str, float]:
        """The current round's so far: how many updates, their bytes, the means of their metrics."""
        late = {"late": float(self.late)}  # always: a site's metric must not pose as it
        return self._means.results() | late

    def model_file(self, version: int) -> bytes:
        """One version as the bytes of a model file (fedfin/model/model_file.py). Raises StateError if there is none."""
        return encode_model_file(ModelFile(self.plan, version, self._versions.tensors(version)))

    @property
    def roster(self) -> dict[str, bool]:
        """Every known site, and whether it is silent."""
        return self.journal.roster()

    def begin_life(self, life: Life) -> None:
        """The rounds go on in this one, durably."""
        self.journal.begin_life(life)

    def judge(self, round_: int, site: str, id_: bytes, payload: bytes) -> Receipt:
        """Check an update, fold it, make it durable; the receipt says how it went."""
        current = self.position.round
        before = self.journal.updates.receipt(round_, site)
        if before is not None and before.accepted:  # its row must stay as it is
            return Receipt(id=id_, accepted=False, reason=TWICE)
        if (outlier := self.journal.outliers.of(site)) is not None and outlier.standing == "left out":
            why = f": {outlier.evidence}" if outlier.evidence else ""
            return self._refuse(round_, site, id_, len(payload), f"{LEFT_OUT_SITE}{why}")
        try:
            taken = self._take(round_, site, payload, self.case_caps.get(site))
        except ProtocolError as error:
            return self._refuse(round_, site, id_, len(payload), str(error))
        row = UpdateRow(
            round_, site, id_, True, "", len(payload), taken.metrics, current, taken.gave_second_moments
        )
        self.journal.updates.add(row, payload)
        return Receipt(id=id_, accepted=True)

    def _refuse(self, round_: int, site: str, id_: bytes, size: int, reason: str) -> Receipt:
        receipt = Receipt(id=id_, accepted=False, reason=reason[: limits.REASON_CHARS])
        row = UpdateRow(round_, site, id_, False, receipt.reason, size, {}, self.position.round)
        self.journal.updates.add(row, None)
        return receipt

    def outliers(self, round_: int) -> list[Outlier]:
        """Hold the sites' statistics against each other, before anything of them is pooled; write down who is found.

        Of first moments, and of second moments in their own round; else nothing is found.
        """
        included, task = self.journal.outliers.with_standing("included"), task_of(self.plan, round_)
        updates = partial(self._standing_updates, round_)
        if task == "moments":
            found = outliers_by_features(self.plan, updates, included)
        elif task == "second_moments":
            found = outliers_by_labels(self.plan, updates, included)
        else:
            return []
        self.journal.outliers.judge(round_, {o.site: (o.standing, o.evidence) for o in found})
        return found

    @property
    def asked(self) -> frozenset[str]:
        """Sites of which the coordinator must say whether they are left out, before the round closes."""
        return self.journal.outliers.with_standing("asked")

    def _standing_updates(self, round_: int) -> Iterator[tuple[str, Tensors, dict[str, int]]]:
        """Of this round, from the sites that are not left out; they were checked when they came."""
        left_out = self.journal.outliers.with_standing("left out")
        for number, site, payload in self.journal.updates.payloads(round_):
            if site not in left_out and number == round_:
                update = self._reader.read(number, site, payload)
                yield site, update.values, update.weights

    def close(self, round_: int, roster: Mapping[str, bool] | None = None) -> tuple[str, ...]:
        """Fold the round into the next model version, or, in the last round, into the final metrics.

        `roster`: every known site, and whether it is silent, for whoever goes on from here (None: as before).
        Returns the sites whose second moments had to be left out, so that there is a solution.
        """
        task = task_of(self.plan, round_)
        refused = self._left_out(round_)  # once: the coordinator's word may come meanwhile
        if refused:
            self._collect(refused)  # what they measured does not count either
        results, following = self.results(), None
        left_out: tuple[str, ...] = ()
        if task == "evaluate":
            results |= self._evaluated(round_, refused)
        if round_ < last_round(self.plan):
            closed, dropped = self._closed(task, round_, refused)
            results |= {DROPPED: 1.0} if dropped else {}
            left_out = closed.left_out
            results |= {LEFT_OUT: float(len(left_out))} if left_out else {}
            following, best = self._following(round_, closed, results)
            if best is not None:
                results |= {ROLLED_BACK if following[1] == "train" else BEST: float(best)}
        roster = self.roster if roster is None else roster
        self.journal.close_round(round_, results, following, roster, left_out=refused)
        self._collect()
        self._second_moments.keep_only(self._given.newest)
        return left_out

    def _following(
        self, round_: int, closed: Solvable, results: Mapping[str, float]
    ) -> tuple[tuple[int, str, Step], int | None]:
        """The next round, its task and version; and which earlier version that is, if it is one."""
        next_, best = follow(self.plan, round_, self._losses(results))
        task = task_of(self.plan, next_)
        if best is None:
            step = self._versions.next(closed.added, closed.replaced, preset_down(self.plan, round_))
        else:  # how large the changes of a version were that is not taken says nothing of the next ones
            forgotten = {MAGNITUDES} if task == "train" else set()
            replaced = {name: mean for name, mean in closed.replaced.items() if name not in forgotten}
            step = self._versions.back(best, replaced, version=next_ - 1)
        return (next_, task, step), best

    def _losses(self, results: Mapping[str, float]) -> dict[int, float]:
        """On held-out cases, by version. results: of the round at hand, not written down yet."""
        rows = {row.version: row.results for row in self.journal.rounds() if row.task == "train"}
        rows[self.position.version] = dict(results)
        found = {version: pooled_loss(of_version) for version, of_version in rows.items()}
        return {version: loss for version, loss in found.items() if loss is not None}

    def _evaluated(self, round_: int, refused: frozenset[str]) -> Mapping[str, float]:
        if self.plan.privacy.noised:
            return noised_evaluation(self.plan, self._fold.sums)
        return evaluation(self._fold.sums, self._shared(round_, refused))

    def _closed(self, task: Task, round_: int, refused: frozenset[str]) -> tuple[Solvable, bool]:
        """What the round makes of the model, and whether its second moments were too many; they are written down."""
        sums, given = self._shared(round_, refused), self._given
        factors = given.factors(self._second_moments)
        new = given.counted(self._fold.sums, factors, refused)
        pooled, dropped = self._second_moments.with_new(new, given.newest)
        current, by_site = self._versions.current, given.by_site(factors, refused)
        closed = close_solvable(self.plan, task, sums, pooled, current, by_site)
        if new:
            kept = closed.second_moments
            if kept is None:  # the next round looks for them under this one's number
                kept = self._second_moments.kept(given.newest)
            self._second_moments.keep(kept, round_)
        return closed, dropped

    def _shared(self, round_: int, refused: frozenset[str]) -> Mapping[str, Sum]:
        """The round's sums, with no site's part larger than the plan lets it be; second moments stay as they are."""
        folded, updates, rule = self._fold.sums, self._updates(round_, refused), self.plan.rounds.robust
        if rule != "none" and task_of(self.plan, round_) == "train":
            return robust_round(folded, updates, rule)
        capped = self._shares.capped()
        if not capped and not refused:
            return folded
        return capped_sums(folded, updates, capped, self._weight_limit)

    def _updates(self, round_: int, refused: frozenset[str]) -> Iterator[tuple[str, int, CheckedUpdate]]:
        """What counts in the round, but of these sites: whose it is, and which share of it counts."""
        for number, site, payload in self.journal.updates.payloads(round_):
            if site not in refused:
                yield site, self._share(number), self._reader.read(number, site, payload)

    def _left_out(self, round_: int) -> frozenset[str]:
        """Sites whose update for the round was taken before they were left out."""
        gave = {row.site for row in self.journal.updates.counted(round_) if row.accepted}
        return self.journal.outliers.with_standing("left out") & gave

    def _second_moments_of(
        self, round_: int, site: str, payload: bytes, factor: Fraction | None
    ) -> Mapping[str, Sum]:
        """Those of an update that was accepted."""
        update, fold = self._reader.read(round_, site, payload), Fold()
        if update.task == "second_moments":
            counted = {name: scaled(weight, factor) for name, weight in update.weights.items()}
            fold_update(fold, update.task, update.values, counted, site)
        return fold.sums

    def _take(self, round_: int, site: str, payload: bytes, case_cap: int | None = None) -> Taken:
        """Check and fold one update. Raises ProtocolError, and then nothing of it is folded.

        `case_cap`: of one that is new; what has its receipt counts, whatever a later charter says.
        """
        update, gave = self._reader.read(round_, site, payload, case_cap), False
        share = self._share(round_)
        if update.task == "second_moments":  # they do not age: late ones count in full
            gave = bool(update.values) and not self._given.has(site)
            if gave:
                fold_update(self._fold, update.task, update.values, update.weights, site)
                self._given.add(site, update.weights)
        else:
            fold_update(self._fold, update.task, update.values, update.weights, site, share)
            self._shares.add(site, update.weights)
        self.late += round_ != self.position.round
        self._means.add(len(payload), update.metrics)
        return Taken(update.metrics, gave)

    def _share(self, round_: int) -> int:
        """Which share an update for `round_` counts in the current one. Raises ProtocolError when it does not."""
        share = late_share(self.plan, round_, self.position.round)
        if share is None:
            raise ProtocolError(late(round_))
        return share
