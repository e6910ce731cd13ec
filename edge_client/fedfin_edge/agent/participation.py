"""What a site takes part with in one run: the plan that its people accepted, its cases, what it has told of them."""

from fedfin.codec import Tensors
from fedfin.memory import give_back_freed_memory
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin.privacy.budget import budget_of
from fedfin.privacy.ledger import Ledger as PrivacyLedger
from fedfin.privacy.release import Release, release_of
from fedfin.protocol.schedule import last_round
from fedfin.trust.channel import SiteEnd
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.declining import declining
from fedfin_edge.agent.joining import (
    answer_of,
    check_answers,
    check_changed,
    check_patients,
    check_run,
    few_values,
    forgotten,
    labels_below_floor,
    labels_not_used,
    labels_without_values,
    who_sees,
)
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.plan_policy import check_permission, check_plan
from fedfin_edge.agent.pool_checks import check_own_features, lost_modalities
from fedfin_edge.agent.state import AgentState, Proposal
from fedfin_edge.agent.summing import Ledger, Summing
from fedfin_edge.agent.update import Report
from fedfin_edge.cases.dataset import load_dataset
from fedfin_edge.cases.patient_digests import patient_digests
from fedfin_edge.site import Site

LOST = (
    "beside the pooled deviations this site's features are all but one point: another site's must be in other units;"
    " ask the coordinator"
)


class Participation:
    """Of one site in one run. `sums`: its part in secure sums; None: the plan has none.

    Raises EvictedError, InputError, SettingsError, ProtocolError or StateError when this site must not take part;
    `again`: a person allows this run, whatever was answered before.
    """

    def __init__(
        self,
        site: Site,
        plan: Plan,
        run: str,
        *,
        state: AgentState,
        answers: Answers,
        channel: SiteEnd,
        again: bool,
    ) -> None:
        channel.check_plan(plan.digest(), run)
        state.propose(Proposal(plan, run, channel.least_sites))
        with declining("policy"):
            check_plan(site, plan, channel.least_sites)
        if again:
            answers.allow(run)
        with declining("answered"):
            check_run(state, answers, run, plan)
        self.plan, self.run, self.dataset = plan, run, load_dataset(site, plan)
        give_back_freed_memory()  # the table's: the next round may be days away
        with declining("patients"):
            check_patients(site, self.dataset)
        self._data = self.dataset.digest()
        with declining("answered"):
            check_answers(site, answers, run, plan, self._data)
        self._patients = patient_digests(self.dataset, answers.key) if plan.privacy.summed else None
        if self._patients is not None:
            with declining("cases"):
                check_changed(site, answers, run, self._data, self._patients)
        state.join(run, plan)
        self._site, self._state, self._answers, self._channel = site, state, answers, channel
        # The pooled moments that were looked at: those of a later version are others only where somebody lies.
        self._checked_norm: dict[str, bytes] = {}
        noised, summed = plan.privacy.noised, plan.privacy.summed
        self._ledger = PrivacyLedger(site.ledger_path, budget_of(plan)) if noised else None
        self.sums = self._summing() if summed else None
        # In what training draws; at "open" both ends can compute it again.
        self.secret = answers.key if summed else b""

    def _summing(self) -> Summing:
        ledger = Ledger(self.plan, self.run, self._state.folder / "secure-sum.msgpack", self._answers)
        labels = self.dataset.familiar_labels
        return Summing(self.plan, self._channel, self._site.settings.site, ledger, self.run, labels)

    def begin(self, report: Report) -> None:
        """Put in order what an earlier life left, and say what this is."""
        self._look_back(report)
        joined = {
            "federation": self.plan.federation,
            "rounds": last_round(self.plan),
            "cases": len(self.dataset),
            "labels_without_values": labels_without_values(self.plan, self.dataset),
            "labels_not_used": labels_not_used(self.plan, self._site.labels),
            "labels_below_floor": labels_below_floor(self.plan, self.dataset),
            "few_values": few_values(self.plan, self.dataset),
            "privacy": who_sees(self.plan, self._channel.least_sites),
        }
        report("joined", joined)

    def _look_back(self, report: Report) -> None:
        """What an earlier life saved and did not write down yet; what it wrote down, and has lost since."""
        if self._state.waiting is not None:
            self.record(self._state.waiting, report)
        if lost := forgotten(self._state, self._answers, self.run):
            if gave := [answer.round for answer in lost if answer.task == "second_moments"]:
                self._state.remember_second_moments(max(gave))
            report("answered-before", {"rounds": ", ".join(str(answer.round) for answer in lost)})

    def check_pool(self, task: Task, model: Tensors, report: Report) -> None:
        """Hold this site's features against the pooled ones, where the aggregator cannot. Raises StateError."""
        privacy = self.plan.privacy
        norm = {name: values.tobytes() for name, values in model.items() if name.startswith("norm.")}
        if norm == self._checked_norm or not privacy.summed or privacy.noised or task == "moments":
            return
        with declining("moments"):
            check_own_features(self._site, self.plan, self.dataset, model)
        self._checked_norm = norm
        if lost := lost_modalities(self.dataset, model):
            report("unlike", {"modalities": ", ".join(lost), "reason": LOST})

    def check(self, outbox: Outbox) -> None:
        """Before it is saved. Raises SettingsError, StateError for what must not be told."""
        with declining("policy"):
            check_permission(self._site, self.plan)
        if self._ledger is not None:
            with declining("budget"):
                self._ledger.check(self._release(outbox))

    def record(self, outbox: Outbox, report: Report) -> None:
        """Before an update is offered to anybody. Raises StateError for what must not be told."""
        if self._ledger is not None:
            self._ledger.record(self._release(outbox))
            spent = round(self._ledger.epsilon_spent(self._site.settings.site), 3)
            budget = self.plan.privacy.epsilon
            report("released", {"round": outbox.round, "epsilon": spent, "of": budget})
        if self._patients is not None:
            self._answers.remember(self._data, self._patients)
        answer = answer_of(outbox, self.run, self.plan, self._data, self._state.progress.life)
        self._answers.record(answer, anew=not self.plan.privacy.summed)

    def _release(self, outbox: Outbox) -> Release:
        """The ledger's line for it."""
        answer = answer_of(outbox, self.run, self.plan, self._data)
        run, round_, data, site = answer.run, answer.round, answer.data, self._site.settings.site
        return release_of(
            self.plan, answer.task, [site], run=run, round_=round_, update=answer.update, data=data
        )
