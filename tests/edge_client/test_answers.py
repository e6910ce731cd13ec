"""A site answers once: the ledger, and what a site does when it is asked again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from fedfin.errors import ProtocolError, StateError
from fedfin.limits import LIVES
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.life import FIRST_LIFE, Life
from fedfin_edge.agent.answers import Answer, AnsweredError, Answers, allow_run
from fedfin_edge.agent.joining import (
    answer_of,
    check_answers,
    check_changed,
    check_run,
    forgotten,
    labels_not_used,
    labels_without_values,
)
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.cases.patient_digests import patient_digests
from fedfin_edge.site import CaseColumns, ModalitySettings, Site, SiteSettings

RUN, OTHER = "1" * 16, "2" * 16
DATA, MORE_DATA = "d" * 64, "e" * 64
PLAN = Plan(
    federation="ward",
    labels=("x", "y"),
    modalities=(Modality(name="image", encoder="a" * 64, dim=2),),
    model=Model(fin="mlp", answer="head", head_width=0),
)
OUTBOX = Outbox(2, "train", b"payload", b"", b"")
FIRST = answer_of(OUTBOX, RUN, PLAN, DATA)


def _site(folder: Path) -> Site:
    modalities = {"image": ModalitySettings(bundle="image", column="image")}
    cases = CaseColumns(table="cases.csv")
    return Site(
        folder,
        SiteSettings(
            site="s0", federation="ward", broker="mqtt://broker", cases=cases, modalities=modalities
        ),
    )


def _answers(folder: Path, *lines: Answer) -> Answers:
    """As a later process reads them."""
    answers = Answers(folder / "answers.jsonl")
    for line in lines:
        answers.record(line)
    return Answers(folder / "answers.jsonl")


def test_what_was_answered_is_known_to_a_later_process(tmp_path: Path) -> None:
    """By run and round; the file is for its owner only."""
    answers = _answers(tmp_path, FIRST, replace(FIRST, round=3, run=OTHER))
    assert answers.rounds() == {(RUN, FIRST_LIFE): frozenset({2}), (OTHER, FIRST_LIFE): frozenset({3})}
    assert answers.of(RUN) == [FIRST]
    assert (tmp_path / "answers.jsonl").stat().st_mode & 0o777 == 0o600


def test_in_another_life_training_is_answered_anew_and_moments_are_the_same(tmp_path: Path) -> None:
    """So many times; with secure sums never."""
    answers, other = _answers(tmp_path, FIRST), replace(FIRST, update="f" * 64)
    for number in range(1, LIVES):
        answers.record(replace(other, life=Life(number)), anew=True)
    with pytest.raises(StateError, match=f"set back {LIVES} times"):
        answers.record(replace(other, life=Life(LIVES)), anew=True)
    answers.allow(other.run)
    answers.allow(other.run)
    for number in range(LIVES, 2 * LIVES):
        answers.record(replace(other, life=Life(number)), anew=True)
    with pytest.raises(StateError, match="--again"):
        answers.record(replace(other, life=Life(2 * LIVES)), anew=True)
    summed = Answers(tmp_path / "summed.jsonl")
    moments = replace(FIRST, round=1, task="moments")
    summed.record(FIRST)
    summed.record(moments)
    for line, anew in ((other, False), (replace(moments, update="f" * 64), True)):
        with pytest.raises(AnsweredError):
            summed.record(replace(line, life=Life(1)), anew=anew)
    summed.record(replace(moments, life=Life(1)), anew=True)
    assert summed.rounds()[RUN, Life(1)] == {1}


def test_the_same_update_is_one_answer_and_a_different_one_is_refused(tmp_path: Path) -> None:
    """Whatever else is forgotten, a round of a run never gets a second one."""
    answers = _answers(tmp_path, FIRST, FIRST)
    assert answers.of(RUN) == [FIRST]
    for other in (replace(FIRST, update="f" * 64), replace(FIRST, update="f" * 64, data=MORE_DATA)):
        with pytest.raises(StateError, match="round 2 was answered already"):
            answers.record(other)


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_line_that_a_crash_cut_short_was_never_written(cut: int, tmp_path: Path) -> None:
    """Nothing was offered before it was whole; the next line takes its place."""
    _answers(tmp_path, FIRST, replace(FIRST, round=3))
    path = tmp_path / "answers.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    answers = _answers(tmp_path, replace(FIRST, round=4))
    assert [answer.round for answer in answers.of(RUN)] == [2, 4]


def test_a_damaged_line_stops_the_site(tmp_path: Path) -> None:
    """What it has answered is then not known: it must not guess."""
    (tmp_path / "answers.jsonl").write_bytes(b"{}\n")
    with pytest.raises(StateError, match=r"answers\.jsonl is damaged; restore it from a backup"):
        Answers(tmp_path / "answers.jsonl")


def test_another_run_of_the_same_plan_and_cases_is_refused_until_a_person_allows_it(tmp_path: Path) -> None:
    """With the remedy; what a person said holds after a restart, too."""
    site = _site(tmp_path)
    with pytest.raises(StateError, match=r"answered this plan from the same cases in run 1+; .*run --again"):
        check_answers(site, _answers(tmp_path, FIRST), OTHER, PLAN, DATA)
    allow_run(site, OTHER)
    allow_run(site, OTHER)
    check_answers(site, _answers(tmp_path), OTHER, PLAN, DATA)
    with pytest.raises(StateError):
        check_answers(site, _answers(tmp_path), "3" * 16, PLAN, DATA)


def test_other_cases_another_plan_and_the_same_run_are_not_the_same_question(tmp_path: Path) -> None:
    """A first run needs nobody's word either."""
    site, answers = _site(tmp_path), _answers(tmp_path)
    check_answers(site, answers, RUN, PLAN, DATA)
    answers = _answers(tmp_path, FIRST)
    check_answers(site, answers, RUN, PLAN, DATA)
    check_answers(site, answers, OTHER, PLAN, MORE_DATA)
    check_answers(site, answers, OTHER, replace(PLAN, seed=1), DATA)


def test_a_run_keeps_its_data_set_until_a_person_allows_another(tmp_path: Path) -> None:
    """Who has the answers before and after one patient came could subtract them."""
    site, answers = _site(tmp_path), _answers(tmp_path, FIRST)
    with pytest.raises(StateError, match=r"from other cases than it has now\. .*run --again"):
        check_answers(site, answers, RUN, PLAN, MORE_DATA)
    allow_run(site, RUN)
    check_answers(site, _answers(tmp_path), RUN, PLAN, MORE_DATA)


def test_another_run_does_not_wipe_an_update_without_a_receipt(tmp_path: Path) -> None:
    """Nobody could vouch for it: the same bytes are offered when the former run is back; a person may drop them."""
    state, answers = AgentState(tmp_path / "state"), _answers(tmp_path)
    state.join(RUN, PLAN)
    state.put_update(OUTBOX)
    with pytest.raises(StateError, match=f"holds an update of run {RUN} that has no receipt yet"):
        check_run(state, answers, OTHER, PLAN)
    assert AgentState(tmp_path / "state").memory({}).offer == (2, b"payload")
    answers.allow(OTHER)
    check_run(state, answers, OTHER, PLAN)


def test_a_run_keeps_its_plan(tmp_path: Path) -> None:
    """Whoever speaks of this run with another plan is not who began it."""
    state = AgentState(tmp_path / "state")
    state.join(RUN, PLAN)
    check_run(state, _answers(tmp_path), RUN, PLAN)
    with pytest.raises(ProtocolError, match="another plan for run"):
        check_run(state, _answers(tmp_path), RUN, replace(PLAN, seed=1))


@pytest.mark.parametrize("accepted", [True, False])
def test_a_forged_receipt_loses_no_update(accepted: bool, tmp_path: Path) -> None:
    """What it settled is kept as the last update, and what it left out, or all of it, is owed."""
    state = AgentState(tmp_path / "state")
    state.join(RUN, PLAN)
    state.put_update(replace(OUTBOX, owed=b"owed", lost=b"lost"))
    state.settle(accepted=accepted)
    feedback = AgentState(tmp_path / "state").feedback()
    assert (feedback.owed, feedback.lost) == ((b"owed", b"") if accepted else (b"", b"lost"))
    assert b"payload" in (tmp_path / "state" / "last-update.msgpack").read_bytes()


def test_what_the_state_forgot_is_told(tmp_path: Path) -> None:
    """Neither what is settled, nor what waits for its receipt."""
    state = AgentState(tmp_path / "state")
    state.join(RUN, PLAN)
    answers = _answers(tmp_path, FIRST, replace(FIRST, round=3))
    state.put_update(replace(OUTBOX, round=3))
    assert forgotten(state, answers, RUN) == [FIRST]
    state.settle(accepted=True)
    assert forgotten(state, answers, RUN) == []


def _dataset(labels: list[list[float]], dim: int = 2) -> Dataset:
    count = len(labels)
    features = {"image": np.arange(count * dim, dtype=np.float32).reshape(count, dim)}
    present = {"image": np.ones(count, np.bool_)}
    return Dataset(features, present, np.array(labels, np.float32), np.zeros(count, np.bool_))


def test_a_data_set_is_another_when_any_of_it_differs() -> None:
    """A label, a feature, what is there, or who is held out."""
    data = _dataset([[1, 0], [0, np.nan]])
    one = data.digest()
    assert _dataset([[1, 0], [0, np.nan]]).digest() == one
    assert _dataset([[1, 0], [0, 0]]).digest() != one
    assert _dataset([[1, 0], [0, np.nan]], dim=3).digest() != one
    for part in (data.held_out, data.present["image"], data.features["image"][0]):
        part[0] = 1 - part[0] if part.dtype != np.bool_ else not part[0]
        assert data.digest() != one
        part[0] = 1 - part[0] if part.dtype != np.bool_ else not part[0]


def test_labels_that_say_nothing_and_labels_that_nobody_asks_for_are_named() -> None:
    """So that a misspelt one is seen."""
    assert labels_without_values(PLAN, _dataset([[1, np.nan], [np.nan, np.nan]])) == "y"
    assert labels_without_values(PLAN, _dataset([[1, 0]])) == ""
    assert labels_not_used(PLAN, ("y", "Y", "z")) == "Y, z"


def _cases(patients: int, *, labels: float = 0.0) -> Dataset:
    """Two cases of each, with features of their own; `labels` of the first patient."""
    count = 2 * patients
    features = {"image": np.arange(2 * count, dtype=np.float32).reshape(count, 2)}
    known = np.zeros((count, 2), np.float32)
    known[:2] = labels
    nobody, everybody = np.zeros(count, np.bool_), {"image": np.ones(count, np.bool_)}
    return Dataset(features, everybody, known, nobody, patient=np.repeat(np.arange(patients), 2))


def _answered(folder: Path, dataset: Dataset) -> Answers:
    answers = Answers(folder / "answers.jsonl")
    answers.remember(dataset.digest(), patient_digests(dataset, answers.key))
    answers.record(replace(FIRST, data=dataset.digest()))
    return Answers(folder / "answers.jsonl")


def _check(folder: Path, answers: Answers, dataset: Dataset, run: str = OTHER) -> None:
    patients = patient_digests(dataset, answers.key)
    check_changed(_site(folder), answers, run, dataset.digest(), patients)


@pytest.mark.parametrize("now", [_cases(21), _cases(19), _cases(29), _cases(20, labels=1.0)])
def test_cases_that_differ_by_too_few_patients_are_in_no_other_sum(now: Dataset, tmp_path: Path) -> None:
    """One came, one went, nine came, one label was mended; whoever allowed the run."""
    answers = _answered(tmp_path, _cases(20))
    allow_run(_site(tmp_path), OTHER)
    with pytest.raises(StateError, match=r"cases\.csv: .* fewer than 10 patients .* put back what was there"):
        _check(tmp_path, answers, now)


def test_enough_other_patients_or_the_same_in_another_order_may_be_summed(tmp_path: Path) -> None:
    """And a run goes on with the cases that it was answered from."""
    before = _cases(20)
    answers = _answered(tmp_path, before)
    for patients in (10, 20, 30):
        _check(tmp_path, answers, _cases(patients))
    turned = _cases(20)
    turned = dataclasses.replace(
        turned, features={"image": turned.features["image"][::-1]}, patient=turned.patient_numbers[::-1]
    )
    _check(tmp_path, answers, turned)
    answers.remember("x", patient_digests(_cases(21), answers.key))
    _check(tmp_path, answers, before, RUN)


def test_nothing_of_a_patient_can_be_read_from_the_digests(tmp_path: Path) -> None:
    """Each site has a key of its own, and the file is for its owner only."""
    ours, theirs = Answers(tmp_path / "ours"), Answers(tmp_path / "theirs")
    dataset = _cases(20)
    contents = [patient_digests(dataset, of.key).contents for of in (ours, theirs)]
    assert not contents[0] & contents[1]
    assert Answers(tmp_path / "ours").key == ours.key
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o600
