"""Who may write what: asked by writing nothing (no bytes, not retained), which everybody in a federation ignores.

A broker says that it denied a message only in its answer at QoS 1, and only with MQTT 5.
"""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import NOBODY, Target
from fedfin.protocol.topics import Topics

_RULES = (
    "compare the broker's rules with the table in docs/broker.md: the federation's name, and who we are to it"
)


def rights(target: Target, session: Session, *, open_to_all: bool) -> Iterator[Finding]:
    """What we must be able to write, what we must not, and what we must be able to read."""
    topics = target.topics
    assert topics is not None
    assert target.name is not None
    must, must_not = _of_the_aggregator(topics) if target.is_aggregator else _of_a_site(topics, target.name)
    if session.announced.protocol == "5":
        yield _must(session, target.name, must)
        yield _must_not(session, target.name, must_not, open_to_all=open_to_all)
    yield _reads(session, target.name, _to_read(topics, target.name, aggregator=target.is_aggregator))


def _of_a_site(topics: Topics, name: str) -> tuple[list[str], list[str]]:
    own = [topics.site(name, channel) for channel in ("up/state", "up/ctl", "up/chunk")]
    of_others = [topics.site(NOBODY, "up/ctl"), topics.site(NOBODY, "dn/ctl"), topics.site(name, "dn/ctl")]
    return own, [*of_others, topics.aggregator_state, topics.manifest]


def _of_the_aggregator(topics: Topics) -> tuple[list[str], list[str]]:
    own = [
        topics.site(NOBODY, "dn/ctl"),
        topics.site(NOBODY, "dn/chunk"),
        topics.aggregator_state,
        topics.manifest,
    ]
    return own, [topics.site(NOBODY, "up/ctl"), topics.site(NOBODY, "up/chunk")]


def _to_read(topics: Topics, name: str, *, aggregator: bool) -> list[str]:
    if aggregator:
        return [topics.site("+", channel) for channel in ("up/state", "up/ctl", "up/chunk")]
    return [
        topics.site(name, "dn/ctl"),
        topics.site(name, "dn/chunk"),
        topics.manifest,
        topics.aggregator_state,
    ]


def _must(session: Session, name: str, topics: list[str]) -> Finding:
    refused = [topic for topic in topics if session.publish(topic) is not None]
    if refused:
        return fail("rights to write", f"{name} may not write {', '.join(refused)}", _RULES)
    return passed("rights to write", f"{name} may write {', '.join(topics)}")


def _must_not(session: Session, name: str, topics: list[str], *, open_to_all: bool) -> Finding:
    allowed = [topic for topic in topics if session.publish(topic) is None]
    if not allowed:
        return passed("rights of others", f"{name} may not write {', '.join(topics)}")
    says = f"{name} may write {', '.join(allowed)}, which are not its own"
    kind = warn if open_to_all else fail
    return kind("rights of others", says, _RULES)


def _reads(session: Session, name: str, topics: list[str]) -> Finding:
    refused = [topic for topic in topics if session.subscribe(topic) is not None]
    for topic in topics:
        session.unsubscribe(topic)
    if refused:
        return fail("rights to read", f"{name} may not subscribe to {', '.join(refused)}", _RULES)
    return passed("rights to read", f"{name} may subscribe to {', '.join(topics)}")
