"""Answers that wait until what they answer is durable."""

import queue
import threading

import pytest

from fedfin.errors import StateError
from fedfin.protocol.messages.transfers import Receipt
from fedfin.protocol.rounds.events import Answer
from fedfin_aggregator.serve import disk
from fedfin_aggregator.serve.disk import Disk
from fedfin_aggregator.store.update_writer import Entry, UpdateRow


class _SlowDisk:
    """It writes as much at once as it is given, and takes until `spin` lets it go on."""

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self.spin = threading.Semaphore(0)
        self.woken: queue.SimpleQueue[None] = queue.SimpleQueue()

    def write(self, entries) -> None:
        self.spin.acquire()
        self.written.append([entry.row.site for entry in entries])

    def wake(self) -> None:
        self.woken.put(None)


def _add(disk_: Disk, *sites: str, payload: bytes = b"abc") -> None:
    rows = [UpdateRow(1, site, site.encode(), True, "", len(payload), {}, 1) for site in sites]
    answers = [Answer(row.site, 1, Receipt(id=row.id.ljust(32), accepted=True)) for row in rows]
    for row, answer in zip(rows, answers, strict=True):
        disk_.add([Entry(row, payload)], answer)
    disk_.begin()


def test_an_answer_goes_out_when_its_update_is_durable_and_what_came_meanwhile_shares_a_flush() -> None:
    """In the order in which they came."""
    slow = _SlowDisk()
    disk_ = Disk(slow.write, slow.wake)
    _add(disk_, "s0")
    _add(disk_, "s1")
    _add(disk_, "s2", "s3")
    assert disk_.take() == []
    slow.spin.release()
    slow.woken.get(timeout=10)
    assert [answer.site for answer in disk_.take()] == ["s0"]
    assert disk_.take() == []
    slow.spin.release()
    assert [answer.site for answer in disk_.settle()] == ["s1", "s2", "s3"]
    assert slow.written == [["s0"], ["s1", "s2", "s3"]]
    assert disk_.settle() == []


def test_what_could_not_be_written_is_answered_to_nobody() -> None:
    """The server hears why, and ends."""

    def full(_entries) -> None:
        raise StateError("round-1.updates: cannot write it (No space left on device)")

    disk_ = Disk(full, lambda: None)
    _add(disk_, "s0")
    with pytest.raises(StateError, match="No space left"):
        disk_.settle()
    with pytest.raises(StateError, match="No space left"):
        disk_.take()


def test_what_waits_for_the_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who adds more than that waits, too: memory is flat however slow a disk is."""
    monkeypatch.setattr(disk, "WAITING_BYTES", 5)  # two updates
    slow = _SlowDisk()
    disk_ = Disk(slow.write, slow.wake)
    _add(disk_, "s0")
    _add(disk_, "s1")
    threading.Timer(0.05, slow.spin.release).start()
    _add(disk_, "s2")
    assert slow.written == [["s0"]]
    slow.spin.release()
    assert [answer.site for answer in disk_.settle()] == ["s0", "s1", "s2"]
