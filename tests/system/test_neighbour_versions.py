"""Two neighbouring versions in one federation: the older one's source, from this repository's history, in processes."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from federation import Federation, broker

ROOT = Path(__file__).parents[2]
NEIGHBOUR = "4c88d3ea952629a08487e1d75ed9d952b924d5c6"  # the last revision whose parties announce no version
CASES = [("s1",), ("agg",), ("s0", "s1")]  # who is of the older version
pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before this one."""
    words = ["git", "archive", NEIGHBOUR, "fedfin", "edge_client", "aggregator"]
    try:
        archive = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"revision {NEIGHBOUR} is not here: the repository's history is needed")
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(archive)) as source:
        source.extractall(folder, filter="data")
    return folder


def test_an_older_site_comes_to_the_end_beside_this_version(older: Path, tmp_path: Path) -> None:
    """With the same model; the others below take a minute."""
    run(("s1",), older, tmp_path, keys=False)


@pytest.mark.slow
@pytest.mark.parametrize("parties", CASES, ids="+".join)
@pytest.mark.parametrize("keys", [False, True], ids=["open", "keys"])
def test_any_mixture_comes_to_the_end_with_one_model(
    parties: tuple[str, ...], keys: bool, older: Path, tmp_path: Path
) -> None:
    """An older site, an older aggregator, and older sites alone with this aggregator."""
    run(parties, older, tmp_path, keys=keys)


def run(parties: tuple[str, ...], older: Path, tmp_path: Path, *, keys: bool) -> None:
    """A federation in which these are older: every site counts in each round."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, sites=2, keys=keys)
        federation.run(trees=dict.fromkeys(parties, older))
    closed = [event["sites"] for event in federation.events("agg") if event["event"] == "closed"]
    assert closed == [2.0] * len(closed)
    assert closed
    finals = {(tmp_path / part / "final.fedfin").read_bytes() for part in ("agg", "s0/state", "s1/state")}
    assert len(finals) == 1
    said = [
        e["reason"] for n in ("agg", "s0", "s1") for e in federation.events(n) if e["event"] == "bad-message"
    ]
    # An older aggregator leaves out a hello that announces a version, where it was there to hear the first one.
    assert "agg" in parties or not said
    assert all("party" in reason for reason in said), said
