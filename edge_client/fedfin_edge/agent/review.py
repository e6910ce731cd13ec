"""What a plan asks of this site, what leaves it, who sees that, and what the site's policy says: for people."""

from collections import Counter
from dataclasses import dataclass

from fedfin.model.model_spec import Task, task_specs
from fedfin.plan import Plan
from fedfin.protocol.padding import most_sealed_bytes
from fedfin.protocol.payloads import most_update_bytes
from fedfin.protocol.schedule import last_round, task_of
from fedfin.secure_sums.masked_size import most_masked_bytes
from fedfin.trust.accepted import current_charter, has_accepted, read_accepted
from fedfin.trust.charter import Charter
from fedfin_edge.agent.explain_update import tells
from fedfin_edge.agent.joining import who_sees
from fedfin_edge.agent.plan_policy import lacks_approval, refusals, tasks
from fedfin_edge.agent.state import Proposal
from fedfin_edge.site import Site


@dataclass(frozen=True)
class Review:
    """Of one plan at one site.

    `leaves`: what an update tells, by task; `rounds`: how many rounds ask it, at most. `largest`: bytes of the largest
    update, as it travels. `receivers`: to whom. `refusals`: what `[policy]` has against it; `approval`: whether a
    person's word is "not needed", "given" or "missing".
    """

    plan: str
    federation: str
    run: str
    learns: tuple[str, ...]
    modalities: tuple[str, ...]
    sees: str
    leaves: dict[Task, str]
    rounds: dict[Task, int]
    largest: int
    receivers: list[str]
    refusals: list[str]
    approval: str


def review(site: Site, proposal: Proposal, charter: Charter | None) -> Review:
    """`charter`: whose run it is; None: there are no keys. Raises SettingsError, StateError."""
    plan = proposal.plan
    return Review(
        plan=plan.digest(),
        federation=plan.federation,
        run=proposal.run,
        learns=plan.labels,
        modalities=tuple(plan.dims),
        sees=who_sees(plan, proposal.least_sites),
        leaves={task: tells(plan, task) for task in tasks(plan)},
        rounds=dict(_rounds(plan)),
        largest=most_sent_bytes(plan),
        receivers=receivers(site, charter),
        refusals=list(refusals(site, plan, proposal.least_sites)),
        approval=_approval(site, plan),
    )


def _approval(site: Site, plan: Plan) -> str:
    if lacks_approval(site, plan):
        return "missing"
    return "given" if site.settings.policy.approve else "not needed"


def obeyed_charter(site: Site) -> Charter | None:
    """The one that was accepted here. Raises SettingsError, StateError."""
    if not has_accepted(site.trust_path):
        return None
    return current_charter(site.trust_path, read_accepted(site.trust_path))


def receivers(site: Site, charter: Charter | None) -> list[str]:
    """To whom it goes: the broker, the aggregator, and who gets the models made of it."""
    broker = f"broker {site.settings.broker}"
    if charter is None:
        return [f"{broker}: whoever reads there, since no keys were accepted here"]
    others = ", ".join(name for name in charter.seats if name != site.settings.site)
    return [
        f"{broker}: sealed, it sees sizes and times",
        f"aggregator {charter.aggregator.fingerprint}: of the coordinator {charter.fingerprint}",
        f"models made of it: {others or 'no other site yet'}",
    ]


def in_plain_words(plan: Plan, least_sites: int) -> list[str]:
    """What a plan asks of a site, what of it leaves the site, and who sees that."""
    rounds = _rounds(plan)
    lines = [
        f"plan {plan.digest()}",
        f"learns: {', '.join(plan.labels)}; from: {', '.join(plan.dims)}; in {_in_words(last_round(plan))}",
        who_sees(plan, least_sites),
        "what leaves this site, masked in sums:" if plan.privacy.summed else "what leaves this site:",
    ]
    lines += [f"  {task}, in {_in_words(rounds[task])} at most: {tells(plan, task)}" for task in tasks(plan)]
    return [*lines, f"  in updates of {most_sent_bytes(plan) / 1e3:,.0f} KB at most, as they travel"]


def _in_words(rounds: int) -> str:
    return "1 round" if rounds == 1 else f"{rounds} rounds"


def _rounds(plan: Plan) -> Counter[Task]:
    """How many rounds ask a task, at most."""
    return Counter(task_of(plan, round_) for round_ in range(1, last_round(plan) + 1))


def most_sent_bytes(plan: Plan) -> int:
    """Of the largest update as it leaves: masked words where it is summed; padded and sealed."""
    if plan.privacy.summed:
        return most_sealed_bytes(most_masked_bytes(plan))
    return most_sealed_bytes(max(most_update_bytes(task_specs(plan, task)) for task in tasks(plan)))
