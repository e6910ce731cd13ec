"""What FedFIN takes of a machine before it does anything: installed size, import time, memory.

    python -m benchmarks.footprint [--install] [--json]

--install also makes a fresh environment with the base install and measures it, without pip itself.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

IMPORTS = (
    "fedfin_aggregator.cli",
    "fedfin_aggregator.serve.server",
    "fedfin.command_line.main",
    "fedfin_edge.agent.agent",
    "fedfin_edge.predict.predictor",
)
RUNS = 5
PROJECT = Path(__file__).parents[1]
_PROBE = """
import sys, time
started = time.perf_counter()
__import__(sys.argv[1])
seconds = time.perf_counter() - started
from fedfin.memory import peak_rss_mb
print(seconds, peak_rss_mb())
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--install", action="store_true", help="measure a fresh base install too")
    parser.add_argument("--json", action="store_true", help="as JSON")
    args = parser.parse_args()
    result: dict[str, Any] = {name: measure_import(name) for name in IMPORTS}
    if args.install:
        result["base install MB"] = round(measure_install(), 1)
    if args.json:
        print(json.dumps(result, indent=2))
        return
    for name in IMPORTS:
        print(f"import {name:<24} {result[name]['seconds']:.2f} s  {result[name]['rss_mb']:.0f} MB RSS")
    if args.install:
        print(f"base install without pip: {result['base install MB']:.1f} MB")


def measure_import(module: str) -> dict[str, float]:
    """Median seconds and peak resident MB of a process that imports `module`."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", _PROBE, module], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(RUNS)
    ]
    seconds, rss = zip(*(map(float, run.split()) for run in runs), strict=True)
    return {"seconds": statistics.median(seconds), "rss_mb": statistics.median(rss)}


def installed_mb() -> dict[str, float]:
    """MB of the base install's packages as they are in this environment, by name: FedFIN's own and all they need."""
    found: dict[str, float] = {}
    wanted = ["fedfin"]
    while wanted:
        name = wanted.pop()
        if name not in found:
            package = distribution(name)
            found[name] = (
                _own_mb() if name == "fedfin" else _mb(package.locate_file(f) for f in package.files or ())
            )
            wanted += _needs(package)
    return found


def _needs(package: Distribution) -> list[str]:
    """Names of what it needs here, without extras."""
    needs = map(Requirement, package.requires or ())
    return [need.name.lower() for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]


def _own_mb() -> float:
    """Of the packages in this checkout."""
    rooms = [PROJECT / room for room in ("fedfin", "edge_client", "aggregator", "export")]
    return _mb(path for room in rooms for path in room.rglob("*"))


def _mb(files: Iterable[Any]) -> float:
    return sum(path.stat().st_size for path in map(Path, files) if path.is_file()) / 1e6


def measure_install() -> float:
    """MB of a fresh environment's site-packages after `pip install .`, without pip and setuptools."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", str(PROJECT)], check=True)
        packages = next((folder / "lib").glob("python*")) / "site-packages"
        own = {"pip", "setuptools", "_distutils_hack", "pkg_resources"}
        files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
        kept = (path for path in files if path.relative_to(packages).parts[0].split("-")[0] not in own)
        return _mb(kept)


if __name__ == "__main__":
    main()
