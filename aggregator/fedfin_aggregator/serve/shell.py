"""What the shells of an aggregator and of a shard have in common: how they take what the link and the disk tell."""

from abc import ABC, abstractmethod
from typing import Any

from fedfin.errors import LinkError
from fedfin.link import link_events, mqtt
from fedfin.protocol.rounds.events import Judged
from fedfin_aggregator.serve.incoming import Incoming, Report, Written
from fedfin_aggregator.serve.mail import Mail

TICK_S = 0.2


class Shell(ABC):
    """Around a machine, which decides: its events go in by `_feed`, and what it asks for is done."""

    _incoming: Incoming
    _mail: Mail

    def __init__(self, link: mqtt.Link, report: Report) -> None:
        self._link, self._report = link, report
        self._online = False

    def _take_events(self) -> None:
        """What has come meanwhile, together; then what was judged of it goes to the disk."""
        for event in link_events.gather(self._link.events, TICK_S):
            self._on_event(event)
        self._hear_of_judged(self._incoming.write())

    def _on_event(self, event: link_events.LinkEvent | Written) -> None:
        match event:
            case Written():
                self._hear_of_judged(self._incoming.answers())
            case link_events.Up(chunk_size):
                self._on_up(chunk_size)
            case link_events.Down(reason, final):
                self._online = False
                self._report("offline", {"reason": reason})
                self._mail.cut()
                self._on_down()
                if final:
                    raise LinkError(reason)
            case link_events.Taken(token, refused):
                self._mail.taken(token)
                if refused is not None:
                    self._report("refused", {"reason": refused})
                self._on_taken(token, refused)
            case link_events.Arrived(topic, payload):
                self._on_message(topic, payload)
            case link_events.Broken(error):
                raise LinkError(f"the link to the broker died: {error}")

    def _hear_of_judged(self, judged: Judged | None) -> None:
        if judged is not None:
            self._feed(judged)

    @abstractmethod
    def _feed(self, event: Any) -> None:
        """The machine hears of this, and what it asks for is done."""

    @abstractmethod
    def _on_up(self, chunk_size: int) -> None:
        """The link is up, with room for chunks of so many bytes."""

    @abstractmethod
    def _on_down(self) -> None:
        """The link is down."""

    @abstractmethod
    def _on_taken(self, token: int, refused: str | None) -> None:
        """The broker has taken a message, or refused it."""

    @abstractmethod
    def _on_message(self, topic: str, payload: bytes) -> None:
        """A message has come. No bytes: a cleared retained one, or `fedfin broker check`."""
