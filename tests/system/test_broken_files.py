"""Files that are damaged, cut anywhere or not what they should be: an error of ours with its exit code and a remedy."""

import contextlib
from pathlib import Path

import msgspec
import pytest
from federation import make_plan, set_up

from fedfin.command_line.main import main
from fedfin.errors import FedfinError, InputError, StateError
from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import ModelFile, encode_model_file, read_model
from fedfin.model.plan_file import plan_toml, read_plan
from fedfin.plan_sections import Modality
from fedfin_aggregator.folder import JOURNAL, open_journal
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState
from fedfin_edge.cases.feature_store import FeatureStore

IMAGE = Modality(name="image", encoder="a" * 64, dim=6)
PLAN = make_plan({}, modalities=(IMAGE,))


def test_a_model_file_whose_kind_is_no_utf_8_is_a_plain_error(tmp_path: Path) -> None:
    """81a46b... raised UnicodeDecodeError."""
    path = tmp_path / "model.fedfin"
    path.write_bytes(bytes.fromhex("81a46b696e64a1ff"))
    with pytest.raises(InputError, match=r"model\.fedfin: not a FedFIN model file .*copy it again"):
        read_model(path)
    assert main(["export", "model", str(path), str(tmp_path / "out")]) == 4


def test_a_newer_versions_model_file_is_no_broken_one(tmp_path: Path) -> None:
    """Another copy of it would not help."""
    path = tmp_path / "model.fedfin"
    path.write_bytes(msgspec.msgpack.encode({"kind": "fedfin-model-9", "of_tomorrow": 1}))
    with pytest.raises(InputError, match=r"model\.fedfin: a newer version of FedFIN wrote it; upgrade"):
        read_model(path)


def test_a_model_file_cut_anywhere_is_a_plain_error(tmp_path: Path) -> None:
    """Every prefix."""
    path = tmp_path / "model.fedfin"
    whole = encode_model_file(ModelFile(PLAN, 1, initial_model(PLAN)))
    for end in [*range(0, len(whole), 1 + len(whole) // 300), len(whole) - 1]:
        path.write_bytes(whole[:end])
        with pytest.raises(FedfinError):
            read_model(path)


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = {b = " * 3000, "a" + ".b" * 5000 + " = 1", "a = \x00"],
    ids=["nested lists", "a number of 5,000 digits", "nested tables", "a key of 5,000 parts", "NUL"],
)
def test_toml_that_no_parser_takes_is_a_plain_error(tmp_path: Path, text: str) -> None:
    """Exit code 3, for a plan as for a site's settings."""
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(FedfinError) as refused:
        read_plan(tmp_path / "site.toml")
    assert refused.value.exit_code == 3
    assert main(["edge", "encode", str(tmp_path)]) == 3


def test_settings_of_gigabytes_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sparse file costs nothing to make."""
    with (tmp_path / "site.toml").open("wb") as stream:
        stream.truncate(1 << 40)
    assert main(["edge", "encode", str(tmp_path)]) == 3
    assert "more than 1,048,576 bytes" in capsys.readouterr().err


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal with a round open, in one file."""
    folder = tmp_path_factory.mktemp("ward")
    (folder / "plan.toml").write_text(plan_toml(PLAN))
    set_up("aggregator", "init", folder / "plan.toml", folder / "ward")
    with open_journal(folder / "ward") as opened:
        Rounds(opened)
        opened._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return (folder / "ward" / JOURNAL).read_bytes()


BROKEN = {
    "no database": lambda whole: b"no database at all" * 99,
    "a table of other columns": lambda whole: whole.replace(b"silent INTEGER NOT NULL", b"loudly INTEGER NOT NULL"),
    "a table of another name": lambda whole: whole.replace(b"CREATE TABLE round", b"CREATE TABLE rouxd"),
    "a schema that is no UTF-8": lambda whole: whole.replace(b"CREATE TABLE plan", b"CREATE \xffABLE plan"),
    "a plan that is no JSON": lambda whole: whole.replace(b'{"federation"', b'{"federatio\xff"'),
    "a cut in the middle": lambda whole: whole[: len(whole) // 2],
    "one page of many": lambda whole: whole[:4096],
}  # fmt: skip


@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_journal_is_a_plain_error_with_the_remedy(
    tmp_path: Path, journal: bytes, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 9 of every command that opens it."""
    data = BROKEN[damage](journal)
    assert data != journal
    (tmp_path / JOURNAL).write_bytes(data)
    for command in ("show", "serve"):
        broker = ["--broker", "mqtt://127.0.0.1:9"] if command == "serve" else []
        assert main(["aggregator", command, str(tmp_path), *broker]) == 9
        assert "restore it from a backup" in capsys.readouterr().err


def test_a_journal_cut_anywhere_is_opened_or_a_plain_error(tmp_path: Path, journal: bytes) -> None:
    """At every 97th byte; what lacks a page is never opened, while the empty end of the last page is not missed."""
    path = tmp_path / JOURNAL
    for end in range(1, len(journal), 97):
        path.write_bytes(journal[:end])
        try:
            with open_journal(tmp_path) as opened:
                assert opened.plan == PLAN
                assert len(journal) - end < 4096
        except StateError as error:
            assert "restore it from a backup" in str(error)  # noqa: PT017


def test_a_feature_store_cut_or_damaged_anywhere_is_opened_or_a_plain_error(tmp_path: Path) -> None:
    """Exit code 9, and the remedy: it is a cache, to be made anew."""
    path = tmp_path / "features.sqlite"
    FeatureStore(path).__exit__(None, None, None)
    whole = path.read_bytes()
    hostile = [
        b"no database" * 99,
        whole.replace(b"vector BLOB NOT NULL", b"tensor BLOB NOT NULL"),
        whole.replace(b"CREATE TABLE features", b"CREATE \xffABLE features"),
        *(whole[:end] for end in range(1, len(whole), 97)),
    ]
    for data in hostile:
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        path.write_bytes(data)
        with pytest.raises(StateError, match=r"fedfin edge encode|disk space"), FeatureStore(path) as store:
            store.known("a" * 64, [b"i" * 32])


NOT_UTF_8 = {
    "progress.json": b'{"run":"\xff"}',
    "plan.json": b'{"federation":"\xff"}',
    "outbox.msgpack": b"\x81\xa1\xff",
}


@pytest.mark.parametrize("name", NOT_UTF_8)
def test_a_state_file_that_is_no_utf_8_is_a_plain_error_or_counts_for_nothing(
    tmp_path: Path, name: str
) -> None:
    """Of an update on its way there is another one at the aggregator, or none."""
    state = AgentState(tmp_path)
    state.join("0" * 16, PLAN)
    state.put_update(Outbox(1, "train", b"", b"", b""))
    (tmp_path / name).write_bytes(NOT_UTF_8[name])
    with contextlib.suppress(StateError):
        AgentState(tmp_path).memory({})
        AgentState(tmp_path).plan()
        assert name == "outbox.msgpack"
    with pytest.raises(StateError, match="damaged"):
        AgentState(tmp_path).last_update()


def test_a_plan_in_the_state_folder_is_measured_too(tmp_path: Path) -> None:
    """As one from the network."""
    AgentState(tmp_path).join("0" * 16, PLAN)
    huge = msgspec.to_builtins(PLAN)
    huge["modalities"][0]["dim"] = 65_536
    huge["model"] |= {"fin": "gaussian", "answer": "experts"}
    (tmp_path / "plan.json").write_bytes(msgspec.json.encode(huge))
    with pytest.raises(StateError, match=r"remove .* to join afresh"):
        AgentState(tmp_path).plan()
