"""A synthetic frontal chest radiograph: simple shapes that stand for anatomy and findings, no patient's image.

Coordinates are anatomical: x runs from -1 (the patient's right, on the image's left) to 1, y from -1 (head)
to 1 (feet). Densities are what a film shows: 0 is black (air), 1 is white (bone, fluid). Shapes are drawn
on a half-size grid and enlarged: that is four times faster and gives the soft edges of a radiograph.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

SIZE = 256  # pixels per side of the finished image
GRID = SIZE // 2
LUNG, TISSUE, FLUID = 0.24, 0.72, 0.86  # densities
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

Field = NDArray[np.float32]


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


@dataclass(frozen=True)
class _Lung:
    side: int
    outward: Field  # x away from the midline
    lateral: Field  # outward position of the chest wall at each height
    inside: Field  # 1 in the lung, 0 outside, with a soft edge


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
        film += lung.inside * (_lung_field(lung, findings, y, rng) - film)
    film = _mediastinum(film, anatomy, findings.get("cardiomegaly"), x, y, rng)
    film = _bones(film, anatomy, lungs[0].lateral, x, y)
    film = _distractors(film, lungs, y, rng)
    for lung in lungs:
        film = _pleura(film, lung, findings, anatomy, y, rng)
    return _expose(film, anatomy, rng)


def _coordinates(anatomy: Anatomy, rng: np.random.Generator) -> tuple[Field, Field]:
    """Anatomical x and y [GRID, GRID] of each pixel: the patient stands a little rotated, off-centre and large."""
    angle, shift_x, shift_y = rng.normal(0, 0.035), rng.normal(0, 0.035), rng.normal(0, 0.04)
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    column, row = axis[None, :] - shift_x, axis[:, None] - shift_y
    x = (np.cos(angle) * column + np.sin(angle) * row) / anatomy.width
    y = (np.cos(angle) * row - np.sin(angle) * column) / anatomy.height
    return x.astype(np.float32), y.astype(np.float32)


def _ramp(distance: Field, softness: float) -> Field:
    """0 to 1 across an edge at `distance` 0: a cheap sigmoid."""
    ramp: Field = np.clip(0.5 + distance / softness, 0, 1)
    return ramp


def _blob(x: Field, y: Field, at: tuple[float, float], radius: tuple[float, float]) -> Field:
    """Gaussian bump of height 1."""
    bump: Field = np.exp(-(((x - at[0]) / radius[0]) ** 2) - ((y - at[1]) / radius[1]) ** 2)
    return bump


def _cloud(rng: np.random.Generator, cells: int) -> Field:
    """Smooth noise [GRID, GRID], about -1 .. 1, with `cells` waves per side."""
    return _enlarge(rng.uniform(-1, 1, (cells, cells)).astype(np.float32), GRID)


def _enlarge(field: Field, size: int) -> Field:
    from PIL import Image  # noqa: PLC0415 - fedfin loads without Pillow

    image = Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC)
    enlarged: Field = np.asarray(image, dtype=np.float32)
    return enlarged


def _lung(anatomy: Anatomy, side: int, x: Field, y: Field) -> _Lung:
    """Where one lung is: under a rounded apex, above a dome, between mediastinum and chest wall."""
    outward, top = side * x, -0.80
    down = np.clip((y - top) / (anatomy.base - top), 0, 1.2)
    apex = np.sqrt(np.clip(1 - (1 - np.minimum(down / 0.55, 1)) ** 2, 0, 1))
    lateral = anatomy.lung * (0.78 + 0.22 * down) * apex
    inside = _ramp(lateral - outward, 0.04) * _ramp(outward - 0.08, 0.05)
    inside *= _ramp(_diaphragm(anatomy, side, outward) - y, 0.05)
    return _Lung(side, outward, lateral, inside)


def _diaphragm(anatomy: Anatomy, side: int, outward: Field) -> Field:
    """Height y of the diaphragm; the right dome stands a little higher, because of the liver."""
    middle = 0.46 * anatomy.lung
    arch = 1 - np.minimum(((outward - middle) / (0.56 * anatomy.lung)) ** 2, 1.2)
    height: Field = anatomy.base - anatomy.dome * arch - (0.05 if side < 0 else 0)
    return height


def _body(anatomy: Anatomy, x: Field, y: Field) -> Field:
    """Soft tissue: shoulders, chest wall, abdomen with the stomach's air bubble; air around it."""
    shoulder = _ramp(y + 0.98 - 0.30 * np.clip(np.abs(x) - 0.25, 0, 1), 0.12)
    neck = _ramp(0.3 - np.abs(x), 0.1)
    outline = np.maximum(shoulder, neck) * _ramp(1.0 + 0.08 * anatomy.habitus - np.abs(x), 0.08)
    film = 0.08 + outline * (TISSUE - 0.1 + 0.12 * anatomy.habitus + 0.10 * _ramp(y - 0.5, 0.5))
    bubble = _blob(x, y, (0.36, anatomy.base + 0.06), (0.12, 0.06))
    lowered: Field = film - 0.25 * bubble
    return lowered


def _lung_field(lung: _Lung, findings: Mapping[str, Finding], y: Field, rng: np.random.Generator) -> Field:
    """Density of the lung: air, vessels that branch from the hilum, and what disease fills it with."""
    dx, dy = lung.outward - 0.20, y + 0.10
    reach = np.sqrt(dx**2 + dy**2)
    vessels = _vessels(np.arctan2(dy, dx), reach, rng)
    hilum = np.exp(-((reach / 0.13) ** 2))
    edema = findings.get("edema")
    wet = edema.severity if edema else 0.0
    density = LUNG + 0.03 * _cloud(rng, 5) + (0.12 + 0.06 * wet) * vessels + 0.20 * hilum
    if edema:
        density += _edema(edema.severity, lung, reach, y, rng)
    for name, fill in (
        ("consolidation", _consolidation),
        ("atelectasis", _atelectasis),
        ("nodule", _nodules),
    ):
        finding = findings.get(name)
        if finding and lung.side in finding.sides:
            density += (FLUID - density) * fill(finding.severity, lung, y, rng)
    return np.minimum(density, 0.95)


def _vessels(angle: Field, reach: Field, rng: np.random.Generator) -> Field:
    """Branching lines that leave the hilum and fade towards the chest wall."""
    bend = angle + 0.25 * np.sin(6 * reach + rng.uniform(0, 6.3)) + 0.12 * _cloud(rng, 7)
    lines = np.zeros_like(angle)
    for count, start in ((9, 0.0), (17, 0.25)):  # trunks, then twice as many branches
        wave = np.cos(count * bend + rng.uniform(0, 6.3))
        lines += np.clip(wave, 0, 1) ** 4 * _ramp(reach - start - 0.08, 0.15) * (0.6 + 0.5 * _cloud(rng, 9))
    fading: Field = lines * np.exp(-reach / 0.38)
    return fading


def _edema(severity: float, lung: _Lung, reach: Field, y: Field, rng: np.random.Generator) -> Field:
    """Bat-wing haze around the hila, and short Kerley B lines at the base of the chest wall."""
    haze = np.exp(-((reach / 0.46) ** 2)) * (1 + 0.45 * _cloud(rng, 16) + 0.35 * _cloud(rng, 40))
    near_wall = _ramp(lung.outward - lung.lateral + 0.11, 0.04) * _ramp(y - 0.15, 0.1)
    kerley = np.clip(np.cos(y * 95), 0, 1) ** 3 * near_wall
    added: Field = severity * (0.36 * haze + 0.10 * kerley)
    return added


def _consolidation(severity: float, lung: _Lung, y: Field, rng: np.random.Generator) -> Field:
    """Fluffy opacity of part of a lobe, streaked by air bronchograms."""
    at = (rng.uniform(0.42, 0.64), rng.choice((-0.38, 0.0, 0.26)) + rng.normal(0, 0.06))
    size = 0.12 + 0.14 * severity
    shape = _blob(lung.outward, y, at, (size, size * rng.uniform(0.8, 1.3)))
    patch = np.clip(1.7 * shape * (1 + 0.55 * _cloud(rng, 11)) - 0.25, 0, 1)
    toward_hilum = np.arctan2(y + 0.10, lung.outward - 0.20)
    bronchi = np.clip(np.cos(22 * toward_hilum), 0, 1) ** 6
    opacity: Field = (0.22 + 0.58 * severity) * patch * (1 - 0.45 * bronchi)
    return opacity


def _atelectasis(severity: float, lung: _Lung, y: Field, rng: np.random.Generator) -> Field:
    """Plate-like bands above a raised diaphragm."""
    opacity = np.zeros_like(y)
    for _ in range(1 + round(2 * severity)):
        height, slope = rng.uniform(0.10, 0.36), rng.normal(0, 0.2)
        start, length = rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4)
        off = y - height - slope * (lung.outward - start)
        band = np.exp(-((off / (0.014 + 0.010 * severity)) ** 2))
        band *= _ramp(lung.outward - start, 0.08) * _ramp(start + length - lung.outward, 0.08)
        opacity = np.maximum(opacity, band)
    crowding = 0.35 * severity * _ramp(y - 0.25, 0.35)
    together: Field = np.clip((0.35 + 0.4 * severity) * opacity + crowding, 0, 1)
    return together


def _nodules(severity: float, lung: _Lung, y: Field, rng: np.random.Generator) -> Field:
    """One to three round opacities with a defined edge; a large one is a mass."""
    opacity = np.zeros_like(y)
    for _ in range(rng.integers(1, 4)):
        at = (rng.uniform(0.3, 0.66), rng.uniform(-0.5, 0.35))
        radius = (0.035 + 0.095 * severity) * rng.uniform(0.8, 1.2)
        wobble = 1 + 0.05 * np.sin(3 * np.arctan2(y - at[1], lung.outward - at[0]) + rng.uniform(0, 6))
        distance = np.hypot(lung.outward - at[0], y - at[1]) * wobble
        opacity = np.maximum(opacity, _ramp(radius - distance, 0.035))
    return (0.20 + 0.40 * severity) * opacity


def _mediastinum(
    film: Field, anatomy: Anatomy, enlarged: Finding | None, x: Field, y: Field, rng: np.random.Generator
) -> Field:
    """Heart, great vessels, spine and trachea over the lungs; density 0.9, edges soft from the heartbeat."""
    ratio = anatomy.heart + (0.03 + 0.12 * enlarged.severity if enlarged else 0) + rng.normal(0, 0.008)
    half, bottom = ratio * anatomy.lung, anatomy.base - 0.35 * anatomy.dome
    centre, middle = 0.36 * half, bottom - 0.62 * half
    tilt = 0.45 * (x - centre)  # the apex points down to the patient's left
    heart = _ramp(1 - np.hypot((x - centre) / half, (y - middle - tilt * 0.5) / (0.86 * half + 0.08)), 0.12)
    vessels = _ramp(0.13 + 0.02 * np.sin(3 * y) - np.abs(x - 0.01), 0.05) * _ramp(0.5 - y, 0.3)
    knob = _ramp(0.085 - np.hypot(x - 0.12, y + 0.36), 0.04)
    shadow = np.maximum(np.maximum(heart, 0.85 * vessels), 0.9 * knob)
    film = film + shadow * (0.84 - film) * 0.95
    discs = 0.5 + 0.5 * np.cos(y * 38)
    film += 0.06 * _ramp(0.09 - np.abs(x), 0.04) * discs
    trachea = _ramp(0.05 - np.abs(x + 0.01), 0.04) * _ramp(-0.22 - y, 0.15)
    darker: Field = film - 0.22 * trachea
    return darker


def _bones(film: Field, anatomy: Anatomy, wall: Field, x: Field, y: Field) -> Field:
    """Ribs, brighter along their rims, and clavicles; clearer in thin patients."""
    clear = 0.105 - 0.05 * anatomy.habitus
    across = np.abs(x)
    cage = _ramp(wall + 0.05 - across, 0.03)
    cage *= _ramp(anatomy.base - 0.02 - y, 0.35)
    for slope, bow, strength in ((-0.25, 0.55, 1.0), (0.75, 0.0, 0.3)):  # behind, then in front
        level = (y - slope * across - bow * across**2 + 0.18 * slope) / anatomy.rib_gap + anatomy.rib_phase
        place = np.abs(level - np.floor(level) - 0.5)  # 0 on the middle of a rib, 0.5 between two
        rib = _ramp(0.21 - place, 0.12) * (0.7 + 0.6 * _ramp(place - 0.14, 0.08))
        film = film + clear * strength * rib * cage * _ramp(across - 0.1, 0.06)
    line = y + 0.60 + 0.22 * (across - 0.1) - 0.10 * np.sin(4 * across)
    clavicle = _ramp(0.038 - np.abs(line), 0.03) * _ramp(across - 0.09, 0.04) * _ramp(0.8 - across, 0.1)
    brighter: Field = film + 0.16 * clavicle
    return brighter


def _distractors(film: Field, lungs: list[_Lung], y: Field, rng: np.random.Generator) -> Field:
    """What may be taken for a finding: skin folds, nipple shadows, leads."""
    chances = rng.random(3)
    lung = lungs[rng.integers(2)]
    if chances[0] < 0.18:  # noqa: PLR2004 - a skin fold: an edge like the pleural line, vessels go on beyond it
        edge = lung.lateral - rng.uniform(0.06, 0.25) + rng.normal(0, 0.2) * y - lung.outward
        film = film + 0.10 * lung.inside * _ramp(edge, 0.02) * _ramp(0.10 - edge, 0.15)
    if chances[1] < 0.20:  # noqa: PLR2004 - nipples: round, faint, on both sides
        height, radius = rng.uniform(0.2, 0.36), rng.uniform(0.035, 0.055)
        for each in lungs:
            film = film + 0.10 * _ramp(radius - np.hypot(each.outward - 0.46, y - height), 0.03)
    if chances[2] < 0.25:  # noqa: PLR2004 - a lead across the chest
        path = y - rng.uniform(-0.5, 0.3) - rng.normal(0, 0.5) * lung.outward - 0.3 * lung.outward**2
        film = film + 0.15 * _ramp(0.012 - np.abs(path), 0.012)
    return film


def _pleura(
    film: Field,
    lung: _Lung,
    findings: Mapping[str, Finding],
    anatomy: Anatomy,
    y: Field,
    rng: np.random.Generator,
) -> Field:
    """Air or fluid between lung and chest wall."""
    air, fluid = findings.get("pneumothorax"), findings.get("effusion")
    if air and lung.side in air.sides:
        film = _pneumothorax(film, air.severity, lung, y, rng)
    if fluid and lung.side in fluid.sides:
        film = _effusion(film, fluid.severity, lung, anatomy, y, rng)
    return film


def _pneumothorax(film: Field, severity: float, lung: _Lung, y: Field, rng: np.random.Generator) -> Field:
    """Air without vessels beyond a thin white line, widest at the apex."""
    width = (0.03 + 0.30 * severity) * (1 + 0.1 * rng.normal())
    edge = lung.lateral - width * (1 - 0.55 * _ramp(y + 0.1, 1.2)) - lung.outward
    edge = np.minimum(edge, (y + 0.80 - 0.9 * width) * 1.2)
    free = _ramp(-edge, 0.025) * lung.inside
    film = film + free * (0.42 * film + 0.03 - film) * (0.10 + 0.55 * severity)
    line = np.exp(-((edge / 0.013) ** 2)) * lung.inside
    collapse = 0.06 * severity * lung.inside * _ramp(edge, 0.1)
    drawn: Field = film + (0.05 + 0.12 * severity) * line + collapse
    return drawn


def _effusion(
    film: Field, severity: float, lung: _Lung, anatomy: Anatomy, y: Field, rng: np.random.Generator
) -> Field:
    """Fluid that blunts the costophrenic angle and climbs the chest wall in a meniscus."""
    across = np.clip(lung.outward / np.maximum(lung.lateral, 0.3), 0, 1)
    level = anatomy.base - 0.48 * severity * (1 + 0.08 * rng.normal())
    surface = level + 0.10 + 0.05 * severity - (0.16 + 0.06 * severity) * across**3
    chest = _ramp(lung.lateral + 0.025 - lung.outward, 0.03) * _ramp(lung.outward - 0.05, 0.08)
    fluid = _ramp(y - surface, 0.07 + 0.08 * severity) * chest * _ramp(anatomy.base + 0.03 - y, 0.05)
    filled: Field = film + (0.55 + 0.4 * severity) * fluid * np.maximum(FLUID - film, 0)
    return filled


def _expose(film: Field, anatomy: Anatomy, rng: np.random.Generator) -> NDArray[np.uint8]:
    """From density to grey levels: fat and breasts, exposure, scatter, grain, collimator, and the mark."""
    axis = np.linspace(-1, 1, GRID, dtype=np.float32)
    for side in SIDES:
        breast = _ramp(0.36 - np.hypot(axis[None, :] - side * 0.45, (axis[:, None] - 0.28) * 0.9), 0.10)
        film = film + 0.10 * anatomy.breasts * breast
    film = film + 0.03 * _cloud(rng, 4) + 0.05 * rng.normal() * axis[None, :]
    contrast = rng.uniform(0.75, 1.15) * (1 - 0.25 * anatomy.habitus)
    film = np.clip(0.48 + rng.normal(0, 0.045) + contrast * (film - 0.5), 0, 1) ** rng.uniform(0.8, 1.25)
    image = _enlarge(film.astype(np.float32), SIZE)
    image = image + rng.uniform(0.01, 0.03) * rng.standard_normal(image.shape, dtype=np.float32)
    pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    border = int(rng.integers(0, 7))
    pixels[:border], pixels[SIZE - border :] = 0, 0
    mark = np.array([[dot == "#" for dot in row] for row in MARK])
    pixels[-11:, :57] = 0
    pixels[-9:-2, 2 : 2 + mark.shape[1]] = np.where(mark, 255, 0)
    return pixels
