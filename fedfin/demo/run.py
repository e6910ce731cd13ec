"""The demo, from cases to tables: prepare, train its federations, compare them on a common hold-out."""

import contextlib
import csv
import importlib.util
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from fedfin import __version__
from fedfin.demo.federation import train
from fedfin.demo.processes import Processes, free_port, run_command, wait_for_port
from fedfin.demo.split import HOLDOUT, Part
from fedfin.demo.stages import Settings, export_bundles, make_plan, make_table, prepare_sites, split_sites
from fedfin.errors import InputError, SettingsError, StateError
from fedfin.files import make_folder, write_atomically
from fedfin.limits import LEAST_SUMMED
from fedfin.link.broker_url import OLD_PROTOCOL, BrokerUrl
from fedfin.lock import only_process
from fedfin.plan_sections import FinVariant

HOST = "127.0.0.1"
BROKER_S = 5.0  # a broker of the user's own is there already, or its URL is wrong
NOT_LABELS = {"case", "patient", "image", "text", "split"}
# The main one comes last, so that the sites' folders hold its state for who looks into them.
FEDERATIONS: dict[str, tuple[FinVariant | None, list[str]]] = {
    "image-only": ("zero", ["image"]),
    "zero-fill": ("zero", ["image", "text"]),
    "open": (None, ["image", "text"]),  # the main one without secure sums: what those cost
    "fedfin": (None, ["image", "text"]),
}


def run_demo(
    settings: Settings,
    folder: Path,
    broker: str | None,
    console: Console,
    *,
    keep_deltas: Path | None = None,
) -> dict[str, Any]:
    """Run everything that is not done yet; the content of run.json. Raises StateError and what the parts raise.

    `keep_deltas`: a folder for the sites' raw deltas, with a folder in it for each federation.
    """
    check_options(settings, broker)
    make_folder(folder)
    with only_process(folder, "fedfin demo"):
        return _run(settings, folder, broker, console, keep_deltas)


def check_options(settings: Settings, broker: str | None) -> None:
    """What would go wrong only after minutes. Raises SettingsError, InputError or LinkError."""
    if settings.with_text > settings.sites:
        raise SettingsError(
            f"--with-text {settings.with_text}: there are {settings.sites} sites; give that many at most"
        )
    if settings.level != "open" and settings.sites < LEAST_SUMMED:
        raise SettingsError(
            f"--privacy {settings.level}: {settings.sites} sites are too few for sums; give {LEAST_SUMMED} or more,"
            " or --privacy open"
        )
    if settings.cases is not None:
        read_labels(Path(settings.cases))
    if broker is None:
        if importlib.util.find_spec("amqtt") is None:
            raise ModuleNotFoundError(name="amqtt")  # told as every missing extra
    else:
        url = BrokerUrl.parse(broker)
        wait_for_port(url.host, url.port, BROKER_S)


def _run(
    settings: Settings, folder: Path, broker: str | None, console: Console, keep: Path | None
) -> dict[str, Any]:
    started = time.monotonic()
    table, parts = _begin(settings, folder)
    labels = read_labels(table)
    sites = [name for name in parts if name != HOLDOUT]
    announce = partial(console.print, highlight=False)
    announce(
        f"{sum(part.cases for part in parts.values())} cases: {len(sites)} sites, {settings.with_text} with"
        f" reports; {parts[HOLDOUT].cases} cases held out"
    )
    tables = [parts[name].table for name in sites]
    images = [Path(path) for table in tables for path in read_column(table, "image")]
    texts = [text for table in tables for text in read_column(table, "text")]
    parity = _export(settings, images, texts, folder, announce)
    with embedded_broker(folder) if broker is None else contextlib.nullcontext(broker) as url:
        announce("encoding, once for all that follows")
        encoded = prepare_sites(parts, url, folder, announce)
        federations = {}
        chosen = [name for name in FEDERATIONS if name != "open" or settings.level != "open"]
        for number, name in enumerate(chosen, 1):
            fin, modalities = FEDERATIONS[name]
            level = settings.level if name == "fedfin" else "open"
            announce(f"training {number}/{len(chosen)}: {name}, {level}")
            plan = make_plan(settings, folder, labels, fin or settings.fin, modalities, level)
            federations[name] = _once(
                folder / "federations" / f"{name}.json",
                partial(train, plan, name, sites, url, folder, console, keep_deltas=keep and keep / name),
            )
            federations[name]["holdout"] = _evaluate(folder, name)
    result = {
        "fedfin": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "settings": asdict(settings),
        "cases_kind": "synthetic" if settings.cases is None else "given",
        "broker": "embedded" if broker is None else "external",
        "seconds": time.monotonic() - started,
        "encoders": parity,
        "sites": _sites(parts, encoded),
        "federations": federations,
    }
    write_atomically(folder / "run.json", json.dumps(result, indent=2).encode())
    return result


def _begin(settings: Settings, folder: Path) -> tuple[Path, dict[str, Part]]:
    """The case table and its parts. Cases that cannot be used leave the folder free for other settings."""
    fresh, had_cases = not settings.path(folder).exists(), (folder / "cases").exists()
    if not settings.fits(folder):
        raise StateError(f"{folder} holds a demo with other settings; choose another --out, or remove it")
    try:
        table = make_table(settings, folder)
        return table, split_sites(settings, table, folder)
    except InputError:
        if fresh:
            settings.path(folder).unlink()
            if not had_cases:
                shutil.rmtree(folder / "cases", ignore_errors=True)
        raise


def _export(
    settings: Settings,
    images: list[Path],
    texts: list[str],
    folder: Path,
    announce: Callable[[str], None],
) -> dict[str, dict[str, Any]]:
    """What the verification of each encoder found, by bundle."""
    announce("exporting and verifying the encoders")
    parity = export_bundles(settings, images, texts, folder)
    for name, report in parity.items():
        announce(
            f"  {name}: {report['before']['bytes'] / 1e6:.1f} MB -> {report['after']['bytes'] / 1e6:.1f} MB,"
            f" cosine to float {report['cosine']['mean']:.3f}"
        )
    return parity


def _evaluate(folder: Path, federation: str) -> dict[str, Any]:
    """Its last model on the hold-out."""
    site, model = folder / "sites" / HOLDOUT, folder / "models" / federation
    command = ["edge", "evaluate", str(site), "--model", str(model), "--every-case", "--json"]
    return dict(run_command(command, "evaluating on the hold-out"))


def _once(record: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` came to, now or in an earlier start of the same demo."""
    if not record.exists():
        record.parent.mkdir(exist_ok=True)
        write_atomically(record, json.dumps(work()).encode())
    done: dict[str, Any] = json.loads(record.read_text())
    return done


@contextlib.contextmanager
def embedded_broker(folder: Path) -> Iterator[str]:
    """Run the embedded broker; its URL."""
    port = free_port()
    with Processes(folder / "logs" / "broker") as processes:
        processes.start("broker", ["fedfin.demo.broker", str(port)])
        wait_for_port(HOST, port, 30.0)
        yield f"mqtt://{HOST}:{port}?{OLD_PROTOCOL}"


def read_labels(table: Path) -> list[str]:
    """The label columns: every column that is nothing else. Raises InputError."""
    try:
        with table.open(encoding="utf-8", errors="replace", newline="") as stream:
            header = next(csv.reader(stream), [])
    except OSError as error:
        raise InputError(f"{table}: cannot read the case table ({error.strerror})") from None
    labels = [name for name in header if name not in NOT_LABELS]
    if not labels or "image" not in header or "text" not in header:
        raise InputError(f"{table}: a demo table needs the columns image, text and at least one label")
    return labels


def read_column(table: Path, column: str) -> list[str]:
    """The images that a site's table names, or its reports: what the encoders are calibrated on."""
    with table.open(encoding="utf-8", newline="") as stream:
        return [row[column] for row in csv.DictReader(stream) if row[column]]


def _sites(parts: dict[str, Part], encoded: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "patients": part.patients,
            "cases": part.cases,
            "images": part.images,
            "texts": part.texts,
            "seconds_encoding": encoded[name]["seconds"],
            "problems": len(encoded[name].get("problems", [])),
        }
        for name, part in parts.items()
    }
