"""Promises of fedfin.command_line.progress."""

import io

import pytest
from rich.console import Console

from fedfin.command_line.progress import RoundBar


@pytest.mark.parametrize("terminal", [False, True])
def test_what_came_over_the_network_is_printed_as_it_is(terminal: bool) -> None:
    """A reason or a site's name is no markup: it neither fails nor colours nor hides anything."""
    stream = io.StringIO()
    console = Console(file=stream, width=120, force_terminal=terminal, color_system=None)
    with RoundBar(console, total=3) as bar:
        bar("refused", {"reason": "[/x] [bold]no[/bold]"})
        bar("round", {"task": "[/x]", "state": "[red]"})
        bar("update", {"site": "[/y]", "accepted": True})
    assert "refused: reason [/x] [bold]no[/bold]" in stream.getvalue()
