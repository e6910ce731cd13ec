"""All probes, in the order in which one needs another. What cannot be asked any more is not asked, nor blamed."""

from collections.abc import Callable, Iterator

from fedfin.broker.check import network
from fedfin.broker.check.admission import CLIENT_ID, everybody_gets_in, let_in, not_let_in, open_door, tied
from fedfin.broker.check.delivery import delivery
from fedfin.broker.check.finding import Finding, Verdict, warn
from fedfin.broker.check.own_certificate import own_certificate
from fedfin.broker.check.rights import rights
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import Target
from fedfin.broker.check.tls_probe import tls
from fedfin.errors import LinkError

Step = Callable[[Target], Iterator[Finding]]


def check(target: Target) -> Iterator[Finding]:
    """Each finding as soon as it is known; ends after the step that failed. Raises SettingsError for a file of ours."""
    for step in (own_certificate, path, tls, mqtt):
        failed = False
        for finding in guarded(step, target):
            failed |= finding.failed
            yield finding
        if failed:
            return


def guarded(step: Step, target: Target) -> Iterator[Finding]:
    """What a step finds, and in the end why the broker closed the connection, if it did."""
    try:
        yield from step(target)
    except LinkError as error:
        yield not_let_in(error, target)


def path(target: Target) -> Iterator[Finding]:
    """As far as a TCP connection, through a proxy or without."""
    if target.way is not None:
        yield network.tunnel(target.broker, target.way)
        return
    found, addresses = network.resolve(target.broker)
    yield found
    if addresses:
        yield from network.connect(target.broker, addresses)


def mqtt(target: Target) -> Iterator[Finding]:
    """Who is let in, rights, and what passes: two connections under our name."""
    with Session(target, CLIENT_ID) as session:
        yield from let_in(session.announced)
        door = open_door(target) if target.has_credentials else everybody_gets_in()
        yield door
        if target.topics is None:
            says = "not asked: rights, retained messages, packets, speed"
            yield warn("rights", says, "give --federation NAME, and --as SITE or a certificate")
        else:
            yield from rights(target, session, open_to_all=door.verdict is Verdict.WARN)
            for finding in delivery(session):
                yield finding
                if finding.failed:  # perhaps the connection is gone
                    return
        if target.has_credentials:
            yield tied(target, session)
