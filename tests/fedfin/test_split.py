"""A split keeps every patient on one side, deals evenly, and gives text only where it belongs."""

import csv

import pytest

from fedfin.demo.split import check_disjoint, split_cases
from fedfin.errors import InputError

COLUMNS = ["case", "patient", "image", "text", "effusion"]


def write(path, rows, columns=COLUMNS):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *rows])
    return path


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def case(number, patient=None, image=True, text=True):
    image = f"images/{number}.png" if image else ""
    return [f"c{number}", f"p{number}" if patient is None else patient, image, "a, b" if text else "", "1"]


@pytest.fixture
def table(tmp_path):
    """60 patients, the first 15 of them with two cases."""
    rows = [case(number) for number in range(60)]
    return write(tmp_path / "cases.csv", rows + [case(100 + n, patient=f"p{n}") for n in range(15)])


def split(table, out="out", **changes):
    arguments = {"sites": 10, "with_text": 2, "held_out": 0.2, "seed": 3} | changes
    return split_cases(table, table.parent / out, **arguments)


def test_every_case_is_in_one_part_and_every_patient_on_one_side(table):
    result = split(table)
    parts = [*result.sites.values(), result.holdout]
    seen = [{row["patient"] for row in read(part.table)} for part in parts]
    assert sum(len(patients) for patients in seen) == len(set().union(*seen)) == 60
    assert sum(len(read(part.table)) for part in parts) == 75
    assert [part.patients for part in parts] == [len(patients) for patients in seen]


def test_sizes_differ_by_one_patient_at_most(table):
    result = split(table, sites=7, with_text=3)
    sizes = [part.patients for part in result.sites.values()]
    assert result.holdout.patients == 12
    assert sum(sizes) == 48
    assert max(sizes) - min(sizes) <= 1


def test_sites_beyond_with_text_hold_no_text(table):
    result = split(table)
    assert list(result.sites)[:2] == ["site-01", "site-02"]
    for number, part in enumerate(result.sites.values()):
        texts = {row["text"] for row in read(part.table)}
        assert texts == ({"a, b"} if number < 2 else {""})
        assert part.texts == (part.cases if number < 2 else 0)
    assert result.holdout.texts == result.holdout.cases


def test_the_same_seed_gives_the_same_patients_whatever_the_row_order(table, tmp_path):
    (tmp_path / "turned").mkdir()
    rows = [list(row.values()) for row in reversed(read(table))]
    turned = split(write(tmp_path / "turned" / "cases.csv", rows))
    for name, part in split(table).sites.items():
        patients = {row["patient"] for row in read(part.table)}
        assert patients == {row["patient"] for row in read(turned.sites[name].table)}


def test_another_seed_gives_another_split(table):
    first, other = split(table, "one", seed=1), split(table, "two", seed=2)
    assert first.holdout.table.read_text() != other.holdout.table.read_text()


def test_image_paths_lead_to_the_same_files(table, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "7.png").write_bytes(b"seven")
    parts = split(table, "far/away").sites.values()
    paths = [row["image"] for part in parts for row in read(part.table)]
    absolute = write(tmp_path / "absolute.csv", [["c", "p", str(tmp_path / "images" / "7.png"), "t", "1"]])
    kept = read(split(absolute, "other", sites=1, with_text=1, held_out=0).sites["site-01"].table)
    assert kept[0]["image"] == str(tmp_path / "images" / "7.png")
    assert all(path.startswith(str(tmp_path / "images")) for path in paths)


def test_text_sites_take_patients_with_both_modalities_first(tmp_path):
    rows = [case(n, text=n < 6, image=n != 5) for n in range(20)]
    result = split(write(tmp_path / "cases.csv", rows), sites=4, with_text=1, held_out=0)
    first = read(result.sites["site-01"].table)
    assert {row["case"] for row in first} == {"c0", "c1", "c2", "c3", "c4"}


def test_a_case_of_text_alone_is_left_out_at_an_image_site_and_counted(tmp_path):
    rows = [case(n, image=n < 8) for n in range(10)]
    result = split(write(tmp_path / "cases.csv", rows), sites=2, with_text=1, held_out=0)
    assert (
        result.sites["site-02"].left_out == result.sites["site-02"].patients - result.sites["site-02"].cases
    )
    rest = split(write(tmp_path / "cases.csv", [case(n, image=n < 1) for n in range(10)]), "b",
                 sites=2, with_text=0, held_out=0)  # fmt: skip
    assert sum(part.left_out for part in rest.sites.values()) == 9


def test_without_a_patient_column_each_case_is_its_own_patient(tmp_path):
    rows = [[f"{n}.png", "1"] for n in range(10)]
    result = split(write(tmp_path / "t.csv", rows, ["image", "effusion"]), sites=2, with_text=0)
    assert [part.patients for part in result.sites.values()] == [4, 4]
    assert list(read(result.holdout.table)[0]) == ["image", "effusion"]


def test_blank_patients_are_not_one_patient(tmp_path):
    rows = [case(n, patient="") for n in range(10)]
    result = split(write(tmp_path / "t.csv", rows), sites=2, with_text=1, held_out=0)
    assert [part.cases for part in result.sites.values()] == [5, 5]


def test_no_share_held_out_writes_no_holdout(table, tmp_path):
    assert split(table, held_out=0).holdout is None
    assert not (tmp_path / "out" / "holdout").exists()


def test_a_patient_on_two_sides_is_an_error_that_does_not_name_the_patient():
    check_disjoint({"a": ["p1", "p2"], "b": ["p3"]})
    with pytest.raises(InputError, match="is in a and in b") as caught:
        check_disjoint({"a": ["p1", "p2"], "b": ["p2"]})
    assert "p2" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": 0, "with_text": 0}, "at least one"),
        ({"with_text": 11}, "from 0 to 10"),
        ({"held_out": 1.0}, "below 1"),
        ({"sites": 50}, "48 for 50 sites; use fewer"),
    ],
)
def test_impossible_requests_are_refused_with_a_remedy(table, changes, message):
    with pytest.raises(InputError, match=message):
        split(table, **changes)


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (["patient", "image"], ["p", "i"], "no column `text`"),
        (["patient", "text"], ["p", "t"], "no column `image`"),
        (["image", "image", "text"], ["i", "i", "t"], "same name"),
        (["image", "text"], ["i", "t", "secret"], "row 1 has more cells"),
    ],
)
def test_unusable_tables_are_refused_with_a_remedy(tmp_path, columns, row, message):
    with pytest.raises(InputError, match=message) as caught:
        split(write(tmp_path / "t.csv", [row], columns), sites=2, with_text=1)
    assert "secret" not in str(caught.value)


def test_too_few_patients_with_both_modalities_are_refused(tmp_path):
    rows = [case(n, text=n < 1) for n in range(20)]
    with pytest.raises(InputError, match="too few for 2 sites"):
        split(write(tmp_path / "t.csv", rows))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        split(tmp_path / "none.csv")
    (tmp_path / "t.csv").write_bytes(b"image,text\n\xff\xfe,a\n")
    with pytest.raises(InputError, match="UTF-8"):
        split(tmp_path / "t.csv")


def test_a_split_is_not_written_over_another(table):
    split(table)
    with pytest.raises(InputError, match="already"):
        split(table, seed=4)
