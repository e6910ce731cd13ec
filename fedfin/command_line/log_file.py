"""A log file that does not grow without end: where a command runs for months and no journal takes its output."""

import argparse
import json
import logging
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from fedfin.errors import StateError
from fedfin.files import no_access, open_private
from fedfin.trust.audit_log import Report

MOST_BYTES, KEPT = 10 * 1000 * 1000, 5  # of one file; of former ones, NAME.1 is the newest


def add(parser: argparse.ArgumentParser) -> None:
    """--log."""
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help=f"also write each event there, as a JSON line; at {MOST_BYTES // 10**6} MB another file begins, and"
        f" {KEPT} former ones are kept",
    )


def logged(report: Report, path: Path | None) -> Report:
    """A reporter that also writes into the file, unless that is None. Raises StateError."""
    if path is None:
        return report
    file = _Rotated(path)

    def write_and_report(event: str, facts: dict[str, Any]) -> None:
        line = json.dumps({"event": event, "time": time.time()} | facts)
        file.handle(logging.makeLogRecord({"msg": line}))
        report(event, facts)

    return write_and_report


class _Rotated(RotatingFileHandler):
    """Its files are for its user alone."""

    def __init__(self, path: Path) -> None:
        try:
            super().__init__(path, maxBytes=MOST_BYTES, backupCount=KEPT, encoding="utf-8")
        except OSError as error:
            raise StateError(no_access(error)) from None

    def _open(self) -> TextIOWrapper:
        return TextIOWrapper(open_private(Path(self.baseFilename), "ab"), encoding=self.encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        """A full disk ends nothing: the line is dropped."""
