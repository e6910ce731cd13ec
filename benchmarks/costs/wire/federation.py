"""The demo's federation on the wire: aggregator, mosquitto and ten sites as processes, a tap on each site's line.

Only the cases are drawn (site.py) and the encoders never run. The plan is the demo's own, in so many columns.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.costs.wire.layers import NOTHING, Both
from benchmarks.costs.wire.tap import Taps
from benchmarks.transport.broker import mosquitto
from benchmarks.transport.stand_ins import (
    AGGREGATOR,
    BUNDLES,
    Folders,
    Line,
    issue_certificates,
    site_names,
    write_bundle,
)
from fedfin.codec.presets import Preset
from fedfin.demo import cli
from fedfin.demo.processes import Processes
from fedfin.demo.stages import Settings
from fedfin.demo.stages import make_plan as make_demo_plan
from fedfin.demo.synthetic import FINDINGS
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, Level, Model, Privacy, Stage
from fedfin.protocol.schedule import first_training_round

MODALITIES = ("image", "text")


@dataclass(frozen=True)
class Case:
    """`columns`: of each modality; `presets`: of both directions, one for each round of training; none: `exact`."""

    level: Level
    columns: int
    presets: tuple[Preset, ...] = ()
    sites: int = 10
    tls: bool = True

    @property
    def name(self) -> str:
        """Such as secure/64."""
        return f"{self.level}/{self.columns}"


@dataclass(frozen=True)
class Traffic:
    """Of one run. `spent`: by site and label; a label is a task, that of training with its preset.

    `costs`: what each site says of itself at the end: seconds training and waiting, peak memory.
    """

    spent: dict[str, dict[str, Both]]
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

    def mean(self, label: str) -> Both:
        """Of a site."""
        return self._sum(self.spent, label).times(1 / len(self.spent))

    def largest(self, label: str) -> Both:
        """Of the site that sends most: one with both modalities."""
        return max((by.get(label, NOTHING) for by in self.spent.values()), key=lambda both: both.up.total)

    @property
    def labels(self) -> list[str]:
        """In the order of the rounds."""
        return list(dict.fromkeys(label for by in self.spent.values() for label in by))

    @staticmethod
    def _sum(spent: Mapping[str, Mapping[str, Both]], label: str) -> Both:
        total = NOTHING
        for by in spent.values():
            total = total.plus(by.get(label, NOTHING))
        return total


def run(case: Case, folder: Path | None = None) -> Traffic:
    """To its end. Raises FedfinError when mosquitto is not there or a process fails."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="fedfin-wire-") as name:
        work = Path(name)
        plan, sites = make_plan(case, work), site_names(case.sites)
        tls = issue_certificates(work / "pki", "127.0.0.1")[1] if case.tls else {}
        with mosquitto(work, "max_queued_messages 0") as broker:
            port = int(broker.url.rpartition(":")[2])
            server = _server_files(work / "pki") if case.tls else {}
            with Taps(sites, port, server) as taps:
                lines = {s: Line(f"mqtt{'s' * case.tls}://127.0.0.1:{taps.of[s].port}", tls) for s in sites}
                lines[AGGREGATOR] = Line(broker.url, {})
                keys = plan.privacy.summed
                folders = Folders(work, lines.__getitem__, plan, keys=keys, site_module=SITE)
                costs = _run(folders, case, taps, work / "logs")
                return Traffic(taps.spent(), costs)


SITE = "benchmarks.costs.wire.site"


def make_plan(case: Case, folder: Path) -> Plan:
    """The demo's, with deviations given where there is noise; its bundles are put into the folder."""
    for modality in MODALITIES:
        write_bundle(folder / BUNDLES / modality, modality, case.columns)
    presets: Sequence[Preset] = case.presets or ("exact",)
    rounds = len(presets)
    settings = replace(
        demo_settings(), sites=case.sites, rounds=rounds, summed_rounds=rounds, dims=case.columns
    )
    level: Level = "open" if case.level == "open" else "secure"
    plan = make_demo_plan(settings, folder, list(FINDINGS), settings.fin, list(MODALITIES), level)
    if case.level == "private":
        return _noised(plan)
    first, *later = presets
    stages = tuple(Stage(from_round=number, up=p, down=p) for number, p in enumerate(later, 2))
    return msgspec.structs.replace(plan, codec=Codec(up=first, down=first, schedule=stages))


def demo_settings() -> Settings:
    """What `make demo` runs with."""
    parser = argparse.ArgumentParser()
    cli.build(parser)
    return cli.settings_of(parser.parse_args([]))


def _noised(plan: Plan) -> Plan:
    modalities = tuple(msgspec.structs.replace(m, deviation=1.0) for m in plan.modalities)
    return msgspec.structs.replace(
        plan,
        modalities=modalities,
        model=Model(answer="experts", basis_total=0),
        codec=Codec(),
        privacy=Privacy(level="private"),
    )


def _run(folders: Folders, case: Case, taps: Taps, logs: Path) -> dict[str, dict[str, float]]:
    costs: dict[str, dict[str, float]] = {}

    def on_event(site: str, event: str, facts: Mapping[str, Any]) -> None:
        if event == "round":
            taps.name(site, _label(folders.plan, case.presets, facts))
        elif event == "costs":
            costs[site] = dict(facts)

    with Processes(logs) as processes:
        commands = folders.commands
        processes.start(AGGREGATOR, commands[AGGREGATOR])
        for site in folders.sites:
            processes.start(site, commands[site], partial(on_event, site))
        processes.wait(list(commands))
    return costs


def _label(plan: Plan, presets: Sequence[Preset], facts: Mapping[str, Any]) -> str:
    """What passes from now on: the round's task."""
    task, number = facts["task"], facts["round"] - first_training_round(plan)
    return f"{task} {presets[number]}" if task == "train" and presets else str(task)


def _server_files(pki: Path) -> dict[str, str]:
    """Of the broker's end, which the tap is."""
    return {
        "ca": str(pki / "ca.pem"),
        "server_certificate": str(pki / "broker.pem"),
        "server_key": str(pki / "broker.key"),
    }
