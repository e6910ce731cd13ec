"""Nothing is told beyond the budget: whoever asks again, in another run, after a crash, or from an old backup."""

from pathlib import Path

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from fedfin.errors import StateError
from fedfin.privacy.budget import Budget
from fedfin.privacy.ledger import LEDGER, Ledger
from fedfin.privacy.release import Release
from fedfin.trust.audit_log import AuditLog

BUDGET = Budget(1.0, 1e-5)
RUN, OTHER_RUN = "1" * 16, "2" * 16
TOLD = Release("a" * 64, RUN, 1, "second_moments", "d" * 64, "7" * 64, BUDGET.rho, ("st-mary",))
EVALUATED = replace(TOLD, round=2, task="evaluate", update="8" * 64)


def _ledger(folder: Path) -> Ledger:
    """As a later process reads it."""
    return Ledger(folder / LEDGER, BUDGET)


def _told(folder: Path, *releases: Release) -> Ledger:
    ledger = _ledger(folder)
    for release in releases:
        ledger.record(release)
    return _ledger(folder)


def test_what_was_spent_is_known_to_a_later_process(tmp_path: Path) -> None:
    """The file is for its owner alone."""
    ledger = _told(tmp_path, TOLD)
    assert ledger.releases == [TOLD]
    assert ledger.spent("st-mary") == BUDGET.rho
    assert (tmp_path / LEDGER).stat().st_mode & 0o777 == 0o600


def test_training_and_held_out_patients_are_told_of_once_each(tmp_path: Path) -> None:
    """No patient is on both sides: the cost is that of one."""
    assert _told(tmp_path, TOLD, EVALUATED).spent("st-mary") == BUDGET.rho


def test_every_round_of_training_costs_and_calibration_costs_others_as_much(tmp_path: Path) -> None:
    """Who trains is not who calibrates; second moments are of both."""
    moments, rho = replace(TOLD, rho=0.5 * BUDGET.rho), 0.25 * BUDGET.rho
    trained = [replace(TOLD, round=n, task="train", update=f"{n}" * 64, rho=rho) for n in (2, 3)]
    calibrated = replace(TOLD, round=4, task="calibrate", update="4" * 64, rho=2 * rho)
    ledger = _told(tmp_path, moments, *trained, calibrated)
    assert ledger.spent("st-mary") == pytest.approx(BUDGET.rho)
    for more in (replace(trained[0], round=5), replace(calibrated, round=5)):
        with pytest.raises(StateError, match="would have told epsilon"):
            ledger.record(more)
    ledger.record(replace(EVALUATED, round=5))


def test_a_replayed_round_costs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """The bytes that left may leave again."""
    ledger = _told(tmp_path, TOLD)
    before = (tmp_path / LEDGER).read_bytes()
    ledger.record(TOLD)
    assert (tmp_path / LEDGER).read_bytes() == before


def test_another_answer_to_the_same_round_is_refused(tmp_path: Path) -> None:
    """An aggregator that was restored from a backup asks again: fresh noise over the same cases would wear thin."""
    ledger = _told(tmp_path, TOLD)
    with pytest.raises(StateError, match=r"round 1 of run 1{16} was told already, by another update"):
        ledger.record(replace(TOLD, update="9" * 64))
    assert _ledger(tmp_path).releases == [TOLD]


@pytest.mark.parametrize(
    "again",
    [
        replace(TOLD, run=OTHER_RUN, update="9" * 64),  # another run
        replace(TOLD, run=OTHER_RUN, update="9" * 64, plan="b" * 64),  # another plan
        replace(
            TOLD, run=OTHER_RUN, update="9" * 64, data="e" * 64
        ),  # more cases, among them the same patients
        replace(TOLD, round=3, update="9" * 64),  # another round
        replace(EVALUATED, data="e" * 64),  # patients that changed sides
        replace(EVALUATED, rho=1.01 * BUDGET.rho),
    ],
)
def test_what_would_exceed_the_budget_is_refused_and_not_written(tmp_path: Path, again: Release) -> None:
    """Costs add up over runs, plans and data; the error says to how much."""
    ledger = _told(tmp_path, TOLD)
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(
        StateError, match=r"st-mary would have told epsilon 1\.\d+; the plan allows 1 at delta 1e-05"
    ):
        ledger.record(again)
    assert (tmp_path / LEDGER).read_bytes() == before
    assert ledger.spent("st-mary") == BUDGET.rho


def test_a_site_that_joins_twice_is_not_summed_twice(tmp_path: Path) -> None:
    """The aggregator keeps one account for each name; sites that were not told of yet are not held up by it."""
    first = replace(TOLD, sites=("st-john", "st-mary"), data="")
    again = replace(first, run=OTHER_RUN, update="9" * 64, sites=("st-anna", "st-mary"))
    ledger = _told(tmp_path, first)
    with pytest.raises(StateError, match="st-mary would have told"):
        ledger.record(again)
    ledger.record(replace(again, sites=("st-anna", "st-paul")))
    assert {
        site: ledger.spent(site) for site in ("st-anna", "st-john", "st-mary", "st-paul")
    } == dict.fromkeys(("st-anna", "st-john", "st-mary", "st-paul"), BUDGET.rho)


def test_a_site_that_joins_again_under_another_name_has_its_own_ledger_still(tmp_path: Path) -> None:
    """The folder's patients are the same; the aggregator, which goes by names, would not know."""
    ledger = _told(tmp_path, TOLD)
    with pytest.raises(StateError, match="st-john would have told epsilon"):
        ledger.record(replace(TOLD, run=OTHER_RUN, update="9" * 64, sites=("st-john",)))
    assert ledger.spent("st-john") == BUDGET.rho
    assert _ledger(tmp_path).releases == [TOLD]


def test_an_aggregator_set_back_with_its_ledger_gets_no_second_answer(tmp_path: Path) -> None:
    """Its ledger knows of nothing; each site's does."""
    summed = replace(TOLD, data="", sites=("st-anna", "st-john", "st-mary"))
    aggregator = tmp_path / "aggregator"
    aggregator.mkdir()
    site = _told(tmp_path, TOLD)
    _told(aggregator, summed)
    (aggregator / LEDGER).unlink()  # the backup was made before the round
    _ledger(aggregator).check(replace(summed, update="9" * 64))
    with pytest.raises(StateError, match="was told already, by another update"):
        site.check(replace(TOLD, update="9" * 64))


def test_a_second_sum_of_a_round_is_refused_whoever_is_in_it(tmp_path: Path) -> None:
    """Of sites that were told of, and of sites that were not."""
    first = replace(TOLD, data="", sites=("st-anna", "st-john", "st-mary"))
    ledger = _told(tmp_path, first)
    for sites in (first.sites, ("st-luke", "st-mark", "st-paul")):
        with pytest.raises(StateError, match="was told already, by another update"):
            ledger.record(replace(first, update="9" * 64, sites=sites))
    assert _ledger(tmp_path).releases == [first]


def test_a_larger_epsilon_can_be_agreed_on_later(tmp_path: Path) -> None:
    """Costs of before count."""
    _told(tmp_path, TOLD)
    larger = Ledger(tmp_path / LEDGER, Budget(3.0, 1e-5))
    left = larger.budget.rho - BUDGET.rho
    release = replace(TOLD, plan="b" * 64, run=OTHER_RUN, update="9" * 64, rho=left)
    with pytest.raises(StateError, match="would have told"):
        larger.check(replace(release, rho=1.001 * left))
    larger.record(release)
    assert larger.budget.promise(larger.spent("st-mary")) == pytest.approx(3.0)


def test_a_line_that_was_changed_or_taken_out_stops_everything(tmp_path: Path) -> None:
    """Nobody can make room in the budget unseen, but by cutting off the end."""
    _told(tmp_path, TOLD, EVALUATED)
    path = tmp_path / LEDGER
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"rho":0.0', b'"rho":0.00', 1))
    with pytest.raises(StateError, match="line 1: it was changed"):
        _ledger(tmp_path)
    path.write_bytes(whole.partition(b"\n")[2])
    with pytest.raises(StateError, match="line 1: it was changed, or lines before it were taken out"):
        _ledger(tmp_path)


@pytest.mark.parametrize(
    ("event", "facts"),
    [("start", {}), ("release", {"run": RUN}), ("release", to_builtins(replace(TOLD, task="moments")))],
)
def test_another_log_in_its_place_is_a_plain_error_with_the_remedy(
    tmp_path: Path, event: str, facts: dict
) -> None:
    """The audit log, a newer version's: what it holds cannot be added up, so nothing is told."""
    AuditLog(tmp_path / LEDGER).add(event, facts)
    with pytest.raises(StateError, match="line 1: is no release that this version knows; restore the file"):
        _ledger(tmp_path)


def test_a_line_that_a_crash_cut_short_was_never_told(tmp_path: Path) -> None:
    """It is written before anything leaves: the same may be told now."""
    _told(tmp_path, TOLD)
    path = tmp_path / LEDGER
    path.write_bytes(path.read_bytes()[:-20])
    ledger = _ledger(tmp_path)
    assert ledger.releases == []
    ledger.record(TOLD)
    assert _ledger(tmp_path).releases == [TOLD]


def test_the_line_and_the_file_s_name_are_on_the_disk_before_anything_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`record` flushes the file, and the folder that it is new in."""
    flushed = []
    monkeypatch.setattr(
        "os.fsync", lambda handle: flushed.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
    )
    _ledger(tmp_path).record(TOLD)
    assert {str(tmp_path), str(tmp_path / LEDGER)} <= set(flushed)
