"""Every way in which a case table goes wrong: listed with row, column and reason, and never fatal."""

import json

import pytest

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
    "label word": (b"c,p,a.png,,yes\n", "effusion", "is not 1, 0 or blank", "label unknown", True),
    "label nan": (b"c,p,a.png,,nan\n", "effusion", "is not 1, 0 or blank", "label unknown", True),
    "label -1": (b"c,p,a.png,,-1\n", "effusion", "uncertain", "noted", True),
    "duplicate case": (b"good,p,a.png,,1\n", "case", "case id of row 2", "row skipped", False),
    "no modality": (b"c,p,, ,1\n", "", "no input", "row skipped", False),
    "too few fields": (b"c,p,a.png\n", "", "has 3 fields", "row skipped", False),
    "too many fields": (b"c,p,a.png,clear, lungs,1\n", "", "has 6 fields", "row skipped", False),
    "bytes not UTF-8": (b"c,p,,Erg\xfc\xdfe,1\n", "text", "not UTF-8", "noted", True),
    "NUL bytes": (b"c,p,,clear\0\0lungs,1\n", "text", "not UTF-8", "noted", True),
    "NUL in a path": (b"c,p,a\0.png,clear,1\n", "image", "no such file", "input left out", True),
    "huge cell": (b"c,p,," + b"x" * (MAX_CELL + 1) + b",1\n", "", "longer than", "row skipped", False),
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
    assert [case.inputs for case in table.cases] == [{"labs": [1.0, 2.0, 3.0]}]
    assert {p.row for p in table.problems} == {3}


USELESS = {
    b"": "is empty",
    b"\n": "is empty",
    HEADER: "has no rows",
    b"case,text,text,image\na,b,c,d\n": "there twice",
    "case,text,image\na,b,c\n".encode("utf-16"): "UTF-16",
}


@pytest.mark.parametrize("content", USELESS)
def test_a_table_that_cannot_be_read_at_all_is_an_input_error(tmp_path, content):
    """What is wrong with the whole table is said at once, with the file's name."""
    with pytest.raises(InputError, match=r"cases\.csv.*" + USELESS[content]):
        parse(tmp_path, content)


@pytest.mark.parametrize("name", ["cases.xlsx", "cases"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    """A spreadsheet is not guessed at."""
    with pytest.raises(InputError, match=r"\.csv or a \.jsonl"):
        parse(tmp_path, b"PK", name)


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
