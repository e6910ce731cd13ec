"""What an owner takes of its link's events at once."""

import queue

from fedfin import limits
from fedfin.link.link_events import GATHERED_BYTES, Arrived, Taken, gather


def test_events_are_taken_together_and_no_more_than_asked_for() -> None:
    """In order; without any the wait ends."""
    events: queue.SimpleQueue = queue.SimpleQueue()
    for token in range(5):
        events.put(Taken(token, None))
    assert [event.token for event in gather(events, 1.0, most=3)] == [0, 1, 2]
    assert [event.token for event in gather(events, 1.0)] == [3, 4]
    assert gather(events, 0.0) == []


def test_of_large_messages_fewer_are_taken_at_once() -> None:
    """So that no more memory is taken than by 64 of the usual size."""
    events: queue.SimpleQueue = queue.SimpleQueue()
    for _ in range(40):
        events.put(Arrived("topic", bytes(limits.MOST_CHUNK_BYTES)))
    assert len(gather(events, 1.0)) * limits.MOST_CHUNK_BYTES == GATHERED_BYTES == 16 * 1024 * 1024
