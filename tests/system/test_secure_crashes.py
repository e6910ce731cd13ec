"""SIGKILL of a site or the aggregator at every step of a secure sum: no sum is lost, and none is wrong by a bit."""

from pathlib import Path

import pytest
from crash_point import SUMMING_AGGREGATOR, SUMMING_SITE
from federation import Federation, need_mosquitto
from test_crash_matrix import HERE, copied

from fedfin.demo.processes import free_port
from fedfin.plan_sections import Privacy

FEW = ["masked", "revealed, not sent", "survivors named", "kept, not asked"]
pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """Three sites with keys, all of which every sum needs."""
    need_mosquitto()
    url, secure = f"mqtt://127.0.0.1:{free_port()}", Privacy(level="secure")
    federation = Federation(tmp_path_factory.mktemp("template"), url, sites=3, keys=True, privacy=secure)
    federation.draw_alike()
    return federation


@pytest.fixture(scope="module")
def undisturbed(template: Federation, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The final model when nothing happens."""
    with copied(template, tmp_path_factory.mktemp("calm")) as machines:
        machines.run()
        return (machines.folder / "agg" / "final.fedfin").read_bytes()


def _check(point: str, template: Federation, undisturbed: bytes, folder: Path) -> None:
    owner = "agg" if point in SUMMING_AGGREGATOR else "s1"
    with copied(template, folder) as machines:
        machines.broken[owner] = [str(HERE / "crash_point.py"), point, "process", str(folder / "mark")]
        machines.run()
    assert machines.killed == [owner], "the point was never reached"
    for place in ("agg", "s0/state", "s1/state", "s2/state"):
        assert (folder / place / "final.fedfin").read_bytes() == undisturbed, place


@pytest.mark.parametrize("point", FEW)
def test_a_kill_costs_no_sum(point: str, template: Federation, undisturbed: bytes, tmp_path: Path) -> None:
    """A few of them."""
    _check(point, template, undisturbed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in SUMMING_SITE | SUMMING_AGGREGATOR if point not in FEW])
def test_a_kill_at_any_step_costs_no_sum(
    point: str, template: Federation, undisturbed: bytes, tmp_path: Path
) -> None:
    """All the others: `make crash-matrix`."""
    _check(point, template, undisturbed, tmp_path)
