"""What a command prints, where the reader may leave before the end: `show --json | head`."""

import os
from pathlib import Path
from typing import NoReturn, TextIO

from rich.console import Console


class PrintedConsole(Console):
    """A console for results on standard output. Raises BrokenPipeError: rich itself would exit with code 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Nobody reads any more."""
        raise BrokenPipeError


def drop(stream: TextIO) -> None:
    """Python flushes what is left at the end of the process, and would fail there."""
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
