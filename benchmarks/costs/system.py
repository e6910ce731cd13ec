"""What was measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.costs.power import accelerator_watts

PACKAGES = ("numpy", "torch", "onnxruntime", "paho-mqtt")


def system() -> dict[str, Any]:
    """Processor, cores, memory, and versions; nothing that names the machine."""
    from benchmarks.costs.compute.graph_session import providers

    return {
        "processor": _field(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        "architecture": platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(_memory_kb() / 1e6, 1),
        "busy": round(os.getloadavg()[0], 1),
        "board": _board(),
        "gpu_watts": accelerator_watts(),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "providers": providers(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _field(path: Path, name: str) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")


def _memory_kb() -> int:
    return int((_field(Path("/proc/meminfo"), "MemTotal") or "0").split()[0])


def _board() -> str:
    """Such as a Jetson's."""
    path = Path("/proc/device-tree/model")
    return path.read_text(encoding="ascii", errors="replace").strip("\0") if path.is_file() else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
