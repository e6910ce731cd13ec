"""What we may read. A broker may grant all subscriptions and deliver by rights, as mosquitto does: what comes tells."""

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.rules import COMPARE_RULES, shown
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import Target
from fedfin.protocol.topics import Topics

COMES_S = 2.0  # after the subscription was granted


def reads(target: Target, session: Session) -> Finding:
    """Whether our subscriptions are granted, and whether what must come on them does."""
    topics, name = target.topics, target.name
    assert topics is not None
    assert name is not None
    to_all = [topics.aggregator_state, topics.charter, topics.manifest]
    own = _of_the_aggregator(topics) if target.is_aggregator else _of_a_site(topics, name)
    if refused := [topic for topic in [*own, *to_all] if session.subscribe(topic) is not None]:
        says = f"{name} may not subscribe to {shown(topics, refused)}"
        return fail("rights to read", says, COMPARE_RULES)
    sent = [topic for topic in to_all if target.is_aggregator and session.publish(topic) is None]
    came = session.came_on(to_all, COMES_S)
    for topic in [*own, *to_all]:
        session.unsubscribe(topic)
    # To a site nothing must come before an aggregator was there. It retains all three: with one come the others.
    due = sent if target.is_aggregator or not came else to_all
    if withheld := [topic for topic in due if topic not in came]:
        return _withheld(topics, name, withheld, came)
    return passed("rights to read", _granted(topics, [*own, *to_all], came))


def _of_a_site(topics: Topics, name: str) -> list[str]:
    return [topics.site(name, channel) for channel in ("dn/ctl", "dn/chunk")]


def _of_the_aggregator(topics: Topics) -> list[str]:
    return [topics.site("+", channel) for channel in ("up/state", "up/ctl", "up/chunk")]


def _withheld(topics: Topics, name: str, withheld: list[str], came: list[str]) -> Finding:
    beside = f", while {shown(topics, came)} comes" if came else ""
    says = f"granted to {name}, but nothing comes on {shown(topics, withheld)}{beside}"
    remedy = f"let {name} read it (docs/broker.md has the table of rights)"
    if topics.charter in withheld:
        remedy += "; agg/charter is there only where the federation has keys"
    if topics.manifest in withheld:
        remedy += "; global/manifest only from the first round on"
    return warn("rights to read", says, remedy)


def _granted(topics: Topics, granted: list[str], came: list[str]) -> str:
    untested = shown(topics, [topic for topic in granted if topic not in came])
    delivered = f"delivers {shown(topics, came)}; " if came else ""
    return f"{delivered}granted {untested}: whether it delivers is not tested"
