"""Updates of a real run, as they are before compression: what coders are measured on."""

import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.codec.federation import SCALES, SITES, deal
from benchmarks.codec.simulation import Simulation
from benchmarks.data.loaders import load_cases
from fedfin.codec.layout import Tensors
from fedfin.errors import InputError
from fedfin.files import make_folder

Step = Callable[[str, int, int], None]

ROUND, SITE, SEED = 15, "site-1", 0
_NAME = re.compile(r".+-(\d+)\.npz\Z")


def read_last(folder: Path) -> tuple[Path, Tensors]:
    """The largest update of the last round in `folder`, whose files are called NAME-ROUND.npz. Raises InputError."""
    found = [(int(name[1]), path) for path in folder.glob("*.npz") if (name := _NAME.match(path.name))]
    if not found:
        raise InputError(f"{folder}: has no NAME-ROUND.npz; give a folder that --keep-deltas left")
    _, _, path = max((number, path.stat().st_size, path) for number, path in found)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            tensors = {name: arrays[name] for name in sorted(arrays.files)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is not an .npz of arrays ({error})") from None
    for name, values in tensors.items():
        if values.dtype != np.float32 or not np.isfinite(values).all():
            raise InputError(f"{path}: array {name} does not hold finite float32")
    if not any(values.size for values in tensors.values()):
        raise InputError(f"{path}: holds no values")
    return path, tensors


def recorded(data: str, cache: Path, step: Step) -> Path:
    """The folder with one site's update of a federation that trains with `small`, made once.

    `step` is told what is being done, how much of it, and of how much.
    """
    folder = cache / f"deltas-{data}"
    path = folder / f"{SITE}-{ROUND:04d}.npz"
    if not path.is_file():
        make_folder(folder)
        unfinished = folder / "unfinished.npz"
        np.savez(unfinished, **_record(data, cache, step))  # type: ignore[arg-type]  # numpy's stub forgets the arrays
        unfinished.replace(path)
    return folder


def _record(data: str, cache: Path, step: Step) -> Tensors:
    """Delta and what is owed: what a site hands to the codec once error feedback is in full swing."""
    kept: Tensors = {}

    def keep(number: int, site: str, values: Tensors) -> None:
        if (number, site) == (ROUND, SITE):
            kept.update({name: value.copy() for name, value in values.items()})

    federation = deal(
        load_cases(data, cache, partial(step, "encoding texts")), SCALES[data], seed=SEED, rounds=ROUND
    )
    simulation = Simulation(federation, "small", "small", taking_part=SITES, record=keep)
    for number in range(1, ROUND + 1):
        simulation.round(number)
        step("recording rounds", number, ROUND)
    return kept
