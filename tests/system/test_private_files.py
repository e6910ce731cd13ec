"""Folders of a site and of an aggregator are for their user alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import make_bundle, make_plan, set_up, write_cases

from fedfin.lock import only_process
from fedfin.model.plan_file import plan_toml
from fedfin.plan_sections import Modality
from fedfin_aggregator.folder import open_journal
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.serve.incoming import Incoming
from fedfin_aggregator.store.update_writer import UpdateRow
from fedfin_edge.agent.error_feedback import Feedback
from fedfin_edge.agent.outbox import Outbox
from fedfin_edge.agent.state import AgentState


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Of the folder and all in it."""
    found = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in found}


def check_private(folder: Path) -> None:
    for name, mode in modes(folder).items():
        assert mode == (0o700 if (folder / name).is_dir() else 0o600), (name, oct(mode))


@pytest.fixture
def site(tmp_path: Path, umask: int) -> Path:
    bundle = tmp_path / "bundle"
    make_bundle(bundle, "image", 6)
    table = write_cases(tmp_path / "cases.jsonl", 0, ("image",))
    folder = tmp_path / "sites" / "s0"
    set_up("edge", "init", folder, "--site", "s0", "--federation", "ward",
           "--broker", "mqtt://127.0.0.1", "--cases", table, "--bundle", bundle)  # fmt: skip
    return folder


def test_everything_in_a_site_folder_is_private(site: Path) -> None:
    """Settings, feature store, lock, state with outbox and feedback."""
    set_up("edge", "encode", site, "--processes", "1")
    with only_process(site, "a test"):
        pass
    state = AgentState(site / "state")
    state.join("0" * 16, make_plan({}, modalities=(_modality(),)))
    state.put_update(Outbox(1, "train", b"payload", b"owed", b"lost"))
    state.settle(accepted=True)
    state.model.make_first(state.plan())
    assert state.feedback() == Feedback("0" * 16, b"owed")
    assert {"features.sqlite", "site.toml", ".lock", "state/feedback.msgpack"} <= modes(site).keys()
    check_private(site)


def _modality() -> Modality:
    return Modality(name="image", encoder="a" * 64, dim=6)


def test_everything_in_an_aggregator_folder_is_private(tmp_path: Path, umask: int) -> None:
    """Journal with -wal and -shm, parts, updates, spool, final model."""
    plan_file, folder = tmp_path / "plan.toml", tmp_path / "chest"
    plan_file.write_text(plan_toml(make_plan({}, modalities=(_modality(),))))
    set_up("aggregator", "init", plan_file, folder)
    with open_journal(folder) as journal, only_process(folder, "a test"):
        rounds = Rounds(journal)
        set_up("aggregator", "model", folder, "--out", folder / "final.fedfin")
        incoming = Incoming(rounds, lambda event, facts: None, lambda _: None)
        journal.updates.add(UpdateRow(1, "s0", b"i" * 32, True, "", 3, {}, 1), b"abc")
        incoming._spool._room = 0  # as when many arrive at once
        incoming._spool.put("s0", 0, b"chunk", 5)
        names = modes(folder).keys()
        assert {"journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "spool/s0"} <= names
        assert {"round-1.updates", "parts/snapshot-0", "final.fedfin", ".lock"} <= names
        check_private(folder)


def test_a_folder_that_others_may_look_into_is_named_with_the_remedy_at_each_start(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, on standard error; none once the remedy was followed."""
    site.chmod(0o755)
    for _ in range(2):
        capsys.readouterr()
        set_up("edge", "encode", site, "--processes", "1")
        warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
        assert warnings == [
            f"fedfin: warning: {site} is open to other users of this machine; close it: chmod -R go-rwx {site}"
        ]
    site.chmod(0o700)
    set_up("edge", "encode", site, "--processes", "1")
    assert "warning" not in capsys.readouterr().err


def test_an_aggregator_folder_that_others_may_look_into_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An existing folder keeps its rights: who made it decides, and is told."""
    plan_file, folder = tmp_path / "plan.toml", tmp_path / "chest"
    plan_file.write_text(plan_toml(make_plan({}, modalities=(_modality(),))))
    folder.mkdir()
    folder.chmod(0o750)
    set_up("aggregator", "init", plan_file, folder)
    assert capsys.readouterr().err.count("is open to other users") == 1
    set_up("aggregator", "show", folder)
    assert f"chmod -R go-rwx {folder}" in capsys.readouterr().err
