"""What a peer says after decoding cannot end an aggregator, fill a round, pose as a result or outweigh all others."""

import io
from fractions import Fraction
from itertools import combinations_with_replacement
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from closed_form_cases import draw, make_plan, second_moments, some_hidden
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console
from round_helpers import PLAN as TRAINED_PLAN
from round_helpers import RUN, judge, play, reopened, update
from second_moment_rounds import CROSS, GIVEN, PLAN, collecting, new_shard, solved, started, tensors
from second_moment_rounds import given as moments_of

from fedfin import limits
from fedfin.command_line.progress import RoundBar
from fedfin.errors import ProtocolError, SettingsError
from fedfin.model.model_spec import CALIBRATION, task_specs
from fedfin.model.second_moment_spec import OTHER_HALF, pack, unpack
from fedfin.protocol.shards.shard import Shard
from fedfin_aggregator.closed_form import moment_checks
from fedfin_aggregator.closed_form.groups import plain_weights
from fedfin_aggregator.commands.serve import _check_shardable
from fedfin_aggregator.fold.partial_sum import PartialSum, decode_sum
from fedfin_aggregator.fold.site_shares import SiteShares, scaled
from fedfin_aggregator.rounds.root_rounds import RootRounds
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.rounds.update_checks import LEFT_OUT
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.summary import print_summary, summary
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.moments import pool_moments

LABELS = "labels.complete.text"


def changed(name, change, values=None):
    """The honest second moments of s0 with one tensor changed, and their weights."""
    values = dict(values or GIVEN["s0"][0])
    values[name] = values[name].copy()
    change(values[name])
    return values, GIVEN["s0"][1]


def put(place, value):
    """What changes one value."""
    return lambda array: array.__setitem__(place, value)


def greatest_products():
    """Honest squares, means and labels; products of the greatest size that squares allow, of any sign."""
    rng, values = np.random.default_rng(0), dict(GIVEN["s0"][0])
    roots = {m: np.sqrt(np.diag(unpack(values[f"second.complete.{m}.{m}"].astype(float)))) for m in PLAN.dims}
    for one, other in combinations_with_replacement(PLAN.dims, 2):
        name = f"second.complete.{one}.{other}"
        honest = unpack(values[name]) if one == other else values[name].astype(float)
        honest[1:, 1:] = np.outer(roots[one], roots[other])[1:, 1:]
        honest[1:, 1:] *= rng.choice([-1.0, 1.0], honest[1:, 1:].shape)
        if one == other:
            np.fill_diagonal(honest, roots[one] ** 2)
            honest = pack(honest)
        values[name] = honest.astype(np.float32)
    return values, GIVEN["s0"][1]


ATTACKS = {
    "a cross block whose constant is zero": (changed(CROSS, put((0, 0), 0.0)), "no clipped features have"),
    "a cross block with other means": (changed(CROSS, put((0, 1), 0.9)), "other means than"),
    "products that the squares of two allow and of three do not": (
        greatest_products(),
        "a variance is negative",
    ),
    "a cross block that explains more than there is": (
        changed(CROSS, lambda cross: np.multiply(cross[1:, 1:], 40.0, out=cross[1:, 1:])),
        "a variance is negative",
    ),
    "a label that features explain beyond its variance": (
        changed(LABELS, lambda labels: np.multiply(labels[:, 1, 1:], 3.0, out=labels[:, 1, 1:])),
        "do not allow",
    ),
    "a third of a case": (changed(LABELS, put((0, 0, 0), 1 / 120)), "shares of labels that are none"),
    "labels without second moments": (
        ({LABELS: GIVEN["s0"][0][LABELS]}, {LABELS: 40}),
        "counts other cases",
    ),
    "more cases than the plan allows": (
        (GIVEN["s0"][0], dict.fromkeys(GIVEN["s0"][1], 2**20)),
        "the plan allows a site 100000",
    ),
}


@pytest.mark.parametrize(("sent", "reason"), ATTACKS.values(), ids=ATTACKS)
def test_second_moments_that_no_cases_have_are_refused_with_the_reason(sent, reason, tmp_path: Path) -> None:
    """The round goes on, and closes also at a restart."""
    rounds = collecting(tmp_path, ["s1", "s2"])
    with pytest.raises(ProtocolError, match=reason):
        rounds._reader.read(2, "s0", moments_of("s0", 2, 1, *sent))
    assert not judge(rounds, "s0", moments_of("s0", 2, 1, *sent)).accepted
    reopened(rounds, tmp_path).close(2)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.5, 100.0])
@pytest.mark.parametrize("cases", [0, 1, 2, 31, 300])
@pytest.mark.parametrize("dims", [{"image": 6}, {"image": 6, "text": 4}, {"a": 3, "b": 4, "c": 5}])
def test_no_honest_second_moments_are_refused(dims, cases: int, noise: float) -> None:
    """Of no case, of one, of constant, collinear, huge and random features, of any patterns and halves."""
    for basis_total in (0, 60):
        plan = make_plan(dims, basis_total=basis_total)
        drawn = draw(plan, cases, 1, noise=noise, known=0.6)
        half = np.arange(cases) % 2 == 0
        constant = {m: np.full_like(f, 3e4 * noise) for m, f in drawn.features.items()}
        halves = Dataset(drawn.features, drawn.present, drawn.labels, drawn.held_out, second_half=half)
        alike = Dataset(constant, drawn.present, drawn.labels, drawn.held_out, second_half=half)
        for dataset in (drawn, halves, alike, *([some_hidden(drawn, 2)] if cases else [])):
            values, weights = second_moments(plan, dataset)
            moment_checks.check(plan, values, weights)
    if cases == 300 and len(dims) > 1:
        assert any(name.startswith(OTHER_HALF) for name in second_moments(plan, halves)[0])


@pytest.fixture
def no_door(monkeypatch):
    """Second moments are taken as they come, as if a way round their checks had been found."""
    monkeypatch.setattr(moment_checks, "check", lambda *_: None)


def test_an_aggregator_leaves_out_whose_second_moments_cannot_be_solved_and_goes_on(
    tmp_path: Path, no_door
) -> None:
    """It names the site; the model is that of the others, at every restart, and in what is solved after."""
    rounds = collecting(tmp_path / "a", ["s1", "s2", "s3"])
    values = {n: v * np.float32(0) if n.startswith("second") else v for n, v in GIVEN["s0"][0].items()}
    assert judge(rounds, "s0", moments_of("s0", 2, 1, values, GIVEN["s0"][1])).accepted
    again = reopened(rounds, tmp_path / "a")
    assert again.close(2) == ("s0",)
    others = collecting(tmp_path / "b", ["s1", "s2", "s3"])
    assert others.close(2) == ()
    assert solved(again) == solved(others)
    assert again.journal.rounds()[1].results[LEFT_OUT] == 1.0
    shown = io.StringIO()
    print_summary(again.journal, Console(file=shown, width=200))
    assert "second moments of 1 sites have no solution" in shown.getvalue()
    for of in (again, others):
        assert judge(of, "s4", moments_of("s4", 3, 2)).accepted
        assert of.close(3) == ()
    assert solved(reopened(again, tmp_path / "a")) == solved(others)


def test_two_such_sites_cost_the_round_its_closed_forms_and_nothing_else(tmp_path: Path, no_door) -> None:
    """Those of before stay; all that gave are named."""
    rounds = collecting(tmp_path, ["s3", "s4"])
    rounds.close(2)
    before = solved(rounds)
    for site in ("s0", "s1"):
        values = {n: v * np.float32(0) if n.startswith("second") else v for n, v in GIVEN["s0"][0].items()}
        assert judge(rounds, site, moments_of(site, 3, 2, values, GIVEN["s0"][1])).accepted
    assert rounds.close(3) == ("s0", "s1")
    assert solved(reopened(rounds, tmp_path)) == before


def test_a_root_leaves_out_a_shard_whose_sum_cannot_be_solved(tmp_path: Path, no_door) -> None:
    """And closes its round."""
    root = started(tmp_path / "root", RootRounds)
    root.close(1)
    for index, site in ((0, "s1"), (1, "s0")):
        shard = new_shard(tmp_path / f"{index}", Shard(index, 2))
        shard.open(SimpleNamespace(run=RUN, round=2, task="second_moments", version=1))
        values, weights = GIVEN[site]
        values = {n: v * np.float32(index == 0) if n.startswith("second") else v for n, v in values.items()}
        assert judge(shard, site, moments_of(site, 2, 1, values, weights)).accepted
        assert judge(root, shard.shard.name, shard.sum_up(2)).accepted
    assert root.close(2) == ("shard/1",)


MOMENTS = {
    "a mean beyond the root of the mean square": ({"mean": 3.0, "square": 4.0}, "less than the squares"),
    "a negative mean square": ({"mean": 0.0, "square": -1.0}, "less than the squares"),
    "features beyond the plan's limit": ({"mean": 5.0, "square": 101.0}, "larger than 10 in the root"),
}


@pytest.mark.parametrize(("sent", "reason"), MOMENTS.values(), ids=MOMENTS)
def test_moments_that_no_features_have_are_refused_with_the_reason(sent, reason, tmp_path: Path) -> None:
    """So that one site cannot move all others' features out of the clip."""
    image = replace(TRAINED_PLAN.modalities[0], feature_limit=10.0)
    plan = replace(TRAINED_PLAN, modalities=(image, TRAINED_PLAN.modalities[1]))
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=plan))
    values = {f"norm.image.{part}": np.full(3, value, np.float32) for part, value in sent.items()}
    receipt = judge(rounds, "s0", update("s0", 1, 0, plan_=plan, tensors=values))
    assert (receipt.accepted, reason in receipt.reason) == (False, True), receipt.reason


def test_features_that_the_codec_cuts_are_refused_with_the_remedy(tmp_path: Path) -> None:
    """Mean squares above 2^16 travel as 2^16: whose features have those, has variances that are none."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=TRAINED_PLAN))
    rows = np.array([[0.0] * 3, [400.0] * 3])
    values = {"norm.image.mean": rows.mean(axis=0), "norm.image.square": np.square(rows).mean(axis=0)}
    sent = {name: value.astype(np.float32) for name, value in values.items()}
    receipt = judge(rounds, "s0", update("s0", 1, 0, tensors=sent))
    assert not receipt.accepted
    assert "larger than 256" in receipt.reason
    assert "sites must give smaller units" in receipt.reason


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 200.0])
def test_no_honest_moments_are_refused(scale: float, tmp_path: Path) -> None:
    """Of no case, one, or many; of constant and of tiny features."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=PLAN))
    for number, cases in enumerate((0, 1, 50)):
        dataset = draw(PLAN, cases, number)
        large = {
            m: (np.abs(f).clip(0.0, 1.0) * scale).astype(np.float32) for m, f in dataset.features.items()
        }
        same = {m: np.full_like(f, scale) for m, f in dataset.features.items()}
        for kind, features in (("large", large), ("same", same)):
            values, _ = pool_moments(Dataset(features, dataset.present, dataset.labels, dataset.held_out))
            payload = update(f"{kind}-{cases}", 1, 0, plan_=PLAN, tensors=values)
            assert judge(rounds, f"{kind}-{cases}", payload).accepted


def test_a_calibration_that_would_end_the_aggregator_is_refused(tmp_path: Path) -> None:
    """Negative shares made a slope that is no number, which no model may hold."""
    rounds = collecting(tmp_path, ["s1", "s2"])
    for round_ in range(2, 6):
        rounds.close(round_)
    at = rounds.position
    shape = task_specs(PLAN, "calibrate")[CALIBRATION]
    for value in (-1.0, 1.0):
        sent = {CALIBRATION: np.full(shape, value, np.float32)}
        assert not judge(rounds, "s0", update("s0", at.round, at.version, plan_=PLAN, tensors=sent)).accepted
    rounds.close(at.round)


def test_four_names_cannot_fill_a_round(tmp_path: Path) -> None:
    """They claimed as many cases as a message can each, and everyone else was refused."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=TRAINED_PLAN))
    for number in range(4):
        refused = judge(rounds, f"liar-{number}", update(f"liar-{number}", 1, 0, weight=limits.SITE_WEIGHT))
        assert "claims 1073741824 cases; the plan allows a site 100000" in refused.reason
    for number in range(4):
        most = update(f"large-{number}", 1, 0, weight=TRAINED_PLAN.rounds.cases_per_site)
        assert judge(rounds, f"large-{number}", most).accepted
    play(rounds)
    assert rounds.position.round == 2


def test_the_parts_of_second_moments_claim_no_more_cases_together(tmp_path: Path) -> None:
    """A site's two halves are two thirds of what the plan allows each."""
    plan = replace(PLAN, rounds=replace(PLAN.rounds, cases_per_site=60))
    drawn = draw(plan, 80, 1)
    half = np.arange(80) % 2 == 0
    halves = Dataset(drawn.features, drawn.present, drawn.labels, drawn.held_out, second_half=half)
    rounds = started(tmp_path, plan=plan)
    rounds.close(1)
    payload = moments_of("s0", 2, 1, *second_moments(plan, halves), plan=plan)
    assert "claims 80 cases; the plan allows a site 60" in judge(rounds, "s0", payload).reason


def test_a_shards_sum_claims_no_more_cases_than_its_sites_may(tmp_path: Path) -> None:
    """One update cannot stand for more than one site's cases."""
    shard = new_shard(tmp_path / "0", Shard(0, 1))
    shard.open(SimpleNamespace(run=RUN, round=1, task="moments", version=0))
    assert judge(shard, "s0", update("s0", 1, 0, plan_=PLAN)).accepted
    for sum_ in shard._fold.sums.values():
        sum_.weight, sum_.total = 2**20, sum_.total * (2**20 // 5)
    root = started(tmp_path / "root", RootRounds)
    assert "the plan allows a site 100000" in judge(root, "shard/0", shard.sum_up(1)).reason


@pytest.mark.parametrize("name", ["auc.all", "cases.x", "sites", "late", LEFT_OUT])
def test_a_metric_with_the_name_of_a_result_is_refused(name: str, tmp_path: Path) -> None:
    """`show` would print it as what the aggregator has found."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=TRAINED_PLAN))
    receipt = judge(rounds, "s0", update("s0", 1, 0, metrics={name: 1.0}))
    assert (receipt.accepted, "which a site cannot tell" in receipt.reason) == (False, True)


def test_a_metrics_name_is_neither_markup_nor_a_terminals_orders(tmp_path: Path) -> None:
    """In the line of a closed round, and in what `show` prints."""
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=TRAINED_PLAN))
    assert judge(rounds, "s0", update("s0", 1, 0, metrics={"\x1b[2J[/red]": 1.0})).accepted
    rounds.close(1)
    shown = io.StringIO()
    print_summary(rounds.journal, Console(file=shown))
    RoundBar(Console(file=shown, width=500), total=3)("closed", rounds.journal.rounds()[0].results)
    assert "\\x1b[2J[/red] 1" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()
    assert summary(rounds.journal)["final"] is None


def test_a_shards_metric_beyond_all_numbers_is_refused(tmp_path: Path) -> None:
    """Its mean is no float: the round could not close."""
    shard = new_shard(tmp_path / "0", Shard(0, 1))
    shard.open(SimpleNamespace(run=RUN, round=1, task="moments", version=0))
    assert judge(shard, "s0", update("s0", 1, 0, plan_=PLAN)).accepted
    honest = msgspec.structs.asdict(decode_sum(shard.sum_up(1)))
    honest["metrics"] = {"cases": {"total": "1" + "0" * 400 + "/1", "count": 1}}
    sum_ = msgspec.msgpack.encode(msgspec.convert(honest, PartialSum, strict=False))
    root = started(tmp_path / "root", RootRounds)
    assert "larger than any of its sites'" in judge(root, "shard/0", sum_).reason


COUNTS = st.lists(st.integers(1, 2**20), min_size=3, max_size=9)


@given(COUNTS, st.fractions(Fraction(1, 8), Fraction(9, 10)))
def test_no_sites_part_exceeds_the_share_where_that_can_be(counts: list[int], share: Fraction) -> None:
    """In whole cases: of fewer sites than the share needs all count alike."""
    shares = SiteShares(float(share))
    for place, count in enumerate(counts):
        shares.add(f"s{place}", {"a": count})
    capped = shares.capped()
    kept = [int(count * capped.get(("a", f"s{place}"), 1)) for place, count in enumerate(counts)]
    assert all(1 <= one <= count for one, count in zip(kept, counts, strict=True))
    alike = len(counts) * share < 1 or max(kept) == min(counts)
    assert max(kept) <= max(1, share * sum(kept)) or alike


@given(
    st.dictionaries(
        st.sampled_from("abcde"), st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=3
    ),
    st.integers(0, 1000),
)
def test_a_site_is_cut_as_a_whole_and_no_part_exceeds_a_third(
    sites: dict[str, list[int]], before: int
) -> None:
    """All its tensors by one factor, so that they stay in proportion; but for rounding to whole cases."""
    shares = SiteShares(1 / 3)
    for site, counts in sites.items():
        shares.add(site, {name: count for name, count in zip("xyz", counts, strict=True) if count})
    factors = shares.capped_sites({"x": before})
    assert all(0 < factor < 1 for factor in factors.values())
    for place, name in enumerate("xyz"):
        kept = sorted(scaled(own[place], factors.get(site)) for site, own in sites.items() if own[place])
        if len(kept) > 2 or (kept and name == "x" and before):
            earlier = before if name == "x" else 0
            assert kept[-1] <= max(1, (sum(kept) + earlier) / 3) or len(set(kept)) == 1


@pytest.mark.parametrize("late", [False, True], ids=["with the others", "rounds later"])
def test_a_huge_sites_second_moments_are_its_share_and_no_more(late: bool, tmp_path: Path) -> None:
    """Whenever they come, and after a restart; all its blocks by one factor."""
    plan = replace(PLAN, rounds=replace(PLAN.rounds, max_share=0.4))
    names = ["s0", "s1", "s2", "huge"]
    rounds = started(tmp_path, plan=plan)
    rounds.close(1)
    for place, site in enumerate(names):
        values, weights = second_moments(plan, draw(plan, 40, place, has=("image",)), site)
        if site == "huge":
            weights = {name: 1000 * weight for name, weight in weights.items()}
            if late:
                rounds.close(2)
        at = rounds.position
        assert judge(
            rounds, site, moments_of(site, at.round, at.version, values, weights, plan=plan)
        ).accepted
    rounds = reopened(rounds, tmp_path)
    round_ = rounds.position.round
    rounds.close(round_)
    kept = rounds._second_moments.kept(round_)
    assert set(plain_weights({name: sum_.weight for name, sum_ in kept.items()}).values()) == {40 * 3 + 80}


def test_a_huge_site_moves_the_model_by_its_share_and_no_more(tmp_path: Path) -> None:
    """The same after a restart. A tensor of two sites is left as it is, since neither could have less than half."""
    plan = replace(TRAINED_PLAN, rounds=replace(TRAINED_PLAN.rounds, max_share=1 / 3))
    rounds = Rounds(Journal(tmp_path / "journal.sqlite", create=plan))
    play(rounds, plan=plan)
    shapes = task_specs(plan, "train")
    for site, weight in (("s0", 90_000), ("s1", 10), ("s2", 10)):
        held = {name: shape for name, shape in shapes.items() if site != "s2" or "text" not in name}
        deltas = {name: np.full(shape, float(site == "s0"), np.float32) for name, shape in held.items()}
        assert judge(rounds, site, update(site, 2, 1, plan_=plan, tensors=deltas, weight=weight)).accepted
    rounds = reopened(rounds, tmp_path)
    before = tensors(rounds)
    rounds.close(2)
    moved = {name: float((value - before[name]).mean()) for name, value in tensors(rounds).items()}
    assert moved["head.real.image.bias"] == pytest.approx(1 / 3)
    assert moved["head.real.text.bias"] == pytest.approx(90_000 / 90_010)


def test_shards_refuse_a_plan_whose_shares_they_cannot_keep() -> None:
    """Rather than fold another model than one aggregator would."""
    _check_shardable(PLAN)
    with pytest.raises(SettingsError, match="which shards cannot keep"):
        _check_shardable(replace(PLAN, rounds=replace(PLAN.rounds, max_share=0.34)))
