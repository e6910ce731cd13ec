"""Whether an aggregator is its federation's only one. Pure decisions: time and messages come in with each call.

Who starts asks before it serves. What the broker retains may be of one that has died; one that lives says it anew when
it is asked, or comes back when a broker that knows it by the same client id has let it go. Its own predecessor in the
same folder is dead: the folder's lock proves it.
"""

import datetime as dt

from msgspec.structs import replace

from fedfin.errors import StateError
from fedfin.protocol.messages.presence import AggregatorState

REMIND_S = 60.0
PROBE_S = 8.0  # one that was let go by its broker is back within twice the first wait (link/backoff.py), and a retry


class Tenure:
    """Of one start of an aggregator. `own`: what it says of itself; `predecessor`: the boot before in this folder."""

    def __init__(self, own: AggregatorState, *, predecessor: str, take_over: bool) -> None:
        self.own = replace(own, takes_over=take_over)
        self.serving = False
        self._predecessor, self._take_over = predecessor, take_over
        self._asked_at: float | None = None
        self._waiting_since: float | None = None
        self._echoed = False  # what is retained comes before the answer to our own question
        self._other: AggregatorState | None = None
        self._other_online_at: float | None = None  # the newest, but for last wills

    def ask(self, now: float, clock: float) -> AggregatorState:
        """The question, to be published and not retained. `clock`: seconds since the epoch.

        Each connection asks anew: two that take it from each other hear nothing while they have none.
        """
        self._asked_at, self._echoed = now, False
        return replace(self.say(clock), asks=True)

    def say(self, clock: float, *, online: bool = True, stopped: bool = False) -> AggregatorState:
        """That we are here, or not. Who does not serve yet is never the first of two, however long ago it was started.

        Its will is of the moment in which it connected: one that serves meanwhile would hear it and stop; and one that
        asks, too, would refuse for one that refuses for it (`_only_asked`).
        """
        since = self.own.since if self.serving else clock
        return replace(self.own, online=online, since=since, at=clock, stopped=stopped)

    def may_serve(self, now: float) -> bool:
        """Whether nobody else does. Who waited for one in vain takes over from it, should it come back."""
        if self._asked_at is None or self.serving:
            return False
        waited = now - self._asked_at >= PROBE_S
        return waited or (self._echoed and (self._other is None or self._take_over))

    def waits_for(self, now: float) -> str | None:
        """Whom one that asks has heard of, once it has asked for a minute; told once a minute."""
        self._waiting_since = now if self._waiting_since is None else self._waiting_since
        if self.serving or now - self._waiting_since < REMIND_S:
            return None
        self._waiting_since = now
        other = "nobody yet" if self._other is None else name_of(self._other)
        return (
            "does not serve yet: it asks whether another aggregator of this federation does, and each connection ended"
            f" before there was an answer; heard of: {other}"
        )

    def begin(self) -> None:
        """We serve from now on.

        Who is to take over does so also where it has heard of nobody: its own will, of a connection that was not even
        answered, may have replaced what the broker kept of the other.
        """
        self.serving = True
        since = self.own.since if self._other is None else max(self.own.since, self._other.since + 1.0)
        self.own = replace(self.own, since=since, takes_over=self._take_over or self._other is not None)

    def hear(self, state: AggregatorState) -> bool:
        """Whether what we are must be said again. Raises StateError, and serves no more, when another one serves."""
        if state.boot == self.own.boot:
            self._echoed = self._echoed or state.asks
            return False
        return self._hear_serving(state) if self.serving else self._hear_asking(state)

    def _hear_asking(self, state: AggregatorState) -> bool:
        if state.asks or state.stopped or state.boot == self._predecessor:
            return False
        if self._lives(state) and not (_only_asked(state) or self._take_over):
            raise StateError(
                f"another aggregator of this federation serves: {name_of(state)}; stop that one, or take over from it"
                " with --take-over"
            )
        return False

    def _lives(self, state: AggregatorState) -> bool:
        """Whether it has said anything since we listen; what came first may be what the broker kept.

        Its last will counts, too: it was written when it connected, so that an old one is older than what came first.
        Of one that began before us, what it says after its will must be newer than another word of its own: a broker
        that crashes brings back what it had kept of the dead. Who began after us cannot be such a one.
        """
        if self._other is None or self._other.boot != state.boot:
            self._other, self._other_online_at = state, state.at if state.online else None
            return False
        online_at = self._other_online_at
        known = online_at if state.online and state.since < self.own.since else self._other.at
        self._other = max(self._other, state, key=lambda heard: heard.at)
        if state.online:
            self._other_online_at = state.at if online_at is None else max(online_at, state.at)
        return known is not None and state.at > known

    def _hear_serving(self, state: AggregatorState) -> bool:
        """Of two the one that took over stays, else the one that was first."""
        if state.asks or state.stopped or state.boot == self._predecessor or not self._lives(state):
            return True
        ours, theirs = ((s.takes_over, s.since if s.takes_over else -s.since) for s in (self.own, state))
        if theirs <= ours:
            return True
        self.serving = False  # and must not say of the other that it is gone
        did = "took over from this one" if state.takes_over else "serves"
        raise StateError(f"another aggregator of this federation {did}: {name_of(state)}; this one stops")


def _only_asked(state: AggregatorState) -> bool:
    """Whether it did not serve yet when it said this: it may by now, and is waited out like one that has died."""
    return state.since == state.at


def name_of(state: AggregatorState) -> str:
    """For people."""
    since = dt.datetime.fromtimestamp(state.since, dt.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"boot {state.boot}, on {ascii(state.host)[1:-1] or 'an unknown host'}, since {since}"
