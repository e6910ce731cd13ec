"""Two neighbouring versions in one federation: the older one's source, from this repository's history, in processes."""

import io
import re
import subprocess
import tarfile
from pathlib import Path

import pytest
from federation import Federation, broker, start

from fedfin.plan_sections import Privacy, Rounds

ROOT = Path(__file__).parents[2]
UNANNOUNCED = (
    "4c88d3ea952629a08487e1d75ed9d952b924d5c6"  # the last revision whose parties announce no version
)
MORE_BINS = (
    "64741fcbddb2a5486ee46f71b239659951388ac7"  # one that counts the scores of secure sums in 256 bins
)
BEFORE_BLOCKS = (
    "4ab48b946b4b0896c5bd59057fa11910073ecaf2"  # one that does not know privacy.least_sites_per_block
)
CASES = [("s1",), ("agg",), ("s0", "s1")]  # who is of the older version
pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before announcements."""
    return source(UNANNOUNCED, tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="module")
def other_bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before fewer bins."""
    return source(MORE_BINS, tmp_path_factory.mktemp("other-bins"))


@pytest.fixture(scope="module")
def before_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the version before sites behind every block."""
    return source(BEFORE_BLOCKS, tmp_path_factory.mktemp("before-blocks"))


def source(revision: str, folder: Path) -> Path:
    """What a party needs of that revision, in this folder."""
    words = ["git", "archive", revision, "fedfin", "edge_client", "aggregator"]
    try:
        archive = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"revision {revision} is not here: the repository's history is needed")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
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


@pytest.mark.parametrize(("older_part", "behind"), [("s1", "site"), ("agg", "aggregator")])
@pytest.mark.slow
def test_in_secure_sums_an_older_party_is_named_before_the_first_round(
    older_part: str, behind: str, other_bins: Path, tmp_path: Path
) -> None:
    """It counts scores in other bins, so the last round would not end. One line, exit code 10 at the site."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(
            tmp_path,
            url,
            keys=True,
            rounds=Rounds(count=1, sites=3, min_sites=3),
            privacy=Privacy(level="secure"),
        )
        reason = dropped(federation, url, {older_part: other_bins})
    assert "which speaks revision 1" in reason, "of an older one a welcome may announce no version"
    assert reason.endswith(f"upgrade the {behind}")
    assert not [event for event in federation.events("agg") if event["event"] == "cohort"]


@pytest.mark.slow
@pytest.mark.parametrize(("older_part", "behind"), [("s1", "site"), ("agg", "aggregator")])
def test_a_party_that_signs_no_model_is_named_before_the_first_secure_sum(
    older_part: str, behind: str, before_blocks: Path, tmp_path: Path
) -> None:
    """It counts in the same bins; but nobody takes its keys, nor it theirs."""
    with broker("mosquitto", tmp_path) as url:
        rounds = Rounds(count=1, sites=3, min_sites=3)
        federation = Federation(tmp_path, url, keys=True, rounds=rounds, privacy=Privacy(level="secure"))
        reason = dropped(federation, url, {older_part: before_blocks})
    assert re.search(r"speaks revision (1 to )?3\b", reason)
    assert reason.endswith(f"upgrade the {behind}")
    assert not [event for event in federation.events("agg") if event["event"] == "cohort"]


@pytest.mark.slow
def test_a_site_that_does_not_know_blocks_is_named_before_the_first_round(
    before_blocks: Path, tmp_path: Path
) -> None:
    """It cannot read the plan: who must upgrade, in one line, exit code 10."""
    with broker("mosquitto", tmp_path) as url:
        rounds = Rounds(count=1, sites=3, min_sites=3)
        privacy = Privacy(level="secure", least_sites_per_block=3)
        federation = Federation(tmp_path, url, keys=True, rounds=rounds, privacy=privacy)
        reason = dropped(federation, url, {"s1": before_blocks})
    assert reason.endswith("upgrade the site")


def dropped(federation: Federation, url: str, trees: dict[str, Path]) -> str:
    """Why site s1 left, with exit code 10. `trees`: of parties that are of another version."""
    folder = federation.folder
    serve = ("aggregator", "serve", folder / "agg", "--broker", url, "--json")
    aggregator = start(*serve, log=folder / "agg.log", tree=trees.get("agg"))
    site = start("edge", "run", folder / "s1", "--json", log=folder / "s1.log", tree=trees.get("s1"))
    try:
        assert site.wait(90) == 10, (folder / "s1.log").read_text()
    finally:
        aggregator.kill()
        site.kill()
    (reason,) = [event["reason"] for event in federation.events("s1") if event["event"] == "dropped"]
    return reason


def run(parties: tuple[str, ...], older: Path, tmp_path: Path, *, keys: bool) -> None:
    """A federation in which these are older: every site counts in each round."""
    with broker("mosquitto", tmp_path) as url:
        federation = Federation(tmp_path, url, sites=2, keys=keys)
        federation.run(trees=dict.fromkeys(parties, older))
    closed = [event["sites"] for event in federation.events("agg") if event["event"] == "closed"]
    assert closed == [2.0] * len(closed)
    assert closed
    one_model(federation, tmp_path)
    said = complaints(federation)
    # An older aggregator leaves out a hello that announces a version, where it was there to hear the first one.
    assert "agg" in parties or not said
    assert all("party" in reason for reason in said), said


def one_model(federation: Federation, tmp_path: Path) -> None:
    """The final model has the same bytes everywhere."""
    places = ("agg", *(f"{name}/state" for name in federation.names))
    assert len({(tmp_path / place / "final.fedfin").read_bytes() for place in places}) == 1


def complaints(federation: Federation) -> list[str]:
    """Why parties left out messages of others."""
    events = [event for name in ("agg", *federation.names) for event in federation.events(name)]
    return [event["reason"] for event in events if event["event"] == "bad-message"]
