"""The plan that was asked last: whether the policy allows it, and whether this site has what it needs."""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, failed_by, not_reached, passed, warn
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import StateError
from fedfin.plan import Plan
from fedfin.privacy.dimensions import excess_of_plan
from fedfin_edge.agent.joining import labels_not_used
from fedfin_edge.agent.plan_policy import lacks_approval, refusals
from fedfin_edge.agent.state import AgentState
from fedfin_edge.cases.counts import kept_counts
from fedfin_edge.site import SETTINGS, Site


def plan(site: Site) -> Iterator[Finding]:
    """Nothing is asked of anybody: the plan is the one that `accept` or `run` kept."""
    state = AgentState(site.state_path, make=False)
    if not state.has_proposal:
        yield not_reached("plan", "none has come yet: `fedfin edge accept` or `fedfin edge run` brings one")
        return
    try:
        proposal = state.proposed()
        if proposal.plan.federation != site.settings.federation:
            yield _of_another(site, proposal.plan)
            return
        yield from _policy(site, proposal.plan, proposal.least_sites)
        yield from _fits(site, proposal.plan)
        yield from _dimensions(site, proposal.plan)
    except StateError as error:
        yield failed_by("plan", error)


def _of_another(site: Site, asked: Plan) -> Finding:
    """Whose topics `run` would not read: it would wait for the one of the settings without end."""
    says = (
        f"federation is {site.settings.federation!r}, and the plan that came last is of {asked.federation!r}"
    )
    return fail("plan's federation", f"{site.folder / SETTINGS}: {says}", "correct `federation` there")


def _policy(site: Site, asked: Plan, least_sites: int) -> Iterator[Finding]:
    refused = list(refusals(site, asked, least_sites))
    for refusal in refused:
        says, _, remedy = refusal.partition("; ")
        yield fail("plan", says, remedy)
    if lacks_approval(site, asked):
        remedy = f"fedfin edge review {site.folder}, then fedfin edge approve {site.folder} DIGEST"
        yield fail("plan", f"plan {asked.digest()[:12]}… is not approved here", remedy)
    elif not refused:
        yield passed("plan", f"plan {asked.digest()[:12]}… is within [policy]")


def _fits(site: Site, asked: Plan) -> Iterator[Finding]:
    """By encoder and label, what of the plan this site has."""
    for modality in asked.modalities:
        if modality.name not in site.settings.modalities:
            continue
        own = read_manifest(site.bundle_path(modality.name)).digest()
        if own != modality.encoder:
            says = (
                f"this site's encoder of {modality.name} is {own[:12]}…, the plan's {modality.encoder[:12]}…"
            )
            yield fail("plan's encoders", says, "ask the coordinator for the bundle of this federation")
    yield from _labels(site, asked)


def _dimensions(site: Site, asked: Plan) -> Iterator[Finding]:
    """The site knows its own cases alone, of which no more than as many patients can be."""
    counts = kept_counts(site)
    if counts is None or counts.cases is None:
        return
    if excess := excess_of_plan(asked, counts.cases * asked.rounds.sites):
        complete = "" if len(asked.dims) == 1 else " and every fifth patient has every modality"
        says = f"if all {asked.rounds.sites} sites have as many cases as this one{complete}, {excess.warning}"
        remedy = (
            "ask the coordinator for a plan that is drafted with --patients; if it has 8 columns of each modality, the"
            " least that a draft writes, only more patients or noise (`draft --epsilon`) hide them"
        )
        yield warn("plan's dimensions", says, remedy)


def _labels(site: Site, asked: Plan) -> Iterator[Finding]:
    """A site may have more labels than the plan, and a misspelt one looks the same: it is a warning."""
    if not set(asked.labels) & set(site.labels):
        says = f"this site answers for none of the plan's labels ({', '.join(asked.labels)})"
        yield warn("plan's labels", says, "name them in `cases.labels` of site.toml, if the table has them")
    elif unused := labels_not_used(asked, site.labels):
        says = f"the plan does not use {unused} of this site; its labels are {', '.join(asked.labels)}"
        yield warn("plan's labels", says, "correct `cases.labels` of site.toml, if one is meant")
