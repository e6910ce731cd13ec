"""How much power this machine takes: from its sensors where it has any, else as the price file states.

RAPL (Linux powercap, Intel and AMD packages) and INA3221 (Jetson boards) are looked for; what a GPU draws (NVML) stands
in the system block.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

RAPL = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")
WATCHED_S = 1.0


@dataclass(frozen=True)
class Power:
    """Watts. `how`: measured by a sensor of this machine, or estimated by a stated figure for each busy core."""

    watts: float
    how: Literal["measured", "estimated"]
    method: str


def power(
    stated_watts_a_core: float,
    *,
    rapl: Path = RAPL,
    hwmon: Path = HWMON,
    work: Callable[[], None] | None = None,
) -> Power:
    """Of this machine while one core works, where a sensor says it; else as stated."""
    work = work or _one_busy_core
    found = _rapl(rapl, work) or _ina(hwmon, work)
    if found is not None:
        return found
    method = (
        f"{stated_watts_a_core:g} W a busy core, as the price file states; such figures err by up to 40 %"
    )
    return Power(stated_watts_a_core, "estimated", method)


def _one_busy_core() -> None:
    """For WATCHED_S."""
    until, number = time.monotonic() + WATCHED_S, 1
    while time.monotonic() < until:
        number = number * 3 % 1_000_003


def _rapl(folder: Path, work: Callable[[], None]) -> Power | None:
    """Joules of all packages while it works, by second."""
    counters = sorted(folder.glob("*rapl:[0-9]/energy_uj")) if folder.is_dir() else []
    if not counters:
        return None
    try:
        before, begun = _microjoules(counters), time.monotonic()
        work()
        spent, seconds = _microjoules(counters) - before, time.monotonic() - begun
    except (OSError, ValueError):  # since 2020 only root may read them
        return None
    method = "RAPL, all packages while one core is busy; without memory, board and supply"
    return Power(spent / 1e6 / seconds, "measured", method)


def _microjoules(counters: Sequence[Path]) -> int:
    return sum(int(path.read_text(encoding="ascii")) for path in counters)


def _ina(folder: Path, work: Callable[[], None]) -> Power | None:
    """Volts times amperes of the first channel of an INA3221: a Jetson's whole input."""
    for chip in sorted(folder.glob("hwmon*")) if folder.is_dir() else []:
        try:
            if (chip / "name").read_text(encoding="ascii").strip() != "ina3221":
                continue
            work()
            millivolts, milliamperes = (
                int((chip / name).read_text(encoding="ascii")) for name in ("in1_input", "curr1_input")
            )
        except (OSError, ValueError):
            continue
        method = "INA3221, the board's whole input after a second of one busy core"
        return Power(millivolts * milliamperes / 1e6, "measured", method)
    return None


def accelerator_watts() -> float | None:
    """What the first GPU draws now, by NVML's `nvidia-smi`; None where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first = (done.stdout.strip().splitlines() or [""])[0]
    try:
        return float(first)
    except ValueError:
        return None
