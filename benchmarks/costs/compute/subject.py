"""What is timed and counted: a call, what it multiplies, and what it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.costs.compute.materials import Materials


@dataclass(frozen=True)
class Subject:
    """`multiply_adds`: of one call, `int8` of them in eight bits; `parameters`: values that it holds."""

    run: Callable[[], Any]
    multiply_adds: int
    parameters: int = 0
    int8: int = 0


@dataclass(frozen=True)
class Entry:
    """What a subject is called in tables, how it is made, and how many cases a call takes."""

    title: str
    make: Callable[[Materials, int], Subject]
    cases: int = 1


def without_gradients(run: Callable[[], Any], threads: int, parameters: int) -> Subject:
    """Without gradients."""
    import torch

    from benchmarks.costs.multiply_adds import multiply_adds

    torch.set_num_threads(threads)

    def inferred() -> Any:
        with torch.inference_mode():
            return run()

    return Subject(inferred, multiply_adds(inferred), parameters)
