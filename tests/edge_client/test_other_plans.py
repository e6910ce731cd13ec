"""Sums of two plans can be subtracted in what both ask for: who came or went between is counted in any plan."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from edge_sites import SiteMaker, edge

from fedfin.errors import StateError
from fedfin_edge.agent.answers import Answers
from fedfin_edge.agent.joining import check_changed
from fedfin_edge.cases.dataset import Dataset, load_dataset
from fedfin_edge.cases.patient_digests import patient_digests
from fedfin_edge.site import Site
from fedfin_edge.tasks.moments import pool_moments
from fedfin_edge.tasks.task_messages import pack_cases, unpack_cases

FLOOR, RUN = 10, "2" * 16
POLICY = SimpleNamespace(policy=SimpleNamespace(least_patients=FLOOR))
SITE = cast("Site", SimpleNamespace(settings=POLICY, table_path="cases.csv"))
MOST, WIDE = 120, 8
DRAWN = np.random.default_rng(0).normal(size=(MOST, WIDE)).astype(np.float32)
TRUTH = (DRAWN > 0).astype(np.float32)
Patients = Sequence[int]


def _dataset(
    image: Patients, text: Patients = (), *, dim: int = 4, labels: int = 1, held_out: Patients = ()
) -> Dataset:
    """One case of each who has either, as a plan of these modalities cuts it; without `text` it knows none."""
    who = np.union1d(image, text).astype(int)
    present = {"image": np.isin(who, image)} | ({"text": np.isin(who, text)} if text else {})
    features = {m: DRAWN[who, :dim] * has[:, None] for m, has in present.items()}
    ids = tuple(f"p{number}" for number in who)
    numbers = np.arange(len(who))
    return Dataset(
        features,
        present,
        TRUTH[who, :labels],
        np.isin(who, held_out),
        patient=numbers,
        least_patients=FLOOR,
        patient_ids=ids,
    )


def _some(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


def _answered(folder: Path, *datasets: Dataset) -> Answers:
    """As a later process reads it."""
    answers = Answers(folder / "answers.jsonl")
    for dataset in datasets:
        answers.remember(dataset.digest(), patient_digests(dataset, answers.key))
    return Answers(folder / "answers.jsonl")


def _check(answers: Answers, now: Dataset) -> None:
    check_changed(SITE, answers, RUN, now.digest(), patient_digests(now, answers.key))


BEFORE = _some(0, 60)
OTHER_PLANS = [{"dim": 5}, {"dim": 3}, {"labels": 2}]


@pytest.mark.parametrize("plan", OTHER_PLANS)
@pytest.mark.parametrize("now", [_some(0, 61), _some(1, 60), _some(0, 69), [*_some(1, 60), 60]])
def test_few_patients_who_came_or_went_are_in_no_sum_of_another_plan_either(
    plan: dict[str, int], now: Patients, tmp_path: Path
) -> None:
    """One more, one fewer, nine more, one in another's place: columns or labels more or fewer hide none of these."""
    answers = _answered(tmp_path, _dataset(BEFORE))
    with pytest.raises(StateError, match=r"cases\.csv: .* with image of fewer than 10 patients .* put back"):
        _check(answers, _dataset(now, **plan))


def test_the_difference_that_is_refused_is_the_newcomer_s_record(tmp_path: Path) -> None:
    """Else the refusal might be of nothing."""
    before, now, name = _dataset(BEFORE), _dataset(_some(0, 61), dim=5), "norm.image.mean"
    (less, fewer), (more, count) = pool_moments(before), pool_moments(now)
    left = more[name][:4] * float(count[name]) - less[name] * float(fewer[name])
    np.testing.assert_allclose(left, DRAWN[60, :4], atol=1e-4)
    with pytest.raises(StateError):
        _check(_answered(tmp_path, before), now)


def test_one_who_came_and_is_held_out_is_counted_too(tmp_path: Path) -> None:
    """Histograms of both plans say how many have which answer."""
    before = _dataset(BEFORE, held_out=_some(0, 12))
    now = _dataset(_some(0, 61), dim=5, held_out=[*_some(0, 12), 60])
    with pytest.raises(StateError, match=r": .* cases with image of fewer"):
        _check(_answered(tmp_path, before), now)


@pytest.mark.parametrize("turned", [False, True])
def test_whom_the_floor_left_out_of_one_plan_is_not_alone_in_another(turned: bool, tmp_path: Path) -> None:
    """Image and text, of which one patient has no text; and image alone. In either order."""
    both, alone = _dataset(BEFORE, _some(1, 60)), _dataset(BEFORE)
    assert [pool_moments(one)[1]["norm.image.mean"] for one in (both, alone)] == [59, 60]
    before, now = (alone, both) if turned else (both, alone)
    with pytest.raises(StateError, match="training cases with image of fewer than 10 patients"):
        _check(_answered(tmp_path, before), now)


def test_among_enough_newcomers_one_who_alone_has_an_image_is_counted_alone(tmp_path: Path) -> None:
    """Twenty came, with a text each: the difference of images' moments is of one of them."""
    before, now = _dataset(BEFORE, BEFORE), _dataset([*BEFORE, 60], _some(0, 80))
    with pytest.raises(StateError, match="with image of fewer than 10 patients"):
        _check(_answered(tmp_path, before), now)


def test_a_further_case_of_a_patient_who_was_there_is_a_change(tmp_path: Path) -> None:
    """The difference is that case's features."""
    now = _dataset(_some(0, 61), dim=5)
    now = dataclasses.replace(now, patient=np.append(np.arange(60), 59))
    with pytest.raises(StateError, match="with image of fewer than 10 patients"):
        _check(_answered(tmp_path, _dataset(BEFORE)), now)


@pytest.mark.parametrize(
    "now",
    [
        _dataset(BEFORE, dim=5),
        _dataset(BEFORE, labels=2),
        _dataset(_some(0, 70), dim=5),
        _dataset(_some(0, 100)),
        _dataset(_some(10, 60), labels=2),
        _dataset(BEFORE, _some(0, 40), dim=5),
        _dataset(BEFORE, _some(0, 63)),
    ],
)
def test_the_same_patients_or_enough_others_may_be_summed_under_another_plan(
    now: Dataset, tmp_path: Path
) -> None:
    """Ten or more came or went; or a modality did, and who has that one alone was in no former sum."""
    _check(_answered(tmp_path, _dataset(BEFORE)), now)


def test_a_plan_without_a_modality_loses_nobody_who_has_that_one_alone(tmp_path: Path) -> None:
    """Three have a text and no image; there are no images to subtract."""
    _check(_answered(tmp_path, _dataset(BEFORE, _some(0, 63))), _dataset(BEFORE, dim=5))


def test_every_earlier_sum_counts_and_not_the_last_alone(tmp_path: Path) -> None:
    """However many plans came between; none is forgotten."""
    plans = [_dataset(BEFORE), *(_dataset(_some(0, 80), dim=dim) for dim in range(1, 9))]
    answers = _answered(tmp_path, *plans, _dataset(_some(0, 100)))
    with pytest.raises(StateError):
        _check(answers, _dataset(_some(0, 61), dim=5))
    _check(answers, _dataset(_some(0, 120), dim=5))


def _as_an_earlier_version_wrote_it(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.pop("given", None)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


@pytest.mark.parametrize("now", [_dataset(_some(0, 61), dim=5), _dataset(_some(3, 60), labels=2)])
def test_of_an_earlier_version_s_lines_the_number_of_patients_is_compared(
    now: Dataset, tmp_path: Path
) -> None:
    """Who they were is not known under another plan; enough others, or as many, are let in."""
    _answered(tmp_path, _dataset(BEFORE))
    _as_an_earlier_version_wrote_it(tmp_path / "answers.jsonl")
    answers = Answers(tmp_path / "answers.jsonl")
    with pytest.raises(StateError, match=r": .* cases of fewer than 10 patients"):
        _check(answers, now)
    for dataset in (_dataset(BEFORE, dim=5), _dataset(_some(0, 70), dim=5), _dataset(_some(0, 70))):
        _check(answers, dataset)


def test_an_earlier_version_s_line_is_completed_once_its_cases_are_summed_again(tmp_path: Path) -> None:
    """From then on one in another's place is seen, too; and it is written once."""
    before, now = _dataset(BEFORE), _dataset([*_some(1, 60), 60], dim=5)
    _answered(tmp_path, before)
    _as_an_earlier_version_wrote_it(tmp_path / "answers.jsonl")
    _check(Answers(tmp_path / "answers.jsonl"), now)
    answers = _answered(tmp_path, before, before)
    with pytest.raises(StateError):
        _check(answers, now)
    assert len(list(answers.patients())) == 2


def test_a_patient_is_digested_by_what_the_table_calls_him_whoever_else_is_in_it(
    maker: SiteMaker, make_plan
) -> None:
    """In another order, under another plan, beside one whose id sorts first: all others are who they were."""
    names = [f"p{number}" for number in range(10, 22)]
    site = maker.site(_table(maker, names))

    def given(patients: list[str], *modalities: str) -> frozenset[str]:
        _table(maker, patients)
        edge("encode", site.folder)
        found = patient_digests(load_dataset(site, make_plan(*modalities)), bytes(32)).given
        assert found is not None
        return found["cases with image"]

    one = given(names, "image", "text")
    assert len(one) == len(names)
    assert given(names[::-1], "image") == one
    assert len(given(["a1", *names], "image") - one) == 1


def _table(maker: SiteMaker, patients: list[str]) -> Path:
    image = maker.image("one.png")
    return maker.table(
        [{"case": f"c-{who}", "patient": who, "image": image, "text": "clear", "x": 1} for who in patients]
    )


def test_what_patients_are_called_is_neither_written_nor_given_to_who_computes(tmp_path: Path) -> None:
    """In answers.jsonl are digests under the site's key; the process that computes needs none."""
    dataset = _dataset(BEFORE)
    answers = _answered(tmp_path, dataset)
    ours, theirs = (patient_digests(dataset, key).given or {} for key in (answers.key, bytes(32)))
    assert set(ours) == {"cases with image", "training cases with image"}
    assert not any(ours[kind] & theirs[kind] for kind in ours)
    lines = (tmp_path / "answers.jsonl").read_text(encoding="utf-8")
    assert not any(f'"{name}"' in lines for name in dataset.patient_ids or ())
    assert unpack_cases(pack_cases(dataset)).patient_ids is None
    assert "p59" not in repr(dataset)
