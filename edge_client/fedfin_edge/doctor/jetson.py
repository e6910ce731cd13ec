"""Power mode and temperature of an NVIDIA Jetson: slow rounds, and ends without a word, have their cause there."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, passed, warn

MODEL = Path("/proc/device-tree/model")
ZONES = Path("/sys/class/thermal")
HOT_C = 85.0  # Orin modules lower their clocks from 99 degrees on, and end at 105 (Thermal Design Guide)


def jetson(_: Path) -> Iterator[Finding]:
    """Nothing on other machines."""
    try:
        model = MODEL.read_text(encoding="ascii", errors="replace").rstrip("\0")
    except OSError:
        return
    if "Jetson" in model:
        yield passed("power mode", f"{model}: {_power_mode()}")
        yield from _temperature()


def _power_mode() -> str:
    """As `nvpmodel -q` says it: `NV Power Mode: 15W`."""
    try:
        done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, check=False, timeout=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return "nvpmodel does not say"
    lines = [line for line in done.stdout.splitlines() if "Power Mode" in line]
    return lines[0].partition(":")[2].strip() if lines else "nvpmodel does not say"


def _temperature() -> Iterator[Finding]:
    """The hottest zone; some cannot be read while their unit is off."""
    degrees: dict[str, float] = {}
    for zone in sorted(ZONES.glob("thermal_zone*")):
        try:
            kind, value = ((zone / name).read_text(encoding="ascii").strip() for name in ("type", "temp"))
            degrees[kind] = int(value) / 1000
        except (OSError, ValueError):
            continue
    if not degrees:
        return
    hottest = max(degrees, key=lambda kind: degrees[kind])
    says = f"{hottest} {degrees[hottest]:.0f} degrees Celsius"
    if degrees[hottest] >= HOT_C:
        yield warn(
            "temperature",
            says,
            "let air to it, or set a lower power mode (`nvpmodel -m`): it slows down soon",
        )
    else:
        yield passed("temperature", says)
