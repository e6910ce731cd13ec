"""Two processes do not work in one folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from fedfin.errors import StateError
from fedfin.lock import only_process

sys.path.insert(0, str(Path(__file__).parents[1]))
from federation import fedfin, make_bundle, make_plan, write_cases

from fedfin.demo.processes import free_port
from fedfin.model.plan_file import plan_toml

HOLD = "import sys; from pathlib import Path; from fedfin.lock import only_process\n"
HOLD += "with only_process(Path(sys.argv[1]), 'x'): print('held', flush=True); sys.stdin.read()"


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    """It is refused while another holds it, and free once that one is dead."""
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with (
            pytest.raises(StateError, match="another `fedfin x` is at work"),
            only_process(tmp_path, "fedfin x"),
        ):
            pass
        other.kill()
        other.wait(10)
    with only_process(tmp_path, "fedfin x"):
        pass


def test_no_folder_to_lock_is_a_plain_error(tmp_path: Path) -> None:
    """The message names it."""
    with (
        pytest.raises(StateError, match=r"nowhere/\.lock: cannot write"),
        only_process(tmp_path / "nowhere", "x"),
    ):
        pass


def test_a_second_run_and_a_second_serve_are_refused(tmp_path: Path) -> None:
    """Exit code 9, at once."""
    broker = f"mqtt://127.0.0.1:{free_port()}"
    manifest = make_bundle(tmp_path / "bundle", "image", 6)
    (tmp_path / "plan.toml").write_text(plan_toml(make_plan({"image": manifest})))
    fedfin("aggregator", "init", tmp_path / "plan.toml", tmp_path / "agg")
    cases = write_cases(tmp_path / "cases.jsonl", 0, ("image",))
    words = ("--site", "s0", "--federation", "ward", "--broker", broker, "--cases", cases)
    fedfin("edge", "init", tmp_path / "s0", *words, "--bundle", tmp_path / "bundle")
    with only_process(tmp_path / "agg", "x"), only_process(tmp_path / "s0", "x"):
        second_serve = fedfin(
            "aggregator", "serve", tmp_path / "agg", "--broker", broker, "--no-keys", check=False
        )
        second_run = fedfin("edge", "run", tmp_path / "s0", "--json", "--no-keys", check=False)
    for done, command in ((second_serve, "aggregator serve"), (second_run, "edge run")):
        assert done.returncode == 9
        assert f"another `fedfin {command}` is at work" in done.stderr
        assert done.stdout == ""
