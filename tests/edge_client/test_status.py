"""`fedfin edge status`: what a site is doing, from its files alone."""

import json
import os
from pathlib import Path

import pytest
from federation import Federation
from intake_kit import make_site

from fedfin.command_line.main import main
from fedfin.errors import EvictedError
from fedfin.link.mqtt import Traffic
from fedfin.lock import only_process
from fedfin_aggregator.coordinator import Coordinator
from fedfin_edge.agent.state import AgentState
from fedfin_edge.agent.status import StatusFile, read_status
from fedfin_edge.site import Site

FEW = "suppressed (fewer than 10 patients"


@pytest.fixture
def site(maker) -> Site:
    """Thirty patients, all with an image; nine have a report, and four an effusion; mass has both answers often."""
    rows = [
        {
            "case": f"c{i}",
            "patient": f"p{i}",
            "image": maker.image(f"{i}.png", i + 1),
            "text": "clear lungs" if i < 9 else "",
            "effusion": int(i < 4),
            "mass": i % 2,
        }
        for i in range(30)
    ]
    return maker.site(maker.table(rows))


@pytest.fixture
def status(site: Site, capsys: pytest.CaptureFixture[str]):
    """What the command prints, with its exit code."""

    def ask(*options: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["edge", "status", str(site.folder), *options])
        return code, capsys.readouterr().out

    return ask


def test_small_counts_are_suppressed_and_never_zero(site: Site, status, encode) -> None:
    """In both forms; of a label either both answers are shown or none."""
    assert "not counted yet" in status()[1]
    encode(site)
    text = status()[1]
    assert "cases: 30, at 2" in text
    assert "  with image: 30\n" in text
    assert f"  with text: {FEW}" in text
    assert f"  effusion: {FEW}" in text
    assert "  mass: 15 yes, 15 no" in text
    counts = json.loads(status("--json")[1])["cases"]
    assert counts["modalities"] == {"image": 30, "text": None}
    assert counts["labels"] == {"effusion": {"yes": None, "no": None}, "mass": {"yes": 15, "no": 15}}


def test_a_count_that_would_tell_of_a_small_one_is_suppressed_too(maker, encode, capsys) -> None:
    """Of thirty patients four have no report: twenty-six would say so."""
    rows = [
        {"patient": f"p{i}", "image": maker.image(f"{i}.png", i + 1), "text": "clear lungs" if i < 26 else ""}
        for i in range(30)
    ]
    site = maker.site(maker.table(rows))
    encode(site)
    assert main(["edge", "status", str(site.folder), "--json"]) == 9
    assert json.loads(capsys.readouterr().out)["cases"]["modalities"] == {"image": 30, "text": None}


def test_it_says_what_the_agent_does_while_it_holds_the_folder(site: Site, status) -> None:
    """What, since when, what comes next, what went wrong last, and how much has travelled."""
    with only_process(site.folder, "fedfin edge run"), StatusFile(site.state_path) as file:
        file.measure(lambda: Traffic(1_000, 2_000))
        heard: list[str] = []
        report = file.reported(lambda event, _: heard.append(event))
        report("connecting", {"broker": "mqtt://127.0.0.1", "gives_up_after_seconds": 120})
        code, text = status()
        assert code == 7
        assert "at work, not connected" in text
        report("offline", {"reason": "nobody listens there"})
        report("online", {})
        report("round", {"round": 3, "task": "train"})
        code, text = status()
        assert code == 0
        for words in ("at work and connected", "doing: round 3: train, since 2", "next: sends its update"):
            assert words in text
        assert "offline: nobody listens there" in text
        assert "bytes: 1,000 up, 2,000 down" in text
        assert heard == ["connecting", "offline", "online", "round"]
    code, text = status()
    assert code == 9
    assert "not at work" in text
    assert "stopped (ended with exit code 0) while round 3: train" in text


def test_an_end_with_an_error_is_the_exit_code_of_status_and_bytes_add_up_over_starts(
    site: Site, status
) -> None:
    """As `run` ended: monitoring needs to look at nothing else."""

    def run() -> None:
        with StatusFile(site.state_path) as file:
            file.measure(lambda: Traffic(10, 20))
            file.reported(lambda *_: None)("online", {})
            raise EvictedError("the aggregator dropped this site: \x1b[31m")

    for _ in range(2):
        with pytest.raises(EvictedError):
            run()
    code, text = status()
    assert code == 10
    assert "the aggregator dropped this site: \\x1b[31m" in text
    assert "next: mend what the last error says; then `fedfin edge" in text
    assert "bytes: 20 up, 40 down" in text


def test_a_life_that_ends_well_forgets_the_error_of_the_one_before_and_none_of_its_own(
    site: Site, status
) -> None:
    """An interrupt is no good end: what was wrong may still be."""
    with pytest.raises(EvictedError), StatusFile(site.state_path):
        raise EvictedError("the aggregator dropped this site")
    with pytest.raises(KeyboardInterrupt), StatusFile(site.state_path):
        raise KeyboardInterrupt
    assert "the aggregator dropped this site" in status()[1]
    with StatusFile(site.state_path):
        assert "the aggregator dropped this site" in status()[1]
    assert "last error: none" in status()[1]
    with StatusFile(site.state_path) as file:
        file.reported(lambda *_: None)("offline", {"reason": "cannot reach"})
    assert "offline: cannot reach" in status()[1]


def test_a_kill_is_seen_and_a_site_that_never_ran_too(site: Site, status) -> None:
    """The file says that it is at work; the lock, which ends with the process, says that it is not."""
    assert status()[0] == 9
    assert "never started" in status()[1]
    if (child := os.fork()) == 0:
        with StatusFile(site.state_path):
            os._exit(0)
    os.waitpid(child, 0)
    code, text = status()
    assert code == 9
    assert "stopped (killed) while starting" in text


def test_who_else_holds_the_folder_is_not_the_agent(site: Site, status) -> None:
    """As `doctor` does for some seconds: before a first start, and after an end."""
    with only_process(site.folder, "fedfin broker check"):
        assert "never started" in status()[1]
    with StatusFile(site.state_path):
        pass
    with only_process(site.folder, "fedfin broker check"):
        assert "not at work" in status()[1]


def test_a_start_that_was_refused_is_the_last_error(site: Site, status, capsys) -> None:
    """Such as that of a site that was not admitted yet."""
    assert main(["edge", "run", str(site.folder)]) == 9
    code, text = status()
    assert code == 9
    assert "not admitted to a federation" in text


def following(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What comes next, in one line."""
    capsys.readouterr()
    main(["edge", "status", str(folder), "--json"])
    return str(json.loads(capsys.readouterr().out)["next"])


def test_what_comes_next_before_a_first_run_is_what_run_would_not_start_without(
    site: Site, make_plan, encode, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Cases, keys, an admission; without keys a site that has joined goes on."""
    assert "`fedfin edge encode` makes" in following(site.folder, capsys)
    encode(site)
    assert "`fedfin edge request`" in following(site.folder, capsys)
    AgentState(site.state_path).join("r" * 16, make_plan())
    assert following(site.folder, capsys) == "`fedfin edge run` takes part"
    assert main(["edge", "request", str(site.folder), "--out", str(tmp_path / "request")]) == 0
    assert "`fedfin edge accept`" in following(site.folder, capsys)


def test_what_comes_next_at_a_site_with_an_intake_that_has_taken_nothing_is_the_intake(
    tmp_path: Path, bundles, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing could be encoded."""
    site = make_site(tmp_path / "site", bundles)
    assert "`fedfin edge intake` takes cases" in following(site.folder, capsys)


def test_what_comes_next_after_accept_is_to_read_a_plan_that_is_not_allowed_or_approved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only then to take part."""
    digest = Federation(tmp_path, "mqtt://127.0.0.1:1883", sites=1, keys=True).plan.digest()
    folder = tmp_path / "s0"
    settings = folder / "site.toml"
    assert following(folder, capsys) == "`fedfin edge run` takes part"
    text = settings.read_text()
    settings.write_text(text + "\n[policy]\nmost_rounds = 1\n")
    assert "what [policy] has against the plan" in following(folder, capsys)
    charter = Coordinator(tmp_path / "study").charter
    admission = tmp_path / "study" / "admissions" / "s0.admission"
    assert main(["edge", "accept", str(folder), str(admission), "--fingerprint", charter.fingerprint]) == 0
    assert capsys.readouterr().out.endswith(f"accepted. next: fedfin edge review {folder}\n")
    settings.write_text(text + "\n[policy]\napprove = true\n")
    assert "`fedfin edge approve` allows it" in following(folder, capsys)
    assert main(["edge", "approve", str(folder), digest]) == 0
    assert following(folder, capsys) == "`fedfin edge run` takes part"


def test_a_status_of_another_version_is_none(site: Site, status) -> None:
    """It is not worth an error."""
    (site.state_path / "status.json").write_text('{"format": 9}')
    assert read_status(site.state_path) is None
    assert "never started" in status()[1]
