"""What `pip install fedfin` puts on a machine: names of our own, that nothing in the working folder can shadow."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fedfin.command_line.main import GROUPS

ROOT = Path(__file__).parents[1]
PACKAGES = {"fedfin", "fedfin_edge", "fedfin_aggregator", "fedfin_export"}
# Names that a user's own file may have; our folders are called so, too.
SHADOWS = ("export", "aggregator", "fusion", "edge_client", "benchmarks", "commands", "cli")
INSTALLED = [group for group in GROUPS if group not in {"bench", "study"}]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git has: no stray file enters."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out), str(source))
    (built,) = out.glob("*.whl")
    return built


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_top_level_name_is_ours(wheel: Path) -> None:
    """And each package says that it is typed."""
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed, without what it depends on."""
    folder = tmp_path_factory.mktemp("site-packages")
    _pip("install", "--no-deps", "--target", str(folder), str(wheel))
    return folder


@pytest.mark.parametrize("words", [[], *([group] for group in INSTALLED)])
def test_commands_run_beside_files_of_any_name(installed: Path, tmp_path: Path, words: list[str]) -> None:
    """`python -m` puts the working folder first: a file export.py there is not ours to import."""
    for name in SHADOWS:
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('this is not FedFIN')\n")
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "fedfin", *words, "--help"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "example" in done.stdout
