"""Who is heard, what can be read, and by whom: both ends of the channel, against a broker that does as it likes."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest
from parties import FAR, PLAN, RUN, TOPICS, Parties

from fedfin.errors import EvictedError, ProtocolError, SettingsError, StateError
from fedfin.protocol.messages.joining import Evict, Hello
from fedfin.protocol.messages.message import encode
from fedfin.trust import aggregator_channel, site_channel
from fedfin.trust.accepted import accept
from fedfin.trust.charter import read_charter, today
from fedfin.trust.site_channel import SiteChannel

UP, DOWN = TOPICS.site("s0", "up/ctl"), TOPICS.site("s0", "dn/ctl")
HELLO = encode(Hello(boot="2" * 16, encoders={"image": "a" * 64}))
EVICT = encode(Evict(reason="no"))


@pytest.fixture
def parties(tmp_path: Path) -> Parties:
    """Two admitted sites."""
    return Parties(tmp_path)


def sealed(site: SiteChannel, update: bytes, round_: int) -> bytes:
    """As a site seals an update; after a restart, with what it kept, to the same bytes."""
    seal = site.new_seal(round_)
    data = site.seal_update(update, round_, seal)
    assert site.seal_update(update, round_, seal) == data
    return data


def test_both_ends_understand_each_other(parties: Parties) -> None:
    """On every channel that is signed."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    for topic in (UP, TOPICS.site("s0", "up/state")):
        assert aggregator.receive("s0", topic, site.send(topic, HELLO)) == HELLO
    for topic in (DOWN, TOPICS.manifest, TOPICS.aggregator_state):
        assert site.receive(topic, aggregator.send(topic, EVICT)) == EVICT


def test_the_brokers_operator_reads_neither_control_messages_nor_updates_nor_models(parties: Parties) -> None:
    """What passes holds no part of what was said; its size falls into classes."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    secret = b"second moments of few patients " * 40
    passing = [
        site.send(UP, secret),
        aggregator.send(DOWN, secret),
        sealed(site, secret, 3),
        aggregator.seal_part("delta", 3, secret),
    ]
    assert not any(secret[:16] in data for data in passing)
    assert len({len(sealed(site, bytes(size), 1)) for size in range(100_000, 101_000, 10)}) <= 2


@pytest.mark.parametrize("private", [True, False])
def test_what_is_not_private_is_signed_all_the_same(private: bool, parties: Parties) -> None:
    """It can be read; whether it is sealed is under the signature, too."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    data = site.send(UP, HELLO, private=private)
    assert (HELLO in data) != private
    version, counter, sealed_, signature, body = msgspec.msgpack.decode(data)
    assert sealed_ == private
    with pytest.raises(ProtocolError, match="signature"):
        aggregator.receive("s0", UP, msgspec.msgpack.encode((version, counter, not sealed_, signature, body)))
    assert aggregator.receive("s0", UP, data) == HELLO


def test_another_form_of_the_same_message_is_refused(parties: Parties) -> None:
    """Found by fuzzing: its counter as a signed number of 64 bits, which decodes to the same."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    data = site.send(UP, HELLO)
    assert data[2:3] == b"\xcf"
    with pytest.raises(ProtocolError, match="not in the form"):
        aggregator.receive("s0", UP, data[:2] + b"\xd3" + data[3:])
    assert aggregator.receive("s0", UP, data) == HELLO


@pytest.mark.parametrize("topic", [DOWN, TOPICS.manifest, TOPICS.aggregator_state])
def test_nobody_poses_as_the_aggregator(topic: str, parties: Parties) -> None:
    """Not with keys of his own, not with another site's, not without any."""
    site = parties.site("s0")
    forged = [EVICT, b"", b"\x94", parties.site("s1").send(UP, EVICT), parties.site("s1").send(topic, EVICT)]
    for data in forged:
        with pytest.raises(ProtocolError, match=r"signed|signature"):
            site.receive(topic, data)


def test_nobody_poses_as_a_site(parties: Parties) -> None:
    """Neither another site that is admitted, nor a stranger."""
    aggregator = parties.aggregator()
    for data in (parties.site("s1").send(UP, HELLO), HELLO):
        with pytest.raises(ProtocolError, match=r"signed|signature"):
            aggregator.receive("s0", UP, data)
    with pytest.raises(ProtocolError, match="not in the charter's roster"):
        aggregator.receive("mallory", TOPICS.site("mallory", "up/ctl"), HELLO)
    with pytest.raises(ProtocolError, match="not in the charter's roster"):  # not one chunk holds a place
        aggregator.receive("mallory", TOPICS.site("mallory", "up/chunk"), HELLO)


def test_what_was_said_once_is_not_heard_again(parties: Parties) -> None:
    """In this life, and after a restart of who hears it."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    evict, newer = aggregator.send(DOWN, EVICT), aggregator.send(DOWN, EVICT)
    site.receive(DOWN, newer)
    for held_back in (evict, newer):
        with pytest.raises(ProtocolError, match="sent before"):
            site.receive(DOWN, held_back)
    site.close()
    with pytest.raises(ProtocolError, match="sent before"):
        parties.site("s0").receive(DOWN, newer)


def test_the_retained_manifest_comes_again_and_an_older_one_does_not(parties: Parties) -> None:
    """After each reconnect the broker repeats what it retains."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    old, new = (aggregator.send(TOPICS.manifest, EVICT) for _ in range(2))
    for _ in range(2):
        assert site.receive(TOPICS.manifest, new) == EVICT
    with pytest.raises(ProtocolError, match="sent before"):
        site.receive(TOPICS.manifest, old)


def test_what_is_meant_for_one_topic_is_not_heard_on_another(parties: Parties) -> None:
    """The signature covers it: neither for another site nor on another channel."""
    aggregator = parties.aggregator()
    data = aggregator.send(DOWN, EVICT)
    with pytest.raises(ProtocolError, match="signature"):
        parties.site("s1").receive(TOPICS.site("s1", "dn/ctl"), data)
    with pytest.raises(ProtocolError, match="signature"):
        parties.site("s0").receive(TOPICS.manifest, data)


@pytest.mark.parametrize("place", [0, 2, 40, -1])
def test_a_bit_changed_on_the_way_is_found(place: int, parties: Parties) -> None:
    """In the envelope and in what is sealed."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    for data, open_ in (
        (site.send(UP, HELLO), lambda data: aggregator.receive("s0", UP, data)),
        (sealed(site, HELLO, 1), lambda data: aggregator.open_update("s0", 1, data)),
    ):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(ProtocolError):
            open_(bytes(changed))


def test_an_update_opens_for_its_site_and_round_alone(parties: Parties) -> None:
    """So nobody can offer another's as his own, or an old one again."""
    data, aggregator = sealed(parties.site("s0"), b"update", 3), parties.aggregator()
    assert aggregator.open_update("s0", 3, data) == b"update"
    for site, round_ in (("s1", 3), ("s0", 4)):
        with pytest.raises(ProtocolError, match="not sealed for"):
            aggregator.open_update(site, round_, data)
    for cut in (0, 10, 79, 80, len(data) - 1):
        with pytest.raises(ProtocolError):
            aggregator.open_update("s0", 3, data[:cut])


def test_a_removed_site_hears_it_and_cannot_read_what_comes_after(parties: Parties) -> None:
    """And is not heard any more; the other site goes on."""
    aggregator, gone, stays = parties.aggregator(), parties.site("s0"), parties.site("s1")
    gone.take_keys(aggregator.group_keys)
    parties.remove("s0")
    change = aggregator.refresh()
    assert change is not None
    assert change.removed == ("s0",)
    assert gone.receive(DOWN, aggregator.send(DOWN, EVICT)) == EVICT
    with pytest.raises(ProtocolError, match="not in the charter's roster"):
        aggregator.receive("s0", UP, gone.send(UP, HELLO))
    part = aggregator.seal_part("delta", 5, b"model")
    assert not gone.has_key(part)
    stays.take_keys(aggregator.group_keys)
    assert stays.open_part("delta", 5, part) == b"model"
    with pytest.raises(EvictedError, match="does not list this site"):
        gone.heed(TOPICS.charter, aggregator.charter_text)


def test_a_new_site_touches_nobody_else(parties: Parties) -> None:
    """The others go on with the charter they have, until the new one comes to them over the broker."""
    aggregator, site = parties.aggregator(), parties.site("s0")
    parties.admit("s2")
    change = aggregator.refresh()
    assert change is not None
    assert not change.removed
    assert aggregator.receive("s0", UP, site.send(UP, HELLO)) == HELLO
    assert "3 sites" in str(site.heed(TOPICS.charter, aggregator.charter_text))
    assert site.heed(TOPICS.charter, aggregator.charter_text) is None  # the broker repeats it
    third = parties.site("s2")
    topic = TOPICS.site("s2", "up/ctl")
    assert aggregator.receive("s2", topic, third.send(topic, HELLO)) == HELLO


def test_only_the_coordinator_makes_charters(parties: Parties, tmp_path: Path) -> None:
    """One that somebody else signed is ignored and reported; so is one with a changed line, or an older one."""
    other = tmp_path / "other"
    other.mkdir()
    forged = (Parties(other).folder / "study" / "charter").read_bytes()
    aggregator, site = parties.aggregator(), parties.site("s0")
    genuine = aggregator.charter_text
    for data in (forged, genuine.replace(b'"cases": 100', b'"cases": 999'), b"\xff", b""):
        assert "ignored" in str(site.heed(TOPICS.charter, data))
    parties.admit("s2")
    site.heed(TOPICS.charter, parties.aggregator().charter_text)
    with pytest.raises(StateError, match="older than charter"):
        accept(parties.folder / "s0", read_charter(genuine.decode(), "old"), genuine.decode())


def test_a_charter_for_another_plan_needs_people(parties: Parties) -> None:
    """The site ends and says what to do; no aggregator can bring one in by itself."""
    site = parties.site("s0")
    parties.coordinator.change(plan="f" * 64)
    with pytest.raises(EvictedError, match="another plan or run"):
        site.heed(TOPICS.charter, (parties.folder / "study" / "charter").read_bytes())
    for digest, run in (("f" * 64, RUN), (PLAN.digest(), "f" * 16)):
        with pytest.raises(EvictedError, match="not the one that was accepted"):
            site.check_plan(digest, run)
    site.check_plan(PLAN.digest(), RUN)


def test_an_expired_charter_is_not_obeyed(tmp_path: Path) -> None:
    """From the day after; the message says who can extend it."""
    parties = Parties(tmp_path, expires=today() - dt.timedelta(days=1))
    for open_ in (parties.aggregator, lambda: parties.site("s0")):
        with pytest.raises(SettingsError, match=r"expired on .* the coordinator"):
            open_()


def test_a_charter_that_expires_while_both_ends_run_ends_them(
    parties: Parties, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the next message that comes."""
    site, aggregator = parties.site("s0"), parties.aggregator()
    up, down = site.send(UP, HELLO), aggregator.send(DOWN, EVICT)
    for module in (site_channel, aggregator_channel):
        monkeypatch.setattr(module, "today", lambda: FAR + dt.timedelta(days=1))
    with pytest.raises(SettingsError, match="expired on"):
        aggregator.receive("s0", UP, up)
    with pytest.raises(SettingsError, match="expired on"):
        site.receive(DOWN, down)


def test_an_aggregator_with_other_keys_cannot_serve(parties: Parties, tmp_path: Path) -> None:
    """A copy of its folder without the keys, or a fresh one: the charter names the keys."""
    for name in ("signing.key", "sealing.key"):
        (tmp_path / "agg" / name).write_bytes((tmp_path / "mallory" / name).read_bytes())
    with pytest.raises(SettingsError, match="names another aggregator's keys"):
        parties.aggregator()


def test_private_keys_are_their_owners_alone(parties: Parties, tmp_path: Path) -> None:
    """Mode 0600, and in no request, charter or admission."""
    keys = list(tmp_path.rglob("*.key"))
    assert len(keys) > 6
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    study = tmp_path / "study"
    assert all(
        b"PRIVATE" not in path.read_bytes() for path in (study / "charter", *study.rglob("*.admission"))
    )
    assert parties.coordinator.charter.number == 2


def test_counters_survive_a_clock_that_goes_back(parties: Parties, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent after a restart is still newer than what was sent before."""
    import time

    site, aggregator = parties.site("s0"), parties.aggregator()
    aggregator.receive("s0", UP, site.send(UP, HELLO))
    site.close()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    aggregator.receive("s0", UP, parties.site("s0").send(UP, HELLO))


def test_an_aggregator_knows_its_own_words_and_no_site_can_say_them(parties: Parties) -> None:
    """A second one with its keys is heard so; who has others is none."""
    topic, aggregator = TOPICS.aggregator_state, parties.aggregator()
    assert aggregator.own(topic, aggregator.send(topic, b"here")) == b"here"
    with pytest.raises(ProtocolError):
        aggregator.own(topic, parties.site("s0").send(topic, b"here"))
