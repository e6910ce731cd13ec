"""What an error of torch, transformers or the user's own code says, as one line of a message."""

import linecache
import re
import sysconfig
import traceback
from pathlib import Path

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LONGEST = 300  # of a reason: torch's go on for pages
# Frames of these are no file of the user's.
_FOREIGN = (
    *(str(Path(sysconfig.get_paths()[key]).resolve()) for key in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).resolve().parent),
)


def first_line(error: BaseException) -> str:
    """The first line of an error's text that says something, and the next after a colon; no colour codes."""
    lines = [line.strip() for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def deepest(error: BaseException) -> BaseException:
    """The error that started the chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def users_line(error: BaseException) -> str:
    """`, FILE line N: SOURCE` of the last frame in a file of the user's own, or nothing."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not frames:
        return ""
    return f", {frames[-1].filename} line {frames[-1].lineno}: {frames[-1].line}"


def definition_line(function: object) -> str:
    """`, FILE line N: def ...` of a function in a file of the user's own, or nothing."""
    code = getattr(function, "__code__", None)
    if code is None or not _is_users(code.co_filename):
        return ""
    line = code.co_firstlineno
    return f", {code.co_filename} line {line}: {linecache.getline(code.co_filename, line).strip()}"


def _is_users(filename: str) -> bool:
    return filename.endswith(".py") and not str(Path(filename).resolve()).startswith(_FOREIGN)
