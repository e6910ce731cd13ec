"""Generated cases are marked, repeatable, incomplete in the ways they should be, and show their findings."""

import csv
import re

import numpy as np
import pytest
from PIL import Image

from fedfin.demo.phantom import MARK, SIZE, Finding, draw_anatomy, draw_phantom
from fedfin.demo.reports import PHRASES, write_report
from fedfin.demo.synthetic import DISEASES, FINDINGS, make_cases
from fedfin.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cases")
    make_cases(path, 60, seed=5)
    return path


@pytest.fixture(scope="module")
def rows(folder):
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def pixels(folder, row):
    with Image.open(folder / row["image"]) as image:
        assert image.mode == "L"
        return np.asarray(image)


def test_the_table_names_images_reports_and_labels(folder, rows):
    assert list(rows[0]) == ["case", "patient", "image", "text", *FINDINGS]
    assert len({row["case"] for row in rows}) == len(rows)
    assert all(pixels(folder, row).shape == (SIZE, SIZE) for row in rows)
    assert all(row["text"].startswith("Indication: ") for row in rows)


def test_everything_says_that_it_is_synthetic(folder, rows):
    mark = np.array([[dot == "#" for dot in line] for line in MARK])
    corners = {pixels(folder, row)[-11:, :57].tobytes() for row in rows}
    assert len(corners) == 1
    corner = np.frombuffer(corners.pop(), np.uint8).reshape(11, 57)
    assert np.array_equal(corner[2:9, 2 : 2 + mark.shape[1]] == 255, mark)
    assert all(row["case"].startswith("synthetic-") for row in rows)
    assert "SYNTHETIC" in (folder / "README.txt").read_text()


def test_the_same_seed_gives_the_same_bytes_and_more_patients_change_no_one(folder, rows, tmp_path):
    make_cases(tmp_path, 7, seed=5)
    again = (tmp_path / "cases.csv").read_text().splitlines()
    assert (folder / "cases.csv").read_text().splitlines()[: len(again)] == again
    assert all(np.array_equal(pixels(folder, row), pixels(tmp_path, row)) for row in rows[: len(again) - 1])


def test_another_seed_gives_other_cases(folder, tmp_path):
    make_cases(tmp_path, 7, seed=6)
    again = (tmp_path / "cases.csv").read_text()
    assert not (folder / "cases.csv").read_text().startswith(again)


def test_some_patients_have_two_images_and_some_labels_are_unknown(rows):
    assert 60 < len(rows) < 90
    values = [row[name] for row in rows for name in FINDINGS]
    assert set(values) == {"", "0", "1"}
    assert 0 < values.count("") < 0.1 * len(values)
    assert all(any(row[name] == "1" for row in rows) for name in FINDINGS)


def test_a_table_is_not_written_over(folder):
    with pytest.raises(InputError, match="exists already"):
        make_cases(folder, 1, seed=0)


def test_no_patients_is_an_error(tmp_path):
    with pytest.raises(InputError, match="at least one"):
        make_cases(tmp_path, 0, seed=0)


@pytest.mark.parametrize("name", FINDINGS)
def test_each_finding_shows_more_the_more_severe_it_is(name):
    """The mean film of one patient, with and without the finding: what is random averages out."""

    def draw(severity):
        anatomy = draw_anatomy(np.random.default_rng(1))
        findings = {} if severity is None else {name: Finding(severity, (1,))}
        films = [draw_phantom(anatomy, findings, np.random.default_rng(seed)) for seed in range(12)]
        return np.mean(films, axis=0)

    clear, faint, plain = draw(None), draw(0.1), draw(0.9)
    assert 0 < np.abs(faint - clear).mean() < np.abs(plain - clear).mean()


def test_diseases_share_out_all_patients():
    assert sum(disease.share for disease in DISEASES) == pytest.approx(1)
    assert {name for disease in DISEASES for name in disease.brings} == set(FINDINGS)


def test_reports_state_miss_and_invent_findings():
    """Text alone must not give the labels away: present findings go unsaid, absent ones are raised."""
    rng = np.random.default_rng(0)
    said = [_states_pneumothorax({"pneumothorax": Finding(0.3, (1,))}, rng) for _ in range(200)]
    invented = [_states_pneumothorax({}, rng) for _ in range(1000)]
    assert 0.3 < np.mean(said) < 0.9
    assert 0.0 < np.mean(invented) < 0.05


def _states_pneumothorax(findings, rng):
    plain = [re.sub(r"{\w+}", r"\\w+", phrase) for phrase in PHRASES["pneumothorax"][0]]
    report = write_report(findings, "cough", 50, rng)
    return any(re.search(rf"(^|[.] ){phrase}", report, re.IGNORECASE) for phrase in plain)


def test_phrases_can_be_filled_in():
    rng = np.random.default_rng(0)
    findings = dict.fromkeys(FINDINGS, Finding(1.0, (-1, 1)))
    reports = [write_report(findings, "cough", 50, rng) for _ in range(100)]
    assert not any("{" in report for report in reports)
    assert any("large bilateral" in report.lower() for report in reports)
