"""What is measured: both encoders, float and int8, a model over them exported with and without imputation, and a case.

    python -m benchmarks.costs.compute.materials FOLDER [--patients 60]

The encoders are the demo's presets, calibrated on its phantoms, with random axes as a last step: cost does not depend
on which axes. The model has the values it begins with.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.costs.wire.federation import demo_settings
from benchmarks.workers import workers
from fedfin.demo.synthetic import FINDINGS, make_cases
from fedfin.encoders.bundle import read_manifest
from fedfin.model.initial_model import initial_model
from fedfin.model.model_file import ModelFile
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model

IMAGE, TEXT = "image", "text"
MODALITIES = (IMAGE, TEXT)


class Materials:
    """The folder's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bundle(self, modality: str) -> Path:
        """Of the int8 encoder."""
        return self.folder / "bundles" / modality

    def float_graph(self, modality: str) -> Path:
        """Of the same encoder before it was quantized."""
        return self.folder / f"{modality}-float.onnx"

    def model(self, fin: str) -> Path:
        """Exported: `gaussian` or `zero`."""
        return self.folder / f"model-{fin}"

    @property
    def image(self) -> Path:
        """A phantom's."""
        return self.folder / "phantoms" / self._case["image"]

    @property
    def text(self) -> str:
        """Its report."""
        return self._case["text"]

    @property
    def _case(self) -> dict[str, str]:
        with (self.folder / "phantoms" / "cases.csv").open(encoding="utf-8", newline="") as file:
            return next(csv.DictReader(file))

    def plan(self, model: Model) -> Plan:
        """Over these encoders, in the demo's columns."""
        columns = demo_settings().dims
        modalities = tuple(
            Modality(name=m, encoder=read_manifest(self.bundle(m)).digest(), dim=columns, scale="modality")
            for m in MODALITIES
        )
        return Plan(federation="costs", labels=FINDINGS, modalities=modalities, model=model)

    def parity(self, modality: str) -> dict[str, object]:
        """What was measured when the encoder was quantized."""
        found: dict[str, object] = json.loads(
            (self.bundle(modality) / "parity.json").read_text(encoding="utf-8")
        )
        return found


def make(folder: Path, patients: int) -> Iterator[str]:
    """What is not there yet; yields what is being made."""
    materials = Materials(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "phantoms").is_dir():
        yield "phantoms"
        make_cases(folder / "phantoms", patients, 0)
    lacking = [m for m in MODALITIES if not materials.float_graph(m).is_file()]
    if lacking:
        yield f"encoders: {', '.join(lacking)}"
        with workers(
            len(lacking), "an encoder's export died, perhaps for want of memory; run it again"
        ) as pool:
            list(pool.map(_export, [materials] * len(lacking), lacking))
    for fin in ("gaussian", "zero"):
        if not materials.model(fin).is_dir():
            yield f"model {fin}"
            _export_model(materials, fin)


def _export(materials: Materials, modality: str) -> None:
    """The bundle, and the float graph beside it."""
    from fedfin_export.bundle_writer import write_bundle
    from fedfin_export.projection import Wanted
    from fedfin_export.quantize.calibration import (
        MAX_AXIS_CASES,
        Source,
        read_batches,
        read_calibration,
    )
    from fedfin_export.sources import efficientnet, minilm

    encoder = efficientnet.load("last", modality) if modality == IMAGE else minilm.load(modality)
    images = materials.folder / "phantoms" / "images" if modality == IMAGE else None
    wanted = Wanted("random", demo_settings().dims, 0)
    batches = read_batches(Source.of(encoder), images, MAX_AXIS_CASES, [])
    materials.bundle(modality).parent.mkdir(exist_ok=True)
    write_bundle(
        encoder,
        read_calibration(encoder, images),
        materials.bundle(modality),
        force=True,
        projected=(wanted, batches),
        keep_float=materials.float_graph(modality),
    )


def _export_model(materials: Materials, fin: str) -> None:
    from fedfin_export.commands.model import export_model

    model = msgspec.convert({"fin": fin, "basis_total": 0}, Model)
    plan = materials.plan(model)
    export_model(ModelFile(plan, 0, initial_model(plan)), materials.model(fin), force=True)


def main() -> int:
    """Make them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=60, help="phantoms to calibrate on (default: 60)")
    args = parser.parse_args()
    for what in make(args.folder, args.patients):
        print(what, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
