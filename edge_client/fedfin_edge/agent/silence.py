"""What a site has asked and nobody has answered, and since when: people hear of it within two minutes."""

import datetime as dt

from fedfin.limits import IDLE_S
from fedfin.protocol.site.states import State

SILENT_S = 60.0  # the aggregator answers at once; a minute is twelve questions
IDLE_SILENT_S = IDLE_S + SILENT_S / 2  # a site without work asks once in IDLE_S
ASKED = {
    State.JOINING: "its hello",
    State.FETCHING: "its question for the model",
    State.SENDING: "its update",
    State.IDLE: "its hello",
}


class Silence:
    """Of one agent. Times: `now` monotonic, `clock` seconds since the epoch."""

    def __init__(self) -> None:
        self._state: State | None = None
        self._since = self._reported_at = self._clock = 0.0

    def heard(self, now: float, clock: float) -> None:
        """The aggregator has said something."""
        self._since, self._reported_at, self._clock = now, now, clock

    def complaint(self, state: State, now: float, clock: float) -> str | None:
        """What to tell people, about once a minute; None while nothing is to be told."""
        if state is not self._state:  # another question
            self._state = state
            self.heard(now, clock)
        patience = IDLE_SILENT_S if state is State.IDLE else SILENT_S
        if state not in ASKED or now - self._reported_at < patience:
            return None
        self._reported_at = now
        since = dt.datetime.fromtimestamp(self._clock, dt.timezone.utc).strftime("%H:%M:%S UTC")
        return (
            f"{ASKED[state]} has had no answer from the aggregator since {since}; ask its operator whether `serve`"
            " runs, and what it says of this site"
        )
