"""How far an int8 encoder strays from its float model on the hold-out, and what it gains."""

import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.errors import ParityError
from fedfin_export.quantize.calibration import Batch
from fedfin_export.quantize.onnx_graph import input_names, open_session, run_session
from fedfin_export.sources.float_encoder import FloatEncoder

# Between int8 and float features of one case. Below, heads trained on one do not carry over to the other.
MIN_MEAN = 0.99
MIN_WORST = 0.97
LATENCY_RUNS = 30


class Agreement(msgspec.Struct, frozen=True):
    """Cosines over the hold-out. `centred_mean` has the mean feature vector taken off both sides first.

    Features after a ReLU all point one way, which flatters the plain cosine; the centred one says how much
    of what tells cases apart is kept. The bound is on the plain one.
    """

    mean: float
    worst: float
    centred_mean: float

    def passes(self) -> bool:
        """Whether both bounds hold; NaN never passes."""
        return self.mean >= MIN_MEAN and self.worst >= MIN_WORST


class Cost(msgspec.Struct, frozen=True):
    """What the ONNX file costs: bytes, and the median milliseconds for one case on one thread."""

    bytes: int
    latency_ms: float


class Parity(msgspec.Struct, frozen=True):
    """What parity.json holds."""

    cosine: Agreement
    min_mean: float
    min_worst: float
    hold_out: int
    calibrated_on: int
    before: Cost
    after: Cost


def float_features(encoder: FloatEncoder, batches: Iterable[Batch]) -> NDArray[np.float32]:
    """The float module's own features in torch [n, dim]: what export and int8 are both judged against."""
    import torch

    names = input_names(encoder.recipe)
    with torch.inference_mode():
        rows = [
            encoder.module(*(torch.from_numpy(batch[name]) for name in names)).numpy() for batch in batches
        ]
    return np.concatenate(rows)


def onnx_features(path: Path, batches: Iterable[Batch]) -> NDArray[np.float32]:
    """The ONNX file's features [n, dim], in onnxruntime, one case at a time."""
    session = open_session(path)
    return np.concatenate([run_session(session, batch) for batch in batches])


def agreement(reference: NDArray[np.float32], features: NDArray[np.float32]) -> Agreement:
    """Cosines between two [n, dim] sets of features of the same cases."""
    cosine = _cosine(reference, features)
    centre = reference.mean(0)
    centred = _cosine(reference - centre, features - centre)
    return Agreement(float(cosine.mean()), float(cosine.min()), float(centred.mean()))


def measure_cost(path: Path, batch: Batch) -> Cost:
    """Size and latency of an ONNX file."""
    session = open_session(path)
    seconds = []
    for _ in range(LATENCY_RUNS):
        start = time.perf_counter()
        run_session(session, batch)
        seconds.append(time.perf_counter() - start)
    return Cost(path.stat().st_size, 1000 * statistics.median(seconds))


def refuse(name: str, tried: dict[str, Agreement]) -> ParityError:
    """The error for an encoder that no quantization kept close enough."""
    results = "; ".join(f"{how}: mean {a.mean:.4f}, worst {a.worst:.4f}" for how, a in tried.items())
    return ParityError(
        f"{name}: int8 strays from float beyond cosine mean {MIN_MEAN}, worst {MIN_WORST} ({results}). "
        "Nothing was written. Calibrate on more and more typical cases, or choose another layer or encoder"
    )


def _cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    left64, right64 = left.astype(np.float64), right.astype(np.float64)
    norms = np.linalg.norm(left64, axis=1) * np.linalg.norm(right64, axis=1)
    return np.asarray((left64 * right64).sum(1) / np.maximum(norms, np.finfo(np.float64).tiny))
