"""Federations with keys, over a real mosquitto that lets everybody in."""

import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from federation import Federation, broker, fedfin, set_up, start
from paho.mqtt.enums import CallbackAPIVersion

from fedfin.demo.processes import free_port
from fedfin.link.broker_url import BrokerUrl
from fedfin.model.model_file import read_model
from fedfin.plan_sections import Rounds
from fedfin.protocol import transfer
from fedfin.protocol.messages.joining import Evict, Hello
from fedfin.protocol.messages.manifest import Part, RoundManifest, Want
from fedfin.protocol.messages.message import encode
from fedfin.protocol.messages.presence import AggregatorState, SiteState
from fedfin.protocol.messages.transfers import Begin, Receipt
from fedfin.protocol.topics import Topics
from fedfin.trust.accepted import TRUST
from fedfin.trust.audit_log import AUDIT, read_audit
from fedfin_aggregator.coordinator import Coordinator

SOON_S = 10.0
TOPICS = Topics("ward")
MARKUP = bytes.fromhex("83a46b696e64a568656c6c6fa17601a45b2f785d01")  # a message whose field is called [/x]


def test_a_federation_with_keys_comes_to_the_model_of_one_without(tmp_path: Path) -> None:
    """Signing and sealing change what travels, and nothing of what is learnt."""
    models = []
    for keys in (False, True):
        place = tmp_path / f"keys-{keys}"
        place.mkdir()
        with broker("mosquitto", place) as url:
            Federation(place, url, keys=keys).run()
        models.append(read_model(place / "agg" / "final.fedfin").tensors)
    assert models[0].keys() == models[1].keys()
    for name, array in models[0].items():
        assert (array == models[1][name]).all(), name


class Attacker:
    """A client of the broker that says everything to everybody, in the names of all, until it is stopped."""

    def __init__(self, url: str, names: list[str]) -> None:
        address = BrokerUrl.parse(url)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "attacker")
        self._client.connect(address.host, address.port)
        self._client.loop_start()
        self._lies = list(_lies(names))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Attacker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.loop_stop()

    def _run(self) -> None:
        while not self._over.is_set():
            for topic, data, retain in self._lies:
                self._client.publish(topic, data, qos=1, retain=retain)
            time.sleep(0.05)


def _lies(names: list[str]):
    """Forged, as anybody can write them who has read the protocol's page."""
    outline = transfer.outline(b"x" * 5000, 1024)
    part = Part(version=0, outline=outline)
    manifest = RoundManifest(
        run="1" * 16, round=2**31 - 1, task="train", state="finished", version=0, model=bytes(32), snapshot=part,
        deltas=(),
    )  # fmt: skip
    evict, receipt = Evict(reason="go"), Receipt(id=outline.id, accepted=True)
    begin = Begin(run="1" * 16, round=1, outline=outline)
    hello = Hello(boot="2" * 16, encoders={"image": "f" * 64})
    yield TOPICS.manifest, encode(manifest), True
    yield TOPICS.manifest, MARKUP, True
    yield TOPICS.charter, b'{"format": "fedfin charter 1"}\n', True
    yield (
        TOPICS.aggregator_state,
        encode(AggregatorState(online=False, boot="3" * 16)),
        True,
    )
    for name in [*names, "mallory"]:
        for said in (evict, receipt, manifest):
            yield TOPICS.site(name, "dn/ctl"), encode(said), False
        for said in (begin, hello, Want(part="snapshot", version=0, bitmap=b"\1")):
            yield TOPICS.site(name, "up/ctl"), encode(said), False
        yield TOPICS.site(name, "up/ctl"), MARKUP, False
        gone = SiteState(online=False, boot="4" * 16, done=True)
        yield TOPICS.site(name, "up/state"), encode(gone), True


def test_who_may_publish_everything_changes_nothing(tmp_path: Path) -> None:
    """Forged manifests, evictions, receipts, charters, hellos: with keys the model is the one of a quiet broker."""
    models = []
    for attacked in (False, True):
        place = tmp_path / f"attacked-{attacked}"
        place.mkdir()
        with broker("mosquitto", place) as url:
            federation = Federation(place, url, keys=True)
            if attacked:
                with Attacker(url, federation.names):
                    federation.run()
            else:
                federation.run()
        models.append((place / "agg" / "final.fedfin").read_bytes())
    events = federation.events("s0")
    assert any(event["event"] == "bad-message" for event in events)  # the attack has reached it
    assert models[0] == models[1]


@pytest.mark.parametrize("who", ["agg", "s0"])
def test_without_keys_nothing_starts_before_somebody_says_so(who: str, tmp_path: Path) -> None:
    """Exit code 9, with what to do; with --no-keys every start warns."""
    url = f"mqtt://127.0.0.1:{free_port()}"
    federation = Federation(tmp_path, url, sites=1)
    words = (
        ("aggregator", "serve", tmp_path / "agg", "--broker", url)
        if who == "agg"
        else ("edge", "run", tmp_path / "s0")
    )
    refused = fedfin(*words, check=False)
    assert refused.returncode == 9
    assert "not admitted" in refused.stderr
    assert "--no-keys" in refused.stderr
    log = federation.folder / "warned.log"
    process = start(*words, "--no-keys", log=log)
    try:
        _wait(lambda: "WITHOUT KEYS" in log.read_text())
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("down", [False, True], ids=["while it runs", "while it is down"])
def test_a_removed_site_is_gone_within_seconds_and_a_new_one_needs_nobody_else(
    down: bool, tmp_path: Path
) -> None:
    """A charter without s1 comes to the aggregator, then one with s3; s0 and s2 do nothing for it.

    If it comes while the aggregator is down, s0 has no key for what is sealed then, and asks for it.
    """
    with broker("mosquitto", tmp_path) as url:
        rounds = Rounds(count=2, sites=3, min_sites=3, deadline_s=120.0)
        federation = Federation(tmp_path, url, sites=4, rounds=rounds)
        federation.names = ["s0", "s1", "s2"]
        federation.charter()
        running = {
            name: start(*words, log=tmp_path / f"{name}.log") for name, words in _commands(federation, url)
        }
        try:
            _wait(lambda: all(_joined(federation, name) for name in ("s0", "s1")))
            if down:
                running["agg"].kill()
                running["agg"].wait()
            set_up("aggregator", "remove", tmp_path / "study", "s1")
            set_up("aggregator", "accept", tmp_path / "agg", tmp_path / "study" / "charter")
            if down:
                ((_, words),) = [each for each in _commands(federation, url) if each[0] == "agg"]
                running["agg"] = start(*words, log=tmp_path / "agg.log")
            assert running["s1"].wait(SOON_S) == 10
            assert "does not list this site; ask the coordinator why" in (tmp_path / "s1.log").read_text()
            assert [e.event for e in read_audit(tmp_path / "s1" / TRUST / AUDIT)][-1] == "dropped"
            federation.admit(["s3"])
            for name in ("s2", "s3"):
                running[name] = start("edge", "run", tmp_path / name, "--json", log=tmp_path / f"{name}.log")
            for name in ("agg", "s0", "s2", "s3"):
                assert running[name].wait(60) == 0, (tmp_path / f"{name}.log").read_text()
        finally:
            for process in running.values():
                process.kill()
                process.wait()
    assert Coordinator(tmp_path / "study").charter.epoch == 1
    changes = [event for event in federation.events("agg") if event["event"] == "charter"]
    assert [event["removed"] for event in changes] == ([""] if down else ["s1", ""])


def _commands(federation: Federation, url: str):
    """The aggregator and two of three sites: the round waits for the third."""
    yield "agg", ("aggregator", "serve", federation.folder / "agg", "--broker", url, "--json")
    for name in ("s0", "s1"):
        yield name, ("edge", "run", federation.folder / name, "--json")


def _joined(federation: Federation, name: str) -> bool:
    return any(event["event"] == "joined" for event in federation.events(name))


def _wait(until) -> None:
    end = time.monotonic() + SOON_S + 20
    while not until():
        assert time.monotonic() < end
        time.sleep(0.1)
