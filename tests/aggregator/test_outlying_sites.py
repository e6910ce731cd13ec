"""A site whose statistics are unlike the others' is named and left out, before anything is pooled."""

import datetime as dt
import hashlib
import io
import time
from pathlib import Path

import numpy as np
import pytest
from closed_form_cases import draw, make_plan, second_moments
from rich.console import Console
from round_helpers import RUN, judge, update
from second_moment_rounds import answer, collecting, given, started, trained

from fedfin.command_line.main import main
from fedfin.errors import StateError
from fedfin.limits import CHUNK_BYTES
from fedfin.model.outlying_moments import FeatureMoments, outlying
from fedfin.protocol.rounds.effects import CloseRound
from fedfin.protocol.rounds.events import Tick
from fedfin.trust.accepted import TRUST, accept
from fedfin.trust.charter import read_charter
from fedfin.trust.identity import make_identity
from fedfin.trust.request import Request
from fedfin_aggregator.coordinator import found
from fedfin_aggregator.rounds.outlying_sites import MEASURES, outliers_by_features, outliers_by_labels
from fedfin_aggregator.rounds.rounds import LEFT_OUT_SITE, Rounds
from fedfin_aggregator.serve.server import Server
from fedfin_aggregator.standings import decide
from fedfin_aggregator.store.journal import Journal
from fedfin_aggregator.store.outlier_records import Standing
from fedfin_aggregator.summary import print_summary, summary
from fedfin_edge.tasks.moments import pool_moments

PLAN = make_plan(rounds=3, head_width=3, answer="both")
NOBODY = frozenset[str]()


def dataset(site: int, cases: int = 60):
    """Cases of both modalities."""
    return draw(PLAN, cases, site)


def changed(dataset, how):
    """The same cases, with other features."""
    for values in dataset.features.values():
        values[:] = how(values)
    return dataset


def first_moments(sites):
    """What each sends in the first round, as often as it is asked for."""
    given_ = {site: pool_moments(cases) for site, cases in sites.items()}
    return lambda: ((site, *update) for site, update in given_.items())


WRONG = {
    "units": lambda x: 100 * x,
    "shift": lambda x: x + 5,
    "constants": lambda x: 0 * x + 1,
    "half of the rows": lambda x: np.where(np.arange(len(x))[:, None] % 2, x, 100 * x),
}


@pytest.mark.parametrize("sites", [3, 10])
@pytest.mark.parametrize("how", WRONG)
def test_a_site_of_wrong_features_is_left_out_and_no_other(how: str, sites: int) -> None:
    """Of three sites or more."""
    all_ = {f"s{i}": dataset(i) for i in range(sites)}
    changed(all_["s1"], WRONG[how])
    (found,) = outliers_by_features(PLAN, first_moments(all_), NOBODY)
    assert (found.site, found.standing) == ("s1", "left out")


@pytest.mark.parametrize("how", WRONG)
def test_of_two_sites_both_are_named_and_the_coordinator_is_asked(how: str) -> None:
    """Until it vouches for one. Who has constants alone is wrong by itself, and still the coordinator's to judge."""
    two = {f"s{i}": dataset(i) for i in range(2)}
    moments = first_moments(two | {"s1": changed(two["s1"], WRONG[how])})
    found = outliers_by_features(PLAN, moments, NOBODY)
    assert {o.site for o in found} == ({"s1"} if how == "constants" else {"s0", "s1"})
    assert {o.standing for o in found} == {"asked"}
    (found,) = outliers_by_features(PLAN, moments, frozenset({"s0"}))
    assert (found.site, found.standing) == ("s1", "left out")
    assert not outliers_by_features(PLAN, moments, frozenset(two))


def test_healthy_sites_are_no_outliers() -> None:
    """Whatever their number."""
    for count in (2, 3, 10):
        sites = {f"s{i}": dataset(i, 20 + 10 * i) for i in range(count)}
        assert not outliers_by_features(PLAN, first_moments(sites), NOBODY)


@pytest.mark.parametrize("wrong", [0, -1])
def test_of_many_sites_a_few_are_the_measure_of_all(wrong: int) -> None:
    """A wrong one is found among these, and among the others; the time is linear in their number."""
    names = sorted((f"s{i}" for i in range(MEASURES + 8)), key=lambda s: hashlib.sha256(s.encode()).digest())
    sites = {name: dataset(i, 150) for i, name in enumerate(names)}
    assert not outliers_by_features(PLAN, first_moments(sites), NOBODY)
    assert not outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    sites[names[wrong]].labels[:] = 1 - sites[names[wrong]].labels
    (found,) = outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    assert (found.site, found.standing) == (names[wrong], "left out")
    assert not outliers_by_labels(PLAN, updates_of(sites), frozenset({names[wrong]}))
    changed(sites[names[wrong]], WRONG["units"])
    (found,) = outliers_by_features(PLAN, first_moments(sites), NOBODY)
    assert (found.site, found.standing) == (names[wrong], "left out")


def updates_of(sites):
    """Second moments, as often as they are asked for."""
    given_ = {site: second_moments(PLAN, cases, site) for site, cases in sites.items()}
    return lambda: ((site, *update) for site, update in given_.items())


@pytest.mark.parametrize(("count", "standings"), [(2, {"asked"}), (3, {"left out"}), (10, {"left out"})])
def test_inverted_labels_are_found(count: int, standings: set[str]) -> None:
    """With two sites nobody knows whose are."""
    sites = {f"s{i}": dataset(i, 150) for i in range(count)}
    assert not outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    sites["s0"].labels[:] = 1 - sites["s0"].labels
    found = outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    assert {o.site for o in found} == ({"s0", "s1"} if count == 2 else {"s0"})
    assert {o.standing for o in found} == standings


@pytest.mark.parametrize(("judges", "standing"), [(1, "named"), (2, "left out")])
def test_one_label_that_contradicts_a_single_site_is_named_and_more_than_one_left_out(
    judges: int, standing: str
) -> None:
    """The others know one class of it alone: they are no judges of how it goes with features."""
    sites = {f"s{i}": dataset(i, 300) for i in range(4)}
    for place in range(1, 4):
        if place > judges:
            sites[f"s{place}"].labels[:, 0] = 0
    sites["s0"].labels[:, 0] = 1 - sites["s0"].labels[:, 0]
    found = outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    contradicts = {o.site: o.standing for o in found if "contradicts" in o.evidence}
    assert contradicts["s0"] == standing
    assert set(contradicts) <= {"s0", "s1"}


def moments_of(values):
    """Of one modality at one site."""
    return FeatureMoments(len(values), values.mean(axis=0), np.square(values).mean(axis=0))


def test_a_site_is_constant_only_where_features_are_that_vary_at_most_others() -> None:
    """Of rare codes two vary at each of the others: that these are constant here says nothing; if all are, it does."""
    draws = np.random.default_rng(0)
    sites = [draws.random((60, 40)) < 0.05 for _ in range(9)]
    for site in sites:
        site[0, :2] = True
        site[1:3, :2] = False
    for place, site in enumerate(sites):
        site[:, 2 + place :: 9] = False
    own = draws.random((60, 40)) < 0.05
    own[:, :2] = False
    others = [moments_of(site.astype(np.float64)) for site in sites]
    assert outlying(moments_of(own.astype(np.float64)), others) is None
    constant = outlying(moments_of(np.zeros((60, 40))), others)
    assert constant is not None
    assert constant.startswith("nearly all its features vary")


def test_a_site_of_one_class_is_left_out_where_no_other_is_like_it() -> None:
    """By the shares of its labels."""
    sites = {f"s{i}": dataset(i, 150) for i in range(6)}
    sites["s0"].labels[:] = 1
    (found,) = outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    assert (found.site, found.standing) == ("s0", "left out")
    assert "shares" in found.evidence


def test_two_healthy_sites_may_differ_in_their_shares_of_labels() -> None:
    """One class alone is named, and left in: no third says which of the two is odd."""
    sites = {f"s{i}": dataset(i, 150) for i in range(2)}
    mostly = np.random.default_rng(0).random(sites["s0"].labels.shape) < 0.8
    sites["s0"].labels[mostly] = 1
    assert not [o for o in outliers_by_labels(PLAN, updates_of(sites), NOBODY) if "shares" in o.evidence]
    sites["s0"].labels[:] = 1
    found = outliers_by_labels(PLAN, updates_of(sites), NOBODY)
    assert [(o.site, o.standing) for o in found] == [("s0", "named")]


def send_moments(rounds: Rounds, sites) -> None:
    """The first round's updates, of real cases."""
    for site, cases in sites.items():
        values, weights = pool_moments(cases)
        payload = update(site, 1, 0, tensors=values, weight=next(iter(weights.values())), plan_=PLAN)
        assert judge(rounds, site, payload).accepted


def test_a_site_left_out_is_in_no_round_until_it_is_included(tmp_path: Path) -> None:
    """The pooled moments are bit for bit those of a federation without it; show says why."""
    sites = {f"s{i}": dataset(i) for i in range(4)}
    without = started(tmp_path / "without", plan=PLAN)
    send_moments(without, {site: sites[site] for site in ("s0", "s2", "s3")})
    without.close(1)
    rounds = started(tmp_path / "with", plan=PLAN)
    send_moments(rounds, sites | {"s1": changed(sites["s1"], WRONG["units"])})
    assert [o.site for o in rounds.outliers(1)] == ["s1"]
    rounds.close(1)
    assert rounds.position.model == without.position.model
    refused = judge(rounds, "s1", given("s1", 2, 1))
    assert not refused.accepted
    assert refused.reason.startswith(
        "left out, until the coordinator includes this site: image: its features vary"
    )
    assert summary(rounds.journal)["outliers"]["s1"]["standing"] == "left out"
    print_summary(rounds.journal, Console(file=(shown := io.StringIO()), width=200))
    assert "s1: left out until `fedfin aggregator include`, since round 1: image:" in shown.getvalue()
    decide(tmp_path / "with", ["s1"], "included")
    again = judge(rounds, "s1", given("s1", 2, 1))
    assert again.accepted, again.reason


def test_second_moments_of_a_site_left_out_are_as_if_it_had_not_come(tmp_path: Path) -> None:
    """In what the round makes and in what it says; and the next round finds the others'."""
    sites = {f"s{i}": dataset(i, 150) for i in range(5)}
    sites["s1"].labels[:] = 1 - sites["s1"].labels
    models, results = [], []
    for folder, names in ((tmp_path / "with", list(sites)), (tmp_path / "without", ["s0", "s2", "s3", "s4"])):
        rounds = started(folder, plan=PLAN)
        rounds.close(1)
        for name in names:
            payload = given(name, 2, 1, *second_moments(PLAN, sites[name], name), plan=PLAN)
            assert judge(rounds, name, payload).accepted
        assert {o.site for o in rounds.outliers(2)} == ({"s1"} & set(names))
        rounds.close(2)
        models.append(rounds.position.model)
        results.append(rounds.journal.rounds()[1].results)
        rounds.journal.close()
        assert Rounds(Journal(folder / "journal.sqlite")).position.round == 3
    assert models[0] == models[1]
    assert results[0] == results[1]


@pytest.mark.parametrize("words", [(), ("left out",), ("left out", "included")])
def test_second_moments_count_once_whatever_the_coordinator_s_words_before_the_close(
    tmp_path: Path, words: tuple[Standing, ...]
) -> None:
    """The last word counts; who was left out and comes in again gives them in a later round."""
    folder = tmp_path / "agg"
    rounds = collecting(folder, sites=("s0", "s1", "s3"))
    for word in words:
        decide(folder, ["s1"], word)
    rounds.close(2)
    decide(folder, ["s1"], "included")
    trained(rounds, sites=("s1",), gives=("s1",))
    plain = collecting(tmp_path / "plain", sites=("s0", "s1", "s3"))
    plain.close(2)
    assert _pooled(rounds) == _pooled(plain)


def test_a_site_left_out_while_its_second_moments_are_being_written_gives_them_later(tmp_path: Path) -> None:
    """Its row comes into the journal after the coordinator's word."""
    rounds = collecting(tmp_path / "agg", sites=("s0", "s3"))
    with rounds.journal.updates.gathered() as entries:
        answer(rounds, "s1")
    rounds.journal.outliers.decide("s1", "left out")
    rounds.journal.updates.write(entries)
    rounds.close(2)
    assert rounds.journal.updates.gave_second_moments(before=3) == {"s0": 2, "s3": 2}


def _pooled(rounds: Rounds) -> dict[str, tuple[bytes, int]]:
    """All second moments that the federation has, to the bit."""
    kept = rounds._second_moments.kept(rounds._given.newest)
    return {name: (sum_.total.tobytes(), sum_.weight) for name, sum_ in kept.items()}


def test_a_round_waits_for_the_coordinator_s_word_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two sites that are unlike each other; a restart asks again."""
    sites = {f"s{i}": dataset(i) for i in range(2)}
    send_moments(started(tmp_path / "agg", plan=PLAN), sites | {"s1": changed(sites["s1"], WRONG["units"])})
    for _ in range(2):
        events = []
        rounds = Rounds(Journal(tmp_path / "agg" / "journal.sqlite"))
        server = Server(rounds, "mqtt://127.0.0.1:1", lambda *event, events=events: events.append(event))
        monkeypatch.setattr(server, "_feed", lambda _: None)
        server._close(CloseRound(1, {}))
        server._hear_answer()
        assert [name for name, _ in events] == ["outlier", "outlier", "waiting"]
        assert "s0, s1 are unlike each other" in events[-1][1]["reason"]
        assert rounds.position.round == 1
    decide(tmp_path / "agg", ["s0"], "included")
    server._hear_answer()
    assert rounds.position.round == 2
    assert {site: row.standing for site, row in rounds.journal.outliers.all().items()} == {
        "s0": "included",
        "s1": "left out",
    }


def test_a_word_on_a_round_that_has_begun_anew_does_not_close_it(tmp_path: Path) -> None:
    """The link came back with smaller packets while the coordinator was asked: the round is open until it is over."""
    sites = {f"s{i}": dataset(i) for i in range(2)}
    rounds = started(tmp_path / "agg", plan=PLAN)
    send_moments(rounds, sites | {"s1": changed(sites["s1"], WRONG["units"])})
    server = Server(rounds, "mqtt://127.0.0.1:1", lambda *_: None)
    server._own.tenure.begin()
    server._on_up(CHUNK_BYTES)
    _pass_deadline(server)
    server._on_up(CHUNK_BYTES // 4)
    decide(tmp_path / "agg", ["s0"], "included")
    server._hear_answer()
    assert (rounds.position.round, server._machine.manifest.round) == (1, 1)
    _pass_deadline(server)
    assert (rounds.position.round, server._machine.manifest.round) == (2, 2)


def _pass_deadline(server: Server) -> None:
    """Of the round that runs."""
    for effect in server._machine.receive(Tick(), time.monotonic() + PLAN.rounds.deadline_s + 1.0):
        server._act(effect)


def test_the_coordinator_s_word_counts_before_the_first_round(tmp_path: Path) -> None:
    """The sites of a charter are known before the aggregator has served."""
    folder = tmp_path / "agg"
    keys = make_identity(folder / TRUST).public
    facts = {"federation": "ward", "certificate_request": ""}
    asks = Request(role="aggregator", name="aggregator", keys=keys, run=RUN, plan=PLAN.digest(), **facts)
    coordinator = found(tmp_path / "study", PLAN, asks, least_sites=2, expires=dt.date(2999, 12, 31))
    site = Request(role="site", name="s0", keys=make_identity(tmp_path / "s0").public, **facts)
    coordinator.admit([site], 100, broker="", files={})
    text = (tmp_path / "study" / "charter").read_text()
    accept(folder / TRUST, read_charter(text, "charter"), text)
    Journal(folder / "journal.sqlite", create=PLAN).close()
    assert main(["aggregator", "leave-out", str(folder), "s0"]) == 0
    rounds = Rounds(Journal(folder / "journal.sqlite"))
    assert judge(rounds, "s0", update("s0", 1, 0, plan_=PLAN)).reason == LEFT_OUT_SITE
    assert rounds.journal.outliers.of("s0").round == 1


def test_the_coordinator_s_word_is_on_sites_that_there_are(tmp_path: Path) -> None:
    """A name that is misspelt is an error."""
    rounds = started(tmp_path / "agg", plan=PLAN)
    send_moments(rounds, {f"s{i}": dataset(i) for i in range(2)})
    with pytest.raises(StateError, match="no site 's9' is known; those that are: s0, s1"):
        decide(tmp_path / "agg", ["s9"], "included")
