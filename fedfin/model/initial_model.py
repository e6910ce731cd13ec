"""The model of version 0: the same bits on every platform, so that it never travels. numpy only."""

import functools
import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from fedfin.model.model_spec import tensor_specs
from fedfin.model.tensor_spec import TensorSpec
from fedfin.plan import Plan


def initial_model(plan: Plan) -> dict[str, NDArray[np.float32]]:
    """The model of version 0: the same bits on every platform, from plan.seed and each tensor's name."""
    return {name: _draw(plan.seed, name, spec) for name, spec in tensor_specs(plan).items()}


@functools.lru_cache(maxsize=1)  # asked of every version that arrives
def fixed_tensors(plan: Plan) -> dict[str, NDArray[np.float32]]:
    """The tensors that nothing ever changes, as they are in every version."""
    specs = tensor_specs(plan).items()
    return {name: _draw(plan.seed, name, spec) for name, spec in specs if spec.trained_by == "fixed"}


def _draw(seed: int, name: str, spec: TensorSpec) -> NDArray[np.float32]:
    """24 random bits per value: exact in float32. PCG64's raw stream is stable between numpy versions."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    source = np.random.PCG64(int.from_bytes(digest, "big"))
    raw = source.random_raw(math.prod(spec.shape)) >> np.uint64(40)
    unit = raw.astype(np.float64) / 2.0**23 - 1.0
    return (spec.start + spec.bound * unit).astype(np.float32).reshape(spec.shape)
