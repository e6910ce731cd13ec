"""What `fedfin bench codec` times, for pytest-benchmark. `measure.py` runs it and reads what it notes.

It times CPU seconds of one core, so that a busy machine does not matter.
"""

import os
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.codec.coders import Coder, coders
from benchmarks.codec.deltas import read_last
from benchmarks.codec.symbols import Stream, entropy_bytes, streams
from fedfin.codec import PRESETS, Compressed, Preset, compress, decompress
from fedfin.codec.layout import Tensors

DELTAS = "FEDFIN_BENCH_DELTAS"
Benchmark = Any  # pytest-benchmark's fixture is untyped
# One run is timed at a time: memory that the last one left warm is what a site's next round finds, too.
ROUNDS, WARM_UP = 9, 2
SLOW = {"lzma"}


@cache
def deltas() -> Tensors:
    """The update that is measured."""
    return read_last(Path(os.environ[DELTAS]))[1]


@cache
def shapes() -> dict[str, tuple[int, ...]]:
    """Of its tensors."""
    return {name: values.shape for name, values in deltas().items()}


@cache
def compressed(preset: Preset) -> Compressed:
    """The update under one preset."""
    return compress(deltas(), shapes(), preset)


@cache
def quantized(preset: Preset) -> list[Stream]:
    """What another coder would have to code."""
    return streams(decompress(compressed(preset).body, shapes()))


@pytest.mark.parametrize("preset", list(PRESETS))
def test_compress(benchmark: Benchmark, preset: Preset) -> None:
    """Values to bytes, with what is left over."""
    done = _timed(benchmark, lambda: compress(deltas(), shapes(), preset))
    benchmark.extra_info |= {
        "what": "compress",
        "name": preset,
        "bytes": len(done.body),
        "entropy": entropy_bytes(quantized(preset)),
        "peak": _peak(lambda: compress(deltas(), shapes(), preset)),
    }


@pytest.mark.parametrize("preset", list(PRESETS))
def test_decompress(benchmark: Benchmark, preset: Preset) -> None:
    """Bytes to values; with what was left over they are the values that went in."""
    body, residual = compressed(preset).body, compressed(preset).residual
    found = _timed(benchmark, lambda: decompress(body, shapes()))
    for name, values in deltas().items():
        back = found[name] + residual[name] if name in residual else found[name]
        np.testing.assert_allclose(back, values, rtol=1e-5, atol=1e-6 * float(np.abs(values).max(initial=0)))
    benchmark.extra_info |= {
        "what": "decompress",
        "name": preset,
        "peak": _peak(lambda: decompress(body, shapes())),
    }


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("coder", coders()[0], ids=lambda coder: str(coder.name))
def test_coder(benchmark: Benchmark, coder: Coder, preset: Preset) -> None:
    """Another library on the same symbols; `exact` are the raw float32, byte plane by byte plane."""
    parts = quantized(preset)
    body = _timed(benchmark, lambda: coder.encode(parts), slow=coder.library in SLOW)
    benchmark.extra_info |= {
        "what": "encode",
        "name": coder.name,
        "preset": preset,
        "bytes": len(body),
        "entropy": entropy_bytes(parts),
    }


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("coder", coders()[0], ids=lambda coder: str(coder.name))
def test_decoder(benchmark: Benchmark, coder: Coder, preset: Preset) -> None:
    """And back."""
    parts = quantized(preset)
    body, lengths = coder.encode(parts), [len(part) for part in parts]
    found = _timed(benchmark, lambda: coder.decode(body, lengths), slow=coder.library in SLOW)
    assert all(np.array_equal(one, other) for one, other in zip(found, parts, strict=True))
    benchmark.extra_info |= {"what": "decode", "name": coder.name, "preset": preset}


def _timed(benchmark: Benchmark, run: Callable[[], Any], *, slow: bool = False) -> Any:
    return benchmark.pedantic(run, rounds=2 if slow else ROUNDS, warmup_rounds=0 if slow else WARM_UP)


def _peak(run: Callable[[], Any]) -> int:
    """Peak bytes above those in use before; numpy tells tracemalloc of every array."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
