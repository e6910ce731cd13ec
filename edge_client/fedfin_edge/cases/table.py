"""A case table as typed cases: which inputs each has, its labels, its patient.

Every cell that cannot be used is a Problem with row, column and reason; the rest of its row still counts.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from fedfin.encoders.bundle import ImageRecipe, Manifest, TextRecipe, read_manifest
from fedfin.errors import InputError, SettingsError
from fedfin_edge.cases.cells import (
    is_blank,
    is_missing_word,
    is_shortened,
    read_identifier,
    read_input,
    read_label,
)
from fedfin_edge.cases.digests import Input
from fedfin_edge.cases.problem import Effect, Problem
from fedfin_edge.cases.read_rows import read_rows
from fedfin_edge.cases.rows import SOME_ROWS, Progress, Rows, silent
from fedfin_edge.site import SETTINGS, CaseColumns, Site

SPLITS = ("train", "test")
_Row = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """One patient study. Unknown labels are absent; `split` is "train", "test", or None when not given."""

    row: int
    case: str
    patient: str
    inputs: dict[str, Input]
    labels: dict[str, float]
    split: str | None


@dataclass(frozen=True)
class InputColumn:
    """Which column holds a modality's inputs and what they are. `length` is a vector's."""

    column: str
    kind: Literal["image", "text", "vector"]
    length: int = 0


@dataclass(frozen=True)
class Table:
    """The cases in file order, the label columns, and everything that was wrong."""

    cases: list[Case]
    problems: list[Problem]
    labels: list[str]


def read_table(site: Site, progress: Progress = silent, *, find_labels: bool = False) -> Table:
    """Read a site's case table; the site's bundles say what each modality's column holds.

    Only the labels that site.toml names are read. `find_labels`: where it does not name any, those that there are.

    Raises InputError when the table cannot be used at all, SettingsError when it lacks a column that
    site.toml names, BundleError when a bundle cannot be opened.
    """
    inputs = {
        name: input_column(modality.column, read_manifest(site.bundle_path(name)))
        for name, modality in site.settings.modalities.items()
    }
    settings, names = str(site.folder / SETTINGS), site.settings.cases
    if not find_labels:
        names = msgspec.structs.replace(names, labels=site.labels)
    return parse_table(site.table_path, names, inputs, settings=settings, progress=progress)


def input_column(column: str, manifest: Manifest) -> InputColumn:
    """What a bundle expects to find in a column."""
    recipe = manifest.recipe
    if isinstance(recipe, ImageRecipe):
        return InputColumn(column, "image")
    if isinstance(recipe, TextRecipe):
        return InputColumn(column, "text")
    return InputColumn(column, "vector", recipe.length)


def parse_table(
    path: Path,
    names: CaseColumns,
    inputs: dict[str, InputColumn],
    *,
    settings: str,
    progress: Progress = silent,
) -> Table:
    """Read any case table. `settings` says in messages where the column names come from."""
    return parse_rows(path, read_rows(path, progress), names, inputs, settings=settings, progress=progress)


def parse_rows(
    path: Path,
    rows: Rows,
    names: CaseColumns,
    inputs: dict[str, InputColumn],
    *,
    settings: str,
    progress: Progress = silent,
) -> Table:
    """As `parse_table`, of rows that are read already."""
    _check_columns(path, rows.columns, names, inputs, settings)
    _blank_missing_words(rows)
    labels = _label_columns(rows, names, inputs)
    reader = _RowReader(path.parent, names, inputs, labels, rows.problems)
    cases = [
        case for row, cells in _shown(rows.rows, progress) if (case := reader.read(row, cells)) is not None
    ]
    return Table(cases, sorted(rows.problems, key=lambda problem: problem.row), labels)


def _shown(rows: list[_Row], progress: Progress) -> Iterator[_Row]:
    """The rows, with progress: each looks for its files, which takes long on a network drive."""
    for number, row in enumerate(rows, start=1):
        yield row
        if number % SOME_ROWS == 0:
            progress("checking rows", number, len(rows))


def _check_columns(
    path: Path, columns: list[str], names: CaseColumns, inputs: dict[str, InputColumn], settings: str
) -> None:
    usual = CaseColumns(table="-")
    # The usual names may be absent; one that the user chose is expected to be there.
    wanted = [
        name
        for name, default in (
            (names.case, usual.case),
            (names.patient, usual.patient),
            (names.split, usual.split),
        )
        if name != default
    ]
    wanted += [*(names.labels or ()), *(source.column for source in inputs.values())]
    for name in wanted:
        if columns and name not in columns:
            raise SettingsError(
                f"{settings}: names the column {name!r}, which {path} does not have;"
                f" its columns are {', '.join(columns)}"
            )
    if not columns:
        raise InputError(f"{path}: not one row can be read; is it a .jsonl file with one object per line?")


def _blank_missing_words(rows: Rows) -> None:
    """Blank what means nothing, so that no patient is called "nan"; one note per column, with the count."""
    counts: Counter[str] = Counter()
    for _, cells in rows.rows:
        for column, cell in cells.items():
            if is_missing_word(cell):
                cells[column] = None
                counts[column] += 1
    for column, count in counts.items():
        reason = f"{count} cells say nan, NA, N/A, None, null or an error of Excel: read as blank"
        rows.problems.append(Problem(1, column, reason, "noted"))


def _label_columns(rows: Rows, names: CaseColumns, inputs: dict[str, InputColumn]) -> list[str]:
    """The label columns; unless they are named, a column without a single label value is none."""
    if names.labels is not None:
        return list(names.labels)
    taken = {names.case, names.patient, names.split, *(source.column for source in inputs.values())}
    labels = []
    for column in (name for name in rows.columns if name not in taken):
        if any(_is_label(cells.get(column)) for _, cells in rows.rows):
            labels.append(column)
        elif any(not is_blank(cells.get(column)) for _, cells in rows.rows):
            reason = "no label column: not one cell is 1 or 0; name the labels in site.toml to silence this"
            rows.problems.append(Problem(1, column, reason, "noted"))
    return labels


def _is_label(cell: Any) -> bool:
    return not is_blank(cell) and read_label(cell).known


class _RowReader:
    """Reads one row after the other; remembers the case ids."""

    def __init__(
        self,
        folder: Path,
        names: CaseColumns,
        inputs: dict[str, InputColumn],
        labels: list[str],
        problems: list[Problem],
    ) -> None:
        self._folder = folder
        self._names = names
        self._inputs = inputs
        self._labels = labels
        self._problems = problems
        self._row_of_case: dict[str, int] = {}

    def read(self, row: int, cells: dict[str, Any]) -> Case | None:
        """The row's case, or None when it has none."""
        case = self._read_identifier(row, self._names.case, cells) or f"row-{row}"
        if case in self._row_of_case:
            self._report(
                row, self._names.case, f"the case id of row {self._row_of_case[case]} again", "row skipped"
            )
            return None
        self._row_of_case[case] = row
        inputs = self._read_inputs(row, cells)
        if not inputs:
            self._report(row, "", "has no input of any modality that can be used", "row skipped")
            return None
        patient = self._read_identifier(row, self._names.patient, cells) or case
        return Case(row, case, patient, inputs, self._read_labels(row, cells), self._read_split(row, cells))

    def _read_identifier(self, row: int, column: str, cells: dict[str, Any]) -> str:
        identifier = read_identifier(cells.get(column))
        if is_shortened(identifier):
            reason = "is a number in scientific notation: ids that differ may have become one"
            self._report(row, column, reason, "noted")
        return identifier

    def _read_inputs(self, row: int, cells: dict[str, Any]) -> dict[str, Input]:
        inputs: dict[str, Input] = {}
        for name, source in self._inputs.items():
            cell = cells.get(source.column)
            if is_blank(cell):
                continue
            try:
                inputs[name] = read_input(cell, source.kind, source.length, self._folder)
            except InputError as error:
                self._report(row, source.column, str(error), "input left out")
        return inputs

    def _read_labels(self, row: int, cells: dict[str, Any]) -> dict[str, float]:
        labels: dict[str, float] = {}
        for column in self._labels:
            label = read_label(cells.get(column))
            if label.value is not None:
                labels[column] = label.value
            elif label.reason:
                self._report(row, column, label.reason, "noted" if label.known else "label unknown")
        return labels

    def _read_split(self, row: int, cells: dict[str, Any]) -> str | None:
        cell = cells.get(self._names.split)
        if is_blank(cell):
            return None
        split = str(cell).strip().lower()
        if split in SPLITS:
            return split
        self._report(row, self._names.split, "is neither train nor test; the side is drawn instead", "noted")
        return None

    def _report(self, row: int, column: str, reason: str, effect: Effect) -> None:
        self._problems.append(Problem(row, column, reason, effect))
