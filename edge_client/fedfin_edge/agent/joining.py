"""Whether this site takes part in a run: what its people allowed, and what it has answered before."""

import numpy as np

from fedfin.errors import InputError, ProtocolError, StateError
from fedfin.limits import LEAST_SUMMED
from fedfin.plan import Plan
from fedfin.protocol import transfer
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin_edge.agent.answers import Answer, Answers
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.plan_policy import sites_behind
from fedfin_edge.agent.state import AgentState
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.patient_digests import PatientDigests, too_few_changed
from fedfin_edge.cases.rare_values import coded_features
from fedfin_edge.site import SETTINGS, Site
from fedfin_edge.tasks.moment_parts import floor_of_labels

AGAIN = "`fedfin edge run --again` takes part in it"


def check_run(state: AgentState, answers: Answers, run: str, plan: Plan) -> None:
    """Before a data set is looked at: a run has one plan, and an update on its way is left for no other run.

    Raises ProtocolError, StateError.
    """
    if state.progress.run == run:
        if state.plan().digest() != plan.digest():
            raise ProtocolError(
                f"the aggregator has another plan for run {run} than before; ask the coordinator why"
            )
    elif state.waiting is not None and not answers.allows(run):
        raise StateError(
            f"{state.folder}: holds an update of run {state.progress.run} that has no receipt yet, and the aggregator"
            f" is at another run, {run}. If the coordinator did begin anew, {AGAIN}, and drops the update"
        )


def check_patients(site: Site, dataset: Dataset) -> None:
    """Raises InputError when so few patients are here that whatever they tell says much about each."""
    patients, least = (
        dataset.floor.patients(np.ones(len(dataset), np.bool_)),
        site.settings.policy.least_patients,
    )
    if patients < least:
        raise InputError(
            f"{site.table_path}: cases of {patients} patients have features, and policy.least_patients in {SETTINGS} is"
            f" {least}: this site sends nothing. Add cases, take part together with another site, or lower it if your"
            " people agree; and tell the coordinator that nobody should wait for this site"
        )


def check_answers(site: Site, answers: Answers, run: str, plan: Plan, data: str) -> None:
    """Raises StateError when the same was asked of the same data set (its digest) before, in another run.

    Or when this run was answered from another data set: the difference of two answers tells of who came between.
    """
    if not answers.allows(run) and any(answer.data != data for answer in answers.of(run)):
        raise StateError(
            f"{site.table_path}: in run {run} this site has answered from other cases than it has now. Who gets both"
            " answers can subtract them: put the former cases, labels and features back, or wait for another run;"
            f" if your people agree, {AGAIN} with these"
        )
    other = answers.another_run(plan.digest(), run, data)
    if other is not None:
        raise StateError(
            f"{site.answers_path}: this site has answered this plan from the same cases in run {other}; the aggregator"
            f" is at another run, {run}. Who asks twice can learn from the difference: if your people agree, {AGAIN}"
        )


def check_changed(site: Site, answers: Answers, run: str, data: str, patients: PatientDigests) -> None:
    """Raises StateError where a sum with these cases, less one with former ones, would be of too few patients."""
    least = site.settings.policy.least_patients
    if any(answer.data == data for answer in answers.of(run)):
        return
    found = (too_few_changed(patients, former, least) for former in answers.patients())
    if what := next(filter(None, found), ""):
        raise StateError(
            f"{site.table_path}: since this site took part in a sum, of this plan or another, {what} of fewer than"
            f" {least} patients have come, gone or changed. Who has both sums can subtract them: put back what was"
            f" there, or come when {least} patients have changed (policy.least_patients in {SETTINGS})"
        )


def answer_of(outbox: Outbox, run: str, plan: Plan, data: str, life: Life = FIRST_LIFE) -> Answer:
    """The line for an update that is about to leave."""
    id_ = transfer.identity(len(outbox.payload), outbox.leaves).hex()
    return Answer(
        plan=plan.digest(), run=run, round=outbox.round, task=outbox.task, data=data, update=id_, life=life
    )


def forgotten(state: AgentState, answers: Answers, run: str) -> list[Answer]:
    """Answers in this run that the agent's state knows nothing of: it was lost."""
    waiting = 0 if state.waiting is None else state.waiting.round
    return [
        answer
        for answer in answers.of(run)
        if answer.life == state.progress.life
        and answer.round > state.progress.settled
        and answer.round != waiting
    ]


def labels_without_values(plan: Plan, dataset: Dataset) -> str:
    """The labels of the plan that no case of this site has a value for."""
    known = zip(plan.labels, dataset.known_labels, strict=True)
    return ", ".join(label for label, is_known in known if not is_known)


def few_values(plan: Plan, dataset: Dataset) -> str:
    """Of how many features of which modality sums are tables of counts, which the floor does not ask of."""
    if not plan.privacy.summed or plan.privacy.noised:
        return ""
    found = coded_features(dataset).items()
    return ", ".join(f"{count} of {plan.dims[modality]} of {modality}" for modality, count in found if count)


def labels_below_floor(plan: Plan, dataset: Dataset) -> str:
    """The labels that so few training patients have one answer of, or none, that label moments leave them out."""
    train = ~dataset.held_out
    below = zip(
        plan.labels, floor_of_labels(plan, dataset).of(train).below(dataset.labels[train]), strict=True
    )
    return ", ".join(label for label, is_below in below if is_below)


def who_sees(plan: Plan, least_sites: int) -> str:
    """What the aggregator learns of this site at the plan's level, for its people. `least_sites`: of the charter."""
    if plan.privacy.summed:
        least, privacy = sites_behind(plan, least_sites), plan.privacy
        groups = f", of training over groups of {LEAST_SUMMED} or more" if privacy.groups else ""
        epsilon = f"epsilon {privacy.epsilon:g}, delta {privacy.delta:g} to each patient, for all of it"
        noise = f", all with noise ({epsilon})" if privacy.noised else ""
        alone = (
            " but of what it alone has: a modality, a pair of them, a label; of what two sites have, each can work out"
            " the other's"
        )
        if behind := privacy.least_sites_per_block:
            alone = (
                f"; what fewer than {behind} of them have, such as a modality, a pair of them or a label, is in no sum,"
                " and the other sites and the aggregator see which of these this site has of enough patients"
            )
        if few := privacy.least_answers:
            alone += (
                f"; a label that fewer than {few} patients of all sites have, or lack, is in no label moments and no"
                " evaluation, if the aggregator is honest about it"
            )
        summed = f"sums over {least} sites or more{groups}{noise}"
        return f"{privacy.level}: the aggregator sees {summed}, and no site's part{alone}"
    return (
        "OPEN: whoever runs the aggregator sees each update of this site, and could tell of single patients from it."
        " For data that may be public"
    )


def labels_not_used(plan: Plan, own: tuple[str, ...]) -> str:
    """This site's labels that the plan does not use."""
    return ", ".join(label for label in own if label not in plan.labels)
