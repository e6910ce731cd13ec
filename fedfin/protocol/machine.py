"""What the protocol's machines have in common: they heed what is legal in their state, and say what must be done.

Sans-IO: none reads a clock, a disk or a socket. Time comes in with each event.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Generic, TypeVar

State = TypeVar("State", bound=Enum)
Event = TypeVar("Event")
Effect = TypeVar("Effect")


class Machine(Generic[State, Event, Effect]):
    """`legal`: for each state the events that it heeds, and where each can lead (states.py of each room)."""

    def __init__(self, state: State, legal: Mapping[State, Mapping[type, tuple[State, ...]]]) -> None:
        self.state = state
        self._legal = legal
        self._handlers: dict[type, Callable[..., list[Effect]]] = {}  # by the kind of event
        self._now = 0.0

    def receive(self, event: Event, now: float) -> list[Effect]:
        """One event at `now` seconds (monotonic); what must be done, in this order."""
        allowed = self._legal[self.state].get(type(event))
        if allowed is None:
            return []
        self._now = now
        effects = self._handlers[type(event)](event)
        assert self.state in allowed, (type(event), self.state)
        return effects
