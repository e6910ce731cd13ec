"""The named trades between bytes and accuracy, each with its source."""

from dataclasses import dataclass
from typing import Literal

Preset = Literal["exact", "half", "balanced", "small", "tiny", "minimal"]
SumPreset = Literal["int8", "int4", "int2"]
UpPreset = Literal[Preset, SumPreset]


@dataclass(frozen=True)
class Recipe:
    """How one preset compresses.

    `kind`: what becomes of a value. "float32" and "float16" keep every one; "sign" keeps one bit of each;
    "ternary" keeps the sign of the largest and nothing of the others.
    `keep`: the share of all values, of all tensors together, that "ternary" keeps, in (0, 1].
    `gain`: what the mean magnitude of the kept values is multiplied by before it travels. What is owed is paid sooner,
    and error feedback takes back what was too much.
    `learning_rate_factor`: what a site multiplies its learning rate by when its update goes up like this.
    """

    kind: Literal["float32", "float16", "sign", "ternary"]
    source: str
    keep: float = 1.0
    gain: float = 1.0
    learning_rate_factor: float = 1.0


@dataclass(frozen=True)
class Levels:
    """How a preset for secure sums rounds: to whole steps, of which each value is from -most to most.

    `step`: in root mean squares of what a tensor's values were in the round before.
    """

    most: int
    step: float


_STC = "sparse ternary compression: Sattler et al. 2019, arXiv 1903.02891"

PRESETS: dict[Preset, Recipe] = {
    "exact": Recipe("float32", "every bit; zeros are skipped"),
    "half": Recipe("float16", "IEEE 754 binary16; zeros are skipped"),
    "balanced": Recipe("sign", "signSGD with error feedback: Karimireddy et al. 2019, arXiv 1901.09847"),
    "small": Recipe("ternary", _STC, keep=0.04, gain=1.5, learning_rate_factor=1.5),
    "tiny": Recipe("ternary", _STC, keep=0.02, gain=1.5, learning_rate_factor=2.0),
    "minimal": Recipe("ternary", _STC, keep=0.011, gain=1.5, learning_rate_factor=2.0),
}

# Near the best steps for a normal distribution (Max 1960: 1.224 for 3 levels, 0.3534 for 15), coarser where there are
# many: what is cut off waits for the next round.
LEVELS: dict[SumPreset, Levels] = {
    "int8": Levels(127, 0.0625),
    "int4": Levels(7, 0.5),
    "int2": Levels(1, 1.25),
}
