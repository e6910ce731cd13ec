"""Excel workbooks and Parquet files give the cases that the same table gives as CSV."""

import contextlib
import datetime as dt
import sys
import zipfile

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from edge_sites import INIT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedfin.command_line.main import main
from fedfin.errors import InputError, MissingExtraError, SettingsError
from fedfin_edge.cases.read_rows import read_rows
from fedfin_edge.cases.table import InputColumn, parse_table
from fedfin_edge.site import CaseColumns

INPUTS = {"text": InputColumn("text", "text"), "labs": InputColumn("labs", "vector", 2)}
HEADER = ["case", "patient", "text", "labs", "effusion", "mass", "taken"]
DAY = dt.datetime(2024, 1, 31)  # noqa: DTZ001  # neither Excel nor pandas knows a zone here
ROWS = [
    ["007", 12, "clear\nlungs", "1 2.5", 0, True, DAY],
    [8, "0012", None, "3 4", 1.0, False, DAY.replace(hour=9)],
    ["9", None, 'a "large", effusion', None, None, None, None],
]


def write_workbook(path, lines=(HEADER, *ROWS)):
    """Each line a row of the one sheet."""
    book = openpyxl.Workbook()
    for line in lines:
        book.active.append(line)
    book.save(path)
    return path


def write_parquet(path, columns=None, **options):
    """Columns of one type each, as Parquet has them."""
    columns = columns or {
        "case": ["007", "8", "9"],
        "patient": ["12", "0012", None],
        "text": [ROWS[0][2], None, ROWS[2][2]],
        "labs": pa.array([[1.0, 2.5], [3.0, 4.0], None]),
        "effusion": [0.0, 1.0, None],
        "mass": [True, False, None],
        "taken": pa.array([DAY, DAY.replace(hour=9), None], pa.timestamp("ns")),
    }
    pq.write_table(pa.table(columns), path, **options)
    return path


WRITE = {"xlsx": write_workbook, "parquet": write_parquet}


def parse(path, **names):
    """The table, with texts and two laboratory values."""
    return parse_table(path, CaseColumns(table=path.name, **names), INPUTS, settings="site.toml")


@pytest.mark.parametrize("kind", WRITE)
@pytest.mark.parametrize("suffix", ["own", "csv"])
def test_the_cases_are_those_of_the_same_csv(tmp_path, kind, suffix):
    """Numbers as labels and ids, leading zeros of texts, booleans, blanks; whatever the file is called."""
    name = f"cases.{kind if suffix == 'own' else suffix}"
    table = parse(WRITE[kind](tmp_path / name), labels=("effusion", "mass"))
    assert [(case.row, case.case, case.patient, plain(case.inputs), case.labels) for case in table.cases] == [
        (2, "007", "12", {"text": "clear\nlungs", "labs": [1.0, 2.5]}, {"effusion": 0.0, "mass": 1.0}),
        (3, "8", "0012", {"labs": [3.0, 4.0]}, {"effusion": 1.0, "mass": 0.0}),
        (4, "9", "9", {"text": 'a "large", effusion'}, {}),
    ]
    assert not table.problems


def plain(inputs):
    """Vectors as lists, which compare."""
    return {name: list(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}


@pytest.mark.parametrize("kind", WRITE)
def test_dates_are_written_as_iso_and_are_no_labels(tmp_path, kind):
    """A 1 that Excel took for a date is refused, not guessed at."""
    path = WRITE[kind](tmp_path / f"cases.{kind}")
    assert [cells["taken"] for _, cells in read_rows(path).rows] == ["2024-01-31", "2024-01-31T09:00:00", ""]
    problems = parse(path, labels=("taken",)).problems
    assert [(p.row, p.column, p.effect) for p in problems] == [
        (2, "taken", "label unknown"),
        (3, "taken", "label unknown"),
    ]


def test_rows_of_a_workbook_have_excels_numbers(tmp_path):
    """Blank rows, above the header and between the cases, count and are not cases."""
    lines = [
        [],
        ["case", None, "text", "labs"],
        [],
        ["a", 7, "clear"],
        [None, None, " "],
        ["b", None, "clear"],
    ]
    table = parse(write_workbook(tmp_path / "cases.xlsx", lines))
    assert [(case.row, case.case) for case in table.cases] == [(4, "a"), (6, "b")]


def test_the_first_visible_sheet_is_read_and_that_there_are_more_is_noted(tmp_path):
    """A hidden sheet holds what its owner does not mean to give."""
    path = write_workbook(tmp_path / "cases.xlsx")
    book = openpyxl.load_workbook(path)
    book.create_sheet("old", 0).sheet_state = "hidden"
    book.create_sheet("legend")
    book.save(path)
    rows = read_rows(path)
    assert len(rows.rows) == 3
    assert [(p.row, p.reason, p.effect) for p in rows.problems] == [
        (1, "the first of 2 sheets is read", "noted")
    ]


def test_a_formula_without_a_value_is_noted(tmp_path):
    """As programs write it that do not compute: Excel has to save the file once."""
    lines = [["case", "patient", "text", "labs"], ["a", "=1+1", "clear"], ["b", "p", "=A2", "1 2"]]
    problems = parse(write_workbook(tmp_path / "cases.xlsx", lines)).problems
    reason = "is a formula without a value"
    assert [(p.row, p.column) for p in problems if p.reason == reason] == [(2, "patient"), (3, "text")]


def test_a_row_number_beyond_excels_is_refused(tmp_path):
    """Not counted up to: it would take minutes."""
    good = write_workbook(tmp_path / "good.xlsx")
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(tmp_path / "bad.xlsx", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'<row r="3"', b'<row r="4000000000"'))
    with pytest.raises(InputError, match=r"bad\.xlsx.*beyond Excel's 1,048,576"):
        read_rows(tmp_path / "bad.xlsx")


def test_openpyxls_warnings_do_not_reach_the_user(tmp_path, recwarn):
    """A number that no date can be is an error of Excel, so a blank that is noted."""
    path = write_workbook(tmp_path / "cases.xlsx")
    book = openpyxl.load_workbook(path)
    book.active["G2"] = 1e9
    book.active["G2"].number_format = "yyyy-mm-dd"
    book.save(path)
    problems = parse(path, labels=("effusion", "mass")).problems
    assert [(p.column, p.effect) for p in problems] == [("taken", "noted")]
    assert not recwarn.list


def test_excels_errors_are_blank_and_long_ids_are_noted(tmp_path):
    """Excel keeps 15 digits of a number; a text has them all."""
    lines = [["case", "patient", "text", "labs"], ["a", 1.23456789012346e18, "#REF!", "1 2"]]
    table = parse(write_workbook(tmp_path / "cases.xlsx", lines))
    assert list(table.cases[0].inputs) == ["labs"]
    assert {(p.column, p.effect) for p in table.problems} == {("text", "noted"), ("patient", "noted")}


def test_the_index_of_pandas_is_no_column(tmp_path):
    """It would be taken for a label: it holds 0 and 1."""
    columns = {"text": ["clear", "clear"], "labs": ["", ""], "__index_level_0__": [0, 1]}
    assert parse(write_parquet(tmp_path / "cases.parquet", columns)).labels == []


@pytest.mark.parametrize(("kind", "module"), [("xlsx", "openpyxl"), ("parquet", "pyarrow")])
def test_a_missing_library_is_one_line_with_its_command(tmp_path, bundles, monkeypatch, capsys, kind, module):
    """Exit code 11; the library is optional."""
    path = WRITE[kind](tmp_path / f"cases.{kind}")
    monkeypatch.setitem(sys.modules, module, None)
    words = ["init", tmp_path / "site", *INIT, "--cases", path, "--bundle", bundles["text"]]
    assert main(["edge", *map(str, words)]) == MissingExtraError.exit_code
    assert capsys.readouterr().err.endswith("needs the `tables` extra: pip install 'fedfin[tables]'\n")


@given(st.sampled_from(list(WRITE)), st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_rows_or_an_input_error(tmp_path, kind, data):
    """Cut off, or with some bytes changed: never another exception."""
    path = tmp_path / f"cases.{kind}"
    content = bytearray((path if path.exists() else WRITE[kind](path)).read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged.{kind}"
    damaged.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    with contextlib.suppress(InputError, SettingsError):
        parse(damaged)
