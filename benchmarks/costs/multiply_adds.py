"""Multiply-adds of torch code: counted operator by operator as it runs.

`torch.utils.flop_counter` counts two floating-point operations for each multiply-add of matrix products and
convolutions, forward and backward; what is done value by value (activations, norms, sums) counts nothing, neither here
nor in `onnx_nodes`. The fused attention kernel for CPUs is not counted; the math one is, and multiplies as much.
"""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def multiply_adds(run: Callable[[], Any]) -> int:
    """Of one call."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        run()
    operations: int = counter.get_total_flops()
    return operations // 2


def parameters(module: nn.Module) -> int:
    """How many values of a module train."""
    return sum(value.numel() for value in module.parameters())
