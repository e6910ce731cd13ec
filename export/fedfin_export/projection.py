"""A projection for a bundle: axes from its own features of calibration cases, written into its folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import MOST_COLUMNS, Manifest, ProjectionRecipe, file_digest
from fedfin.errors import InputError
from fedfin_export.quantize.calibration import MIN_CASES, Batch
from fedfin_export.quantize.onnx_graph import open_session, run_session

FILE = "projection.f32"
# Of the widest axis: what a narrower one says of the calibration cases is rounding.
LEAST_WIDTH = 1e-5

Axes = Literal["principal", "random"]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """The kind of axes, and how many: None is as many as there can be, up to MOST_COLUMNS."""

    axes: Axes
    dims: int | None = None
    seed: int = 0


def project(folder: Path, manifest: Manifest, batches: Iterable[Batch], wanted: Wanted) -> Manifest:
    """Write the projection into the bundle's folder; the manifest that names it, not written yet.

    Raises InputError when there can be no axes, or not as many as were asked for.
    """
    session = open_session(folder / manifest.onnx)
    found = [run_session(session, batch) for batch in batches]
    if len(found) < MIN_CASES:
        raise InputError(
            f"{len(found)} usable cases to make axes of; give at least {MIN_CASES}, better 1,000"
        )
    features = np.concatenate(found).astype(np.float64)
    axes = make_axes(features, wanted)
    rows = np.vstack([features.mean(axis=0), axes]).astype("<f4")
    variances = (features @ axes.T).var(axis=0)
    (folder / FILE).write_bytes(rows.tobytes())
    recipe = ProjectionRecipe(
        file=FILE,
        axes=wanted.axes,
        columns=len(axes),
        cases=len(features),
        seed=wanted.seed,
        variances=tuple(float(f"{variance:.6g}") for variance in variances),
    )
    files = manifest.files | {FILE: file_digest(folder / FILE)}
    return msgspec.structs.replace(manifest, files=files, projection=recipe)


def make_axes(features: Floats, wanted: Wanted) -> Floats:
    """Orthonormal axes [columns, dim] for features [n, dim]. Raises InputError."""
    if wanted.axes == "random":
        columns = _columns(wanted, features.shape[1], f"the encoder has {features.shape[1]} features")
        return _random(features.shape[1], columns, wanted.seed)
    widths, axes = _principal(features)
    available = int((widths > LEAST_WIDTH * max(float(widths[0]), np.finfo(np.float64).tiny)).sum())
    columns = _columns(wanted, available, f"{len(features)} calibration cases vary along {available} axes")
    return axes[:columns]


def _columns(wanted: Wanted, available: int, why: str) -> int:
    if not available or (wanted.dims or 0) > available:
        raise InputError(
            f"--dims: {why}, so there can be no {wanted.dims or 1}; ask for fewer, or give more calibration cases"
        )
    return min(wanted.dims or MOST_COLUMNS, available)


def _principal(features: Floats) -> tuple[Floats, Floats]:
    """Widths and axes [min(n, dim), dim], the widest first; the largest entry of each is positive."""
    _, widths, axes = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return widths, axes * np.sign(largest)


def _random(dim: int, columns: int, seed: int) -> Floats:
    """Axes of a direction that is as likely as any other."""
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal((dim, columns))
    basis, triangle = np.linalg.qr(drawn)
    axes: Floats = (basis * np.sign(np.diag(triangle))).T
    return axes
