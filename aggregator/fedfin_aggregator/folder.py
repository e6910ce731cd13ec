"""An aggregator's folder: the journal, and in the end the model."""

import contextlib
from pathlib import Path

from fedfin.folders import warn_if_open
from fedfin.trust.accepted import TRUST, current_charter, has_accepted, read_accepted
from fedfin_aggregator.store.journal import Journal

JOURNAL = "journal.sqlite"
FINAL_MODEL = "final.fedfin"
ROOT = "the root of"  # N shards: what its journal says that the folder serves as


def enrolled(folder: Path) -> frozenset[str]:
    """The sites of the newest charter; none without keys. Raises SettingsError, StateError."""
    trust = folder / TRUST
    return (
        frozenset(current_charter(trust, read_accepted(trust)).seats) if has_accepted(trust) else frozenset()
    )


def open_journal(folder: Path, *, read_only: bool = False) -> contextlib.closing[Journal]:
    """The folder's journal, closed when the block ends; warns when others may look into it. Raises StateError."""
    warn_if_open(folder)
    return contextlib.closing(Journal(folder / JOURNAL, read_only=read_only))
