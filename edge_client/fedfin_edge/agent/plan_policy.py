"""Whether a plan is within what this site's people allow, `[policy]` in site.toml: asked before all else."""

import math

from fedfin.errors import SettingsError
from fedfin.model.model_spec import cosines, model_shapes, task_specs
from fedfin.plan import Plan
from fedfin.protocol.schedule import last_round, task_of
from fedfin_edge.site import SETTINGS, Site

_FLOAT_BYTES = 4
_MEGABYTE = 1_000_000


def check_plan(site: Site, plan: Plan) -> None:
    """Raises SettingsError, naming the key of `[policy]` that the plan exceeds and what to do."""
    policy, where = site.settings.policy, site.folder / SETTINGS
    if policy.plan is not None and policy.plan != plan.digest():
        raise SettingsError(
            f"{where}: policy.plan approves the plan {policy.plan[:12]}…, the aggregator has {plan.digest()[:12]}…; ask"
            " the coordinator for that plan, and write its digest there once your people have approved it"
        )
    for key, asked in _asks(plan).items():
        if asked > (most := getattr(policy, key)):
            raise SettingsError(
                f"{where}: policy.{key} is {most:,}, the plan asks for {asked:,}; ask the coordinator why,"
                f" and raise policy.{key} if your people agree"
            )


def _asks(plan: Plan) -> dict[str, int]:
    """What the plan takes of a site, by the key of `[policy]` that bounds it."""
    return {
        "most_rounds": last_round(plan),
        "most_epochs": plan.training.most_epochs,
        "most_megabytes": -(-_most_values(plan) * _FLOAT_BYTES // _MEGABYTE),
        "most_basis": sum(cosines(plan).values()),
    }


def _most_values(plan: Plan) -> int:
    """Of the model, or of the largest update: counted from shapes, so that nothing is allocated for either."""
    tasks = {task_of(plan, round_) for round_ in (1, 2, 3, last_round(plan) - 1, last_round(plan))}
    everything = [model_shapes(plan), *(task_specs(plan, task) for task in tasks)]
    return max(sum(math.prod(shape) for shape in shapes.values()) for shapes in everything)
