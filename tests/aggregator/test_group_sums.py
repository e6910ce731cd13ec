"""Sums of groups of sites: one that sends anything moves the model little, and judges no version."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from round_helpers import PLAN

from fedfin import limits
from fedfin.errors import ProtocolError, StateError
from fedfin.plan_sections import Privacy
from fedfin.plan_sections import Rounds as RoundsPlan
from fedfin.protocol.convergence import ANSWERS, LOSSES, pooled_loss
from fedfin.protocol.rounds.sum_effects import OpenSum
from fedfin.secure_sums.fixed_point import ONE
from fedfin.secure_sums.summand import Opened, Summand
from fedfin_aggregator.fold.fold import FoldedMeans
from fedfin_aggregator.fold.partial_sum import decode_sum, unpack
from fedfin_aggregator.fold.partial_sum import metric_sums as decoded_metrics
from fedfin_aggregator.rounds.group_sums import median_sums, metric_sums, possible
from fedfin_aggregator.rounds.rounds import sum_shapes
from fedfin_aggregator.rounds.secure_rounds import SecureRounds
from fedfin_aggregator.store.journal import Journal

SECURE = replace(
    PLAN, privacy=Privacy(level="secure"), rounds=RoundsPlan(sites=9, min_sites=9, cases_per_site=100)
)


def group(value: float, *, cases: int = 30, loss: float = 0.5, name: str = "a") -> Opened:
    """The sum of a group whose mean is this in two values, and which says this of the version before."""
    total = np.full(2, round(value * cases * ONE), np.int64)
    given = {ANSWERS: 10.0, "cases": 10.0} | dict.fromkeys(LOSSES.values(), 10.0 * loss)
    metrics = {key: (round(3 * number * ONE), 3) for key, number in given.items()}
    return Opened({name: (total, cases)}, metrics)


@pytest.mark.parametrize("lie", [1e4, -1e4, 3.0])
def test_one_group_of_three_cannot_move_the_median_off_the_others(lie: float) -> None:
    """However far, or near, its lie is; and however many cases it claims."""
    sums = median_sums([group(1.0), group(1.2), group(lie, cases=300)])
    assert (FoldedMeans(sums)["a"] >= 1.0 - 1e-6).all()
    assert (FoldedMeans(sums)["a"] <= 1.2 + 1e-6).all()


def test_a_tensor_is_that_of_the_groups_that_trained_it() -> None:
    """Of two it is their mean, and groups count alike."""
    sums = median_sums([group(1.0), group(3.0, cases=90), group(7.0, name="b")])
    means = FoldedMeans(sums)
    assert means["a"] == pytest.approx([2.0, 2.0])
    assert means["b"] == pytest.approx([7.0, 7.0])


@pytest.mark.parametrize("lie", [1e-3, 1e6])
def test_one_group_that_lies_of_its_loss_does_not_judge_a_version(lie: float) -> None:
    """The group in the middle does; all else that groups tell is added up."""
    sums = metric_sums([group(1.0, loss=0.4), group(1.0, loss=0.5), group(1.0, loss=lie)])
    means = {name: float(total / count) for name, (total, count) in sums.items()}
    assert pooled_loss(means) == pytest.approx(0.4 if lie < 1 else 0.5)
    assert sums["cases"] == (90, 9)


def test_of_two_groups_the_worse_loss_counts() -> None:
    """A version does not pass by half of the votes."""
    sums = metric_sums([group(1.0, loss=0.4), group(1.0, loss=0.9)])
    assert pooled_loss({n: float(t / c) for n, (t, c) in sums.items()}) == pytest.approx(0.9)


def test_a_group_whose_sum_its_sites_cannot_give_is_left_out() -> None:
    """Too many cases, values that so few cannot have, or more or less than its sites in a metric; the others go on."""
    honest = [group(1.0), group(2.0)]
    impossible = Opened({"a": (np.full(2, 2**61, np.int64), 1)}, {})
    counts = [group(1.0)._replace(metrics={"cases": (30, count)}) for count in (-3, -(2**40), 4, 2**31)]
    for bad in (group(1.0, cases=301), impossible, *counts):
        assert possible([(one, 300, 3) for one in (*honest, bad)]) == honest
    with pytest.raises(ProtocolError, match="no group"):
        possible([(impossible, 300, 3)])


@pytest.mark.parametrize("groups", [(), (("s0", "s1", "s2"), ("s3", "s4", "s5"), ("s6", "s7", "s8"))])
def test_a_sum_over_more_cases_than_the_charter_grants_its_sites_is_not_taken(tmp_path: Path, groups) -> None:
    """In one sum all is refused; in groups the one that claims them is left out."""
    rounds = SecureRounds(Journal(tmp_path / "journal.sqlite", create=SECURE))
    rounds.case_caps = {f"s{number}": 10 for number in range(9)}
    form, shape = Summand(SECURE, "moments"), (PLAN.dims["image"],)
    name, names = "norm.image.mean", tuple(rounds.case_caps)
    words = [form.words({name: np.full(shape, value, np.float32)}, {name: 10}, {}) for value in (1, 1, 1)]
    words[0] += form.words({name: np.full(shape, 1e4, np.float32)}, {name: 95}, {})
    totals = np.array(words) if groups else np.sum(words, axis=0, keepdims=True)
    sum_ = OpenSum(1, b"a" * 16, names, {}, names, {}, {}, groups=groups)
    if not groups:
        with pytest.raises(
            ProtocolError, match=r"claims 125 cases; the charter grants its sites 90 together"
        ):
            rounds._payload(sum_, totals)
        return
    sums = unpack(decode_sum(rounds._payload(sum_, totals)), sum_shapes(SECURE, "moments"))
    assert FoldedMeans(sums)[name] == pytest.approx(1.0)


@pytest.mark.parametrize("count", [-3, -4, 2**40])
def test_one_site_that_lies_of_how_many_tell_a_metric_does_not_void_the_round(
    tmp_path: Path, count: int
) -> None:
    """Its group is left out; the sum of the others is one that can be read, and their mean is theirs."""
    rounds = SecureRounds(Journal(tmp_path / "journal.sqlite", create=SECURE))
    form, names = Summand(SECURE, "moments"), tuple(f"s{number}" for number in range(9))
    name, shape = "norm.image.mean", (PLAN.dims["image"],)
    values = {name: np.ones(shape, np.float32)}
    words = np.array([form.words(values, {name: 10}, {"cases": 10.0}) for _ in range(3)])
    form._metric_words(words[0].view(np.int64))[0, 1] = count
    groups = (names[:3], names[3:6], names[6:])
    sum_ = OpenSum(1, b"a" * 16, names, {}, names, {}, {}, groups=groups)
    found = decoded_metrics(decode_sum(rounds._payload(sum_, words)))
    assert found == {"cases": (20, 2)}


GROUPED = Privacy(level="secure", groups=3)


@pytest.mark.parametrize(
    ("privacy", "sites", "reason"),
    [
        (GROUPED, (8, 8), r"privacy.groups \(3\) of 3 sites each need more than rounds.sites \(8\)"),
        (GROUPED, (9, 8), "privacy.groups needs rounds.min_sites of 9 or more"),
        (Privacy(groups=3), (9, 9), r'is for privacy.level = "secure", not "open": .* rounds.robust'),
    ],
)
def test_groups_are_for_nine_sites_or_more_at_secure(privacy, sites, reason) -> None:
    """The plan says what else it asks for."""
    rounds = RoundsPlan(sites=sites[0], min_sites=sites[1])
    with pytest.raises(ValueError, match=reason):
        replace(PLAN, privacy=privacy, rounds=rounds)
    assert replace(SECURE, privacy=GROUPED).privacy.groups == limits.LEAST_GROUPS


@pytest.mark.parametrize("words", [-8, 8])
def test_a_sum_of_another_version_that_is_about_to_open_is_not_read_as_this_one_s(
    words: int, tmp_path: Path
) -> None:
    """Of other words each would stand for something else, and be in the model."""
    rounds = SecureRounds(Journal(tmp_path / "journal.sqlite", create=SECURE))
    names, attempt = ("s0", "s1", "s2"), b"a" * 16
    rounds.begin_sum(attempt)
    rounds.keep_sum(OpenSum(1, attempt, names, {}, names, {}, {}))
    path = tmp_path / "unopened-sum.msgpack"
    kept = msgspec.msgpack.decode(path.read_bytes())
    assert SecureRounds(rounds.journal).unopened is not None
    kept["words"] = kept["words"] + bytes(words) if words > 0 else kept["words"][:words]
    path.write_bytes(msgspec.msgpack.encode(kept))
    with pytest.raises(StateError, match="start the version from before"):
        SecureRounds(rounds.journal)
