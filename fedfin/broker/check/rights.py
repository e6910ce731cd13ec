"""Who may write what: asked by writing nothing (no bytes, not retained), which everybody in a federation ignores.

What is retained stays: only an empty message that is retained itself would clear it. A broker says that it denied a
message only in its answer at QoS 1, and only with MQTT 5.
"""

from collections.abc import Iterator

from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.reading import reads
from fedfin.broker.check.rules import COMPARE_RULES, shown
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import NOBODY, Target
from fedfin.protocol.topics import Topics


def rights(target: Target, session: Session, *, open_to_all: bool) -> Iterator[Finding]:
    """What we must be able to write, what we must not, and what we must be able to read."""
    topics = target.topics
    assert topics is not None
    assert target.name is not None
    must, must_not = _of_the_aggregator(topics) if target.is_aggregator else _of_a_site(topics, target.name)
    if session.announced.protocol == "5":
        yield _must(session, topics, target.name, must)
        yield _must_not(session, topics, target.name, must_not, open_to_all=open_to_all)
    yield reads(target, session)


def _of_a_site(topics: Topics, name: str) -> tuple[list[str], list[str]]:
    own = [topics.site(name, channel) for channel in ("up/state", "up/ctl", "up/chunk")]
    of_others = [topics.site(NOBODY, "up/ctl"), topics.site(NOBODY, "dn/ctl"), topics.site(name, "dn/ctl")]
    return own, [*of_others, topics.aggregator_state, topics.charter, topics.manifest]


def _of_the_aggregator(topics: Topics) -> tuple[list[str], list[str]]:
    own = [
        topics.site(NOBODY, "dn/ctl"),
        topics.site(NOBODY, "dn/chunk"),
        topics.aggregator_state,
        topics.charter,
        topics.manifest,
    ]
    return own, [topics.site(NOBODY, "up/ctl"), topics.site(NOBODY, "up/chunk")]


def _must(session: Session, topics: Topics, name: str, must: list[str]) -> Finding:
    if refused := [topic for topic in must if session.publish(topic) is not None]:
        return fail("rights to write", f"{name} may not write {shown(topics, refused)}", COMPARE_RULES)
    return passed("rights to write", f"{name} may write {shown(topics, must)}")


def _must_not(
    session: Session, topics: Topics, name: str, must_not: list[str], *, open_to_all: bool
) -> Finding:
    allowed = [topic for topic in must_not if session.publish(topic) is None]
    if not allowed:
        return passed("rights of others", f"{name} may not write {shown(topics, must_not)}")
    says = f"{name} may write {shown(topics, allowed)}, which are not its own"
    kind = warn if open_to_all else fail
    return kind("rights of others", says, COMPARE_RULES)
