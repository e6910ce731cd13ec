"""What the broker's operator made goes to sites and aggregator by the coordinator, and is looked at there."""

import shutil
from pathlib import Path

import pytest

from fedfin.command_line.main import main
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Rounds
from fedfin.trust.accepted import CERTIFICATE, TRUST
from fedfin.trust.identity import BROKER
from fedfin.trust.request import read_request, write_request
from fedfin_aggregator.coordinator import Coordinator

SITES = ("st-luke", "st-mary")


class Study:
    """A coordinator, an aggregator, requests of two sites, and a kit for all of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kit_folder, self.requests = folder, folder / "kit", folder / "requests"
        plan = Plan(
            federation="ward",
            labels=("effusion",),
            modalities=(Modality(name="image", encoder="0" * 64, dim=4),),
            rounds=Rounds(count=1, sites=2, min_sites=2),
        )
        (folder / "plan.toml").write_text(plan_toml(plan))
        (folder / "sites.txt").write_text("\n".join(SITES))
        assert self.do("aggregator", "init", folder / "plan.toml", folder / "chest") == 0
        self.aggregator_asks()
        for site in SITES:
            out = self.requests / f"{site}.request"
            write_request(folder / site, out, role="site", name=site, federation="ward")
        self.kit("--federation", "ward", "--host", "localhost", "--sites", folder / "sites.txt")
        asked = ("--plan", folder / "plan.toml", "--request", self.requests / "aggregator.request")
        assert (
            self.do("aggregator", "charter", folder / "study", *asked, *self.fingerprints("aggregator")) == 0
        )

    def do(self, *arguments: object) -> int:
        """Run the command; its exit code."""
        return main([str(argument) for argument in arguments])

    def aggregator_asks(self) -> None:
        """With the keys that it has, or new ones."""
        out = self.requests / "aggregator.request"
        assert self.do("aggregator", "request", self.folder / "chest", "--out", out) == 0

    def kit(self, *options: object) -> None:
        """Run `fedfin broker kit`."""
        where = ("--out", self.kit_folder, "--requests", self.requests)
        assert self.do("broker", "kit", *where, *options) == 0

    def fingerprints(self, *names: str) -> list[str]:
        """As compared by telephone."""
        keys = [read_request(self.requests / f"{name}.request").keys for name in names]
        return [word for each in keys for word in ("--fingerprint", each.fingerprint)]

    def admit(self, *sites: str) -> int:
        """With what the kit has for them."""
        requests = [self.requests / f"{site}.request" for site in sites]
        prints = self.fingerprints(*sites)
        return self.do(
            "aggregator", "admit", self.folder / "study", *requests, *prints, "--kit", self.kit_folder
        )

    def accept(self, *options: object) -> int:
        """The aggregator takes in the charter."""
        study = self.folder / "study"
        prints = ("--fingerprint", Coordinator(study).charter.fingerprint)
        return self.do("aggregator", "accept", self.folder / "chest", study / "charter", *prints, *options)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Nobody is admitted yet."""
    return Study(tmp_path)


def test_what_the_kit_holds_is_passed_on(study: Study) -> None:
    """To each site its own, and to the aggregator."""
    assert study.admit(*SITES) == 0
    assert study.accept("--kit", study.kit_folder) == 0
    kept = (study.folder / "chest" / TRUST / CERTIFICATE).read_bytes()
    assert kept == (study.kit_folder / "aggregator.pem").read_bytes()


def test_accept_names_the_kits_broker_to_serve_at(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    """With its port; where the folder that was passed on does not say, HOST stands for it."""
    study.kit("--port", "18883")
    assert study.admit(*SITES) == 0
    assert study.accept("--kit", study.kit_folder) == 0
    assert f"serve {study.folder / 'chest'} --broker mqtts://localhost:18883" in capsys.readouterr().out
    (study.kit_folder / "kit.toml").unlink()
    assert study.accept("--kit", study.kit_folder) == 0
    assert "--broker mqtts://HOST" in capsys.readouterr().out


def test_a_site_that_was_revoked_is_named_with_the_remedy(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the other can be admitted without it."""
    study.kit("--revoke", "st-luke")
    assert study.admit(*SITES) == 3
    said = capsys.readouterr().err
    assert "st-luke was revoked" in said
    assert "--renew st-luke`, or admit without it" in said
    assert "Errno" not in said
    assert study.admit("st-mary") == 0


def test_a_site_without_a_certificate_is_named_where_the_kits_authority_was_not_passed_on(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then nobody can know whether it was revoked."""
    study.kit("--revoke", "st-luke")
    shutil.rmtree(study.kit_folder / "ca")
    assert study.admit(*SITES) == 3
    assert "no certificate of st-luke, or it was revoked" in capsys.readouterr().err


def test_an_aggregators_certificate_for_an_older_key_is_refused(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until the kit has signed the request of the new one."""
    (study.folder / "chest" / TRUST / BROKER).unlink()
    study.aggregator_asks()
    assert study.accept("--kit", study.kit_folder) == 3
    said = capsys.readouterr().err
    assert "aggregator.pem is for another key than" in said
    assert "--renew aggregator`" in said
    assert not (study.folder / "chest" / TRUST / CERTIFICATE).exists()
    study.kit("--renew", "aggregator")
    assert study.accept("--kit", study.kit_folder) == 0


def test_a_file_that_cannot_be_read_is_told_in_words(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not by the system's number for it."""
    (study.kit_folder / "ca.pem").unlink()
    assert study.admit("st-mary") == 3
    assert "ca.pem: cannot read the broker's CA (No such file or directory)" in capsys.readouterr().err
    assert study.do("broker", "kit", "--out", study.kit_folder, "--sites", study.folder / "none.txt") == 3
    assert "cannot read the list of sites (No such file or directory)" in capsys.readouterr().err


def test_a_sites_certificate_for_another_key_than_its_requests_is_refused(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until the kit has signed the request that is to be admitted."""
    (study.folder / "st-mary" / BROKER).unlink()
    out = study.requests / "st-mary.request"
    write_request(study.folder / "st-mary", out, role="site", name="st-mary", federation="ward")
    assert study.admit("st-mary") == 3
    said = capsys.readouterr().err
    assert "st-mary.pem is for another key than st-mary's request" in said
    assert "--renew st-mary`" in said
    study.kit("--renew", "st-mary")
    assert study.admit("st-mary") == 0
