"""Soft-edged shapes and smooth noise on a pixel grid, of which phantoms are drawn."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = 128  # pixels per side of the grid that is drawn on

Field = NDArray[np.floating[Any]]  # [GRID, GRID]


@dataclass(frozen=True)
class Lung:
    """One side of the chest: where its lung is, and coordinates within it."""

    side: int
    base: float  # y of the costophrenic angle
    y: Field
    outward: Field  # x away from the midline
    lateral: Field  # outward position of the chest wall at each height
    inside: Field  # 1 in the lung, 0 outside, with a soft edge


def ramp(distance: Field, softness: float) -> Field:
    """0 to 1 across an edge at `distance` 0: a cheap sigmoid."""
    sloped: Field = np.clip(0.5 + distance / softness, 0, 1)
    return sloped


def blob(x: Field, y: Field, at: tuple[float, float], radius: tuple[float, float]) -> Field:
    """Gaussian bump of height 1."""
    bump: Field = np.exp(-(((x - at[0]) / radius[0]) ** 2) - ((y - at[1]) / radius[1]) ** 2)
    return bump


def cloud(rng: np.random.Generator, cells: int) -> Field:
    """Smooth noise [GRID, GRID], about -1 .. 1, with `cells` waves per side."""
    return enlarge(rng.uniform(-1, 1, (cells, cells)), GRID)


def enlarge(field: Field, size: int) -> Field:
    """Resize a square field to [size, size], smoothly."""
    from PIL import Image

    image = Image.fromarray(field.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    enlarged: Field = np.asarray(image, dtype=np.float32)
    return enlarged
