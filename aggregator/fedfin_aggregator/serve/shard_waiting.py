"""What the operator of a shard reads while it waits: for whom, and since when."""

from fedfin.limits import AWAIT_S
from fedfin.protocol.shards.machine import ShardMachine
from fedfin.protocol.shards.states import State
from fedfin.utc import moment


class ShardWaiting:
    """Of one shard. Times: `now` monotonic, `clock` seconds since the epoch."""

    def __init__(self, now: float) -> None:
        self._standing: tuple[State, int] | None = None
        self._since = self._heard = now
        self._tell_at = now + AWAIT_S

    def heard(self, now: float) -> None:
        """The root has said something; or we are not connected, which people are told otherwise."""
        self._heard = now

    def complaint(self, machine: ShardMachine, now: float, clock: float) -> str | None:
        """What to tell people, once a minute; None while nothing is to be told."""
        standing = machine.state, machine.round
        if standing != self._standing:
            self._standing, self._since = standing, now
        silent, long = (now - since >= AWAIT_S for since in (self._heard, self._since))
        if now < self._tell_at or machine.state is State.FINISHED or not (silent or long):
            return None
        self._tell_at = now + AWAIT_S
        if silent:
            return (
                f"no answer from the root since {moment(clock - now + self._heard)}; see that `serve --shards` runs"
                " there, and is connected"
            )
        return _waits_for(machine, moment(clock - now + self._since))


def _waits_for(machine: ShardMachine, since: str) -> str:
    if machine.state is not State.COLLECTING:
        return (
            f"has had no work since {since}: the root opens the next round when all shards have delivered; it says"
            " which have not"
        )
    sites = ", ".join(machine.awaited) or "sites that nobody has heard of"
    return f"round {machine.round} is open here since {since}, has {machine.answers} answers and waits for {sites}"
