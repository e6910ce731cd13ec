"""`fedfin bench codec`: times `bench_codec.py` with pytest-benchmark in its own process, and gathers the figures."""

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.codec import bench_codec, stages
from benchmarks.codec.coders import coders
from benchmarks.codec.deltas import Step, read_last, recorded
from fedfin.codec import PRESETS, Preset, compensate, compress, decompress
from fedfin.codec.layout import Tensors
from fedfin.errors import FedfinError, MissingExtraError

ROOT = Path(__file__).parents[2]
STAGED: Preset = "small"
_COLLECTED = re.compile(r"collected (\d+) items?")
_OUTCOME = re.compile(r" (PASSED|FAILED|ERROR)\b")

Figures = dict[str, Any]


def measure(folder: Path | None, data: str, cache: Path, step: Step) -> Figures:
    """Everything that the command prints; `step` is told what is being done, how much of it, and of how much.

    Raises MissingExtraError without pytest-benchmark, InputError for deltas that cannot be read.
    """
    if importlib.util.find_spec("pytest_benchmark") is None:
        raise MissingExtraError("timing", "bench")
    folder = folder or recorded(data, cache, step)
    path, deltas = read_last(folder)
    size = sum(4 * values.size for values in deltas.values())
    notes = _timings(folder, step)
    return {
        "deltas": str(path),
        "tensors": len(deltas),
        "float32": size,
        "machine": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        "not_installed": coders()[1],
        "presets": [_preset(preset, notes, size) for preset in PRESETS],
        "coders": [_coder(note, notes, size) for note in notes if note["what"] == "encode"],
        "stages": _stages(deltas),
    }


def _timings(folder: Path, step: Step) -> list[Figures]:
    """What each benchmark noted, with its least and median CPU seconds."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "benchmark.json"
        options = ["--benchmark-enable", "--benchmark-only", "--benchmark-timer=time.process_time"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "-p",
            "no:cacheprovider",
            *options,
            f"--benchmark-json={out}",
        ]
        _follow(
            [*command, str(Path(bench_codec.__file__))],
            os.environ | {bench_codec.DELTAS: str(folder.resolve()), "OMP_NUM_THREADS": "1"},
            step,
        )
        found = json.loads(out.read_text())["benchmarks"]
    return [
        one["extra_info"] | {"seconds": one["stats"]["min"], "median": one["stats"]["median"]}
        for one in found
    ]


def _follow(command: list[str], environment: dict[str, str], step: Step) -> None:
    """Run pytest to its end, telling `step` of each test. Raises FedfinError, with what pytest lines, if one fails."""
    lines, done, total = [], 0, 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None, "it was asked for"
        try:
            for line in process.stdout:
                lines.append(line)
                if collected := _COLLECTED.search(line):
                    total = int(collected[1])
                elif _OUTCOME.search(line):
                    done += 1
                    step("timing", done, total)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise FedfinError(f"the benchmark did not pass:\n{''.join(lines)[-4000:]}")


def _preset(preset: Preset, notes: Iterable[Figures], size: int) -> Figures:
    there, back = (
        next(note for note in notes if (note["what"], note["name"]) == (what, preset))
        for what in ("compress", "decompress")
    )
    return {
        "preset": preset,
        **_sizes(there, size),
        "encode_mb_s": size / there["seconds"] / 1e6,
        "decode_mb_s": size / back["seconds"] / 1e6,
        "encode_peak": there["peak"] / size,
        "decode_peak": back["peak"] / size,
    }


def _coder(note: Figures, notes: Iterable[Figures], size: int) -> Figures:
    key = ("decode", note["name"], note["preset"])
    back = next(other for other in notes if (other["what"], other["name"], other.get("preset")) == key)
    return {
        "coder": note["name"],
        "preset": note["preset"],
        **_sizes(note, size),
        "encode_mb_s": size / note["seconds"] / 1e6,
        "decode_mb_s": size / back["seconds"] / 1e6,
    }


def _sizes(note: Figures, size: int) -> Figures:
    over = note["bytes"] / note["entropy"] - 1 if note["entropy"] else 0.0
    return {
        "bytes": note["bytes"],
        "ratio": size / note["bytes"],
        "entropy": note["entropy"],
        "over_entropy": over,
    }


def _stages(deltas: Tensors) -> Figures:
    """CPU milliseconds of the codec's functions under one preset, and of what any codec would do."""
    shapes = {name: values.shape for name, values in deltas.items()}
    done = compress(deltas, shapes, STAGED)
    parts = {
        "memcpy": {"": stages.memcpy_seconds(deltas)},
        "compensate": stages.by_function(lambda: compensate(deltas, done.residual)),
        "compress": stages.by_function(lambda: compress(deltas, shapes, STAGED)),
        "decompress": stages.by_function(lambda: decompress(done.body, shapes)),
    }
    return {"preset": STAGED} | {
        part: {function: 1e3 * seconds for function, seconds in spent.items()}
        for part, spent in parts.items()
    }
