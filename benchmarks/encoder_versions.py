"""What another version of onnxruntime makes of the same cases: features, answers of a trained model, and their AUC.

    make demo && python -m benchmarks.encoder_versions [DEMO] [--onnxruntime 1.23.2]

1.23.2 is the last one for Python 3.10, so that of JetPack 6; DEMO is a demo's folder (default: fedfin-demo). Its
wheel is fetched by pip into a temporary folder. The demo's held-out hospital is encoded and answered twice, by this
machine's onnxruntime and by the other, each in a process of its own: by the images, by the texts, by both.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedfin.model.metrics import macro_auc
from fedfin_edge.cases.digests import Input

OTHER = "1.23.2"
GIVEN = {"image": ("image",), "text": ("text",), "image and text": ("image", "text")}
Arrays = Mapping[str, NDArray[Any]]  # as `answers` makes them


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, nargs="?", default=Path("fedfin-demo"))
    parser.add_argument("--onnxruntime", default=OTHER, metavar="VERSION")
    parser.add_argument("--answer", type=Path, metavar="OUT.npz", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if not (args.demo / "models/fedfin/model.onnx").exists():
        parser.error(f"{args.demo} is no demo's folder: make demo, or name another one")
    if args.answer is not None:
        np.savez(args.answer, **answers(args.demo, cases(args.demo)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fetch(args.onnxruntime, folder / "wheel")
        ours = answered(args.demo, folder / "ours.npz", [])
        theirs = answered(args.demo, folder / "theirs.npz", [str(folder / "wheel")])
    show(args.onnxruntime, labels(cases(args.demo)), ours, theirs)
    return 0


def fetch(version: str, folder: Path) -> None:
    """Its wheel, unpacked."""
    wheels = folder.with_name("wheels")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-deps", "--only-binary", ":all:", "--dest", str(wheels), f"onnxruntime=={version}"]
    subprocess.run([*pip, *wanted], check=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def answered(demo: Path, out: Path, before: list[str]) -> Arrays:
    """By a process whose modules come from these folders first."""
    path = os.pathsep.join([*before, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "benchmarks.encoder_versions", str(demo), "--answer", str(out)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": path})
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def cases(demo: Path) -> list[dict[str, str]]:
    """Of the hospital that took no part, those that have both modalities."""
    with (demo / "split/holdout/cases.csv").open(newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["image"] and row["text"]]


def labels(rows: list[dict[str, str]]) -> NDArray[np.float32]:
    """[n, labels], NaN where unknown."""
    names = [name for name in rows[0] if name not in {"case", "patient", "split", "image", "text"}]
    return np.array([[float(row[name] or "nan") for name in names] for row in rows], np.float32)


def answers(demo: Path, rows: list[dict[str, str]]) -> dict[str, Any]:
    """Features by modality [n, dim] as the model takes them, probabilities [n, labels] by what was given.

    And onnxruntime's version.
    """
    import onnxruntime

    from fedfin_edge.cases.encoder import open_encoder
    from fedfin_edge.predict.predictor import open_predictor

    predictor = open_predictor(demo / "models/fedfin")
    inputs: dict[str, list[Input]] = {
        "image": [demo / "cases/images" / Path(row["image"]).name for row in rows],
        "text": [row["text"] for row in rows],
    }
    features = {
        name: open_encoder(demo / "bundles" / name).encode(inputs[name])[:, :dim]
        for name, dim in predictor.plan.dims.items()
    }
    found: dict[str, Any] = {f"features {name}": values for name, values in features.items()}
    for name, given in GIVEN.items():
        present = {modality: np.full(len(rows), modality in given) for modality in features}
        found[name] = predictor.predict(features, present).probability
    return found | {"version": np.array(onnxruntime.__version__)}


def show(version: str, truth: NDArray[np.float32], ours: Arrays, theirs: Arrays) -> None:
    """In two tables."""
    assert str(theirs["version"]) == version
    print(f"{len(truth)} cases, onnxruntime {ours['version']} beside {theirs['version']}\n")
    print("| features of | mean cosine | least cosine |\n|---|---:|---:|")
    for name in ("image", "text"):
        cosines = cosine(ours[f"features {name}"], theirs[f"features {name}"])
        print(f"| {name} | {cosines.mean():.4f} | {cosines.min():.4f} |")
    print(f"\n| answers by | AUC x 100, {ours['version']} | {theirs['version']} |", end="")
    print(" mean difference of probabilities | largest |\n|---|---:|---:|---:|---:|")
    for name in GIVEN:
        areas = " | ".join(f"{100 * (macro_auc(each[name], truth) or 0.0):.2f}" for each in (ours, theirs))
        far = np.abs(ours[name] - theirs[name])
        print(f"| {name} | {areas} | {far.mean():.4f} | {far.max():.3f} |")


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each row [n]."""
    found: NDArray[np.float32] = (
        (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    )
    return found


if __name__ == "__main__":
    sys.exit(main())
