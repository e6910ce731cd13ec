"""docs/codec.md says what the code does."""

import re
from pathlib import Path

import numpy as np

from fedfin.codec import PRESETS, compress
from fedfin.codec.golomb import CODES, GROUPS
from fedfin.codec.layout import FORMS, Kind, Layout
from fedfin.codec.quantize import HALF_STEP

TEXT = (Path(__file__).parents[3] / "docs" / "codec.md").read_text(encoding="utf-8")
WRITTEN = {Layout.ALL: "all values", Layout.MASK: "those in the mask", Layout.GAPS: "those at the positions"}


def test_every_preset_is_there_with_its_numbers() -> None:
    for name, recipe in PRESETS.items():
        (row,) = re.findall(rf"^\| `{name}` \|.*$", TEXT, re.MULTILINE)
        assert f"x {recipe.learning_rate_factor:g} |" in row
        assert recipe.kind != "ternary" or f"the largest {100 * recipe.keep:g} %" in row
        assert recipe.kind != "ternary" or f"gain of {recipe.gain:g}" in TEXT


def test_every_form_is_there_with_its_code() -> None:
    for (kind, layout), code in FORMS.items():
        if kind != Kind.ZERO:
            bits = (
                f"levels of {kind:d} bit{'s' if kind > 1 else ''}" if kind.has_levels else kind.name.lower()
            )
            assert f"| {code} | {bits} | {WRITTEN[layout]} |" in TEXT
    assert f"{max(FORMS.values()) + 1} and 15 are refused" in TEXT


def test_every_constant_is_there() -> None:
    """Golomb's codes, the groups of digits, the factors of levels."""
    assert f"one of {len(CODES)} Golomb codes" in TEXT
    assert [tuple(code) for code in CODES[:8]] == [
        (2, 0),
        (3, 0),
        (4, 0),
        (5, 0),
        (6, 0),
        (7, 0),
        (4, 1),
        (5, 1),
    ]
    for i, head in enumerate(("digits in a group", "bits of a group")):
        assert f"| {head} | {' | '.join(str(group[i]) for group in GROUPS.values())} |" in TEXT
    factors = re.findall(r"times (1) \(1 bit\), ([\d.]+), ([\d.]+) or ([\d.]+) \(4 bits\)", TEXT)
    assert list(HALF_STEP.values()) == [float(factor) for factor in factors[0]]


def test_the_example_is_what_comes_out() -> None:
    weight = np.zeros((5, 8), np.float32)
    weight.flat[[3, 20, 39]] = [0.5, -0.25, 0.75]
    body = compress({"weight": weight}, {"bias": (3,), "weight": (5, 8)}, "exact").body
    assert f"\n{body.hex(' ')}\n" in TEXT
