"""Who is let in: we, with what we have; whoever comes; and whether our name is ours alone."""

from collections.abc import Iterator

from fedfin import limits
from fedfin.broker.check.finding import Finding, fail, passed, warn
from fedfin.broker.check.session import Session
from fedfin.broker.check.target import Target
from fedfin.errors import LinkError
from fedfin.link.endings import ALLOW_QOS_1, KEEP_RETAINED
from fedfin.link.link_events import Announced

CLIENT_ID, OTHER_CLIENT_ID = "fedfin-check-1", "fedfin-check-2"
TAKEOVER_S = 1.0
_END_THE_OTHER = "end what runs under this name (`fedfin edge run`, `aggregator serve`) while you check"
_REMEDIES = {
    "etain": ("retained", KEEP_RETAINED),
    "authorized": ("connect", "give the certificate, or --user with its password, that the broker asks for"),
    "password": ("connect", "correct --user or the password"),
    "QoS not supported": ("session", ALLOW_QOS_1),
    "does not answer": ("connect", "correct the port: what listens there does not speak MQTT"),
    "mqtts:// or mqtt://": (
        "connect",
        "write mqtts:// if the broker speaks TLS on this port, or correct the port",
    ),
    "taken over": ("identity", _END_THE_OTHER),
    "was lost": ("connect", f"{_END_THE_OTHER}; otherwise the broker's log says why it ends a connection"),
}


def not_let_in(error: LinkError, target: Target) -> Finding:
    """Why the broker ends our connection, by what it says."""
    if "authorized" in str(error) and target.certificate is not None and target.login is None:
        says = f"it took our certificate but not its name as who we are ({error})"
        return fail("connect", says, "have it take the name (mosquitto: `use_identity_as_username true`)")
    for word, (probe, remedy) in _REMEDIES.items():
        if word in str(error):
            return fail(probe, str(error).removesuffix(f"; {remedy}"), remedy)
    return fail("connect", str(error), "look into the broker's log: it says why it ends a connection")


def let_in(announced: Announced) -> Iterator[Finding]:
    """What the broker offers those whom it lets in."""
    if announced.protocol != "5":
        says = f"the broker speaks MQTT {announced.protocol}, which does not say when it refuses a message"
        yield warn("connect", says, "use a broker with MQTT 5: rights can be asked only there")
    else:
        yield passed("connect", "let in, with MQTT 5")
    yield _session(announced)


def _session(announced: Announced) -> Finding:
    problems = []
    if announced.receive_maximum < limits.WINDOW:
        problems.append(f"takes {announced.receive_maximum} messages at once; FedFIN sends {limits.WINDOW}")
    if announced.session_expiry_s:
        problems.append(f"keeps our session for {announced.session_expiry_s} s after we have gone")
    if problems:
        remedy = "raise the receive maximum to 8, and let sessions end with their connection"
        return warn("session", f"the broker {' and '.join(problems)}", remedy)
    return passed("session", f"ends with its connection; {announced.receive_maximum} messages at once")


def open_door(target: Target) -> Finding:
    """Whether somebody gets in who shows nothing."""
    try:
        with Session(target.without_credentials(), OTHER_CLIENT_ID):
            pass
    except LinkError:
        return passed("strangers", "nobody gets in without showing who they are")
    return everybody_gets_in()


def everybody_gets_in() -> Finding:
    """What a broker for trying things out does."""
    return warn(
        "strangers",
        "the broker lets in whoever comes, so anybody may pose as the aggregator or a site",
        "for trying things out only; `fedfin broker kit` makes one that asks for certificates",
    )


def tied(target: Target, session: Session) -> Finding:
    """Whether the client id follows our certificate or user name: then a second connection ends the first.

    The last question over `session`: it may be ended by this one.
    """
    try:
        with Session(target, OTHER_CLIENT_ID):
            ended = session.ended(TAKEOVER_S)
    except LinkError:
        ended = True  # the first one came back and ended the second
    if ended:
        return passed("identity", f"{target.name}: the client id is tied to it")
    name = "certificate" if target.certificate else "user name"
    return warn(
        "identity",
        "the broker lets a client choose its client id: whoever is let in can end another's connection",
        f"tie it to the {name} (mosquitto: `use_username_as_clientid true`)",
    )
