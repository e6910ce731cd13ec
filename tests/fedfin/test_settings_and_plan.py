"""Plan files, settings and broker URLs: what is wrong, where, and the remedy."""

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from fedfin.command_line.main import main
from fedfin.errors import SettingsError
from fedfin.link.broker_url import BrokerUrl
from fedfin.model.plan_file import plan_toml, read_plan
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Modality, Privacy, Rounds, Stage, Training
from fedfin.protocol.schedule import last_round, preset_down, preset_up

GOOD = f"""
federation = "ward"
labels = ["x", "y"]
[[modalities]]
name = "image"
encoder = "{"a" * 64}"
dim = 3
[model]
fin = "mlp"
[training]
learning_rate = 1e-3
[rounds]
count = 3
sites = 2
"""

STAGE = '[[codec.schedule]]\nfrom = %d\nup = "tiny"\ndown = "small"\n'

BAD = {
    "misspelt key": (
        ("count =", "cuont ="),
        "key rounds: .*unknown field `cuont`; remove it or check its spelling",
    ),
    "wrong type": (("count = 3", 'count = "3"'), "key rounds.count: Expected `int`, got `str`"),
    "out of range": (("count = 3", "count = 0"), "key rounds.count: Expected `int` >= 1"),
    "absurd count": (("count = 3", "count = 99999999999"), "key rounds.count: Expected `int` <= 1000000"),
    "missing key": (('federation = "ward"', ""), "missing required field `federation`; add it"),
    "missing key within": (("dim = 3", ""), r"key modalities\[0\]: .*missing required field `dim`; add it"),
    "unknown choice": (
        ('"mlp"', '"mlpp"'),
        "key model.fin: Invalid enum value 'mlpp'; one of decoder, gaussian, mean, mlp, refined, uniform, zero",
    ),
    "too many of one scale": (
        ("dim = 3", 'dim = 1025\nscale = "modality"'),
        r"key modalities\[0\]: scale = \"modality\" is for 1024 features at most; 'image' has 1025",
    ),
    "bad name": (('"ward"', '"My Ward"'), "key federation: must be 1 to 64 of a-z"),
    "short digest": (("a" * 64, "abc"), r"key modalities\[0\].encoder: must be a SHA-256"),
    "label twice": (('["x", "y"]', '["x", "x"]'), "label 'x' is named twice"),
    "no label": (('["x", "y"]', "[]"), "key labels: .*length >= 1"),
    "empty label": (('["x", "y"]', '["x", ""]'), r"key labels\[1\]: .*length >= 1"),
    "too few sites": (
        ("sites = 2", "sites = 2\nmin_sites = 3"),
        r"key rounds: min_sites \(3\) exceeds sites \(2\)",
    ),
    "buffer beyond the target": (
        ("sites = 2", 'sites = 2\nmode = "async"\nbuffer = 3'),
        r"key rounds: buffer \(3\) exceeds sites \(2\)",
    ),
    "buffer without async": (
        ("sites = 2", "sites = 2\nbuffer = 1"),
        'key rounds: buffer needs mode = "async"',
    ),
    "too few invited": (
        ("sites = 2", "sites = 2\ninvite = 1"),
        r"key rounds: invite \(1\) is below sites \(2\)",
    ),
    "invited without rounds": (
        ("sites = 2", 'sites = 2\nmode = "async"\ninvite = 2'),
        'key rounds: invite needs mode = "sync"',
    ),
    "unknown mode": (
        ("sites = 2", 'sites = 2\nmode = "asink"'),
        "key rounds.mode: .*'asink'; one of async, sync",
    ),
    "exponent too fine": (
        ("sites = 2", "sites = 2\nstaleness_exponent = 0.333"),
        "key rounds: staleness_exponent .* more than two decimals",
    ),
    "decoder width": (('fin = "mlp"', 'fin = "decoder"\nfin_width = 10'), "fin_width .* must be a multiple"),
    "unknown preset": (
        ("[rounds]", '[codec]\nup = "tinny"\n[rounds]'),
        (
            "key codec.up: Invalid enum value 'tinny'; one of balanced, exact, half, int2, int4, int8,"
            " minimal, small, tiny"
        ),
    ),
    "stage without from": (
        ("[rounds]", '[[codec.schedule]]\nup = "tiny"\ndown = "tiny"\n[rounds]'),
        r"key codec.schedule\[0\]: .*missing required field `from`; add it",
    ),
    "stages that do not ascend": (
        ("[rounds]", f"{STAGE % 3}{STAGE % 3}[rounds]"),
        "codec.schedule: each `from` must exceed the one before; 3 follows 3",
    ),
    "a stage that never comes": (
        ("[rounds]", f"{STAGE % 4}[rounds]"),
        "codec.schedule: from = 4 never comes; there are 3 rounds of training",
    ),
    "NaN": (("1e-3", "nan"), "key training.learning_rate: Expected `float` > 0"),
    "infinite": (("count = 3", "count = 3\ndeadline_s = inf"), "deadline_s.*finite"),
    "not TOML": (("count = 3", "count 3"), "not valid TOML: .*line 1"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_a_bad_plan_names_file_key_and_remedy(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    """One per kind of mistake."""
    path = tmp_path / "plan.toml"
    assert change[0] in GOOD
    path.write_text(GOOD.replace(*change))
    with pytest.raises(SettingsError, match=message) as caught:
        read_plan(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_bad_plan_ends_the_command_with_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And makes no folder."""
    (tmp_path / "plan.toml").write_text("labels = 3")
    words = ["aggregator", "init", str(tmp_path / "plan.toml"), str(tmp_path / "agg")]
    assert main(words) == 3
    assert capsys.readouterr().err.startswith(f"fedfin: {tmp_path}/plan.toml: ")
    assert not (tmp_path / "agg").exists()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\xfe")])
def test_an_unreadable_plan_is_a_plain_error(make, tmp_path: Path) -> None:
    """Missing, a folder, or not UTF-8."""
    make(tmp_path / "plan.toml")
    with pytest.raises(SettingsError, match=r"plan\.toml: (there is no such|cannot read the) plan file"):
        read_plan(tmp_path / "plan.toml")


texts = st.text(min_size=1, max_size=20)


@given(
    st.lists(texts, min_size=1, max_size=3, unique=True),
    st.floats(0.0, 1.0, exclude_min=True),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_a_plan_survives_its_file(tmp_path_factory, labels: list[str], rate: float, seed: int) -> None:
    """Whatever the labels' characters and the numbers' size: the same plan, the same digest."""
    modality = Modality(name="image", encoder="a" * 64, dim=3)
    training = Training(learning_rate=rate)
    plan = Plan(federation="ward", labels=tuple(labels), modalities=(modality,), seed=seed, training=training)
    path = tmp_path_factory.getbasetemp() / "plan.toml"
    path.write_text(plan_toml(plan), encoding="utf-8", newline="")
    assert read_plan(path) == plan
    assert read_plan(path).digest() == plan.digest()


def test_a_schedule_survives_its_file_and_says_what_holds_when(tmp_path: Path) -> None:
    """The presets of `[codec]` until the first stage begins; each stage until the next one."""
    text = GOOD.replace("count = 3", "count = 9").replace(
        "[rounds]", f'[codec]\nup = "half"\n{STAGE % 3}{STAGE % 5}[rounds]'
    )
    (tmp_path / "plan.toml").write_text(text)
    plan = read_plan(tmp_path / "plan.toml")
    (tmp_path / "again.toml").write_text(plan_toml(plan))
    assert read_plan(tmp_path / "again.toml") == plan
    ups = [preset_up(plan, round_) for round_ in range(1, last_round(plan) + 1)]
    downs = [preset_down(plan, round_) for round_ in range(1, last_round(plan) + 1)]
    assert ups == ["exact", "exact", "half", "half", *["tiny"] * 7, "exact", "exact"]
    assert downs == ["exact", "exact", "exact", "exact", *["small"] * 7, "exact", "exact"]


def test_the_digest_changes_with_any_value(tmp_path: Path) -> None:
    """It names the federation's rules."""
    (tmp_path / "plan.toml").write_text(GOOD)
    (tmp_path / "other.toml").write_text(GOOD.replace("count = 3", "count = 4"))
    assert read_plan(tmp_path / "plan.toml").digest() != read_plan(tmp_path / "other.toml").digest()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_no_plan(value: float) -> None:
    """Also when it is made in code."""
    with pytest.raises(ValueError, match="fin_loss_weight"):
        Training(fin_loss_weight=value)


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("mqtt://broker", ("broker", 1883, False, False)),
        ("mqtt://broker.example:2883/", ("broker.example", 2883, False, False)),
        ("mqtt://[::1]:1884", ("::1", 1884, False, False)),
        ("mqtt://b:1?protocol=3.1.1", ("b", 1, True, False)),
        ("mqtts://broker", ("broker", 8883, False, True)),
        ("mqtts://broker:883?protocol=3.1.1", ("broker", 883, True, True)),
        ("mqtts://broker?packet=1024", ("broker", 8883, False, True)),
        ("mqtts://broker:883?packet=64&protocol=3.1.1", ("broker", 883, True, True)),
    ],
)
def test_a_broker_url(url: str, parsed: tuple[str, int, bool, bool]) -> None:
    """Host, port, protocol version and TLS."""
    broker = BrokerUrl.parse(url)
    assert (broker.host, broker.port, broker.old, broker.tls) == parsed


@pytest.mark.parametrize(
    ("url", "kib"),
    [
        ("mqtt://broker", 256),
        ("wss://broker/ws", 64),
        ("mqtts://broker:8883?protocol=3.1.1&packet=1024", 1024),
        ("mqtts://broker:8883?packet=1024&protocol=3.1.1", 1024),
        ("mqtt://broker?packet=4", 4),
        ("wss://broker/ws?packet=256", 256),
    ],
)
def test_a_broker_url_says_how_much_a_packet_carries(url: str, kib: int) -> None:
    """256 KiB unless it says otherwise; 64 over WebSockets."""
    assert BrokerUrl.parse(url).chunk_bytes == kib * 1024


@pytest.mark.parametrize("packet", ["3", "1025", "0", "-4", "", "99999", "4.5", "1M", "0x10", "%34", "٤"])
def test_a_packet_that_is_not_possible_says_which_are(packet: str) -> None:
    """With what was given."""
    with pytest.raises(SettingsError, match=r"from 4 to 1024|only mqtts") as caught:
        BrokerUrl.parse(f"mqtts://broker?packet={packet}")
    assert f"packet={packet}" in str(caught.value)


@pytest.mark.parametrize(
    "query",
    ["packets=64", "packet=64&packet=64", "protocol=5&packet=64", "packet", "packet=64&", "&", "Packet=64"],
)
def test_other_options_of_a_broker_url_are_refused_and_those_that_there_are_named(query: str) -> None:
    """Each may stand once."""
    words = r"the only options are protocol=3.1.1 and packet=KIB|packet=: write a number"
    with pytest.raises(SettingsError, match=words):
        BrokerUrl.parse(f"mqtts://broker?{query}")


def test_an_ipv6_address_is_in_brackets_beside_a_port() -> None:
    """As the header Host of WebSockets must have it."""
    assert BrokerUrl.parse("wss://[fd78:3::1]/mqtt").address == "[fd78:3::1]:443"
    assert BrokerUrl.parse("mqtts://broker").address == "broker:8883"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker:1883",
        "http://broker",
        "mqttx://broker",
        "mqtts://",
        "mqtt://",
        "mqtt://:1883",
        "mqtt://broker:0",
        "mqtt://broker:99999",
        "mqtt://broker:port",
        "mqtt://broker/path",
        "mqtt://broker?protocol=5",
        "mqtt://broker#part",
        "mqtt://bro ker",
        "mqtt://[::1",
    ],
)
def test_a_url_that_is_not_supported_says_what_is(url: str) -> None:
    """With the remedy, never with another exception."""
    with pytest.raises(SettingsError, match=r"mqtt://|protocol="):
        BrokerUrl.parse(url)


@pytest.mark.parametrize(
    "url", ["mqtt://user:hush@broker", "mqtt://:hush@broker", "mqtt://user:hush@broker:x"]
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url: str) -> None:
    """It would end up in logs."""
    with pytest.raises(SettingsError) as caught:
        BrokerUrl.parse(url)
    assert "hush" not in str(caught.value)


def test_what_a_plan_needs_to_be_open_is_all_that_it_needs():
    """Who sets the keys that the words name, and no other, has a plan without secure sums."""
    secure = Plan(
        federation="ward",
        labels=("effusion",),
        modalities=(Modality(name="image", encoder="0" * 64, dim=3),),
        rounds=Rounds(sites=9, min_sites=9),
        codec=Codec(up="int4", schedule=(Stage(from_round=2, up="int8", down="exact"),)),
        privacy=Privacy(level="secure", groups=3),
    )
    assert secure.opening == (
        'privacy.level = "open" and codec.up = "exact" (in its schedule, too) and no privacy.groups'
    )
    level, codec = 'level = "secure"', 'up = "int'
    written = plan_toml(secure)
    assert (written.count(level), written.count(codec), written.count("groups = 3")) == (1, 2, 1)
    opened = written.replace(level, 'level = "open"').replace("groups = 3", "")
    opened = opened.replace('up = "int4"', 'up = "exact"').replace('up = "int8"', 'up = "exact"')
    assert not msgspec.toml.decode(opened, type=Plan).privacy.summed
    assert (
        structs.replace(secure, codec=Codec(), privacy=Privacy(level="secure")).opening
        == 'privacy.level = "open"'
    )
