"""Folders that earlier versions wrote, each killed in the middle of a federation: taken over, or refused in one line.

tests/upgrades holds them: what `fedfin aggregator init`, `edge init` and some rounds of a federation of three sites
left at that revision, invented cases in it; `@FOLDER@` stands for where it lay. Those with keys and secure sums were
made by tests/upgrades/write_secure.py.
"""

import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import pytest
from federation import broker, fedfin, start

SITES = ("s0", "s1", "s2")
UPGRADES = Path(__file__).parents[1] / "upgrades"
BEFORE_NUMBERS = ("before-closed-forms", "closed-forms")  # revisions ac365e6 and c4b8708
LAST_WITHOUT = "before-formats"  # revision ed6661d: format 1 in all but the number
# With keys, in the middle of a secure sum: the same revision, and 64741fc, which counted scores in other bins.
SECURE = ("secure-before-formats", "secure-more-bins")


def unpack(name: str, folder: Path) -> Path:
    """The folder of that federation, as if it had been there from the start."""
    with tarfile.open(UPGRADES / f"{name}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    for party in folder.glob("ward/*/"):
        party.chmod(0o700)
    for settings in folder.glob("ward/*/site.toml"):
        settings.write_text(settings.read_text().replace("@FOLDER@", str(folder / "ward")))
    return folder / "ward"


@pytest.mark.parametrize("name", BEFORE_NUMBERS)
def test_a_journal_from_before_formats_were_numbered_is_refused_in_one_line(
    name: str, tmp_path: Path
) -> None:
    """It says what to do, and changes nothing."""
    ward = unpack(name, tmp_path)
    done = fedfin("aggregator", "show", ward / "agg", check=False)
    assert done.returncode == 9, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "from before journals had format numbers wrote it, and no later one can read it" in done.stderr
    with sqlite3.connect(ward / "agg/journal.sqlite") as journal:
        assert journal.execute("PRAGMA user_version").fetchone() == (0,)


@pytest.mark.parametrize("name", [*BEFORE_NUMBERS, LAST_WITHOUT])
def test_a_feature_store_is_taken_over(name: str, tmp_path: Path) -> None:
    """Nothing is encoded again, whichever version encoded it."""
    ward = unpack(name, tmp_path)
    assert "24 cases can be used" in fedfin("edge", "encode", ward / "s0").stdout
    assert "nothing to encode" in fedfin("edge", "encode", ward / "s0").stdout


@pytest.mark.broker
def test_a_federation_goes_on_in_this_version_where_the_one_before_was_killed(tmp_path: Path) -> None:
    """Aggregator and sites keep the run, the plan's digest and the rounds that were closed, and come to the end."""
    ward = unpack(LAST_WITHOUT, tmp_path)
    before = show(ward)
    run(ward, "--no-keys")
    after = show(ward)
    assert after["plan"] == before["plan"]
    assert len(after["rounds"]) > len(before["rounds"])
    assert after["rounds"][:3] == before["rounds"][:3]
    assert (ward / "agg/final.fedfin").read_bytes() == (ward / "s0/state/final.fedfin").read_bytes()


@pytest.mark.broker
@pytest.mark.parametrize("name", SECURE)
def test_a_federation_with_keys_goes_on_in_this_version_in_the_middle_of_a_secure_sum(
    name: str, tmp_path: Path
) -> None:
    """The sum that had named its survivors is made again of the same updates; keys, charter and answers are kept."""
    ward = unpack(name, tmp_path)
    before, answers = show(ward), answered(ward)
    run(ward, "--json")
    after = show(ward)
    assert after["plan"] == before["plan"]
    assert after["rounds"][:1] == before["rounds"][:1]
    assert [row["sites"] for row in after["rounds"]] == [3] * 4
    assert [lines[: len(answers[site])] for site, lines in answered(ward).items()] == [*answers.values()]
    events = [json.loads(line) for line in (ward / "agg.log").read_text().splitlines()]
    assert [event["round"] for event in events if event["event"] == "sum" and event["accepted"]] == [2, 3, 4]
    for site in SITES:
        assert (ward / site / "state/final.fedfin").read_bytes() == (ward / "agg/final.fedfin").read_bytes()


def run(ward: Path, *options: str) -> None:
    """Aggregator and sites, over a broker that remembers nothing, to the end."""
    with broker("mosquitto", ward) as url:
        for settings in ward.glob("*/site.toml"):
            lines = settings.read_text().splitlines()
            settings.write_text(
                "\n".join(f'broker = "{url}"' if line.startswith("broker") else line for line in lines)
            )
        serve = ("aggregator", "serve", ward / "agg", "--broker", url, *options)
        processes = [start(*serve, log=ward / "agg.log")]
        processes += [start("edge", "run", ward / site, *options, log=ward / f"{site}.log") for site in SITES]
        codes = [process.wait(60) for process in processes]
    assert codes == [0] * 4, (ward / "agg.log").read_text()


def show(ward: Path) -> Any:
    """What the aggregator's folder says."""
    return json.loads(fedfin("aggregator", "show", ward / "agg", "--json").stdout)


def answered(ward: Path) -> dict[str, list[str]]:
    """What each site has written down of its answers, so that it gives none twice."""
    return {site: (ward / site / "answers.jsonl").read_text().splitlines() for site in SITES}


def test_a_newer_versions_journal_and_state_are_refused_in_one_line(tmp_path: Path) -> None:
    """They say that the newer version is wanted; exit code 9 for both."""
    ward = unpack(LAST_WITHOUT, tmp_path)
    with sqlite3.connect(ward / "agg/journal.sqlite") as journal:
        journal.execute("PRAGMA user_version = 1000")
    progress = ward / "s0/state/progress.json"
    progress.write_text(json.dumps(json.loads(progress.read_text()) | {"format": 1000, "of_tomorrow": 1}))
    for command in (("aggregator", "show", ward / "agg"), ("edge", "explain-update", ward / "s0")):
        done = fedfin(*command, check=False)
        assert done.returncode == 9, done.stderr
        assert "a newer version of FedFIN wrote it" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_what_this_version_writes_has_its_numbers(tmp_path: Path) -> None:
    """A new journal's number is in the file, so that tomorrow's version knows it."""
    fedfin("aggregator", "init", unpack(LAST_WITHOUT, tmp_path) / "plan.toml", tmp_path / "fresh")
    with sqlite3.connect(tmp_path / "fresh/journal.sqlite") as journal:
        (number,) = journal.execute("PRAGMA user_version").fetchone()
    assert number >= 1
