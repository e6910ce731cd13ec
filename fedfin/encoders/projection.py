"""A bundle's projection at work: the encoder's features to the columns of a few public axes.

    projection.f32    little-endian float32 [1 + columns, dim]: the mean of the calibration cases, then the axes

Columns are in an order in which any first k of them are the projection to k: principal axes come widest first, random
ones are all alike. So the bundle is made once, and the plan says how many it takes. Columns keep their scale.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import COPY_AGAIN, Manifest, projection_bytes, read_manifest
from fedfin.errors import BundleError
from fedfin.files import read_at_most
from fedfin.plan_sections import Modality


class Projection:
    """Axes [columns, dim] and the mean [dim] that is taken off before."""

    def __init__(self, mean: NDArray[np.floating], axes: NDArray[np.floating]) -> None:
        self._mean = mean.astype(np.float64)
        self._axes = axes.astype(np.float64)

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[dim] to [columns].

        Summed by numpy in float64: what a BLAS gives depends on how many threads it has. 0.4 ms for 1280 x 256.
        """
        products = self._axes * (features - self._mean)
        columns: NDArray[np.float32] = products.sum(axis=1).astype(np.float32)
        return columns

    def first(self, columns: int) -> "Projection":
        """The projection to no more than so many columns; 0: to all."""
        return Projection(self._mean, self._axes[: columns or None])

    def __len__(self) -> int:
        return len(self._axes)


def read_projection(folder: Path, manifest: Manifest) -> Projection | None:
    """The projection of a bundle whose manifest was checked; None where it has none. Raises BundleError."""
    if not manifest.projection:
        return None
    path = folder / manifest.projection.file
    try:
        values = np.frombuffer(read_at_most(path, projection_bytes(manifest)), "<f4")
    except OSError as error:
        raise BundleError(f"{path}: cannot read it ({error.strerror}); {COPY_AGAIN}") from None
    if not np.isfinite(values).all():
        raise BundleError(f"{path}: holds values that are not finite; export the bundle again")
    mean, *axes = values.reshape(1 + manifest.columns, manifest.dim).astype(np.float32)
    return Projection(mean, np.stack(axes))


def read_fitting_manifest(folder: Path, modality: Modality) -> Manifest:
    """The manifest of the bundle that the plan names for a modality.

    Raises BundleError when it is another, or gives other features than the plan asks for.
    """
    manifest = read_manifest(folder)
    if manifest.digest() != modality.encoder:
        raise BundleError(
            f"{folder}: is not the encoder that the plan names for {modality.name!r}"
            f" ({modality.encoder[:12]}…); ask the coordinator for that bundle"
        )
    check_columns(folder, manifest, modality)
    return manifest


def check_columns(folder: Path, manifest: Manifest, modality: Modality) -> None:
    """The plan takes the first of a projection's columns, or all features. Raises BundleError."""
    if modality.dim == manifest.columns or (manifest.projection and modality.dim < manifest.columns):
        return
    kind = (
        f"projection has {manifest.columns} columns"
        if manifest.projection
        else f"encoder gives {manifest.dim}"
    )
    most = " or less" if manifest.projection else ", or add a projection (`fedfin export projection`)"
    raise BundleError(
        f"{folder}: the plan asks for {modality.dim} features of {modality.name!r}, and the bundle's {kind};"
        f" the coordinator must set dim = {manifest.columns}{most}"
    )
