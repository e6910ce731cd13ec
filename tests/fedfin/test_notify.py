"""What a service tells systemd, read from a real socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedfin.service.notify import Manager


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """The end of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(0)
        yield end


def received(listener: socket.socket) -> list[str]:
    """All that has come."""
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


def test_a_service_is_ready_while_it_serves_and_says_that_it_ends(listener: socket.socket) -> None:
    manager = Manager({"NOTIFY_SOCKET": listener.getsockname()})
    with manager.serving():
        assert received(listener) == ["READY=1"]
    assert received(listener) == ["STOPPING=1"]


def test_a_service_beats_three_times_within_the_watchdogs_patience_and_no_more(
    listener: socket.socket,
) -> None:
    """However often it is alive."""
    manager = Manager({"NOTIFY_SOCKET": listener.getsockname(), "WATCHDOG_USEC": "60000000"})
    for _ in range(100):
        manager.beat()
    assert received(listener) == ["WATCHDOG=1"]
    unwatched = Manager({"NOTIFY_SOCKET": listener.getsockname()})
    unwatched.beat()
    assert received(listener) == []


def test_the_status_has_event_and_how_far_it_is_and_no_other_fact(listener: socket.socket) -> None:
    """What else is reported goes on as it was."""
    reported = []
    report = Manager({"NOTIFY_SOCKET": listener.getsockname()}).informed(
        lambda *event: reported.append(event)
    )
    report("round", {"round": 3, "task": "train", "reason": "of somebody"})
    report("bad-message", {"reason": "of somebody"})
    report("held-up", {"reason": "of somebody", "waiting": 12})
    assert received(listener) == ["STATUS=round round 3 task train", "STATUS=held-up waiting 12"]
    assert len(reported) == 3


def test_without_systemd_nothing_is_sent_and_with_a_socket_that_is_gone_nothing_fails(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000000"}):
        manager = Manager(environment)
        manager.beat()
        with manager.serving():
            manager.informed(lambda *_: None)("online", {})
