"""An aggregator's folder: the journal, and in the end the model."""

import contextlib
from pathlib import Path

from fedfin_aggregator.store.journal import Journal

JOURNAL = "journal.sqlite"
FINAL_MODEL = "final.fedfin"


def open_journal(folder: Path) -> contextlib.closing[Journal]:
    """The folder's journal, closed when the block ends. Raises StateError."""
    return contextlib.closing(Journal(folder / JOURNAL))
