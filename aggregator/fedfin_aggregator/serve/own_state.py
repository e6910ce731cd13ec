"""What this aggregator says of itself, on the topic where another one of its federation would say the same."""

import secrets
import socket
import time

from fedfin.protocol.messages.message import decode, encode
from fedfin.protocol.messages.presence import AggregatorState
from fedfin.protocol.tenure import Tenure
from fedfin.trust.channel import AggregatorEnd
from fedfin_aggregator.store.journal import Journal


class OwnState:
    """As bytes to be published on `topic`. `tenure` says whether this aggregator serves."""

    def __init__(self, journal: Journal, topic: str, channel: AggregatorEnd, *, take_over: bool) -> None:
        boot, host, now = secrets.token_hex(8), socket.gethostname()[:255], time.time()
        own = AggregatorState(online=True, boot=boot, host=host, since=now, at=now)
        self.topic = topic
        self.tenure = Tenure(own, predecessor=journal.served(boot, journal.place), take_over=take_over)
        self._channel = channel

    def question(self) -> bytes:
        """Whether another one serves; not to be retained."""
        return self._sent(self.tenure.ask(time.monotonic(), time.time()))

    def words(self, *, online: bool, stopped: bool = False) -> bytes:
        """That we are here, or not; to be retained."""
        return self._sent(self.tenure.say(time.time(), online=online, stopped=stopped))

    def hear(self, payload: bytes) -> bool:
        """What one says of itself, another or this one; whether our words must be said again.

        Raises StateError when another one serves, ProtocolError for what no aggregator says.
        """
        payload = self._channel.own(self.topic, payload)
        return self.tenure.hear(decode(payload, AggregatorState))

    def _sent(self, state: AggregatorState) -> bytes:
        return self._channel.send(self.topic, encode(state))
