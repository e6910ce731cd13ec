"""How much power this machine takes: from its sensors where it has any, else as the price file states.

RAPL (Linux powercap, Intel and AMD packages), INA3221 (Jetson boards) and NVML's `nvidia-smi` are looked for.
"""

import shutil
import subprocess
import time
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


def power(stated_watts_a_core: float, *, rapl: Path = RAPL, hwmon: Path = HWMON) -> Power:
    """Of one busy core where it is stated, of the whole machine as it is now where a sensor says it."""
    found = _rapl(rapl) or _ina(hwmon) or _nvml()
    if found is not None:
        return found
    method = (
        f"{stated_watts_a_core:g} W a busy core, as the price file states; such figures err by up to 40 %"
    )
    return Power(stated_watts_a_core, "estimated", method)


def _rapl(folder: Path) -> Power | None:
    """Joules of all packages over a second."""
    counters = sorted(folder.glob("*rapl:[0-9]/energy_uj")) if folder.is_dir() else []
    try:
        before = [int(path.read_text(encoding="ascii")) for path in counters]
        time.sleep(WATCHED_S if counters else 0.0)
        spent = [int(path.read_text(encoding="ascii")) - b for path, b in zip(counters, before, strict=True)]
    except (OSError, ValueError):
        return None
    watts = sum(spent) / 1e6 / WATCHED_S
    return Power(watts, "measured", "RAPL, all packages, without memory and board") if counters else None


def _ina(folder: Path) -> Power | None:
    """Volts times amperes of the first channel of an INA3221: a Jetson's whole input."""
    for chip in sorted(folder.glob("hwmon*")) if folder.is_dir() else []:
        try:
            if (chip / "name").read_text(encoding="ascii").strip() != "ina3221":
                continue
            millivolts, milliamperes = (
                int((chip / name).read_text(encoding="ascii")) for name in ("in1_input", "curr1_input")
            )
        except (OSError, ValueError):
            continue
        return Power(millivolts * milliamperes / 1e6, "measured", "INA3221, the board's input")
    return None


def _nvml() -> Power | None:
    """What the first GPU draws."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first = (done.stdout.strip().splitlines() or [""])[0]
    try:
        return Power(float(first), "measured", "NVML, the first GPU alone")
    except ValueError:
        return None
