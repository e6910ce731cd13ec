"""The arm64 package's answers beside those of x86-64: Debian 12's arm64 userland under qemu-user.

    make demo && make deb DEB="--arch arm64" && make test-arm64        DEMO_FOLDER=fedfin-demo; some minutes

What must be the same bytes is: what sites with given updates send, and what an aggregator keeps and makes of it
(tests/golden). Features, predictions and training may differ as floats do between processors: printed, and held to
the tolerances below. So may those of another version of onnxruntime on this machine, which is compared first. Ends with
1 where something differs by more.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
BUILD = TESTS.parent / "build" / "deb"
ROOT = BUILD / "bookworm-arm64"
PACKAGES = [BUILD / "arm64-3.11" / name / "usr/lib/fedfin" for name in ("fedfin", "fedfin-edge")]
QEMU, CPU = "qemu-aarch64-static", "cortex-a72"
# JetPack 6's. 1.32.0 ends with a segmentation fault under qemu 7.2, which says nothing of hardware.
ONNXRUNTIME = "1.23.2"
MACHINES = ("x86_64", "aarch64")
# Of int8 graphs a value may be rounded to the next of 256 steps in each layer; training is float32 throughout.
COSINE = {"features image": 0.995, "features text": 0.998}
COSINE_OF_VERSIONS = COSINE | {"features text": 0.99}
LARGEST = {"predictions": 0.05, "train": 1e-6}


def main() -> int:
    """Compare."""
    demo = Path(os.environ.get("DEMO_FOLDER", "fedfin-demo")).absolute()
    check(demo)
    with tempfile.TemporaryDirectory() as name:
        path = os.environ.get("PYTHONPATH", "").split(":")
        ours, theirs = (str(older(machine)) for machine in MACHINES)
        newest = answers([sys.executable], path, demo, Path(name) / "newest.npz")
        here = answers([sys.executable], [ours, *path], demo, Path(name) / "here.npz")
        python = [QEMU, "-cpu", CPU, "-L", str(ROOT), str(ROOT / "usr/bin/python3.11"), "-B"]
        there = answers(python, [theirs, *map(str, PACKAGES)], demo, Path(name) / "there.npz")
    return max(compare(newest, here, COSINE_OF_VERSIONS), compare(here, there, COSINE))


def check(demo: Path) -> None:
    """SystemExit with what is missing, and how to make it."""
    if shutil.which(QEMU) is None:
        sys.exit(f"{QEMU} is not installed (apt-get install qemu-user-static)")
    if not (demo / "models/fedfin/model.onnx").exists():
        sys.exit(f"{demo} is no demo's folder: make demo, or name another one as DEMO_FOLDER")
    if not all(folder.is_dir() for folder in PACKAGES):
        sys.exit(f'{BUILD} has no arm64 packages: make deb DEB="--arch arm64"')
    if not ROOT.exists():
        include = "--include=python3,libstdc++6,libgcc-s1,zlib1g"
        subprocess.run(
            ["mmdebstrap", "--variant=extract", "--architectures=arm64", include, "bookworm", ROOT],
            check=True,
        )
    for machine in MACHINES:
        if not older(machine).exists():
            fetch_onnxruntime(machine)


def older(machine: str) -> Path:
    """Where onnxruntime is for it, in the version that both have."""
    return BUILD / f"onnxruntime-{ONNXRUNTIME}-{machine}"


def fetch_onnxruntime(machine: str) -> None:
    """Its wheel, unpacked."""
    platforms = [word for minor in (28, 27, 17) for word in ("--platform", f"manylinux_2_{minor}_{machine}")]
    wanted = [
        "--no-deps",
        "--only-binary",
        ":all:",
        "--python-version",
        "3.11",
        f"onnxruntime=={ONNXRUNTIME}",
    ]
    with tempfile.TemporaryDirectory() as name:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", name]
        subprocess.run([*pip, *platforms, *wanted], check=True)
        (wheel,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(older(machine))


def answers(python: list[str], path: list[str], demo: Path, out: Path) -> dict[str, Any]:
    """What answers.py writes under that Python."""
    environment = {
        "PYTHONPATH": os.pathsep.join([*path, str(TESTS)]),
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/bin:/bin",
    }
    words = [*python, str(Path(__file__).with_name("answers.py")), str(demo), str(out)]
    subprocess.run(words, env=environment, check=True)
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def compare(here: dict[str, Any], there: dict[str, Any], cosines: dict[str, float]) -> int:
    """Print how far they are from each other; 1 where that is too far."""
    ours, theirs = (json.loads(str(found["texts"])) for found in (here, there))
    recorded = json.loads((TESTS / "golden/same_bytes.json").read_text())["digests"]
    same = all(
        found["golden"] == {name: recorded[name] for name in found["golden"]} for found in (ours, theirs)
    )
    print(f"{ours['machine']}, {ours['versions']}, and {theirs['machine']}, {theirs['versions']}")
    print(f"golden bytes: {'the same on both' if same else 'DIFFER'}")
    right = same
    for name, least in cosines.items():
        one, other = here[name], there[name]
        cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
        far = np.abs(one - other).max()
        size = np.abs(one).max()
        print(
            f"{name}: least cosine {cosine.min():.6f}, largest difference {far:.2g} of values to {size:.2g}"
        )
        right &= bool(cosine.min() >= least)
    for name, most in LARGEST.items():
        names = [each for each in here if each.startswith(name)]
        far = max(float(np.abs(here[each] - there[each]).max()) for each in names)
        size = max(float(np.abs(here[each]).max()) for each in names)
        print(f"{name}: largest difference {far:.2g} of values to {size:.2g}")
        right &= far <= most
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
