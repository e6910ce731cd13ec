"""A small real federation for tests: real bundles, tables, processes and brokers; tiny vectors for cases."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import numpy as np
import pytest

from benchmarks.transport.system import System
from fedfin.command_line.main import main
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.encoders.bundle import Manifest
from fedfin.errors import FedfinError
from fedfin.model.plan_file import plan_toml
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Rounds, Training
from fedfin.trust.request import read_request
from fedfin_aggregator.coordinator import Coordinator
from fedfin_edge.agent.answers import Key

DIMS = {"image": 6, "text": 4}
LABELS = ("effusion", "nodule")
NO_MOSQUITTO = "mosquitto is not installed (apt-get install mosquitto)"


def make_bundle(folder: Path, modality: str, dim: int) -> Manifest:
    """An encoder that passes vectors through: a real ONNX graph, run by onnxruntime."""
    pytest.importorskip("onnx")
    from benchmarks.pass_through import write_bundle

    return write_bundle(folder, modality, dim)


def make_plan(
    bundles: dict[str, Manifest],
    *,
    sites: int = 3,
    rounds: int | Rounds = 2,
    deviation: float = 0.0,
    **overrides,
) -> Plan:
    """A plan over these bundles that trains in no time; `rounds`: how many of all sites, or the whole policy."""
    if isinstance(rounds, int):
        rounds = Rounds(count=rounds, sites=sites, min_sites=sites, deadline_s=120.0)
    modalities = tuple(
        Modality(name=name, encoder=m.digest(), dim=m.dim, deviation=deviation) for name, m in bundles.items()
    )
    values = {
        "federation": "ward",
        "labels": LABELS,
        "modalities": modalities,
        "seed": 3,
        "model": Model(answer="head", fin="mlp", fin_width=8, head_width=8),
        "training": Training(),
        "rounds": rounds,
    }
    return Plan(**(values | overrides))


def write_cases(path: Path, number: int, modalities: tuple[str, ...], *, count: int = 40) -> Path:
    """A table of `count` invented cases whose vectors carry the labels."""
    rng = np.random.default_rng(number)
    with path.open("w") as stream:
        for index in range(count):
            labels = rng.integers(0, 2, len(LABELS))
            row = {"case": f"c{index}", "patient": f"p{index}"} | dict(
                zip(LABELS, labels.tolist(), strict=True)
            )
            for name in modalities:
                vector = rng.normal(size=DIMS[name])
                vector[: len(LABELS)] += 2.0 * labels
                row[name] = vector.round(4).tolist()
            stream.write(json.dumps(row) + "\n")
    return path


def fedfin(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "fedfin", *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def set_up(*arguments: object) -> None:
    """Run the command in this process: what a test only needs done need not import everything once more."""
    assert main([str(argument) for argument in arguments]) == 0


def start(*arguments: object, log: Path, tree: Path | None = None) -> subprocess.Popen:
    """Start the command; its output goes to `log`. `tree`: of another version's source."""
    other = {} if tree is None else {"PYTHONPATH": f"{tree}:{tree}/edge_client:{tree}/aggregator"}
    with log.open("w") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "fedfin", *map(str, arguments)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | other,
            cwd=tree,
        )


def need_mosquitto() -> None:
    """Skip the test where it is not installed."""
    if shutil.which("mosquitto") is None:
        pytest.skip(NO_MOSQUITTO)


def need(system: System, program: str, package: str) -> None:
    """Skip the test where it is not installed, or may not be run."""
    try:
        system.inside([system.find(program, package)])
    except FedfinError as error:
        pytest.skip(str(error))


@contextlib.contextmanager
def broker(kind: str, folder: Path, settings: str = ""):
    """A real broker on loopback, "mosquitto" (with more `settings`) or the "embedded" one; yields its URL."""
    port, options = free_port(), "" if kind == "mosquitto" else "?protocol=3.1.1"
    if kind == "mosquitto":
        need_mosquitto()
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n{settings}\n")
        command = ["mosquitto", "-c", str(config)]
    else:
        command = [sys.executable, "-m", "fedfin.demo.broker", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port("127.0.0.1", port, 20.0)
        yield f"mqtt://127.0.0.1:{port}{options}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


class Federation:
    """Folders of an aggregator and its sites: the first holds both modalities, the others images only."""

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        *,
        sites: int = 3,
        options: tuple[object, ...] = (),
        keys: bool = False,
        count: int = 40,
        **plan,
    ) -> None:
        """`options` go to `edge init` and `aggregator serve` beside --broker; `keys`: all are admitted by a charter.

        `count`: cases of each site.
        """
        self.folder, self.broker_url, self.names = folder, broker_url, [f"s{i}" for i in range(sites)]
        self.options = options
        bundles = {name: make_bundle(folder / "bundles" / name, name, dim) for name, dim in DIMS.items()}
        self.plan = make_plan(bundles, sites=sites, **plan)
        (folder / "plan.toml").write_text(plan_toml(self.plan))
        set_up("aggregator", "init", folder / "plan.toml", folder / "agg")
        for number, name in enumerate(self.names):
            modalities = tuple(DIMS) if number == 0 else ("image",)
            cases = write_cases(folder / f"{name}.jsonl", number, modalities, count=count)
            chosen = [word for m in modalities for word in ("--bundle", folder / "bundles" / m)]
            set_up(
                "edge",
                "init",
                folder / name,
                "--site",
                name,
                "--federation",
                "ward",
                "--broker",
                broker_url,
                *options,
                "--cases",
                cases,
                *chosen,
            )
            settings = folder / name / "site.toml"
            settings.write_text(settings.read_text().replace("held_out = 0.2", "held_out = 0.5"))
            set_up("edge", "encode", folder / name)
        self.keys = keys
        if keys:
            self.charter()

    def charter(self) -> None:
        """As the coordinator, the aggregator's operator and the sites do it, by files."""
        folder, study = self.folder, self.folder / "study"
        set_up("aggregator", "request", folder / "agg", "--out", folder / "agg.request")
        options = ("--plan", folder / "plan.toml", "--request", folder / "agg.request")
        set_up("aggregator", "charter", study, *options, "--fingerprint", self.fingerprint("agg"))
        self.admit(self.names)

    def fingerprint(self, name: str) -> str:
        """Of what asks for admission."""
        return read_request(self.folder / f"{name}.request").keys.fingerprint

    def admit(self, names: list[str]) -> None:
        """From the sites' requests to their acceptance."""
        folder, study = self.folder, self.folder / "study"
        for name in names:
            set_up("edge", "request", folder / name, "--out", folder / f"{name}.request")
        requests = [folder / f"{name}.request" for name in names]
        prints = [word for name in names for word in ("--fingerprint", self.fingerprint(name))]
        set_up("aggregator", "admit", study, *requests, *prints)
        coordinator = ("--fingerprint", Coordinator(study).charter.fingerprint)
        set_up("aggregator", "accept", folder / "agg", study / "charter", *coordinator)
        for name in names:
            admission = study / "admissions" / f"{name}.admission"
            set_up("edge", "accept", folder / name, admission, *coordinator)

    def draw_alike(self) -> None:
        """In secure sums each site draws from a key of its own, made at its first use: here from given ones."""
        for number, name in enumerate(self.names):
            key = msgspec.json.encode(Key(f"{number:064x}"))
            (self.folder / name / "answers.jsonl").write_bytes(key + b"\n")

    @property
    def no_keys(self) -> tuple[str, ...]:
        """What `run` and `serve` want to hear where there are none."""
        return () if self.keys else ("--no-keys",)

    def events(self, name: str) -> list[dict]:
        """What "agg" or a site has reported."""
        lines = (self.folder / f"{name}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]  # the rest was for people

    def run(self, seconds: float = 120.0, trees: Mapping[str, Path] = MappingProxyType({})) -> None:
        """Run aggregator and sites as processes to the end. `trees`: of other versions' sources, by name."""
        started = [
            start(
                "aggregator",
                "serve",
                self.folder / "agg",
                "--broker",
                self.broker_url,
                *self.options,
                *self.no_keys,
                "--json",
                log=self.folder / "agg.log",
                tree=trees.get("agg"),
            )
        ]
        started += [
            start(
                "edge",
                "run",
                self.folder / name,
                "--json",
                *self.no_keys,
                log=self.folder / f"{name}.log",
                tree=trees.get(name),
            )
            for name in self.names
        ]
        try:
            codes = [process.wait(seconds) for process in started]
        finally:
            for process in started:
                process.kill()
        logs = "\n".join((self.folder / f"{n}.log").read_text()[-2000:] for n in ("agg", *self.names))
        assert codes == [0] * len(started), logs
