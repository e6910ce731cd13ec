"""Whether a plan is within what this site's people allow, `[policy]` in site.toml: asked before all else.

And once more before each update leaves: a day passes, and people may take their word back.
"""

import datetime as dt
import math
from collections.abc import Iterator

from fedfin.errors import SettingsError
from fedfin.model.model_spec import Task, cosines, model_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round, task_of
from fedfin.trust.charter import today
from fedfin_edge.agent.approvals import last_word
from fedfin_edge.site import SETTINGS, Site

_FLOAT_BYTES = 4
_MEGABYTE = 1_000_000


def check_plan(site: Site, plan: Plan, least_sites: int = 1) -> None:
    """Raises SettingsError, naming the key of `[policy]` that the plan exceeds and what to do.

    `least_sites`: of the charter.
    """
    for refusal in refusals(site, plan, least_sites):
        raise SettingsError(refusal)
    check_permission(site, plan)


def check_permission(site: Site, plan: Plan) -> None:
    """What can change while a run goes on. Raises SettingsError."""
    if (refusal := _day_refused(site, today())) is not None:
        raise SettingsError(refusal)
    if lacks_approval(site, plan):
        raise SettingsError(
            f"{site.folder}: the plan {plan.digest()} is not approved here (policy.approve in {SETTINGS}); read it"
            f" with `fedfin edge review {site.folder}`, then `fedfin edge approve {site.folder} DIGEST`, and run again"
        )


def lacks_approval(site: Site, plan: Plan) -> bool:
    """Whether a person's word is missing, or was taken back. Raises StateError."""
    policy, digest = site.settings.policy, plan.digest()
    word = last_word(site, digest)
    return not word if word is not None else policy.approve and policy.plan != digest


def refusals(site: Site, plan: Plan, least_sites: int = 1) -> Iterator[str]:
    """All that the policy has against a plan, but that nobody has approved it: the key, and what to do about it."""
    policy, where = site.settings.policy, site.folder / SETTINGS
    if policy.plan is not None and policy.plan != plan.digest():
        yield (
            f"{where}: policy.plan approves the plan {policy.plan[:12]}…, the aggregator has {plan.digest()[:12]}…; ask"
            " the coordinator for that plan, and write its digest there once your people have approved it"
        )
    for key, asked in _asks(plan).items():
        if asked > (most := getattr(policy, key)):
            yield (
                f"{where}: policy.{key} is {most:,}, the plan asks for {asked:,}; ask the coordinator why,"
                f" and raise policy.{key} if your people agree"
            )
    if (sites := sites_behind(plan, least_sites)) < policy.least_sites:
        yield (
            f"{where}: policy.least_sites is {policy.least_sites}, and at {plan.privacy.level!r} others see what"
            f" {sites} of the sites gave; ask the coordinator for secure sums over more, or lower policy.least_sites if"
            " your people agree"
        )
    if others := [task for task in tasks(plan) if task not in policy.tasks]:
        yield (
            f"{where}: policy.tasks does not name {', '.join(others)}, which the plan asks for; ask the coordinator"
            " for a plan without, or add it if your people agree"
        )
    if (refusal := _day_refused(site, today())) is not None:
        yield refusal


def _day_refused(site: Site, day: dt.date) -> str | None:
    until = site.settings.policy.until
    if until is None or day <= until:
        return None
    return (
        f"{site.folder / SETTINGS}: policy.until is {until}, and today is {day}: nothing leaves any more; set a later"
        " day if your people agree"
    )


def tasks(plan: Plan) -> list[Task]:
    """What its rounds ask, each once, in order; what is asked in between is asked of the third, too."""
    last = last_round(plan)
    rounds = sorted({1, 2, min(3, last), max(1, last - 1), last})
    return list(dict.fromkeys(task_of(plan, round_) for round_ in rounds))


def sites_behind(plan: Plan, least_sites: int) -> int:
    """Of how many sites, at least, is what anybody sees of this one's. `least_sites`: of the charter."""
    return max(plan.rounds.min_sites, least_sites) if plan.privacy.summed else 1


def _asks(plan: Plan) -> dict[str, int]:
    """What the plan takes of a site, by the key of `[policy]` that bounds it."""
    return {
        "most_rounds": last_round(plan),
        "most_epochs": plan.training.most_epochs,
        "most_megabytes": -(-largest_bytes(plan) // _MEGABYTE),
        "most_basis": sum(cosines(plan).values()),
    }


def largest_bytes(plan: Plan) -> int:
    """Of the model, or of the largest update, as float32: counted from shapes, so that nothing is allocated."""
    everything = [model_shapes(plan), *(task_specs(plan, task) for task in tasks(plan))]
    return _FLOAT_BYTES * max(sum(math.prod(shape) for shape in shapes.values()) for shapes in everything)
