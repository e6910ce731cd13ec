"""A synthetic frontal chest radiograph: simple shapes stand for anatomy and findings; no patient's image.

Coordinates are anatomical: x runs from -1 (the patient's right, on the image's left) to 1, y from -1 (head)
to 1 (feet). Densities are what a film shows: 0 is black (air), 1 is white (bone, fluid). Shapes are drawn
on a half-size grid and enlarged: that is four times faster and gives the soft edges of a radiograph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedfin.demo.lesions import (
    FLUID,
    draw_atelectasis,
    draw_consolidation,
    draw_distractors,
    draw_edema,
    draw_effusion,
    draw_nodules,
    draw_pneumothorax,
)
from fedfin.demo.shapes import GRID, Field, Lung, blob, cloud, enlarge, ramp

SIZE = 2 * GRID  # pixels per side of the finished image
LUNG, TISSUE = 0.24, 0.72  # densities
SIDES = (-1, 1)  # the patient's right, left
MARK = (  # "SYNTHETIC" in 5 x 7 dots
    ".###. #...# #...# ##### #...# ##### ##### .###. .###.",
    "#...# #...# ##..# ..#.. #...# #.... ..#.. ..#.. #...#",
    "#.... .#.#. #.#.# ..#.. #...# #.... ..#.. ..#.. #....",
    ".###. ..#.. #.#.# ..#.. ##### ####. ..#.. ..#.. #....",
    "....# ..#.. #..## ..#.. #...# #.... ..#.. ..#.. #....",
    "#...# ..#.. #...# ..#.. #...# #.... ..#.. ..#.. #...#",
    ".###. ..#.. #...# ..#.. #...# ##### ..#.. .###. .###.",
)


@dataclass(frozen=True)
class Finding:
    """How a finding looks: severity from 0 (hardly visible) to 1, and the side or sides where it is."""

    severity: float
    sides: tuple[int, ...] = SIDES


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in every image of one patient; lengths are shares of half the image's side."""

    width: float
    height: float
    lung: float  # half-width of the chest cavity
    base: float  # y of the costophrenic angles
    dome: float  # height of the diaphragm's domes
    heart: float  # cardiothoracic ratio without cardiomegaly
    habitus: float  # 0 thin .. 1 obese
    breasts: float
    rib_gap: float
    rib_phase: float


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one patient's anatomy."""
    habitus = rng.beta(2, 3)
    return Anatomy(
        width=rng.uniform(0.92, 1.06),
        height=rng.uniform(0.9, 1.04),
        lung=0.84 - 0.08 * habitus + rng.normal(0, 0.015),
        base=0.66 - 0.16 * habitus + rng.normal(0, 0.04),
        dome=rng.uniform(0.14, 0.26),
        heart=float(np.clip(rng.normal(0.43, 0.03) + 0.03 * habitus, 0.36, 0.51)),
        habitus=habitus,
        breasts=rng.uniform(0.4, 1) * (rng.random() < 0.5),  # noqa: PLR2004 - half of the patients
        rib_gap=rng.uniform(0.145, 0.175),
        rib_phase=rng.uniform(0, 1),
    )


def draw_phantom(
    anatomy: Anatomy, findings: Mapping[str, Finding], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Draw one image [SIZE, SIZE] of a patient, brighter is denser, with `findings` (name -> look).

    Names: cardiomegaly, effusion, pneumothorax, consolidation, nodule, edema, atelectasis.
    """
    x, y = _coordinates(anatomy, rng)
    if "atelectasis" in findings:
        anatomy = replace(anatomy, base=anatomy.base - 0.06 * findings["atelectasis"].severity)
    lungs = [_lung(anatomy, side, x, y) for side in SIDES]
    film = _body(anatomy, x, y)
    for lung in lungs:
        film += lung.inside * (_lung_field(lung, findings, rng) - film)
    film = _mediastinum(film, anatomy, _heart_ratio(anatomy, findings, rng), x, y)
    film = _bones(film, anatomy, lungs[0].lateral, x, y)
    film = draw_distractors(film, lungs, rng)
    for lung in lungs:
        film = _pleura(film, lung, findings, rng)
    return _expose(film, anatomy, rng)


def _coordinates(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Field, Field]:
    """Anatomical x and y [GRID, GRID] of each pixel: patients stand a little rotated and off-centre."""
    angle, shift_x, shift_y = rng.normal(0, 0.035), rng.normal(0, 0.035), rng.normal(0, 0.04)
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    column, row = axis[None, :] - shift_x, axis[:, None] - shift_y
    x = (np.cos(angle) * column + np.sin(angle) * row) / anatomy.width
    y = (np.cos(angle) * row - np.sin(angle) * column) / anatomy.height
    return x.astype(np.float32), y.astype(np.float32)


def _lung(anatomy: Anatomy, side: int, x: Field, y: Field) -> Lung:
    """Where one lung is: under a rounded apex, above a dome, between mediastinum and chest wall."""
    outward, top = side * x, -0.80
    down = np.clip((y - top) / (anatomy.base - top), 0, 1.2)
    apex = np.sqrt(np.clip(1 - (1 - np.minimum(down / 0.55, 1)) ** 2, 0, 1))
    lateral = anatomy.lung * (0.78 + 0.22 * down) * apex
    inside = ramp(lateral - outward, 0.04) * ramp(outward - 0.08, 0.05)
    inside *= ramp(_diaphragm(anatomy, side, outward) - y, 0.05)
    return Lung(side, anatomy.base, y, outward, lateral, inside)


def _diaphragm(anatomy: Anatomy, side: int, outward: Field) -> Field:
    """Height y of the diaphragm; the right dome stands a little higher, because of the liver."""
    middle = 0.46 * anatomy.lung
    arch = 1 - np.minimum(((outward - middle) / (0.56 * anatomy.lung)) ** 2, 1.2)
    height: Field = anatomy.base - anatomy.dome * arch - (0.05 if side < 0 else 0)
    return height


def _body(anatomy: Anatomy, x: Field, y: Field) -> Field:
    """Soft tissue: shoulders, chest wall, abdomen with the stomach's air bubble; air around it."""
    shoulder = ramp(y + 0.98 - 0.30 * np.clip(np.abs(x) - 0.25, 0, 1), 0.12)
    neck = ramp(0.3 - np.abs(x), 0.1)
    outline = np.maximum(shoulder, neck) * ramp(1.0 + 0.08 * anatomy.habitus - np.abs(x), 0.08)
    film = 0.08 + outline * (TISSUE - 0.1 + 0.12 * anatomy.habitus + 0.10 * ramp(y - 0.5, 0.5))
    bubble = blob(x, y, (0.36, anatomy.base + 0.06), (0.12, 0.06))
    lowered: Field = film - 0.25 * bubble
    return lowered


def _lung_field(lung: Lung, findings: Mapping[str, Finding], rng: np.random.Generator) -> Field:
    """Density of the lung: air, vessels that branch from the hilum, and what disease fills it with."""
    dx, dy = lung.outward - 0.20, lung.y + 0.10
    reach = np.sqrt(dx**2 + dy**2)
    vessels = _vessels(np.arctan2(dy, dx), reach, rng)
    hilum = np.exp(-((reach / 0.13) ** 2))
    edema = findings.get("edema")
    wet = edema.severity if edema else 0.0
    density = LUNG + 0.03 * cloud(rng, 5) + (0.12 + 0.06 * wet) * vessels + 0.20 * hilum
    if edema:
        density += draw_edema(edema.severity, lung, reach, rng)
    for name, fill in (
        ("consolidation", draw_consolidation),
        ("atelectasis", draw_atelectasis),
        ("nodule", draw_nodules),
    ):
        finding = findings.get(name)
        if finding and lung.side in finding.sides:
            density += (FLUID - density) * fill(finding.severity, lung, rng)
    capped: Field = np.minimum(density, 0.95)
    return capped


def _vessels(angle: Field, reach: Field, rng: np.random.Generator) -> Field:
    """Branching lines that leave the hilum and fade towards the chest wall."""
    bend = angle + 0.25 * np.sin(6 * reach + rng.uniform(0, 6.3)) + 0.12 * cloud(rng, 7)
    lines = np.zeros_like(angle)
    for count, start in ((9, 0.0), (17, 0.25)):  # trunks, then twice as many branches
        wave = np.cos(count * bend + rng.uniform(0, 6.3))
        lines += np.clip(wave, 0, 1) ** 4 * ramp(reach - start - 0.08, 0.15) * (0.6 + 0.5 * cloud(rng, 9))
    fading: Field = lines * np.exp(-reach / 0.38)
    return fading


def _heart_ratio(anatomy: Anatomy, findings: Mapping[str, Finding], rng: np.random.Generator) -> float:
    """Cardiothoracic ratio in this image; the heartbeat moves it a little."""
    enlarged = findings.get("cardiomegaly")
    excess = 0.03 + 0.12 * enlarged.severity if enlarged else 0.0
    return anatomy.heart + excess + float(rng.normal(0, 0.008))


def _mediastinum(film: Field, anatomy: Anatomy, ratio: float, x: Field, y: Field) -> Field:
    """Heart, great vessels, spine and trachea over the lungs; density 0.9, edges soft from the heartbeat."""
    half, bottom = ratio * anatomy.lung, anatomy.base - 0.35 * anatomy.dome
    centre, middle = 0.36 * half, bottom - 0.62 * half
    tilt = 0.45 * (x - centre)  # the apex points down to the patient's left
    heart = ramp(1 - np.hypot((x - centre) / half, (y - middle - tilt * 0.5) / (0.86 * half + 0.08)), 0.12)
    vessels = ramp(0.13 + 0.02 * np.sin(3 * y) - np.abs(x - 0.01), 0.05) * ramp(0.5 - y, 0.3)
    knob = ramp(0.085 - np.hypot(x - 0.12, y + 0.36), 0.04)
    shadow = np.maximum(np.maximum(heart, 0.85 * vessels), 0.9 * knob)
    film = film + shadow * (0.84 - film) * 0.95
    discs = 0.5 + 0.5 * np.cos(y * 38)
    film += 0.06 * ramp(0.09 - np.abs(x), 0.04) * discs
    trachea = ramp(0.05 - np.abs(x + 0.01), 0.04) * ramp(-0.22 - y, 0.15)
    darker: Field = film - 0.22 * trachea
    return darker


def _bones(film: Field, anatomy: Anatomy, wall: Field, x: Field, y: Field) -> Field:
    """Ribs, brighter along their rims, and clavicles; clearer in thin patients."""
    clear = 0.105 - 0.05 * anatomy.habitus
    across = np.abs(x)
    cage = ramp(wall + 0.05 - across, 0.03)
    cage *= ramp(anatomy.base - 0.02 - y, 0.35)
    for slope, bow, strength in ((-0.25, 0.55, 1.0), (0.75, 0.0, 0.3)):  # behind, then in front
        level = (y - slope * across - bow * across**2 + 0.18 * slope) / anatomy.rib_gap + anatomy.rib_phase
        place = np.abs(level - np.floor(level) - 0.5)  # 0 on the middle of a rib, 0.5 between two
        rib = ramp(0.21 - place, 0.12) * (0.7 + 0.6 * ramp(place - 0.14, 0.08))
        film = film + clear * strength * rib * cage * ramp(across - 0.1, 0.06)
    line = y + 0.60 + 0.22 * (across - 0.1) - 0.10 * np.sin(4 * across)
    clavicle = ramp(0.038 - np.abs(line), 0.03) * ramp(across - 0.09, 0.04) * ramp(0.8 - across, 0.1)
    brighter: Field = film + 0.16 * clavicle
    return brighter


def _pleura(film: Field, lung: Lung, findings: Mapping[str, Finding], rng: np.random.Generator) -> Field:
    """Air or fluid between lung and chest wall."""
    air, fluid = findings.get("pneumothorax"), findings.get("effusion")
    if air and lung.side in air.sides:
        film = draw_pneumothorax(film, air.severity, lung, rng)
    if fluid and lung.side in fluid.sides:
        film = draw_effusion(film, fluid.severity, lung, rng)
    return film


def _expose(film: Field, anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.uint8]:
    """From density to grey levels: fat and breasts, exposure, scatter, grain, collimator, and the mark."""
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    for side in SIDES:
        breast = ramp(0.36 - np.hypot(axis[None, :] - side * 0.45, (axis[:, None] - 0.28) * 0.9), 0.10)
        film = film + 0.10 * anatomy.breasts * breast
    film = film + 0.03 * cloud(rng, 4) + 0.05 * rng.normal() * axis[None, :]
    contrast = rng.uniform(0.75, 1.15) * (1 - 0.25 * anatomy.habitus)
    film = np.clip(0.48 + rng.normal(0, 0.045) + contrast * (film - 0.5), 0, 1) ** rng.uniform(0.8, 1.25)
    image = enlarge(film.astype(np.float32), SIZE)
    image = image + rng.uniform(0.01, 0.03) * rng.standard_normal(image.shape, dtype=np.float32)
    pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    border = int(rng.integers(0, 7))
    pixels[:border], pixels[SIZE - border :] = 0, 0
    mark = np.array([[dot == "#" for dot in row] for row in MARK])
    pixels[-11:, :57] = 0
    pixels[-9:-2, 2 : 2 + mark.shape[1]] = np.where(mark, 255, 0)
    return pixels
