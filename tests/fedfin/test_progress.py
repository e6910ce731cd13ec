"""Promises of fedfin.command_line.progress."""

import io
import re

import pytest
from rich.console import Console

from fedfin.command_line.progress import Lines, RoundBar
from fedfin.protocol.convergence import ANSWERS, LOSSES


@pytest.fixture(autouse=True)
def _outside_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


@pytest.mark.parametrize("terminal", [False, True])
def test_what_came_over_the_network_is_printed_as_it_is(terminal: bool) -> None:
    """A reason or a site's name is no markup: it neither fails nor colours nor hides anything."""
    stream = io.StringIO()
    console = Console(file=stream, width=120, force_terminal=terminal, color_system=None)
    with RoundBar(console, total=3) as bar:
        bar("refused", {"reason": "[/x] [bold]no[/bold]"})
        bar("round", {"task": "[/x]", "state": "[red]"})
        bar("update", {"site": "[/y]", "accepted": True})
    assert "refused: [/x] [bold]no[/bold]" in stream.getvalue()


def test_a_line_of_the_log_is_one_line_that_no_terminal_obeys() -> None:
    """However long; control characters of a peer are shown, not sent; an empty reason is left out."""
    log = io.StringIO()
    with RoundBar(Console(file=log, width=40), total=3) as bar:
        bar("waiting", {"reason": "\x1b[2J" + 60 * "long "})
        bar("closed", {"round": 2, "reason": "", "bytes": 1022345.0})
    waiting, closed = log.getvalue().splitlines()
    assert " waiting: \\x1b[2Jlong" in waiting
    assert closed.endswith("Z closed: round 2, bytes 1,022,345")


@pytest.mark.parametrize("reporter", [lambda log: RoundBar(Console(file=log), total=3), Lines])
def test_a_line_of_a_log_has_its_time_but_in_the_journal(reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which has its own beside it."""
    with reporter(log := io.StringIO()) as report:
        report("waiting", {"reason": "x"})
        monkeypatch.setenv("JOURNAL_STREAM", "9:27")
        report("waiting", {"reason": "y"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ waiting: x\nwaiting: y\n", log.getvalue())


def test_a_closed_round_is_a_line_that_people_can_read() -> None:
    """A mean of sites is called one, and nine numbers that training ends by are the loss that they come to."""
    log = io.StringIO()
    losses = {name: 3.0 + number for number, name in enumerate(LOSSES.values())}
    with RoundBar(Console(file=log, width=40), total=3) as bar:
        bar("closed", {"round": 4, "sites": 3.0, "cases": 72.5, ANSWERS: 10.0} | losses)
    assert (
        log.getvalue().partition(" ")[2]
        == "closed: round 4, sites 3, cases per site 72.5, held-out loss 0.3\n"
    )
