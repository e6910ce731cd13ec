"""Nothing of a patient is in what a site writes or sends: a search for 200 planted names, ids, dates and phrases."""

import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from dicom_files import make_dicom
from edge_sites import SiteMaker, make_image_bundle, make_text_bundle
from federation import broker, make_plan, set_up, start
from planted import DATES, FORMS, IDS, NAMES, PEOPLE, PHRASES, PLANTED, found_in

from fedfin.command_line.main import main
from fedfin.encoders.bundle import read_manifest
from fedfin.link import link_events, mqtt
from fedfin.model.plan_file import plan_toml
from fedfin.trust.request import read_request
from fedfin_aggregator.coordinator import Coordinator

pytestmark = pytest.mark.broker
SITE = "st-mary"
TELLING = ("doctor --json", "status", "review", "review --json", "explain-update --json", "audit --json")


def patients(maker: SiteMaker) -> list[dict]:
    """A case of each, in a file that is called after its patient; and mistakes that quote what they are about."""
    rows = []
    for n, (name, id_, born, phrase) in enumerate(zip(NAMES, IDS, DATES, PHRASES, strict=True)):
        image = maker.image(f"{id_} {name} {born}.png", n + 1)
        text = f"{name}, born {born}, {id_}: {phrase}."
        labels = {"effusion": n % 2, "nodule": n // 2 % 2}
        rows.append({"case": id_, "patient": name, "image": image, "text": text, "born": born} | labels)
    dicom = maker.folder / "images" / f"{NAMES[0]}.dcm"
    person = {"PatientName": NAMES[0], "PatientID": IDS[0], "PatientBirthDate": DATES[0]}
    make_dicom(**person).save_as(dicom, enforce_file_format=True)
    (maker.folder / "images" / f"{NAMES[1]}.png").write_bytes(f"no picture of {NAMES[1]}".encode())
    mistakes = [
        {"image": f"images/{dicom.name}"},
        {"image": f"images/{NAMES[1]}.png"},
        {"image": f"images/missing {IDS[2]} {NAMES[2]}.png"},
        {"text": f"{NAMES[3]} {PHRASES[3]} " * 4000},
        {"effusion": f"yes, {NAMES[4]}", "text": f"<b>{PHRASES[4]}</b> \\X{IDS[4]}\\ {{\\rtf1 {NAMES[4]}"},
        {"case": IDS[5], "text": PHRASES[5]},  # a case id again
        {"split": f"{NAMES[6]} of {DATES[6]}", "text": PHRASES[6]},
    ]
    return rows + [{"patient": NAMES[n], "born": DATES[n]} | row for n, row in enumerate(mistakes)]


@dataclass(frozen=True)
class Written:
    """By what it is: all that was written or sent, but the table, the images and the feature store."""

    parts: dict[str, bytes]

    def leaks(self) -> dict[str, list[str]]:
        """What was found where."""
        return {what: found for what, data in self.parts.items() if (found := found_in(data))}


@contextlib.contextmanager
def listening(url: str) -> Iterator[list[bytes]]:
    """Whoever may read everything at the broker: topics and payloads as they come."""
    link = mqtt.Link(url, "listener", will=("listener", bytes))
    link.start()
    heard: list[bytes] = []
    try:
        assert isinstance(link.events.get(timeout=20.0), link_events.Up)
        link.subscribe("#")
        yield heard
        events = link_events.gather(link.events, 1.0)
        arrived = [event for event in events if isinstance(event, link_events.Arrived)]
        heard += [event.topic.encode() + b"\n" + event.payload for event in arrived]
    finally:
        link.stop()


def output(*words: object) -> bytes:
    """Of a command, whatever it says and however it ends, on either stream."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        main([str(word) for word in words])
    return text.getvalue().encode()


@pytest.fixture(scope="module", params=["without keys", pytest.param("with keys", marks=pytest.mark.slow)])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A whole federation of one site, every command that tells of it, and whoever listens at the broker."""
    folder, keys = tmp_path_factory.mktemp("leaks"), request.param == "with keys"
    with broker("mosquitto", folder) as url, listening(url) as heard:
        parts = set_up_site(folder, url)
        if keys:
            admit(folder)
        parts |= take_part(folder, url, () if keys else ("--no-keys",))
        for words in TELLING:
            name, *options = words.split()
            parts[f"edge {words}"] = output("edge", name, folder / "site", *options)
        told = ("--out", folder / "support.txt", "--log", folder / "site.events", "--yes")
        output("edge", "support", folder / "site", *told)
    parts["broker"] = b"\n".join(heard)
    files = [folder / name for name in ("support.txt", "site.events", "run.log", "serve.log")]
    files += [
        path for name in ("site", "agg") for path in sorted((folder / name).rglob("*")) if path.is_file()
    ]
    return Written(parts | {str(path.relative_to(folder)): path.read_bytes() for path in files})


def set_up_site(folder: Path, url: str) -> dict[str, bytes]:
    """An aggregator's folder and a site's, encoded; what the site's commands said."""
    bundles = {"image": make_image_bundle(folder / "image"), "text": make_text_bundle(folder / "text")}
    plan = make_plan({name: read_manifest(path) for name, path in bundles.items()}, sites=1, rounds=2)
    (folder / "plan.toml").write_text(plan_toml(plan))
    set_up("aggregator", "init", folder / "plan.toml", folder / "agg")
    maker, site = SiteMaker(folder, bundles), folder / "site"
    columns = ("case", "patient", "image", "text", "born", "split", "effusion", "nodule")
    named = ("--site", SITE, "--federation", "ward", "--broker", url)
    cases = ("--cases", maker.table(patients(maker), columns), "--label", "effusion", "--label", "nodule")
    given = [word for path in bundles.values() for word in ("--bundle", path)]
    parts = {"edge init": output("edge", "init", site, *named, *cases, *given)}
    settings = site / "site.toml"
    settings.write_text(settings.read_text().replace("held_out = 0.2", "held_out = 0.4"))
    for options in (["--processes", "1"], ["--json"]):
        parts[f"edge encode {options}"] = output("edge", "encode", site, *options)
    return parts


def take_part(folder: Path, url: str, flag: tuple[str, ...]) -> dict[str, bytes]:
    """To the end; before it a start that the floor stops, since what stops a site must not tell either."""
    site, settings = folder / "site", folder / "site" / "site.toml"
    serve = ("aggregator", "serve", folder / "agg", "--broker", url, *flag, "--json")
    running, parts = [start(*serve, log=folder / "serve.log")], {}
    try:
        text = settings.read_text()
        settings.write_text(text + "\n[policy]\nleast_patients = 500\n")
        parts["edge run below the floor"] = output("edge", "run", site, *flag)
        settings.write_text(text)
        words = ("edge", "run", site, *flag, "--json", "--log", folder / "site.events")
        running.append(start(*words, log=folder / "run.log"))
        parts["edge status at work"] = output("edge", "status", site, "--json")
        assert [process.wait(120) for process in running] == [0, 0], (folder / "run.log").read_text()
    finally:
        for process in running:
            process.kill()
            process.wait()
    return parts


def admit(folder: Path) -> None:
    """By files, as people do it."""
    study = folder / "study"
    set_up("aggregator", "request", folder / "agg", "--out", folder / "agg.request")
    set_up("edge", "request", folder / "site", "--out", folder / "site.request")
    prints = [read_request(folder / f"{name}.request").keys.fingerprint for name in ("agg", "site")]
    plan = ("--plan", folder / "plan.toml", "--request", folder / "agg.request")
    set_up("aggregator", "charter", study, *plan, "--fingerprint", prints[0])
    set_up("aggregator", "admit", study, folder / "site.request", "--fingerprint", prints[1])
    coordinator = ("--fingerprint", Coordinator(study).charter.fingerprint)
    set_up("aggregator", "accept", folder / "agg", study / "charter", *coordinator)
    set_up("edge", "accept", folder / "site", study / "admissions" / f"{SITE}.admission", *coordinator)


def test_nothing_of_a_patient_is_in_what_a_site_writes_or_sends(written: Written) -> None:
    """Logs, journals, topics, payloads, errors, the support bundle, and even the feature store."""
    assert written.leaks() == {}


def test_the_search_looks_where_a_leak_would_be(written: Written) -> None:
    """The site's own name is no secret: it is found wherever the site speaks, so a patient's would be."""
    said = {what for what, data in written.parts.items() if SITE.encode() in data}
    assert said >= {
        "broker",
        "support.txt",
        "serve.log",
        "edge status at work",
        "edge doctor --json",
        "site/site.toml",
    }
    problems = written.parts["edge encode ['--json']"]
    for reason in (
        b"there is no such file",
        b"not a PNG, JPEG or DICOM image",
        b"windows",
        b"neither train nor test",
    ):
        assert reason in problems
    assert any("features.sqlite" in what for what in written.parts)
    assert b"too few patients" in written.parts["serve.log"]
    assert (
        b"50 patients have features, and policy.least_patients" in written.parts["edge run below the floor"]
    )


def test_a_planted_leak_is_found_in_every_form_and_place(written: Written) -> None:
    """Each of the 200, and each form of it; one line more in any log, topic or file."""
    assert len(set(PLANTED)) == 200 == 4 * PEOPLE
    for text, forms in FORMS.items():
        assert all(text in found_in(b"\x00" + form.upper() + b"\xff") for form in forms)
    for what, data in written.parts.items():
        half = len(data) // 2
        leaky = Written({what: data[:half] + NAMES[7].encode() + data[half:]})
        assert leaky.leaks() == {what: [NAMES[7]]}


def test_what_is_published_at_the_broker_is_searched_topics_and_payloads(tmp_path: Path) -> None:
    """By somebody who names a topic after a patient, and quotes a report."""
    with broker("mosquitto", tmp_path) as url, listening(url) as heard:
        link = mqtt.Link(url, "leaky", will=("leaky", bytes))
        link.start()
        assert isinstance(link.events.get(timeout=20.0), link_events.Up)
        link.publish(f"fedfin/1/ward/site/{IDS[3]}/up/state", PHRASES[4].encode())
        assert isinstance(link.events.get(timeout=20.0), link_events.Taken)
        link.stop()
        until = time.monotonic() + 20.0  # the listener hears it when it can
        while not heard and time.monotonic() < until:
            time.sleep(0.05)
    assert found_in(b"\n".join(heard)) == [IDS[3], PHRASES[4]]
