"""Every way in which a case table goes wrong: listed with row, column and reason, and never fatal."""

import contextlib
import json
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedfin.errors import InputError, SettingsError
from fedfin_edge.cases.rows import MAX_CELL
from fedfin_edge.cases.table import InputColumn, parse_table
from fedfin_edge.site import CaseColumns

INPUTS = {"image": InputColumn("image", "image"), "text": InputColumn("text", "text")}
VECTOR = {"labs": InputColumn("labs", "vector", 3)}
HEADER = b"case,patient,image,text,effusion\n"
GOOD = b"good,p1,,clear lungs,0\n"


def parse(tmp_path, content, name="cases.csv", inputs=INPUTS, **names):
    """The table in `content`, beside an image file a.png."""
    (tmp_path / "a.png").write_bytes(b"not looked into here")
    (tmp_path / name).write_bytes(content)
    return parse_table(tmp_path / name, CaseColumns(table=name, **names), inputs, settings="site.toml")


# kind -> (row 3, the problem's column, part of its reason, its effect, whether the row is still a case)
BAD_ROWS = {
    "missing file": (b"c,p,no.png,clear,1\n", "image", "no such file", "input left out", True),
    "missing absolute file": (b"c,p,/no/such.png,clear,1\n", "image", "no such file", "input left out", True),
    "folder for a file": (b"c,p,.,clear,1\n", "image", "is not a file", "input left out", True),
    "name too long": (b"c,p," + b"x" * 5000 + b",clear,1\n", "image", "file", "input left out", True),
    "label 2": (b"c,p,a.png,,2\n", "effusion", "is not 1, 0 or blank", "label unknown", True),
    "label word": (b"c,p,a.png,,maybe\n", "effusion", "is not 1, 0 or blank", "label unknown", True),
    "two labels in one": (b"c,p,a.png,,1;0\n", "effusion", "is not 1, 0 or blank", "label unknown", True),
    "drive letter": (b"c,p,C:\\scans\\a.png,clear,1\n", "image", "Windows machine", "input left out", True),
    "UNC path": (b"c,p,\\\\server\\share\\a.png,clear,1\n", "image", "Windows", "input left out", True),
    "label -1": (b"c,p,a.png,,-1\n", "effusion", "uncertain", "noted", True),
    "duplicate case": (b"good,p,a.png,,1\n", "case", "case id of row 2", "row skipped", False),
    "no modality": (b"c,p,, ,1\n", "", "no input", "row skipped", False),
    "too few fields": (b"c,p,a.png\n", "", "has 3 fields", "row skipped", False),
    "too many fields": (b"c,p,a.png,clear, lungs,1\n", "", "has 6 fields", "row skipped", False),
    "bytes not UTF-8": (b"c,p,,Erg\xfc\xdfe,1\n", "text", "not UTF-8", "noted", True),
    "NUL bytes": (b"c,p,,clear\0\0lungs,1\n", "text", "not UTF-8", "noted", True),
    "NUL in a path": (b"c,p,a\0.png,clear,1\n", "image", "no such file", "input left out", True),
    "huge cell": (b"c,p,," + b"x" * (MAX_CELL + 1) + b",1\n", "", "longer than", "row skipped", False),
    "quotes after backslashes": (b'c,p,,"says \\"clear\\"",1\n', "", "by a backslash", "row skipped", False),
    "comment": (b"# c was taken out\n", "", "has 1 fields", "row skipped", False),
    "header again, after a mark": (b"\xef\xbb\xbf" + HEADER, "", "header again", "row skipped", False),
    "date for a label": (b"c,p,a.png,,2024-01-31\n", "effusion", "is not 1, 0", "label unknown", True),
    "shortened case": (b"1.23E+05,p,a.png,,1\n", "case", "scientific notation", "noted", True),
    "shortened patient": (b"c,1.23e+15,a.png,,1\n", "patient", "scientific notation", "noted", True),
    "stray quote": (b'c,p,,"clear" lungs,1\n', "", "not valid CSV", "row skipped", False),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_csv_row_is_listed_and_the_others_are_kept(tmp_path, kind):
    """Row number, column, reason and effect are named; the rows before and after it are read."""
    line, column, reason, effect, kept = BAD_ROWS[kind]
    table = parse(tmp_path, HEADER + GOOD + line + b"last,p2,,clear,1\n")
    found = [p for p in table.problems if p.column == column and reason in p.reason]
    assert [(p.row, p.effect) for p in found] == [(3, effect)]
    assert [case.row for case in table.cases] == ([2, 3, 4] if kept else [2, 4])


BAD_LINES = {
    "not JSON": (b'{"case": "c", "text": \n', "", "not valid JSON"),
    "not an object": (b"[1, 2]\n", "", "not a JSON object"),
    "key twice": (b'{"case": "c", "text": "a", "text": "b"}\n', "", "names a key twice"),
    "too deep": (b"[" * 100_000 + b"\n", "", "not valid JSON"),
    "text is a number": (b'{"case": "c", "text": 5}\n', "text", "is not text"),
    "image is a list": (b'{"case": "c", "text": "a", "image": []}\n', "image", "is not a file name"),
    "label is an object": (
        b'{"case": "c", "text": "a", "effusion": {}}\n',
        "effusion",
        "is not 1, 0 or blank",
    ),
    "label is huge": (b'{"text": "a", "effusion": 1' + b"0" * 4000 + b"}\n", "effusion", "is not 1, 0"),
    "lone surrogate": (b'{"case": "c", "text": "\\ud800"}\n', "text", "not UTF-8"),
    "escaped NUL in a path": (b'{"case": "c", "image": "a\\u0000b"}\n', "image", "no such file"),
    "huge text": (json.dumps({"text": "x" * (MAX_CELL + 1)}).encode() + b"\n", "text", "longer than"),
    "bytes not UTF-8": (b'{"case": "c", "text": "\xff"}\n', "text", "not UTF-8"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_json_line_is_listed_and_the_others_are_kept(tmp_path, kind):
    """JSON lines are held to the same promise; rows are line numbers."""
    line, column, reason = BAD_LINES[kind]
    first = b'{"case": "good", "text": "clear", "effusion": 0}\n'
    last = b'{"case": "last", "text": "clear", "image": "a.png"}\n'
    table = parse(tmp_path, first + line + last, "cases.jsonl")
    assert [p.row for p in table.problems if p.column == column and reason in p.reason] == [2]
    assert {1, 3} <= {case.row for case in table.cases}


@pytest.mark.parametrize(
    "cell", ["1 2", "1 2 3 4", "a b c", "[1, 2, null]", "1 2 1e999", "nan 1 2", "[[", "{}"]
)
def test_a_bad_vector_is_left_out(tmp_path, cell):
    """One of another length, or with something that is no finite number, never reaches an encoder."""
    table = parse(tmp_path, f'case,labs\na,1 2 3\nb,"{cell}"\n'.encode(), inputs=VECTOR)
    assert [case.inputs["labs"].tolist() for case in table.cases] == [[1.0, 2.0, 3.0]]
    assert {p.row for p in table.problems} == {3}


def test_a_vector_of_a_table_takes_little_more_than_its_numbers(tmp_path):
    """As a list of Python's it took eight times as much, and a process never gave all of it back."""
    numbers, cases = 1664, 100
    row = json.dumps([number / 7 for number in range(numbers)])
    lines = "".join(f'{{"case": "c{number}", "labs": {row}}}\n' for number in range(cases))
    tracemalloc.start()
    try:
        table = parse(
            tmp_path, lines.encode(), "cases.jsonl", inputs={"labs": InputColumn("labs", "vector", numbers)}
        )
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(table.cases) == cases
    assert taken < 2 * 4 * numbers * cases


USELESS = {
    b"": "is empty",
    b"\n": "is empty",
    HEADER: "has no rows",
    b"case,text,text,image\na,b,c,d\n": "columns 2 and 3 have the same name",
    b"PK\x03\x04\x14\0\r\n\0": "Excel",
    b"\x1f\x8b\x08\0\r\n": "gunzip",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "old Excel workbook",
    b"# exported on Monday\n" + HEADER + GOOD: "comment",
    b"PAR1\x15\0": "Parquet",
    b'[{"case": "a", "text": "b"}]': "JSON",
    b'case,"text\n': "header cannot be read",
    b"case;Ergu\xdf\na;1\n": "unreadable characters",
}


@pytest.mark.parametrize("content", USELESS)
def test_a_table_that_cannot_be_read_at_all_is_an_input_error(tmp_path, content):
    """What is wrong with the whole table is said at once, with the file's name."""
    with pytest.raises(InputError, match=r"cases\.csv.*" + USELESS[content]):
        parse(tmp_path, content)


OTHER_KINDS = {
    "cases.ods": r"is a \.csv",
    "cases": r"is a \.csv",
    "cases.xlsx": r"no \.xlsx file",
    "cases.parquet": r"no \.parquet file",
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_another_kind_of_file_is_refused(tmp_path, name):
    """What its name promises and its content does not hold is not guessed at."""
    with pytest.raises(InputError, match=OTHER_KINDS[name]):
        parse(tmp_path, HEADER + GOOD, name)


def test_json_lines_without_one_object_are_an_input_error(tmp_path):
    """A file of garbage is no empty table."""
    with pytest.raises(InputError, match="not one row"):
        parse(tmp_path, b"garbage\n", "cases.jsonl")


def test_a_missing_table_is_an_input_error(tmp_path):
    """With the path in it."""
    with pytest.raises(InputError, match=r"no\.csv"):
        parse_table(tmp_path / "no.csv", CaseColumns(table="no.csv"), INPUTS, settings="site.toml")


@pytest.mark.parametrize(
    "names", [{"case": "study"}, {"patient": "mrn"}, {"split": "fold"}, {"labels": ("mass",)}]
)
def test_a_column_named_in_the_settings_must_be_there(tmp_path, names):
    """A misspelt column is a settings error that lists the columns there are, not a silent blank."""
    with pytest.raises(SettingsError, match=r"site\.toml.*does not have; its columns are case, patient"):
        parse(tmp_path, HEADER + GOOD, **names)


def test_a_modality_without_its_column_is_a_settings_error(tmp_path):
    """The input column is never optional."""
    with pytest.raises(SettingsError, match="'image'"):
        parse(tmp_path, b"case,text\na,clear\n")


def test_an_unclosed_quote_is_never_silent(tmp_path):
    """It swallows the rest of the table: the row where that began is named."""
    table = parse(tmp_path, HEADER + GOOD + b'c,p,,"clear,1\nd,p,,lungs,1\n')
    assert [case.case for case in table.cases] == ["good"]
    assert [(p.row, "never closed" in p.reason) for p in table.problems] == [(3, True)]


def test_no_message_quotes_a_cell(tmp_path):
    """Case contents stay out of messages, whatever is wrong with them."""
    secret = b"SECRET"
    rows = [
        b"SECRET-1,SECRET,SECRET,,SECRET",
        b"SECRET-2,SECRET,SECRET,SECRET\xff,SECRET",
        b"SECRET-2,SECRET,SECRET,SECRET,1",
        secret,
        b'"SECRET"x,,,,',
        b"x,p,SECRET,SECRET,-1",
    ]
    table = parse(tmp_path, HEADER + GOOD + b"\n".join(rows) + b"\n")
    assert len({p.reason for p in table.problems}) >= 7
    assert not [p for p in table.problems if "SECRET" in p.reason + p.column]


def test_labels_are_one_zero_or_unknown(tmp_path):
    """1, 1.0, 0, 0.0, true and false are labels; blank and -1 are unknown, which is absent."""
    cells = [1, 1.0, "1", "1.0", True, 0, "0.0", False, None, "", -1, " -1.0 "]
    content = "".join(json.dumps({"text": "a", "x": cell}) + "\n" for cell in cells)
    table = parse(tmp_path, content.encode(), "cases.jsonl", {"text": INPUTS["text"]})
    assert [case.labels.get("x") for case in table.cases] == [1.0] * 5 + [0.0] * 3 + [None] * 4
    assert [(p.row, p.effect) for p in table.problems] == [(11, "noted"), (12, "noted")]


def test_ids_fall_back_to_the_row(tmp_path):
    """A blank case id is the row's number; a blank patient is the case's own."""
    table = parse(tmp_path, HEADER + b",,,clear,\nb,,,clear,\nc,p7,,clear,\n")
    found = [(case.case, case.patient) for case in table.cases]
    assert found == [("row-2", "row-2"), ("b", "b"), ("c", "p7")]


def test_a_column_without_label_values_is_no_label_and_is_noted(tmp_path):
    """The sex column of an exported list does not turn into thousands of bad labels."""
    table = parse(tmp_path, b"text,image,effusion,sex\nclear,,1,F\nlungs,,0,M\n")
    assert table.labels == ["effusion"]
    assert [(p.row, p.column, p.effect) for p in table.problems] == [(1, "sex", "noted")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_what_spreadsheets_write_is_read(tmp_path, separator):
    """Byte-order mark, semicolons or tabs, CRLF, quoted line breaks, an unnamed index column, empty lines."""
    rows = [
        ["", " case ", "image", "text", "effusion"],
        ["0", "a", "a.png", '"two\r\nlines; or, so\tit is"', "1"],
    ]
    content = "\ufeff" + "\r\n".join(separator.join(row) for row in rows) + "\r\n\r\n"
    table = parse(tmp_path, content.encode())
    (case,) = table.cases
    assert (case.case, case.inputs["image"], case.labels) == ("a", tmp_path / "a.png", {"effusion": 1.0})
    assert case.inputs["text"] == "two\r\nlines; or, so\tit is"
    assert not table.problems


def test_a_path_is_relative_to_the_table_or_absolute(tmp_path):
    """Both are the user's own files."""
    image = tmp_path / "elsewhere.png"
    image.write_bytes(b"x")
    table = parse(tmp_path, f"case,image,text\na,{image},\nb,a.png,\n".encode())
    assert [case.inputs["image"] for case in table.cases] == [image, tmp_path / "a.png"]


def test_a_split_that_is_neither_train_nor_test_is_noted(tmp_path):
    """A misspelt split never silently moves a patient."""
    table = parse(tmp_path, b"case,image,text,split\na,,x,Train\nb,,x,test\nc,,x,valid\nd,,x,\n")
    assert [case.split for case in table.cases] == ["train", "test", None, None]
    assert [(p.row, p.column) for p in table.problems] == [(4, "split")]


PLAIN = "case,image,text,effusion\na,,clear lungs,0\nb,,large effusion,1\n"
SPELLINGS = {
    "CR only": PLAIN.replace("\n", "\r").encode(),
    "UTF-16 with a mark": PLAIN.encode("utf-16"),
    "UTF-16-LE without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16-BE without a mark": PLAIN.encode("utf-16-be"),
    "sep= line": b"\xef\xbb\xbfsep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n").encode(),
    "pipes": PLAIN.replace(",", "|").encode(),
    "blank lines first": b"\r\n\r\n" + PLAIN.encode(),
    "separator in a quoted name": PLAIN.replace(",", ";").replace("image", '"image"').encode(),
    "trailing separators in rows": PLAIN.replace("0\n", "0,,\n").encode(),
    "trailing separator in the header": PLAIN.replace("effusion\na", "effusion,\na").encode(),
    "decimal comma": PLAIN.replace(",", ";").replace(";0\n", ";0,0\n").replace(";1\n", ";1,0\n").encode(),
    "True and False": PLAIN.replace(",0\n", ",False\n").replace(",1\n", ",True\n").encode(),
    "Yes and No": PLAIN.replace(",0\n", ",No\n").replace(",1\n", ",Yes\n").encode(),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_every_way_to_write_a_table_gives_the_same_cases(tmp_path, kind):
    """As Excel, pandas, R and macOS write it."""
    table = parse(tmp_path, SPELLINGS[kind])
    assert [(case.case, case.inputs, case.labels) for case in table.cases] == [
        ("a", {"text": "clear lungs"}, {"effusion": 0.0}),
        ("b", {"text": "large effusion"}, {"effusion": 1.0}),
    ]
    assert not table.problems


def test_quoted_names_may_hold_line_breaks_and_separators(tmp_path):
    """A line break becomes a space; commas inside quotes do not make the comma the separator."""
    table = parse(tmp_path, b'case;text;"a, b, c, d\ne";image\nx;clear;1;\n')
    assert table.cases[0].labels == {"a, b, c, d e": 1.0}


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "N/A", "None", "null", "<NA>"])
def test_words_for_nothing_are_blank_and_name_no_patient(tmp_path, word):
    """Noted once per column, with the count."""
    table = parse(tmp_path, HEADER + f"a,{word},,clear,1\nb,{word},,{word},0\nc,{word},,x,{word}\n".encode())
    assert [(case.patient, case.labels) for case in table.cases] == [("a", {"effusion": 1.0}), ("c", {})]
    notes = {p.column: p.reason for p in table.problems if p.effect == "noted"}
    assert {column: reason.split()[0] for column, reason in notes.items()} == {
        "patient": "3",
        "text": "1",
        "effusion": "1",
    }


def test_ids_stay_as_they_are_written(tmp_path):
    """Leading zeros are kept, with and without Excel's sign for text; a mark of joined files is no part of an id."""
    rows = b'007,="0012",,clear,1\n7,0012,,clear,0\n\xef\xbb\xbf08,12,,clear,0\n'
    table = parse(tmp_path, HEADER + rows)
    found = [(case.case, case.patient) for case in table.cases]
    assert found == [("007", "0012"), ("7", "0012"), ("08", "12")]
    assert not table.problems


@pytest.mark.parametrize(("written", "there"), [("s\\é.png", "s/é.png"), ("s/e\u0301.png", "s/\u00e9.png")])
def test_file_names_of_windows_and_macos_are_found(tmp_path, written, there):
    """Backslashes, and accents as signs of their own."""
    (tmp_path / "s").mkdir()
    (tmp_path / there).write_bytes(b"not looked into here")
    table = parse(tmp_path, HEADER + f"a,p,{written},,1\n".encode())
    assert table.cases[0].inputs["image"].samefile(tmp_path / there)


@given(st.sampled_from(list(SPELLINGS)), st.data())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_table_gives_rows_or_an_input_error(tmp_path, kind, data):
    """Cut off, a byte changed, a piece twice: never another exception, nor a cell that no file system takes."""
    content = SPELLINGS[kind]
    place = st.integers(0, len(content))
    begin, end, cut = data.draw(place), data.draw(place), data.draw(place)
    content = content[:begin] + bytes([data.draw(st.integers(0, 255))]) + content[end:cut] + content[begin:]
    with contextlib.suppress(InputError, SettingsError):
        for case in parse(tmp_path, content).cases:
            assert "\0" not in case.case + case.patient
            (case.case + case.patient).encode()


@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([b'"', b",", b";", b"\r", b"\n", b"\0", b"a", b"1"])).map(b"".join)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_rows_or_an_input_error(tmp_path, content):
    """Never another exception."""
    with contextlib.suppress(InputError, SettingsError):
        parse(tmp_path, content)
        parse(tmp_path, HEADER + GOOD + content)
