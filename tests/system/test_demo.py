"""The demo, small, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ["--patients", "60", "--sites", "3", "--with-text", "1", "--rounds", "2", "--layer", "block:10"]


def command(folder: Path, *more: str) -> list[str]:
    """The demo in `folder`."""
    return [sys.executable, "-m", "fedfin", "demo", *SMALL, "--out", str(folder), *more]


def of_folder(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's demo runs: interrupted first, then to its end."""
    return tmp_path_factory.mktemp("small") / "demo"


@pytest.mark.slow
def test_an_interrupted_demo_leaves_no_process(folder: Path) -> None:
    """Ctrl-C in the middle of training: exit code 130, and nothing runs on."""
    with (folder.parent / "log").open("w") as log:
        process = subprocess.Popen(command(folder), stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 150
    while not (folder / "logs" / "image-only" / "site-01.log").exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2.0)
    assert len(of_folder(folder)) > 1
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 130, (folder.parent / "log").read_text()
    assert of_folder(folder) == []


def test_the_demo_goes_on_and_ends_with_every_figure(folder: Path) -> None:
    """Started again it finishes: its trainings, costs per site, what secure sums cost, nothing encoded again."""
    done = subprocess.run(command(folder), capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "FedFIN" in done.stdout
    assert "zero-fill" in done.stdout
    assert "secure sums beside none" in done.stdout
    result = json.loads((folder / "run.json").read_text())
    assert result["settings"]["level"] == "secure"
    assert (folder / "sites" / "site-01" / "trust" / "audit.jsonl").exists()
    assert set(result["federations"]) == {"image-only", "zero-fill", "open", "fedfin"}
    for federation in result["federations"].values():
        assert 0.0 < federation["holdout"]["all"]["macro_auc"] < 1.0
        assert all(  # memory: of the agent and of the process that trains, whose libraries count twice
            costs["bytes_up"] > 0 and costs["peak_rss_mb"] < 500 for costs in federation["sites"].values()
        )


def test_another_demo_does_not_overwrite_this_one(folder: Path) -> None:
    """Other settings in the same folder are refused with the state error's exit code."""
    done = subprocess.run(command(folder, "--seed", "5"), capture_output=True, text=True, check=False)
    assert done.returncode == 9
    assert "other settings" in done.stderr
