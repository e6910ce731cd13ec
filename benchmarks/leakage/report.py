"""What a run of the benchmark found, as a file and on the screen."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.leakage.differencing import Recovered
from benchmarks.leakage.measure import Cell
from benchmarks.leakage.tables import default_table, first_of_each, rounds_table, single_table, tables
from fedfin.errors import InputError


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """data: whose records; rounds: of training, of so many epochs; seeds: draws of patients, of which cells are means.

    epochs: 0 is what a plan makes of the number of cases.
    """

    data: str
    rounds: int
    epochs: int = 1
    seeds: int
    cells: Sequence[Cell]
    single: Sequence[Recovered]


def report_json(report: Report) -> str:
    """As JSON, a line for each cell."""
    text = msgspec.json.encode(report).decode()
    return text.replace('{"level"', '\n{"level"').replace('{"attack"', '\n{"attack"') + "\n"


def read_report(path: Path) -> Report:
    """Raises InputError for a file that is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(f"{path}: is no output of `python -m benchmarks.leakage --json` ({error})") from None


def print_reports(reports: Sequence[Report]) -> None:
    """The default plan's table, where it was attacked, and one for each attack; those by rounds, where they differ."""
    console = Console(width=120)
    for report in reports:
        console.print(
            f"{report.data} records, {report.rounds} rounds of {_epochs(report)}, mean of {report.seeds} draws"
        )
    console.print(_table("the default plan", front_table(reports)))
    alike = [report for report in reports if report.rounds == reports[0].rounds]
    for title, rows in tables(first_of_each(cell for report in alike for cell in report.cells)).items():
        console.print(_table(title, rows))
    console.print(
        _table("the default plan at secure", rounds_table({one.rounds: one.cells for one in reports}))
    )
    console.print(_table("", single_table(reports[0].single)))


def front_table(reports: Sequence[Report]) -> list[list[str]]:
    """The default plan's, of the first report that has a cell: levels may be of their own numbers of rounds."""
    return default_table(first_of_each(cell for report in reports for cell in report.cells))


def _epochs(report: Report) -> str:
    if report.epochs == 0:
        return "a plan's own epochs"
    return "one epoch" if report.epochs == 1 else f"{report.epochs} epochs"


def _table(title: str, rows: list[list[str]]) -> Table:
    table = Table(*rows[0], title=title)
    for row in rows[1:]:
        table.add_row(*row)
    return table
