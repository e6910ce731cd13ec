"""What the people of a site must do next so that it takes part: what `run` would refuse to start without."""

from fedfin.trust.accepted import has_accepted
from fedfin_edge.agent.plan_policy import lacks_approval, refusals
from fedfin_edge.agent.state import AgentState
from fedfin_edge.site import Site


def next_step(site: Site, state: AgentState) -> str:
    """The first that is lacking, in the order in which they are done. Raises StateError when the state is damaged."""
    return _cases(site) or _admission(site, state) or _plan(site, state) or "`fedfin edge run` takes part"


def _cases(site: Site) -> str:
    """With an intake the table is what `encode` writes."""
    if site.settings.intake is not None and not site.table_path.is_file():
        return "`fedfin edge intake` takes cases, then `fedfin edge encode` fixes them"
    return "" if site.features_path.is_file() else "`fedfin edge encode` makes features of its cases"


def _admission(site: Site, state: AgentState) -> str:
    if has_accepted(site.trust_path):
        return ""
    if site.trust_path.is_dir():
        return "`fedfin edge accept` takes in what the coordinator sends back"
    if state.progress.run:  # without keys
        return ""
    return "`fedfin edge request` makes keys, and what the coordinator admits this site by"


def _plan(site: Site, state: AgentState) -> str:
    """What is between the plan that came last and this site."""
    if not state.has_proposal:
        return ""
    proposal = state.proposed()
    if any(refusals(site, proposal.plan, proposal.least_sites)):
        return "`fedfin edge review` says what [policy] has against the plan"
    if lacks_approval(site, proposal.plan):
        return "`fedfin edge review` shows the plan, and `fedfin edge approve` allows it"
    return ""
