"""The rounds' arithmetic and records: judge an update, fold it, close a round. No network in here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial

from fedfin import limits
from fedfin.codec import Shape, Tensors
from fedfin.errors import ProtocolError
from fedfin.model.metrics import macro_histogram_auc
from fedfin.model.model_file import ModelFile, encode_model_file
from fedfin.model.model_spec import MAGNITUDES, Task, needs_second_moments, task_specs
from fedfin.plan import Plan
from fedfin.protocol.convergence import follow, pooled_loss
from fedfin.protocol.life import Life
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.payloads import Update, decode_payload, most_update_bytes, open_update
from fedfin.protocol.rounds.events import Payload
from fedfin.protocol.rounds.reception import TWICE
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.protocol.schedule import last_round, preset_down, task_of
from fedfin.protocol.staleness import late_share
from fedfin_aggregator.closed_form.groups import group_shapes, is_grouped, plain_weights
from fedfin_aggregator.fold.fold import Fold, FoldedMeans, Sum
from fedfin_aggregator.fold.means import Means
from fedfin_aggregator.fold.robust import robust_sums
from fedfin_aggregator.fold.site_shares import SiteShares, scaled
from fedfin_aggregator.rounds.close import fold_update
from fedfin_aggregator.rounds.noised_evaluation import noised_evaluation
from fedfin_aggregator.rounds.outlying_sites import Outlier, outliers_by_features, outliers_by_labels
from fedfin_aggregator.rounds.pooled_second_moments import SecondMoments
from fedfin_aggregator.rounds.solvable import Solvable, close_solvable
from fedfin_aggregator.rounds.update_checks import (
    BEST,
    DROPPED,
    LEFT_OUT,
    ROLLED_BACK,
    check_cases,
    check_metrics,
    check_values,
)
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
        self._specs = cache(partial(task_specs, self.plan))
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
        self._shares, self._moment_shares = (SiteShares(self.plan.rounds.max_share) for _ in range(2))
        self.late = 0  # updates for earlier rounds that count in this one
        gave = self.journal.gave_second_moments(before=self.position.round)
        self._contributors, self._newest_contribution = set(gave), max(gave.values(), default=None)
        for round_, site, payload in self.journal.payloads(self.position.round):
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
        return self.journal.receipts(self.position.round)

    @property
    def summed(self) -> tuple[frozenset[str], ...]:
        """Whom each secure sum of statistics before this round holds (secure_rounds.py)."""
        return ()

    @property
    def earlier_receipts(self) -> dict[str, Receipt]:
        """Each site's newest receipt of the rounds before the current one."""
        return self.journal.earlier_receipts(self.position.round)

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
        before = self.journal.receipt(round_, site)
        if before is not None and before.accepted:  # its row must stay as it is
            return Receipt(id=id_, accepted=False, reason=TWICE)
        if (outlier := self.journal.outliers.of(site)) is not None and outlier.standing == "left out":
            why = f": {outlier.evidence}" if outlier.evidence else ""
            return self._refuse(round_, site, id_, len(payload), f"{LEFT_OUT_SITE}{why}")
        try:
            taken = self._take(round_, site, payload)
        except ProtocolError as error:
            return self._refuse(round_, site, id_, len(payload), str(error))
        row = UpdateRow(
            round_, site, id_, True, "", len(payload), taken.metrics, current, taken.gave_second_moments
        )
        self.journal.add_update(row, payload)
        return Receipt(id=id_, accepted=True)

    def _refuse(self, round_: int, site: str, id_: bytes, size: int, reason: str) -> Receipt:
        receipt = Receipt(id=id_, accepted=False, reason=reason[: limits.REASON_CHARS])
        row = UpdateRow(round_, site, id_, False, receipt.reason, size, {}, self.position.round)
        self.journal.add_update(row, None)
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
        for number, site, payload in self.journal.payloads(round_):
            if site not in left_out and number == round_:
                update = decode_payload(payload, Update)
                yield site, *open_update(update, self._specs(update.task))

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
        self._second_moments.keep_only(self._newest_contribution)
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
        return _evaluation(self._fold, self._shared(round_, refused))

    def _closed(self, task: Task, round_: int, refused: frozenset[str]) -> tuple[Solvable, bool]:
        """What the round makes of the model, and whether its second moments were too many; they are written down."""
        sums = self._shared(round_, refused)
        factors = self._moment_factors()
        new = self._new_second_moments(round_, factors, refused)
        pooled, dropped = self._second_moments.with_new(new, self._newest_contribution)
        given = self._given(round_, factors, refused)
        closed = close_solvable(self.plan, task, sums, pooled, self._versions.current, given)
        if new:
            kept = closed.second_moments
            if kept is None:  # the next round looks for them under this one's number
                kept = self._second_moments.kept(self._newest_contribution)
            self._second_moments.keep(kept, round_)
        return closed, dropped

    def _shared(self, round_: int, refused: frozenset[str]) -> Mapping[str, Sum]:
        """The round's sums, with no site's part larger than the plan lets it be; second moments stay as they are."""
        if self.plan.rounds.robust != "none" and task_of(self.plan, round_) == "train":
            return self._robust(round_, refused)
        capped = self._shares.capped()
        if not capped and not refused:
            return self._fold.sums
        fold = Fold(self._weight_limit)
        for number, site, payload in self.journal.payloads(round_):
            if site in refused:
                continue
            update, values, weights = self._checked(number, site, payload)
            if update.task != "second_moments":
                kept = {n: int(weight * capped.get((n, site), 1)) for n, weight in weights.items()}
                fold.add(values, kept, self._share(number))
        return fold.sums | {name: sum_ for name, sum_ in self._fold.sums.items() if is_grouped(name)}

    def _robust(self, round_: int, refused: frozenset[str]) -> Mapping[str, Sum]:
        """A round of training, combined so that a few bad sites move it little."""
        updates: dict[str, Tensors] = {}
        for number, site, payload in self.journal.payloads(round_):
            if site in refused:
                continue
            update, values, weights = self._checked(number, site, payload)
            if update.task == "train":
                updates[site] = {name: array for name, array in values.items() if weights[name] > 0}
        grouped = {name: sum_ for name, sum_ in self._fold.sums.items() if is_grouped(name)}
        return robust_sums(self.plan.rounds.robust, updates) | grouped

    def _left_out(self, round_: int) -> frozenset[str]:
        """Sites whose update for the round was taken before they were left out."""
        gave = {row.site for row in self.journal.updates(round_) if row.accepted}
        return self.journal.outliers.with_standing("left out") & gave

    def _moment_factors(self) -> Mapping[str, Fraction]:
        """What the second moments of sites that have too much of them are multiplied by."""
        if self._moment_shares.empty:
            return {}
        before = self._second_moments.kept(self._newest_contribution)
        return self._moment_shares.capped_sites(plain_weights({name: s.weight for name, s in before.items()}))

    def _new_second_moments(
        self, round_: int, factors: Mapping[str, Fraction], refused: frozenset[str]
    ) -> Mapping[str, Sum]:
        """Those that came in this round, with no site's part larger than the plan lets it be."""
        if not factors and not refused:
            return {name: sum_ for name, sum_ in self._fold.sums.items() if is_grouped(name)}
        fold = Fold(self._weight_limit)
        for _, sums in self._given(round_, factors, refused):
            fold.merge(sums)
        return fold.sums

    def _given(
        self, round_: int, factors: Mapping[str, Fraction], refused: frozenset[str]
    ) -> Iterator[tuple[str, Mapping[str, Sum]]]:
        """Each site that gave its second moments in this round, with these."""
        gave = {row.site for row in self.journal.updates(round_) if row.gave_second_moments} - refused
        for number, site, payload in self.journal.payloads(round_):
            if site in gave and (sums := self._second_moments_of(number, site, payload, factors.get(site))):
                yield site, sums

    def _second_moments_of(
        self, round_: int, site: str, payload: bytes, factor: Fraction | None
    ) -> Mapping[str, Sum]:
        """Those of an update that was accepted."""
        update, values, weights = self._checked(round_, site, payload)
        fold = Fold()
        if update.task == "second_moments":
            counted = {name: scaled(weight, factor) for name, weight in weights.items()}
            fold_update(fold, update.task, values, counted, site)
        return fold.sums

    def _take(self, round_: int, site: str, payload: bytes) -> Taken:
        """Check and fold one update. Raises ProtocolError, and then nothing of it is folded."""
        update, values, weights = self._checked(round_, site, payload)
        gave = False
        if update.task == "second_moments":
            gave = self._add_second_moments(round_, site, values, weights)
        else:
            fold_update(self._fold, update.task, values, weights, site, self._share(round_))
            self._shares.add(site, weights)
        self.late += round_ != self.position.round
        self._means.add(len(payload), update.metrics)
        return Taken(update.metrics, gave)

    def _checked(self, round_: int, site: str, payload: bytes) -> tuple[Update, Tensors, dict[str, int]]:
        """The update, its values and weights. Raises ProtocolError."""
        update = decode_payload(payload, Update)
        task = self._task(round_, update.task)
        expected = (site, self._plan_digest, self.journal.run, round_, task)
        if (update.site, update.plan, update.run, update.round, update.task) != expected:
            raise ProtocolError(
                "the update names another site, plan, run, round or task than it was sent for"
            )
        if update.base != (version := self.journal.version_of(round_)):
            raise ProtocolError(f"the update starts from version {update.base}, the round from {version}")
        values, weights = open_update(update, self._specs(task))
        if (most := max(weights.values(), default=0)) > (cap := self.case_caps.get(site, most)):
            raise ProtocolError(f"it claims {most} cases; the charter grants this site {cap}")
        check_cases(self.plan, weights)
        check_metrics(update.metrics)
        check_values(self.plan, task, values, weights)
        return update, values, weights

    def _task(self, round_: int, named: Task) -> Task:
        """What a round's update is for. A site that came late gives its second moments before it trains."""
        task = task_of(self.plan, round_)
        instead = task == "train" and named == "second_moments" and needs_second_moments(self.plan)
        return "second_moments" if instead else task

    def _add_second_moments(
        self, round_: int, site: str, values: Tensors, weights: Mapping[str, int]
    ) -> bool:
        """A site's second moments count once, also when it has forgotten that it gave them; whether these do.

        They do not age: late ones count in full. Raises ProtocolError.
        """
        self._share(round_)
        gave = bool(values) and site not in self._contributors
        if gave:
            fold_update(self._fold, "second_moments", values, weights, site)
            self._contributors.add(site)
            self._moment_shares.add(site, plain_weights(weights))
        return gave

    def _share(self, round_: int) -> int:
        """Which share an update for `round_` counts in the current one. Raises ProtocolError when it does not."""
        share = late_share(self.plan, round_, self.position.round)
        if share is None:
            raise ProtocolError(f"late: round {round_} has closed")
        return share


def _evaluation(fold: Fold, shared: Mapping[str, Sum]) -> Mapping[str, float]:
    """Pooled macro AUC per scenario, from the sites' summed histograms; `cases.*` says on how many.

    Neither of fewer cases than limits.LEAST_CASES: they would tell of single ones. `shared`: the same sums, in which no
    site's part is larger than the plan lets it be.
    """
    results: dict[str, float] = {}
    means = FoldedMeans(shared)
    for name, sum_ in fold.sums.items():
        if sum_.weight < limits.LEAST_CASES:
            continue
        scenario, auc = name.removeprefix("eval."), macro_histogram_auc(means[name])
        results[f"cases.{scenario}"] = float(sum_.weight)
        if auc is not None:
            results[f"auc.{scenario}"] = auc
    return results
