"""Where the plan asks for three sites behind every block, no sum holds what fewer have, whoever says so."""

import msgspec
import numpy as np
import pytest
from cohort_sites import FIRST, WHERE, Sites
from msgspec.structs import replace

from fedfin.errors import ProtocolError
from fedfin.model.blocks import Blocks
from fedfin.model.model_spec import CALIBRATION, MAGNITUDES, Task, task_specs
from fedfin.model.plan_size import check_size
from fedfin.model.second_moment_spec import OTHER_HALF
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Model, Privacy, Rounds
from fedfin.protocol.messages.secure_sums import Survivors
from fedfin.secure_sums.summand import Summand

PLAN = Plan(
    federation="ward",
    labels=("effusion", "nodule"),
    modalities=tuple(Modality(name=name, encoder="a" * 64, dim=2) for name in ("image", "text")),
    model=Model(head_width=4, basis_total=0),
    rounds=Rounds(sites=6, min_sites=3),
    privacy=Privacy(level="secure", least_sites_per_block=3),
    codec=Codec(up="int4"),
)
BOTH_LABELS = np.array([True, True])


def given(task: Task, names: set[str], labels: np.ndarray = BOTH_LABELS) -> bytes:
    """What a site says that has these tensors, and something of each label in them."""
    values = {
        name: np.ones(shape, np.float32) for name, shape in task_specs(PLAN, task).items() if name in names
    }
    return Blocks(PLAN, task).given(values, dict.fromkeys(values, 10), labels)


def of(modality: str, task: Task = "moments") -> set[str]:
    """The tensors of that modality alone."""
    return {name for name in task_specs(PLAN, task) if f".{modality}." in name}


IMAGES, TEXTS = given("moments", of("image")), given("moments", of("text"))
ALL = given("moments", of("image") | of("text"))


def test_what_fewer_than_three_sites_have_is_withheld_by_all_and_told() -> None:
    """Also by who has it; what three have is not."""
    two = {"s0": ALL, "s1": ALL, "s2": IMAGES, "s3": IMAGES}
    judgement = Blocks(PLAN, "moments").judge(two)
    assert judgement.says() == ["text"]
    values = {name: np.ones(2, np.float32) for name in of("image") | of("text")}
    kept, cases = judgement.apply(values, dict.fromkeys(values, 7))
    assert kept.keys() == cases.keys() == of("image")
    assert Blocks(PLAN, "moments").judge(two | {"s4": TEXTS}).says() == []


def test_what_nobody_has_is_not_told() -> None:
    """There is nothing to withhold."""
    assert Blocks(PLAN, "moments").judge(dict.fromkeys(("s0", "s1", "s2"), IMAGES)).says() == []


def test_a_label_that_two_sites_know_is_zeros_in_each_tensor_and_the_rest_stays() -> None:
    """Of second moments, histograms and calibration; the cases are counted all the same."""
    for task, tensor, place in (
        ("second_moments", "labels.partial.image", (1,)),
        ("evaluate", "eval.as-is", (1,)),
        ("calibrate", CALIBRATION, (1, 1)),
    ):
        blocks = Blocks(PLAN, task)
        values = {tensor: np.ones(task_specs(PLAN, task)[tensor], np.float32)}
        known, unknown = dict(values), {tensor: values[tensor].copy()}
        unknown[tensor][place] = 0
        told = [blocks.given(v, {tensor: 9}, BOTH_LABELS) for v in (known, known, unknown)]
        judgement = blocks.judge(dict(zip(("s0", "s1", "s2"), told, strict=True)))
        kept, cases = judgement.apply(known, {tensor: 9})
        assert not kept[tensor][place].any(), task
        assert np.count_nonzero(kept[tensor]) > 0, task
        assert cases == {tensor: 9}
        assert known[tensor].all(), "the site's own values stay as they are"
        assert any("nodule" in says for says in judgement.says()), task


def test_a_label_that_two_sites_know_moves_no_row_of_the_head_though_weights_decay() -> None:
    """By what each site knows, as a row without a case changes, too; the measure of steps has its columns."""
    names = {"head.output.weight", "head.output.bias", "head.real.image.weight", MAGNITUDES}
    one_label = np.array([True, False])
    told = [given("train", names, labels) for labels in (BOTH_LABELS, BOTH_LABELS, one_label)]
    judgement = Blocks(PLAN, "train").judge(dict(zip(("s0", "s1", "s2"), told, strict=True)))
    values = {name: np.ones(shape, np.float32) for name, shape in task_specs(PLAN, "train").items()}
    kept, _ = judgement.apply(values, dict.fromkeys(values, 9))
    assert kept.keys() == names
    assert kept["head.output.weight"][0].all()
    assert not kept["head.output.weight"][1].any()
    assert np.count_nonzero(kept[MAGNITUDES][0]) == len(names) - 1


SECOND = {
    name: np.full(shape, 2.0 if name.startswith(OTHER_HALF) else 1.0, np.float32)
    for name, shape in task_specs(PLAN, "second_moments").items()
}


def cells(*parts: str) -> set[str]:
    """Tensors of second moments of these parts: "partial", "other_half.complete" ..."""
    return {name for name in SECOND if _part(name) in parts}


def _part(name: str) -> str:
    half = OTHER_HALF if name.startswith(OTHER_HALF) else ""
    return half + name.removeprefix(OTHER_HALF).split(".")[1]


def test_parts_with_too_few_sites_behind_them_become_fewer_parts_and_nothing_is_lost() -> None:
    """First complete and other cases together, in halves still; where a half has too few, one of all."""
    complete, partial = cells("complete", "other_half.complete"), cells("partial", "other_half.partial")
    everything = given("second_moments", complete | partial)
    blocks = Blocks(PLAN, "second_moments")
    told = {"s0": everything, "s1": everything, "s2": everything}
    assert blocks.judge(told).apply(SECOND, dict.fromkeys(SECOND, 5))[0].keys() == SECOND.keys()

    judgement = blocks.judge(told | {"s0": given("second_moments", complete), "s1": everything})
    kept, cases = judgement.apply(SECOND, dict.fromkeys(SECOND, 5))
    assert kept.keys() == partial, "two sites have incomplete cases"
    assert judgement.says() == []
    assert set(cases.values()) == {10}

    first_half = given("second_moments", cells("complete", "partial"))
    kept, cases = blocks.judge(told | {"s0": first_half}).apply(SECOND, dict.fromkeys(SECOND, 5))
    assert kept.keys() == cells("partial"), "two sites have the other half"
    assert set(cases.values()) == {20}
    assert all((values == 1.5).all() for values in kept.values())


def test_pairs_at_two_sites_are_withheld_and_both_modalities_are_not() -> None:
    """Three have texts, all images, two of them both of a case."""
    own = {n for n in cells("partial", "other_half.partial") if ".image.text" not in n}
    pairs = {n for n in cells("partial", "other_half.partial") if ".image.text" in n}
    told = {"s0": given("second_moments", own | pairs), "s1": given("second_moments", own | pairs)}
    told |= dict.fromkeys(("s2", "s3"), given("second_moments", own))
    judgement = Blocks(PLAN, "second_moments").judge(told)
    assert judgement.says() == ["image with text"]
    values = {name: SECOND[name] for name in own | pairs}
    assert judgement.apply(values, dict.fromkeys(values, 5))[0].keys() == own


def test_no_choice_of_what_sites_have_leaves_a_block_of_one_or_two_in_the_sum() -> None:
    """Drawn at random, of every task; what is in words is what a summand holds."""
    rng = np.random.default_rng(0)
    for task in ("moments", "second_moments", "train", "calibrate", "evaluate"):
        blocks, shapes = Blocks(PLAN, task), task_specs(PLAN, task)
        for _ in range(40):
            drawn = [{n for n in shapes if rng.random() < rng.choice([0.2, 0.5, 0.9])} for _ in range(6)]
            has = [names | ({MAGNITUDES} & shapes.keys()) for names in drawn]  # with all that is trained
            values = [{n: np.ones(shapes[n], np.float32) for n in names} for names in has]
            told = {f"s{i}": blocks.given(v, dict.fromkeys(v, 3), BOTH_LABELS) for i, v in enumerate(values)}
            judgement = blocks.judge(told)
            form = Summand(PLAN, task)
            words = [form.words(*judgement.apply(v, dict.fromkeys(v, 3)), {}, 6) for v in values]
            behind = np.count_nonzero(np.stack(words), axis=0)
            assert not np.isin(behind, (1, 2)).any(), task
            assert blocks.hold(told, judgement)


# What an aggregator may try.


def sites() -> Sites:
    """Four; three have texts."""
    gives = {"s0": ALL, "s1": ALL, "s2": ALL, "s3": IMAGES}
    return Sites(4, blocks=Blocks(PLAN, "moments"), gives=gives)


def test_a_site_believes_no_other_word_of_what_others_have_than_their_own() -> None:
    """The aggregator cannot have a block of one site summed by saying that others have it, too."""
    cohort = sites()
    dealings = cohort.deal(cohort.names)
    honest = cohort.dealt(dealings, "s0")
    for lie in (
        honest.gives | {"s3": ALL},
        honest.gives | {"s0": IMAGES},
        {name: bits for name, bits in honest.gives.items() if name != "s3"},
        honest.gives | {"s3": b"\xff" * 9},
        msgspec.UNSET,
    ):
        with pytest.raises(ProtocolError):
            cohort.members["s0"].mask(replace(honest, gives=lie), np.zeros(8, np.uint64))
    cohort.members["s0"].mask(honest, np.zeros(8, np.uint64))


def test_a_site_signs_no_survivors_of_whom_too_few_have_what_is_in_the_sum() -> None:
    """Three of four open a sum; of them one without texts leaves two with."""
    cohort = sites()
    dealings = cohort.deal(cohort.names)
    cohort.mask(dealings, {name: np.zeros(8, np.uint64) for name in cohort.names})
    for names in (("s0", "s1", "s2"), ("s0", "s1", "s2", "s3")):
        sites_ = sites()
        sites_.mask(sites_.deal(sites_.names), {name: np.zeros(8, np.uint64) for name in sites_.names})
        sites_.consents(names)
    with pytest.raises(ProtocolError, match="fewer than 3 give to a block"):
        cohort.members["s0"].consent(Survivors(**WHERE, attempt=FIRST, names=("s0", "s1", "s3")))


def test_a_site_signs_no_sum_of_statistics_over_other_sites_than_one_before() -> None:
    """They may differ by three, of whom one has texts."""
    cohort = sites()
    cohort.mask(cohort.deal(cohort.names), {name: np.zeros(8, np.uint64) for name in cohort.names})
    cohort.ledgers["s0"].sums = [frozenset({*cohort.names, "s7", "s8", "s9"})]
    with pytest.raises(ProtocolError, match="beside a sum"):
        cohort.consents(cohort.names)
    cohort.ledgers["s0"].sums = [frozenset(cohort.names)]
    cohort.consents(cohort.names)


# The plan.


def test_a_plan_without_the_key_is_what_it_was() -> None:
    """To the digest."""
    plan = replace(PLAN, privacy=Privacy(level="secure"))
    assert b"least_sites_per_block" not in msgspec.msgpack.encode(plan)
    assert b"least_sites_per_block" in msgspec.msgpack.encode(PLAN)
    assert plan.digest() != PLAN.digest()


@pytest.mark.parametrize(
    ("privacy", "rounds", "reason"),
    [
        (Privacy(level="open", least_sites_per_block=3), Rounds(sites=6, min_sites=3), 'not "open"'),
        (
            Privacy(level="secure", least_sites_per_block=4),
            Rounds(sites=6, min_sites=3),
            "exceeds rounds.min_sites",
        ),
        (
            Privacy(level="secure", least_sites_per_block=3, groups=3),
            Rounds(sites=9, min_sites=9),
            "does not go with privacy.groups",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(privacy: Privacy, rounds: Rounds, reason: str) -> None:
    """With the key's name, and what to do."""
    with pytest.raises(ValueError, match=f"privacy.least_sites_per_block.*{reason}"):
        replace(PLAN, privacy=privacy, rounds=rounds, codec=Codec())


def test_a_plan_of_more_blocks_than_a_message_holds_of_its_sites_is_refused() -> None:
    """Before anything is made of it."""
    labels = tuple(f"label {number}" for number in range(1000))
    check_size(replace(PLAN, labels=labels))
    with pytest.raises(ValueError, match="does not fit a message"):
        check_size(replace(PLAN, labels=labels, rounds=Rounds(sites=200, min_sites=3)))
