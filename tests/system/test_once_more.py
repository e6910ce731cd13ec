"""A site that is started once more when all is over, and one that is asked again by another run: real processes."""

import shutil
import time

import pytest
from federation import Federation, broker, fedfin, set_up, start

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory):
    """A federation that has ended, and its broker, which retains nothing of it."""
    folder = tmp_path_factory.mktemp("finished")
    with broker("mosquitto", folder) as url:
        federation = Federation(folder, url, sites=1, rounds=1)
        federation.run()
        yield federation


def test_a_finished_site_that_is_started_again_says_so_and_ends(finished: Federation) -> None:
    """Nobody is there to begin another run; it once waited for ever."""
    began = time.monotonic()
    done = fedfin("edge", "run", finished.folder / "s0", "--no-keys")
    assert time.monotonic() - began < 60
    assert "finished: version 2, model " in done.stderr
    assert "final.fedfin" in done.stderr


def test_another_run_is_answered_only_with_a_person_s_word(finished: Federation) -> None:
    """The aggregator was set up anew, and asks the same of the same cases: exit code 9, with the remedy."""
    folder = finished.folder
    shutil.copytree(folder / "s0", folder / "again")
    set_up("aggregator", "init", folder / "plan.toml", folder / "agg2")
    server = start(
        "aggregator",
        "serve",
        folder / "agg2",
        "--broker",
        finished.broker_url,
        "--no-keys",
        log=folder / "agg2.log",
    )
    try:
        refused = fedfin("edge", "run", folder / "again", "--no-keys", check=False)
        assert refused.returncode == 9
        assert "has answered this plan from the same cases in run" in refused.stderr
        assert "edge run --again" in refused.stderr
        done = fedfin("edge", "run", folder / "again", "--no-keys", "--again")
        assert "finished: " in done.stderr
        assert server.wait(60) == 0
    finally:
        server.kill()
    models = [folder / "agg2" / "final.fedfin", folder / "again" / "state" / "final.fedfin"]
    assert models[0].read_bytes() == models[1].read_bytes() == (folder / "agg" / "final.fedfin").read_bytes()
