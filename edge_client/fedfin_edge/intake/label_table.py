"""A table of labels, a row for each accession number: read again whenever it changes."""

from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import InputError, SettingsError
from fedfin_edge.cases.cells import is_missing_word, read_identifier, read_label
from fedfin_edge.cases.read_rows import read_rows
from fedfin_edge.cases.rows import Rows
from fedfin_edge.intake.identity import Identity
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.records import LabelRecord
from fedfin_edge.intake_settings import LabelTable as Settings
from fedfin_edge.site import Site

_SOURCE = "table"


def read_label_rows(path: Path, needed: list[str]) -> Rows:
    """A table of labels. Raises InputError, and SettingsError when a `needed` column or a reader of it is not here.

    The columns that are there are not named: in a table without a header they are a patient's cells.
    """
    try:
        rows = read_rows(path)
    except ModuleNotFoundError as error:
        raise SettingsError(f"{path}: {error.name} is not installed; pip install 'fedfin[tables]'") from None
    if missing := [name for name in needed if name not in rows.columns]:
        raise SettingsError(
            f"{path}: has no column {', '.join(map(repr, missing))}; correct intake.labels.accession or cases.labels in"
            " site.toml, or the table's first line"
        )
    return rows


class LabelTable:
    """The table of [intake.labels]."""

    def __init__(self, settings: Settings, site: Site, identity: Identity, store: IntakeStore) -> None:
        self._path: Path = site.folder / settings.table
        self._column = settings.accession
        self._labels = site.labels
        self._identity = identity
        self._store = store
        self._seen: tuple[int, int] | None = None

    def poll(self) -> int:
        """How many labels were read; 0 when the table is as before. Raises InputError, SettingsError, StateError."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise InputError(f"{self._path}: cannot read the table of labels ({error.strerror})") from None
        if (seen := (status.st_size, status.st_mtime_ns)) == self._seen:
            return 0
        labels = list(self._read())
        self._store.replace_labels(_SOURCE, labels)
        self._seen = seen
        return len(labels)

    def _read(self) -> Iterator[LabelRecord]:
        """Where two rows of an accession number contradict each other, the label is unknown."""
        found: dict[tuple[bytes, str], set[float]] = {}
        for _, cells in read_label_rows(self._path, [self._column, *self._labels]).rows:
            owner = self._identity.known("accession", read_identifier(cells.get(self._column)))
            if owner is None:
                continue
            for name in self._labels:
                cell = cells.get(name)
                if not is_missing_word(cell) and (value := read_label(cell).value) is not None:
                    found.setdefault((owner, name), set()).add(value)
        for (owner, name), values in found.items():
            if len(values) == 1:
                yield LabelRecord(owner, name, values.pop(), _SOURCE)
