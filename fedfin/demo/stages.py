"""The demo's preparation, stage by stage; each leaves a folder, and one that is there is not made again."""

import json
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedfin.codec.presets import Preset, SumPreset
from fedfin.demo.processes import run_command
from fedfin.demo.split import HOLDOUT, Part, Split, split_cases
from fedfin.encoders.bundle import read_manifest
from fedfin.files import write_atomically
from fedfin.folders import whole_folder
from fedfin.limits import SUMMED_ROUNDS
from fedfin.plan import Plan
from fedfin.plan_sections import Codec, FinVariant, Level, Modality, Model, Privacy, Rounds, Training

FEDERATION = "demo"
CALIBRATION_IMAGES = 192
CASES = "cases.csv"
UP_IN_SUMS: SumPreset = "int4"
LEARNING_RATE = 0.01  # few columns and rounds: with 0.002, zero-fill ended 9 points lower, and FedFIN 1


@dataclass(frozen=True)
class Settings:
    """What the demo was asked for. `cases` None: synthetic ones of `patients`; `up`: where the level is "open".

    `rounds`: where the level is "open", `summed_rounds`: with secure sums.
    """

    cases: str | None
    patients: int
    sites: int
    with_text: int
    rounds: int
    fin: FinVariant
    layer: str
    up: Preset
    down: Preset
    seed: int
    level: Level
    dims: int
    summed_rounds: int = SUMMED_ROUNDS
    held_out: float = 0.25

    @staticmethod
    def path(folder: Path) -> Path:
        """Where a demo's folder keeps its settings."""
        return folder / "settings.json"

    def fits(self, folder: Path) -> bool:
        """Whether the folder was begun with these settings, or is new: then it is marked with them."""
        path = self.path(folder)
        if not path.exists():
            write_atomically(path, json.dumps(asdict(self)).encode())
        known = json.loads(path.read_text())
        return bool(known == asdict(self))


def make_table(settings: Settings, folder: Path) -> Path:
    """The case table: the given one, or synthetic cases."""
    if settings.cases is not None:
        return Path(settings.cases)
    from fedfin.demo.synthetic import make_cases

    out = folder / "cases"
    if not out.exists():
        with whole_folder(out, CASES) as unfinished:
            make_cases(unfinished, settings.patients, settings.seed)
    return out / CASES


def split_sites(settings: Settings, table: Path, folder: Path) -> dict[str, Part]:
    """The sites' tables and the hold-out's, by name."""
    out, record = folder / "split", folder / "split.json"
    if not record.exists():
        shutil.rmtree(out, ignore_errors=True)
        split = split_cases(
            table,
            out,
            sites=settings.sites,
            with_text=settings.with_text,
            held_out=settings.held_out,
            seed=settings.seed,
        )
        write_atomically(
            record, json.dumps({name: _plain(part) for name, part in _parts(split).items()}).encode()
        )
    known = json.loads(record.read_text())
    return {name: Part(**(facts | {"table": Path(facts["table"])})) for name, facts in known.items()}


def _parts(split: Split) -> dict[str, Part]:
    assert split.holdout is not None
    return split.sites | {HOLDOUT: split.holdout}


def _plain(part: Part) -> dict[str, Any]:
    return asdict(part) | {"table": str(part.table)}


def export_bundles(
    settings: Settings, images: list[Path], texts: list[str], folder: Path
) -> dict[str, dict[str, Any]]:
    """Both encoder bundles by modality, with what the export measured.

    The image encoder and both projections are calibrated on some of `images` and `texts`, the sites' own. A coordinator
    who sees none of them takes public ones of the same kind.
    """
    out = folder / "bundles"
    out.mkdir(exist_ok=True)
    calibration = folder / "calibration"
    calibration.mkdir(exist_ok=True)
    step = max(1, len(images) // CALIBRATION_IMAGES)  # some of every site
    for number, image in enumerate(images[::step][:CALIBRATION_IMAGES]):
        link = calibration / f"{number:04d}{image.suffix}"
        if not link.exists():
            link.symlink_to(image)
    reports = calibration / "reports.txt"
    write_atomically(reports, "\n".join(" ".join(text.split()) for text in texts).encode())
    commands = {
        "image": [
            "--preset",
            "efficientnet-lite0",
            "--layer",
            settings.layer,
            "--calibrate",
            str(calibration),
        ],
        "text": ["--preset", "minilm-l6", *(["--calibrate", str(reports)] if texts else [])],
    }
    for modality, options in commands.items():
        if not (out / modality).exists():
            run_command(
                [
                    "export",
                    "encoder",
                    *options,
                    "--project",
                    "principal",
                    "--modality",
                    modality,
                    str(out / modality),
                    "--json",
                ],
                f"exporting the {modality} encoder",
            )
    return {name: json.loads((out / name / "parity.json").read_text()) for name in commands}


def prepare_sites(
    parts: dict[str, Part], broker: str, folder: Path, announce: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Set up and encode every site, two at a time; what encoding reported, by site."""

    def prepare(name: str) -> tuple[str, dict[str, Any]]:
        site = folder / "sites" / name
        if not (site / "site.toml").exists():
            bundles = ["--bundle", str(folder / "bundles" / "image")]
            if parts[name].texts:
                bundles += ["--bundle", str(folder / "bundles" / "text")]
            run_command(
                [
                    "edge",
                    "init",
                    str(site),
                    "--site",
                    name,
                    "--federation",
                    FEDERATION,
                    "--broker",
                    broker,
                    "--cases",
                    str(parts[name].table),
                    *bundles,
                ],
                f"setting up {name}",
            )
            lift_floor(site)
        set_broker(site, broker)
        record = folder / "encoded" / f"{name}.json"
        if not record.exists():  # the seconds of a second run, which encodes nothing, would tell nothing
            started = time.monotonic()
            command = ["edge", "encode", str(site), "--json"]
            report = dict(run_command(command, f"encoding at {name}"))
            report["seconds"] = time.monotonic() - started
            record.parent.mkdir(exist_ok=True)
            write_atomically(record, json.dumps(report).encode())
            announce(f"  {name}")
        return name, json.loads(record.read_text())

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(prepare, parts))


def lift_floor(site: Path) -> None:
    """Nothing leaves this machine, and a site has few cases: with the floor, few labels would be told of."""
    with (site / "site.toml").open("a", encoding="utf-8") as settings:
        settings.write("\n[policy]\nleast_patients = 1\n")


def set_broker(site: Path, broker: str) -> None:
    """The embedded broker has another port in each run."""
    path = site / "site.toml"
    lines = [
        f'broker = "{broker}"' if line.startswith("broker = ") else line
        for line in path.read_text().splitlines()
    ]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def make_plan(
    settings: Settings, folder: Path, labels: list[str], fin: FinVariant, modalities: list[str], level: Level
) -> Plan:
    """The plan of one of the demo's federations: of each modality a few columns, and no random features."""
    manifests = {name: read_manifest(folder / "bundles" / name) for name in modalities}
    rounds = settings.rounds if level == "open" else settings.summed_rounds
    dims = {name: min(settings.dims, manifest.columns) for name, manifest in manifests.items()}
    return Plan(
        federation=FEDERATION,
        labels=tuple(labels),
        seed=settings.seed,
        privacy=Privacy(level=level),
        modalities=tuple(
            Modality(name=name, encoder=m.digest(), dim=dims[name], scale="modality")
            for name, m in manifests.items()
        ),
        # What is compared with has nothing but what its name says.
        model=Model(fin=fin, basis_total=0) if fin != "zero" else Model(fin="zero", answer="head"),
        training=Training(learning_rate=LEARNING_RATE),
        rounds=Rounds(count=rounds, sites=settings.sites, min_sites=settings.sites),
        codec=Codec(up=settings.up if level == "open" else UP_IN_SUMS, down=settings.down),
    )
