"""A sum without its masks is the sum, to the last bit; one site's part of it is noise."""

import contextlib

import numpy as np
import pytest
from cohort_sites import FIRST, WHERE, Sites, open_sum
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple, replace

from fedfin import limits
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import task_specs
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.protocol.cohorts import threshold
from fedfin.protocol.messages.secure_sums import SumKey, Survivors
from fedfin.secure_sums import shamir
from fedfin.secure_sums.fixed_point import MOST
from fedfin.secure_sums.member import LostError
from fedfin.secure_sums.summand import Summand
from fedfin_aggregator.fold.fold import Fold

PLAN = Plan(
    federation="ward",
    labels=("x",),
    modalities=(Modality(name="image", encoder="a" * 64, dim=3),),
    model=Model(answer="head", fin="mlp", head_width=0),
)
SHAPES = task_specs(PLAN, "train")
FORM = Summand(PLAN, "train")


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_cohort_with_any_dropouts_sums_to_what_a_fold_makes(data: st.DataObject) -> None:
    """3 to 50 sites, the largest values and weights that a fold takes among them, whoever is lost."""
    count = data.draw(st.integers(3, 50))
    gone = data.draw(st.integers(0, count - threshold(count)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sites, fold = Sites(count), Fold()
    survivors = tuple(sorted(rng.permutation(sites.names)[gone:].tolist()))
    words = {}
    for name in sites.names:
        values, weights = _update(rng, count)
        if name in survivors:
            fold.add(values, weights)
        words[name] = FORM.words(values, weights, {"cases": 1.5}, count)
    dealings = sites.deal(sites.names)
    masked = sites.mask(dealings, words)
    consents = sites.consents(survivors)
    revealing = survivors[: threshold(count)]
    reveals = {name: sites.members[name].reveal(consents) for name in revealing}
    tensors, metrics = FORM.opened(open_sum(sites, dealings, masked, survivors, reveals), {})
    assert {name: weight for name, (_, weight) in tensors.items()} == {
        name: sum_.weight for name, sum_ in fold.sums.items()
    }
    for name, (total, _) in tensors.items():
        assert (total == fold.sums[name].total).all()
    assert metrics == {"cases": (3 * len(survivors) << limits.FRACTION_BITS - 1, len(survivors))}


def _update(rng: np.random.Generator, count: int):
    """Some tensors; extreme values, and as much weight as all sites together may have."""
    chosen = [name for name in SHAPES if rng.random() < 0.8]
    values = {
        name: (rng.choice([-1.0, 1.0, rng.normal()], SHAPES[name]) * limits.VALUE_ABS)
        .clip(-limits.VALUE_ABS, limits.VALUE_ABS)
        .astype(np.float32)
        for name in chosen
    }
    return values, dict.fromkeys(chosen, MOST // count >> 40)  # of values of 2^16, each unit of them 2^-24


def test_fewer_shares_than_the_threshold_do_not_give_the_secret() -> None:
    """Enough do, whichever they are."""
    secret = bytes(range(32))
    shares = dict(enumerate(shamir.split(secret, 4, 6), 1))
    assert shamir.join({place: shares[place] for place in (2, 3, 5, 6)}) == secret
    with contextlib.suppress(
        ValueError
    ):  # what comes out of too few is too large for a secret, nearly always
        assert shamir.join({place: shares[place] for place in (1, 2, 3)}) != secret


@pytest.mark.parametrize("fill", [0, 1, 2**62])
def test_masked_values_look_random_whatever_they_are(fill: int) -> None:
    """Every byte value is as frequent as chance has it (chi squared, 255 degrees), and the length is the same."""
    sites, count = Sites(3), 50_000
    words = {name: np.full(count, fill, np.uint64) for name in sites.names}
    masked = sites.mask(sites.deal(sites.names), words)
    for payload in masked.values():
        assert len(payload) == 16 + 8 * count
        seen = np.bincount(np.frombuffer(payload[16:], np.uint8), minlength=256)
        expected = 8 * count / 256
        assert np.square(seen - expected).sum() / expected < 400  # 1 of 10^8 random ones is above


def test_a_summand_is_as_long_whatever_a_site_has() -> None:
    """Nothing, or everything."""
    assert len(FORM.words({}, {}, {})) == FORM.word_count


# An aggregator that lies.


def _masked(count: int = 6):
    sites = Sites(count)
    dealings = sites.deal(sites.names)
    words = {name: np.ones(8, np.uint64) for name in sites.names}
    return sites, dealings, sites.mask(dealings, words)


def test_tensors_that_count_alike_are_each_in_their_place() -> None:
    """They are weighed together: beside one that counts otherwise, one that is lacking, and one of no order."""
    modalities = tuple(Modality(name=name, encoder="a" * 64, dim=3) for name in ("image", "text"))
    plan = replace(PLAN, modalities=modalities)
    summand, shapes = Summand(plan, "train"), task_specs(plan, "train")
    lacking, other = sorted(shapes)[1:3]
    rng = np.random.default_rng(3)
    values = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in sorted(shapes.items(), reverse=True)
        if name != lacking
    }
    weights = dict.fromkeys(values, 3) | {other: 5}
    tensors, _ = summand.opened(summand.words(values, weights, {}), {})
    assert tensors.keys() == values.keys()
    for name, (total, weight) in tensors.items():
        assert weight == weights[name]
        assert (total == np.rint(values[name].astype(np.float64) * weight * 2**limits.FRACTION_BITS)).all()


def test_who_is_not_in_the_charter_is_no_member_of_a_cohort() -> None:
    """An invented member would know a mask."""
    sites = Sites(3)
    with pytest.raises(ProtocolError, match="not in the charter's roster"):
        sites.deal(tuple(sorted((*sites.names, "zz-mallory"))))


def test_a_key_that_its_owner_did_not_sign_is_not_used() -> None:
    """The aggregator cannot put its own in a member's place."""
    sites = Sites(3)
    dealings = sites.deal(sites.names)
    lie = sites.dealt(dealings, "s0")
    lie.keys["s1"] = SumKey(bytes(range(32)), *astuple(lie.keys["s1"])[1:])
    with pytest.raises(ProtocolError, match="not its own"):
        sites.members["s0"].mask(lie, np.ones(8, np.uint64))


def test_sites_that_worked_from_different_models_make_no_sum() -> None:
    """To nine of ten an aggregator could give one from which their values are known: the sum would be the tenth's."""
    sites = Sites(10)
    sites.models = dict.fromkeys(sites.names[1:], b"another")
    dealings = sites.deal(sites.names)
    for name in sites.names[:2]:
        with pytest.raises(ProtocolError, match="made from another model"):
            sites.members[name].mask(sites.dealt(dealings, name), np.ones(8, np.uint64))


def test_two_sites_are_too_few() -> None:
    """In a cohort, and among survivors."""
    sites, _, _ = _masked(4)
    with pytest.raises(ProtocolError, match="too few for a sum"):
        sites.consents(("s0", "s1"))


def test_beside_that_of_all_a_site_signs_one_list_of_survivors() -> None:
    """Different lists for different sites would open both secrets of one."""
    sites, _, _ = _masked(7)
    for names in (sites.names, sites.names[:6]):
        sites.consents(names)
    for names in (sites.names[:5], sites.names):
        with pytest.raises(ProtocolError, match="other survivors than before"):
            sites.consents(names)


def test_signatures_of_another_list_reveal_nothing() -> None:
    """Shares go out for the list that enough have signed, and that is this site's."""
    sites, _, _ = _masked()
    other = sites.consents(sites.names[1:])
    sites.members["s0"].consent(Survivors(**WHERE, attempt=FIRST, names=sites.names))
    with pytest.raises(ProtocolError, match="of something else"):
        sites.members["s0"].reveal(other)


def test_too_few_signatures_reveal_nothing() -> None:
    """Below the threshold a sum stays closed."""
    sites, _, _ = _masked()
    consents = sites.consents(sites.names)
    for name in sites.names[1:3]:
        del consents.signatures[name]
    with pytest.raises(ProtocolError, match="only 4 of 6 sites have signed"):
        sites.members["s0"].reveal(consents)


def test_of_one_site_one_secret_is_revealed() -> None:
    """Never both its seed and its key."""
    sites, _, _ = _masked()
    reveal = sites.members["s0"].reveal(sites.consents(sites.names[:5]))
    assert (tuple(sorted(reveal.seeds)), tuple(reveal.keys)) == (sites.names[:5], sites.names[5:])


def test_after_a_reveal_a_round_has_no_other_sum_even_in_a_new_life() -> None:
    """Else the same values in two cohorts would tell of who is in one of them."""
    sites, _, _ = _masked()
    sites.members["s0"].reveal(sites.consents(sites.names))
    for member in (sites.members["s0"], sites.member("s0")):
        sites.members["s0"] = member
        with pytest.raises(ProtocolError, match="may be open already"):
            sites.deal(sites.names, b"b" * 16)


def test_values_are_masked_once_for_an_attempt() -> None:
    """The difference of two payloads under the same masks is that of their values."""
    sites, dealings, _ = _masked()
    with pytest.raises(ProtocolError, match="masked for this attempt already"):
        sites.members["s0"].mask(sites.dealt(dealings, "s0"), np.zeros(8, np.uint64))


def test_a_cohort_that_was_left_is_not_taken_up_again() -> None:
    """What was late on the way does not end the attempt that runs."""
    sites, _, _ = _masked()
    newest = sites.deal(sites.names, b"b" * 16)
    with pytest.raises(LostError):
        sites.deal(sites.names)
    assert sites.deal(sites.names, b"b" * 16) == newest


def test_shares_that_do_not_give_the_seed_are_found() -> None:
    """Without the commitment to it, noise would pass for a sum."""
    sites, dealings, masked = _masked()
    consents = sites.consents(sites.names)
    reveals = {name: sites.members[name].reveal(consents) for name in sites.names}
    wrong = reveals["s1"].seeds
    wrong["s0"] = wrong["s0"][:-1] + bytes([wrong["s0"][-1] ^ 1])
    with pytest.raises(ProtocolError, match="shares of"):
        open_sum(sites, dealings, masked, sites.names, reveals)


def test_an_attempt_that_was_left_for_another_is_never_opened() -> None:
    """Not in a new life either."""
    sites, _, _ = _masked()
    consents = sites.consents(sites.names)
    sites.deal(sites.names, b"b" * 16)
    for member in (sites.members["s0"], sites.member("s0")):
        with pytest.raises(ProtocolError, match="without this site's consent"):
            member.reveal(consents)


def test_shares_of_one_attempt_are_not_taken_for_another() -> None:
    """What was sealed for one does not open in the next."""
    sites, old, _ = _masked()
    new = sites.deal(sites.names, b"b" * 16)
    lie = sites.dealt(new, "s0")
    lie.shares["s1"] = old["s1"].shares["s0"]
    with pytest.raises(ProtocolError, match="not sealed for this party"):
        sites.members["s0"].mask(lie, np.ones(8, np.uint64))


def test_a_site_that_restarts_after_its_consent_can_still_reveal() -> None:
    """What it signed is durable before the signature leaves."""
    sites, dealings, masked = _masked()
    consents = sites.consents(sites.names)
    reveals = {name: sites.member(name).reveal(consents) for name in sites.names}
    assert (open_sum(sites, dealings, masked, sites.names, reveals) == 6).all()


@pytest.mark.parametrize("before", ["one more", "one less", "another"])
def test_a_site_signs_no_sum_that_shows_another_beside_one_that_is_open(before: str) -> None:
    """Whatever the aggregator says it knows: every site of both sums remembers the first."""
    sites = Sites(5)
    values = {name: np.arange(4, dtype=np.uint64) for name in sites.names}
    sites.mask(sites.deal(sites.names), values)
    sums = {
        "one more": {*sites.names, "s5"},
        "one less": set(sites.names[:4]),
        "another": {*sites.names[:4], "s5"},
    }
    for ledger in sites.ledgers.values():
        ledger.sums = [frozenset(sums[before])]
    with pytest.raises(ProtocolError, match="would show what one or two sites gave"):
        sites.consents(sites.names)
    assert all(ledger.kept is None for ledger in sites.ledgers.values())


@pytest.mark.parametrize("sites", [3, 10, limits.COHORT])
def test_a_site_gives_no_more_than_its_part_of_an_int64(sites: int) -> None:
    """Nobody would see the sum overflow. In a cohort of 8 it is 2^30 cases of values below 2^6."""
    name, most = next(iter(SHAPES)), MOST // sites >> 40
    values = {name: np.full(SHAPES[name], -limits.VALUE_ABS, np.float32)}
    words = FORM.words(values, {name: most}, {}, sites).view(np.int64)
    assert int(words.min()) * sites >= -MOST
    with pytest.raises(
        ProtocolError, match=f"{most + 1} cases of such values could overflow the sum of {sites}"
    ):
        FORM.words(values, {name: most + 1}, {}, sites)
    small = {name: np.full(SHAPES[name], 63.99, np.float32)}
    assert FORM.words(small, {name: limits.SITE_WEIGHT}, {}, 8).any()
