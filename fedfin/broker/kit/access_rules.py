"""Who may read and write what: the rules of one federation as data, as mosquitto's list and as a table for people.

The broker asks nobody but the certificate: `%u` is its common name. So a site that is added needs no new rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fedfin.broker.kit.parties import AGGREGATOR, shard_name
from fedfin.protocol.topics import Topics

Access = Literal["read", "write", "readwrite"]
EVERYBODY = "%u"


@dataclass(frozen=True)
class Rule:
    """`who`: a certificate's name, or EVERYBODY, whose own name then stands in `topic`."""

    who: str
    access: Access
    topic: str
    why: str


def rules(federation: str, shards: int = 0) -> list[Rule]:
    """All of one federation."""
    topics = Topics(federation)
    found = [*_of_the_aggregator(topics, sharded=shards > 0)]
    for index in range(shards):
        found += _of_a_shard(topics, index)
    return [*found, *_of_everybody(topics)]


def _of_the_aggregator(topics: Topics, *, sharded: bool) -> Iterable[Rule]:
    who = AGGREGATOR
    yield Rule(who, "read", topics.site("+", "up/state"), "which sites are there")
    yield Rule(
        who, "read", topics.site("+", "up/ctl"), "sites say hello, offer updates, ask for what they lack"
    )
    yield Rule(who, "read", topics.site("+", "up/chunk"), "updates")
    yield Rule(who, "write", topics.site("+", "dn/ctl"), "plan, rounds and receipts, to one site")
    yield Rule(who, "write", topics.site("+", "dn/chunk"), "parts of a model that a site asked for again")
    yield Rule(who, "readwrite", topics.aggregator_state, "whether the aggregator is there")
    yield Rule(who, "readwrite", f"{topics.root}/agg/charter", "the coordinator's charter")
    yield Rule(who, "readwrite", f"{topics.root}/global/#", "the open round and the model's versions")
    if sharded:
        for channel in ("up/state", "up/ctl", "up/chunk"):
            yield Rule(who, "read", f"{topics.root}/shard/+/{channel}", "the shards' tallies and sums")
        yield Rule(who, "write", f"{topics.root}/shard/+/dn/ctl", "rounds and receipts, to one shard")


def _of_a_shard(topics: Topics, index: int) -> Iterable[Rule]:
    who, own = shard_name(index), f"{topics.root}/shard/{index}"
    for channel in ("up/state", "up/ctl", "up/chunk"):
        yield Rule(who, "read", topics.site("+", channel), "what its sites say and send")
    yield Rule(who, "write", topics.site("+", "dn/ctl"), "receipts, to its sites")
    for channel in ("up/state", "up/ctl", "up/chunk"):
        yield Rule(who, "write", f"{own}/{channel}", "its own tallies and sums")
    yield Rule(who, "read", f"{own}/dn/ctl", "what the root tells this shard")


def _of_everybody(topics: Topics) -> Iterable[Rule]:
    """Three topics to write, not a wildcard: at most so many messages can a site leave retained."""
    who = EVERYBODY
    yield Rule(who, "write", topics.site(who, "up/state"), "a site says whether it is there")
    yield Rule(
        who, "write", topics.site(who, "up/ctl"), "it says hello, offers its update, asks for what it lacks"
    )
    yield Rule(who, "write", topics.site(who, "up/chunk"), "its update")
    yield Rule(who, "read", topics.site(who, "dn/ctl"), "what the aggregator tells this site alone")
    yield Rule(who, "read", topics.site(who, "dn/chunk"), "parts that this site asked for again")
    yield Rule(who, "read", topics.aggregator_state, "whether the aggregator is there")
    yield Rule(who, "read", f"{topics.root}/agg/charter", "the coordinator's charter")
    yield Rule(who, "read", f"{topics.root}/global/#", "the open round and the model's versions")
    yield Rule(who, "readwrite", topics.check(who), "`fedfin broker check`: to itself; it clears it again")


def mosquitto_acl(federation: str, shards: int = 0, shut_out: Iterable[str] = ()) -> str:
    """The access control list of mosquitto.

    `shut_out`: whose certificate was revoked. They may do nothing, also on a connection that still stands: mosquitto
    reads this list again on SIGHUP and holds every open connection to it, but does not end one.
    """
    lines = [
        f'# Who may do what in the federation "{federation}". %u is the name in the client\'s certificate.'
    ]
    for who in shut_out:
        lines += ["", f"# The certificate of {who} was revoked.", f"user {who}", "topic deny #"]
    last = ""
    for rule in rules(federation, shards):
        keyword = "pattern" if rule.who == EVERYBODY else "topic"
        if rule.who != last:
            lines += ["", "# Every site, by its own name." if keyword == "pattern" else f"user {rule.who}"]
        lines.append(f"{keyword} {rule.access} {rule.topic}")
        last = rule.who
    return "\n".join(lines) + "\n"


def table(federation: str, shards: int = 0) -> str:
    """The same for people, in Markdown; topics below the federation's root."""
    lines, root = ["| topic | who | may | for |", "|---|---|---|---|"], Topics(federation).root
    for rule in rules(federation, shards):
        who = "each site" if rule.who == EVERYBODY else rule.who
        topic = rule.topic.removeprefix(f"{root}/").replace(EVERYBODY, "{site}")
        may = rule.access.replace("readwrite", "read and write")
        lines.append(f"| `{topic}` | {who} | {may} | {rule.why} |")
    return "\n".join(lines) + "\n"
