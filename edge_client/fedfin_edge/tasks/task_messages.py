"""What an agent and its TaskProcess tell each other: msgpack, because it holds data and never code.

    agent    Question                       a task, and the cases where they are not those of the question before
             STOP                           what it is at is not wanted any more
    process  Progress ... Result | Failure  to each Question; to one that was stopped Stopped, or what was done already

Arrays travel as they are, bit by bit.
"""

import traceback
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.codec import Tensors
from fedfin.declines import Cause
from fedfin.errors import BundleError, FedfinError, InputError, ProtocolError, StateError
from fedfin.model.model_spec import Task
from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset
from fedfin_edge.tasks.task import TaskResult

STOP = b"stop"  # msgpack of a Question begins otherwise
_KINDS = {kind.__name__: kind for kind in (FedfinError, InputError, BundleError, ProtocolError, StateError)}


class Array(msgspec.Struct, frozen=True, array_like=True):
    """`kind`: numpy's name of the type and its byte order, as in "<f4"."""

    kind: str
    shape: tuple[int, ...]
    data: bytes


Field = Array | bool | int | dict[str, Array] | None  # of a data set


class Question(msgspec.Struct, frozen=True, tag=True):
    """The arguments of `run_task`; `cases`: the data set field by field, None: that of the question before."""

    plan: Plan
    task: Task
    round: int
    site: str
    secret: bytes
    model: dict[str, Array]
    cases: dict[str, Field] | None


class Progress(msgspec.Struct, frozen=True, tag=True):
    """The share that is done, 0 to 1."""

    share: float


class Result(msgspec.Struct, frozen=True, tag=True):
    """A TaskResult; `peak_mb`: the process's peak resident set until now, MB."""

    deltas: dict[str, Array]
    weights: dict[str, int]
    metrics: dict[str, float]
    contradicts: float | None
    peak_mb: float


class Stopped(msgspec.Struct, frozen=True, tag=True):
    """In the place of a result."""


class Failure(msgspec.Struct, frozen=True, tag=True):
    """In the place of a result: an error of fedfin.errors by its name; `name` "": another one, with its traceback."""

    name: str
    text: str
    declines: Cause | None = None


Answer = Progress | Result | Stopped | Failure


def pack(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Array]:
    """Arrays by name."""
    return {name: _array(tensor) for name, tensor in tensors.items()}


def unpack(arrays: Mapping[str, Array]) -> Tensors:
    """`pack`'s arrays; they can be written to."""
    return {name: _unpacked(array) for name, array in arrays.items()}


def pack_cases(dataset: Dataset) -> dict[str, Field]:
    """A data set, field by field; what patients are called is nothing to who computes."""
    names = [field.name for field in fields(dataset) if field.name != "patient_ids"]
    return {name: _packed_field(getattr(dataset, name)) for name in names}


def unpack_cases(packed: Mapping[str, Field]) -> Dataset:
    """`pack_cases`'s data set."""
    found: dict[str, Any] = {}
    for name, value in packed.items():
        if isinstance(value, dict):
            found[name] = unpack(value)
        else:
            found[name] = _unpacked(value) if isinstance(value, Array) else value
    return Dataset(**found)


def result_of(result: TaskResult, peak_mb: float) -> Result:
    """As it travels."""
    return Result(pack(result.deltas), result.weights, result.metrics, result.contradicts, peak_mb)


def task_result(result: Result) -> TaskResult:
    """`result_of`'s result."""
    return TaskResult(unpack(result.deltas), result.weights, result.metrics, result.contradicts)


def failure_of(error: Exception) -> Failure:
    """As it travels; of an error that nobody expects, where it came from, too."""
    if isinstance(error, FedfinError):
        return Failure(type(error).__name__, str(error), error.declines)
    return Failure("", "".join(traceback.format_exception(error)))


def error_of(failure: Failure) -> Exception:
    """`failure_of`'s error."""
    if (kind := _KINDS.get(failure.name)) is None:
        return RuntimeError(f"in the process that computes:\n{failure.text}")
    error = kind(failure.text)
    error.declines = failure.declines
    return error


def _packed_field(value: Any) -> Field:
    if isinstance(value, dict):
        return pack(value)
    return _array(value) if isinstance(value, np.ndarray) else value


def _array(array: NDArray[Any]) -> Array:
    return Array(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes())


def _unpacked(array: Array) -> NDArray[Any]:
    return np.frombuffer(array.data, array.kind).reshape(array.shape).copy()
