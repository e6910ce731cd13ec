"""A shard that waits says for whom and since when, within two minutes and then once a minute."""

from machine_helpers import CHUNK, HELLO, PLAN, RUN, manifest_of

from fedfin.protocol.messages.joining import Welcome
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.events import FromSite
from fedfin.protocol.shards.events import RoundOpened
from fedfin.protocol.shards.machine import ShardMachine
from fedfin.protocol.shards.shard import Shard
from fedfin.protocol.site.events import Connected
from fedfin_aggregator.serve.shard_waiting import ShardWaiting

NOON = 1_800_014_400.0
START = 50_000.0  # what the monotonic clock shows at noon
SHARD = Shard(0, 2)
ONE, OTHER, *_ = [f"s{n}" for n in range(20) if SHARD.serves(f"s{n}")]


def heard_from(machine: ShardMachine, *, root: bool, seconds: int = 200) -> list[tuple[int, str]]:
    """What people read of the machine as it stands, and after how many seconds; `root`: it answers all the time."""
    waiting, told = ShardWaiting(START), []
    for now in range(seconds):
        if root:
            waiting.heard(START + now)
        if (reason := waiting.complaint(machine, START + now, NOON + now)) is not None:
            told.append((now, reason))
    return told


def collecting() -> ShardMachine:
    """A shard whose one site has an answer in round 2."""
    machine = ShardMachine(PLAN, SHARD, max_update_bytes=10**6)
    given = {ONE: Receipt(id=b"1" * 32, accepted=True)}
    for event in (
        Connected(CHUNK),
        Welcome(run=RUN, plan=PLAN),
        manifest_of(2),
        RoundOpened(given, {}),
        FromSite(ONE, HELLO),
    ):
        machine.receive(event, 0.0)
    return machine


def test_a_root_that_does_not_answer_is_named_with_the_time() -> None:
    """In whatever state; its silence comes first, since all else hangs on it."""
    for machine in (ShardMachine(PLAN, SHARD, max_update_bytes=10**6), collecting()):
        (first, reason), (second, _), (third, _) = heard_from(machine, root=False)
        assert (first, second, third) == (60, 120, 180)
        assert "no answer from the root since 2027-01-15 12:00:00 UTC" in reason


def test_sites_that_are_missing_are_named_and_those_that_nobody_knows_too() -> None:
    """Of this shard; who has an answer is not waited for."""
    machine = collecting()
    (first, reason), *_ = heard_from(machine, root=True)
    assert first == 60
    assert "round 2 is open here since 2027-01-15 12:00:00 UTC, has 1 answers" in reason
    assert "sites that nobody has heard of" in reason
    assert machine.admits(OTHER, 0.0)
    assert f"waits for {OTHER}" in heard_from(machine, root=True)[0][1]


def test_a_shard_without_work_says_that_the_root_has_not_gone_on() -> None:
    """Another shard may not have delivered: the root says which."""
    machine = collecting()
    machine.receive(manifest_of(3), 0.0)
    machine.receive(RoundOpened({}, {}, settled=True), 0.0)
    (_, reason), *_ = heard_from(machine, root=True)
    assert "has had no work since" in reason
