"""How findings look in a chest phantom, and what may be taken for them.

Opacities inside the lung are returned as shares of fluid (0 to 1); air and fluid around it change the film.
"""

import numpy as np

from fedfin.demo.shapes import Field, Lung, blob, cloud, ramp

FLUID = 0.86  # density


def draw_edema(severity: float, lung: Lung, reach: Field, rng: np.random.Generator) -> Field:
    """Bat-wing haze around the hila, and short Kerley B lines at the base of the chest wall."""
    haze = np.exp(-((reach / 0.46) ** 2)) * (1 + 0.45 * cloud(rng, 16) + 0.35 * cloud(rng, 40))
    near_wall = ramp(lung.outward - lung.lateral + 0.11, 0.04) * ramp(lung.y - 0.15, 0.1)
    kerley = np.clip(np.cos(lung.y * 95), 0, 1) ** 3 * near_wall
    added: Field = severity * (0.36 * haze + 0.10 * kerley)
    return added


def draw_consolidation(severity: float, lung: Lung, rng: np.random.Generator) -> Field:
    """Fluffy opacity of part of a lobe, streaked by air bronchograms."""
    at = (rng.uniform(0.42, 0.64), rng.choice((-0.38, 0.0, 0.26)) + rng.normal(0, 0.06))
    size = 0.12 + 0.14 * severity
    shape = blob(lung.outward, lung.y, at, (size, size * rng.uniform(0.8, 1.3)))
    patch = np.clip(1.7 * shape * (1 + 0.55 * cloud(rng, 11)) - 0.25, 0, 1)
    toward_hilum = np.arctan2(lung.y + 0.10, lung.outward - 0.20)
    bronchi = np.clip(np.cos(22 * toward_hilum), 0, 1) ** 6
    opacity: Field = (0.22 + 0.58 * severity) * patch * (1 - 0.45 * bronchi)
    return opacity


def draw_atelectasis(severity: float, lung: Lung, rng: np.random.Generator) -> Field:
    """Plate-like bands above a raised diaphragm."""
    opacity = np.zeros_like(lung.y)
    for _ in range(1 + round(2 * severity)):
        height, slope = rng.uniform(0.10, 0.36), rng.normal(0, 0.2)
        start, length = rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4)
        off = lung.y - height - slope * (lung.outward - start)
        band = np.exp(-((off / (0.014 + 0.010 * severity)) ** 2))
        band *= ramp(lung.outward - start, 0.08) * ramp(start + length - lung.outward, 0.08)
        opacity = np.maximum(opacity, band)
    crowding = 0.35 * severity * ramp(lung.y - 0.25, 0.35)
    together: Field = np.clip((0.35 + 0.4 * severity) * opacity + crowding, 0, 1)
    return together


def draw_nodules(severity: float, lung: Lung, rng: np.random.Generator) -> Field:
    """One to three round opacities with a defined edge; a large one is a mass."""
    opacity = np.zeros_like(lung.y)
    for _ in range(rng.integers(1, 4)):
        at = (rng.uniform(0.3, 0.66), rng.uniform(-0.5, 0.35))
        radius = (0.035 + 0.095 * severity) * rng.uniform(0.8, 1.2)
        wobble = 1 + 0.05 * np.sin(3 * np.arctan2(lung.y - at[1], lung.outward - at[0]) + rng.uniform(0, 6))
        distance = np.hypot(lung.outward - at[0], lung.y - at[1]) * wobble
        opacity = np.maximum(opacity, ramp(radius - distance, 0.035))
    shaded: Field = (0.20 + 0.40 * severity) * opacity
    return shaded


def draw_distractors(film: Field, lungs: list[Lung], rng: np.random.Generator) -> Field:
    """What may be taken for a finding: skin folds, nipple shadows, leads."""
    chances = rng.random(3)
    lung = lungs[rng.integers(2)]
    if chances[0] < 0.18:  # noqa: PLR2004 - a skin fold: an edge like the pleural line, vessels go on beyond it
        edge = lung.lateral - rng.uniform(0.06, 0.25) + rng.normal(0, 0.2) * lung.y - lung.outward
        film = film + 0.10 * lung.inside * ramp(edge, 0.02) * ramp(0.10 - edge, 0.15)
    if chances[1] < 0.20:  # noqa: PLR2004 - nipples: round, faint, on both sides
        height, radius = rng.uniform(0.2, 0.36), rng.uniform(0.035, 0.055)
        for each in lungs:
            film = film + 0.10 * ramp(radius - np.hypot(each.outward - 0.46, each.y - height), 0.03)
    if chances[2] < 0.25:  # noqa: PLR2004 - a lead across the chest
        path = lung.y - rng.uniform(-0.5, 0.3) - rng.normal(0, 0.5) * lung.outward - 0.3 * lung.outward**2
        film = film + 0.15 * ramp(0.012 - np.abs(path), 0.012)
    return film


def draw_pneumothorax(film: Field, severity: float, lung: Lung, rng: np.random.Generator) -> Field:
    """Air without vessels beyond a thin white line, widest at the apex."""
    width = (0.03 + 0.30 * severity) * (1 + 0.1 * rng.normal())
    edge = lung.lateral - width * (1 - 0.55 * ramp(lung.y + 0.1, 1.2)) - lung.outward
    edge = np.minimum(edge, (lung.y + 0.80 - 0.9 * width) * 1.2)
    free = ramp(-edge, 0.025) * lung.inside
    film = film + free * (0.42 * film + 0.03 - film) * (0.10 + 0.55 * severity)
    line = np.exp(-((edge / 0.013) ** 2)) * lung.inside
    collapse = 0.06 * severity * lung.inside * ramp(edge, 0.1)
    drawn: Field = film + (0.05 + 0.12 * severity) * line + collapse
    return drawn


def draw_effusion(film: Field, severity: float, lung: Lung, rng: np.random.Generator) -> Field:
    """Fluid that blunts the costophrenic angle and climbs the chest wall in a meniscus."""
    across = np.clip(lung.outward / np.maximum(lung.lateral, 0.3), 0, 1)
    level = lung.base - 0.48 * severity * (1 + 0.08 * rng.normal())
    surface = level + 0.10 + 0.05 * severity - (0.16 + 0.06 * severity) * across**3
    chest = ramp(lung.lateral + 0.025 - lung.outward, 0.03) * ramp(lung.outward - 0.05, 0.08)
    fluid = ramp(lung.y - surface, 0.07 + 0.08 * severity) * chest * ramp(lung.base + 0.03 - lung.y, 0.05)
    filled: Field = film + (0.55 + 0.4 * severity) * fluid * np.maximum(FLUID - film, 0)
    return filled
