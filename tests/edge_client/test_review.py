"""`fedfin edge review` and `approve`: a person reads what would leave, and says yes to one digest."""

import json
from math import prod
from pathlib import Path

import pytest
from federation import Federation
from msgspec.structs import replace

from fedfin.command_line.main import main
from fedfin.model.model_spec import task_specs
from fedfin.model.second_moment_spec import OTHER_HALF
from fedfin.plan_sections import Privacy, Rounds
from fedfin_aggregator.coordinator import Coordinator
from fedfin_edge.agent.plan_policy import check_plan
from fedfin_edge.agent.state import AgentState, Proposal
from fedfin_edge.site import Site, open_site

RUN = "0123456789abcdef"


@pytest.fixture
def site(maker) -> Site:
    """With images and reports, whose people want to be asked."""
    row = {"case": "a", "patient": "p", "image": maker.image("a.png"), "text": "clear lungs", "effusion": 1}
    made = maker.site(maker.table([row]))
    settings = made.folder / "site.toml"
    settings.write_text(settings.read_text() + "\n[policy]\napprove = true\n")
    return open_site(made.folder)


def propose(site: Site, plan) -> str:
    """A plan has come; its digest."""
    AgentState(site.state_path).propose(Proposal(plan, RUN))
    return plan.digest()


def review(site: Site, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    """Exit code and output."""
    capsys.readouterr()
    code = main(["edge", "review", str(site.folder), *options])
    return code, capsys.readouterr().out


def test_a_plan_is_read_then_approved_by_its_digest_and_only_that_one_passes(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """Review names the command; another plan that comes later needs a word of its own."""
    plan = make_plan()
    digest = propose(site, plan)
    code, text = review(site, capsys)
    assert code == 0
    assert f"fedfin edge approve {site.folder} {digest}" in text
    for words in (
        digest,
        RUN,
        "effusion, mass",
        "moments, in 1 round at most",
        "train, in 40 rounds",
        "OPEN: whoever runs",
    ):
        assert words in text
    assert "whoever reads there, since no keys were accepted here" in text
    assert main(["edge", "approve", str(site.folder), digest]) == 0
    check_plan(site, plan)
    assert review(site, capsys)[1].endswith("approved here\n")
    propose(site, make_plan(seed=1))
    assert "not approved" in review(site, capsys)[1]


def test_a_word_can_be_taken_back(site: Site, make_plan, capsys: pytest.CaptureFixture[str]) -> None:
    """The last one counts."""
    digest = propose(site, make_plan())
    for options, approval in (([], "given"), (["--withdraw"], "missing"), ([], "given")):
        assert main(["edge", "approve", str(site.folder), digest, *options]) == 0
        assert json.loads(review(site, capsys, "--json")[1])["approval"] == approval


def test_what_was_not_asked_cannot_be_approved(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """A digest that was mistyped would be silence later."""
    with_nothing = main(["edge", "approve", str(site.folder), "a" * 64])
    assert with_nothing == 9
    assert "no plan has come yet" in capsys.readouterr().err
    digest = propose(site, make_plan())
    for wrong in ("a" * 64, digest[:12], digest.upper()):
        assert main(["edge", "approve", str(site.folder), wrong]) == 3
        assert f"which is {digest}" in capsys.readouterr().err


def test_review_names_all_that_the_policy_has_against_a_plan(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not only the first; with exit code 3."""
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text() + "most_rounds = 5\nleast_sites = 9\nuntil = 2020-01-31\n")
    rounds = Rounds(sites=3, min_sites=3)
    propose(site, replace(make_plan(), privacy=Privacy(level="secure"), rounds=rounds))
    code, text = review(site, capsys)
    refused = [line for line in text.splitlines() if line.startswith("refused: ")]
    assert code == 3
    assert ["most_rounds" in refused[0], "least_sites is 9" in refused[1], "until" in refused[2]] == [
        True
    ] * 3
    assert "sums over 3 sites or more" in text


def test_review_says_how_much_travels_and_not_how_much_it_is_in_memory(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """A masked word has twice the bytes of the value in it."""
    for level, value_bytes in (("open", 4), ("secure", 8)):
        plan = replace(make_plan(), privacy=Privacy(level=level), rounds=Rounds(sites=3, min_sites=3))
        propose(site, plan)
        assert "KB at most, as they travel" in review(site, capsys)[1]
        values = sum(map(prod, task_specs(plan, "second_moments").values()))
        largest = json.loads(review(site, capsys, "--json")[1])["largest"]
        assert value_bytes <= largest / values < 1.1 * value_bytes


@pytest.mark.parametrize(("level", "halved"), [("open", {"complete"}), ("secure", {"complete", "partial"})])
def test_review_says_which_second_moments_come_in_two_halves(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str], level: str, halved: set[str]
) -> None:
    """Those of which an update has tensors of a second half: with secure sums also those of incomplete cases."""
    plan = replace(make_plan(), privacy=Privacy(level=level), rounds=Rounds(sites=3, min_sites=3))
    names = [
        name.removeprefix(OTHER_HALF) for name in task_specs(plan, "second_moments") if OTHER_HALF in name
    ]
    assert {name.split(".")[1] for name in names} == halved
    propose(site, plan)
    words = {
        "open": "of cases with every modality in two halves",
        "secure": "in two halves of the patients, for cases with every modality and for others",
    }
    assert words[level] in review(site, capsys)[1]


def test_with_keys_review_names_who_gets_it_by_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Aggregator and coordinator, as they are compared by telephone; `accept` has kept the plan."""
    federation = Federation(tmp_path, "mqtt://127.0.0.1:1883", sites=1, keys=True)
    code, text = review(open_site(tmp_path / "s0"), capsys)
    assert code == 0
    charter = Coordinator(tmp_path / "study").charter
    assert f"plan {federation.plan.digest()}" in text
    assert f"aggregator {charter.aggregator.fingerprint}: of the coordinator {charter.fingerprint}" in text
    assert "models made of it: no other site yet" in text
    assert "sealed, it sees sizes and times" in text


def test_an_admission_is_reviewed_before_it_is_accepted_and_says_who_would_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its own charter, whatever was accepted here before; and the commands that it names work in their order."""
    Federation(tmp_path, "mqtt://127.0.0.1:1883", sites=2, keys=True)
    site = open_site(tmp_path / "s0")
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text() + "\n[policy]\napprove = true\n")
    for path in (
        site.trust_path / "accepted.json",
        site.trust_path / "charter",
        site.state_path / "proposed.json",
    ):
        path.unlink()
    charter = Coordinator(tmp_path / "study").charter
    admission = tmp_path / "study" / "admissions" / "s0.admission"
    code, text = review(site, capsys, "--admission", str(admission))
    assert code == 0
    assert f"aggregator {charter.aggregator.fingerprint}: of the coordinator {charter.fingerprint}" in text
    assert "models made of it: s1" in text
    advice = text.splitlines()[-1].partition("agree: ")[2]
    for command in advice.split(", then "):
        words = command.split()
        confirmed = ["--fingerprint", charter.fingerprint] if "accept" in words else []
        assert main([*words[1:], *confirmed]) == 0
    assert review(site, capsys, "--admission", str(admission))[1].endswith("approved here\n")


def test_a_damaged_or_huge_proposal_is_a_plain_error(
    site: Site, make_plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may have come over the network from anybody."""
    propose(site, make_plan())
    path: Path = site.state_path / "proposed.json"
    whole = path.read_bytes()
    for bad in (
        b"",
        b"{",
        whole.replace(b'"dim":2', b'"dim":60000').replace(b'"basis_total":1180', b'"basis_total":16384'),
    ):
        path.write_bytes(bad)
        assert main(["edge", "review", str(site.folder)]) == 9
        assert "is damaged" in capsys.readouterr().err
