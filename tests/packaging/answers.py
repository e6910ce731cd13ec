"""What one machine makes of a demo's cases: golden digests, features, predictions, a round of training.

python answers.py DEMO OUT.npz     with the packages and tests/ on the path; OUT holds arrays by name, and `texts`
"""

import contextlib
import csv
import io
import json
import platform
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnxruntime

CASES = 4


def golden() -> dict[str, dict[str, str]]:
    """Of the federations of test_same_bytes whose bytes are the same everywhere."""
    from test_same_bytes import EXACT, _digests

    found = {}
    for name in EXACT:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = _digests(name, Path(folder))
    return found


def train() -> dict[str, np.ndarray]:
    """What a site's first round of training changes of the model."""
    from test_same_bytes import TRAINED, _cases

    from fedfin.model.initial_model import initial_model
    from fedfin_edge.tasks.run_task import run_task

    plan = TRAINED["trained"]
    quiet = {"progress": lambda _: None, "stop": lambda: False}
    result = run_task(plan, "train", 3, initial_model(plan), _cases(plan, "ash"), "ash", **quiet)
    return {f"train {name}": delta for name, delta in result.deltas.items()}


def cases(demo: Path) -> list[dict[str, str]]:
    """The first of site 1 that have both modalities."""
    with (demo / "split/site-01/cases.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["image"] and row["text"]][:CASES]
    for row in rows:
        row["image"] = str(demo / "cases/images" / Path(row["image"]).name)
    return rows


def encode(demo: Path, rows: list[dict[str, str]]) -> dict[str, np.ndarray]:
    """Their features."""
    from fedfin_edge.cases.encoder import open_encoder

    images = open_encoder(demo / "bundles/image").encode([Path(row["image"]) for row in rows])
    texts = open_encoder(demo / "bundles/text").encode([row["text"] for row in rows])
    return {"features image": images, "features text": texts}


def predict(demo: Path, rows: list[dict[str, str]]) -> np.ndarray:
    """Probabilities, of cases with both modalities and with one."""
    from fedfin.command_line.main import main

    found = []
    bundles = ["--bundle", str(demo / "bundles/image"), "--bundle", str(demo / "bundles/text")]
    for row in rows:
        for given in (["--image", row["image"]], ["--image", row["image"], "--text", row["text"]]):
            command = ["edge", "predict", "--model", str(demo / "models/fedfin"), *bundles, *given, "--json"]
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                assert main(command) == 0
            (case,) = json.loads(printed.getvalue())["cases"]
            found.append([*case["probability"].values()])
    return np.array(found)


def without_pytest() -> None:
    """test_same_bytes imports it for its tests, of which nothing runs here."""
    mark = SimpleNamespace(parametrize=lambda *_, **__: lambda test: test)
    stub = ModuleType("pytest")
    stub.__dict__.update(mark=mark, fixture=lambda **_: lambda test: test)
    sys.modules["pytest"] = stub


def main() -> None:
    """Print nothing; write all of it."""
    demo, out = map(Path, sys.argv[1:])
    without_pytest()
    rows = cases(demo)
    arrays = encode(demo, rows) | train() | {"predictions": predict(demo, rows)}
    versions = f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}"
    texts = json.dumps({"machine": platform.machine(), "versions": versions, "golden": golden()})
    np.savez(out, texts=texts, **arrays)


if __name__ == "__main__":
    main()
