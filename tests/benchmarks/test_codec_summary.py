"""The arithmetic of the study's table."""

import pytest

from benchmarks.codec import summary
from benchmarks.codec.summary import paid_bytes, summarise
from benchmarks.codec.tables import print_study


@pytest.fixture(autouse=True)
def _only_the_last_round_counts(monkeypatch):
    monkeypatch.setattr(summary, "LAST", 1)


def row(preset="exact", seed=0, auc=(50.0, 80.0), up=(100, 100), down=(200, 200), part=8, **other):
    return {
        "data": "mfeat",
        "up": preset,
        "down": other.get("to_sites", preset),
        "taking_part": part,
        "sites": 8,
        "seed": seed,
        "rounds": len(auc),
        "auc": list(auc),
        "complete": auc[-1] + 1,
        "alone": auc[-1] - 10,
        "up_bytes": list(up),
        "up_float32": [400] * len(auc),
        "down_bytes": list(down),
        "down_float32": [800] * len(auc),
    }


def test_differences_are_paired_by_seed():
    rows = [
        row(auc=(50, 80), seed=0),
        row(auc=(50, 90), seed=1),
        row("small", auc=(50, 90.5), seed=1),
        row("small", auc=(50, 79), seed=0),
    ]
    exact, small = summarise(rows)
    assert (exact.preset, exact.difference, exact.worst, exact.seeds) == ("exact", 0, 0, 2)
    assert small.difference == pytest.approx(-0.25)
    assert small.worst == pytest.approx(-1)
    assert small.auc == pytest.approx(84.75)
    assert small.spread == pytest.approx(11.5 / 2**0.5)


def test_no_difference_without_every_exact_run():
    (small,) = summarise([row("small")])
    assert (small.difference, small.worst, small.paid, small.paid_ratio) == (None, None, None, None)
    _, half = summarise([row(seed=0), row("half", seed=0), row("half", seed=1)])
    assert half.difference is None


def test_participation_rounds_and_directions_are_not_mixed():
    rows = [row(part=8), row(part=4), row("small", part=4), row("small", part=4, to_sites="exact")]
    lines = summarise(rows)
    assert [(line.preset, line.taking_part) for line in lines] == [
        ("exact", 8),
        ("exact", 4),
        ("small", 4),
        ("small up, exact down", 4),
    ]
    (other,) = [line for line in summarise([row(), row("small", auc=(50, 60, 70))]) if line.preset == "small"]
    assert other.difference is None


def test_ratios_are_of_all_bytes():
    (line,) = summarise([row(up=(10, 30), down=(1, 3))])
    assert (line.up, line.down, line.up_ratio, line.down_ratio) == (20, 2, 20, 400)


def test_a_site_pays_every_round_down_and_its_share_up():
    assert paid_bytes(row(auc=(50, 80), up=(100, 300), down=(10, 20), part=8), 80) == 430
    assert paid_bytes(row(auc=(50, 80), up=(100, 300), down=(10, 20), part=4), 80) == 230
    assert paid_bytes(row(auc=(80, 50), up=(100, 300), down=(10, 20)), 80) == 110
    assert paid_bytes(row(auc=(50, 60)), 80) is None


def test_what_is_paid_counts_to_99_percent_of_exact():
    rows = [
        row(auc=(79, 79.3, 80), up=(100,) * 3, down=(50,) * 3),
        row("small", auc=(70, 79.1, 79.2), up=(1,) * 3, down=(2,) * 3),
    ]
    exact, small = summarise(rows)
    assert (exact.paid, exact.paid_ratio) == (300, 1)
    assert (small.paid, small.paid_ratio) == (9, pytest.approx(300 / 9))


def test_what_never_got_there_has_no_price(capsys):
    rows = [row(), row("tiny", auc=(50, 60))]
    exact, tiny = summarise(rows)
    assert exact.paid == 600
    assert (tiny.paid, tiny.paid_ratio) == (None, None)
    print_study([vars(line) for line in (exact, tiny)])
    table = capsys.readouterr().out
    assert "mfeat, 8 of 8 sites each round" in table
    assert "-20.00" in table


def test_the_final_auc_is_that_of_the_last_rounds(monkeypatch):
    monkeypatch.setattr(summary, "LAST", 2)
    _, small = summarise([row(auc=(80, 90)), row("small", auc=(82, 92.5))])
    assert small.auc == pytest.approx(87.25)
    assert small.difference == pytest.approx(2.25)
    assert small.last == pytest.approx(2.5)
