"""What the encoding processes and their parent tell each other: msgpack, because it holds data and never code.

From parent to worker goes a _Question for each input, and from worker to parent an _Answer.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from fedfin.errors import BundleError, SettingsError
from fedfin_edge.cases.digests import Input, Kept


@dataclass(frozen=True)
class Outcome:
    """What became of one input: its features, float32 [columns], or the reason why it has none; what was noted."""

    features: NDArray[np.float32] | None
    reason: str = ""
    notes: tuple[str, ...] = ()


class _Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file's `path`, in the bytes that the system knows it by, or else a text or vector."""

    path: bytes = b""
    value: str | list[float] = ""


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`features`: little-endian float32; `bundle_error`, `settings_error`: why the encoder does not run at all."""

    features: bytes | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    bundle_error: str = ""
    settings_error: str = ""


def encode_input(value: Input) -> bytes:
    """One input as the worker reads it."""
    assert not isinstance(value, Kept)  # it is gone: there is nothing to encode
    if isinstance(value, Path):
        return msgspec.msgpack.encode(_Question(path=os.fsencode(value)))
    return msgspec.msgpack.encode(_Question(value=value if isinstance(value, str) else value.tolist()))


def decode_input(message: bytes) -> Input:
    """`encode_input`'s input. Raises msgspec.MsgspecError for anything else."""
    question = msgspec.msgpack.decode(message, type=_Question)
    if question.path:
        return Path(os.fsdecode(question.path))
    return question.value if isinstance(question.value, str) else np.array(question.value, np.float32)


def encode_outcome(outcome: Outcome) -> bytes:
    """One outcome as the parent reads it."""
    features = None if outcome.features is None else outcome.features.astype("<f4").tobytes()
    return msgspec.msgpack.encode(_Answer(features, outcome.reason, outcome.notes))


def encode_error(error: BundleError | SettingsError) -> bytes:
    """In the place of an outcome, when there will be none."""
    if isinstance(error, BundleError):
        return msgspec.msgpack.encode(_Answer(bundle_error=str(error)))
    return msgspec.msgpack.encode(_Answer(settings_error=str(error)))


def decode_outcome(message: bytes) -> Outcome:
    """`encode_outcome`'s outcome, bit by bit.

    Raises the worker's BundleError or SettingsError, msgspec.MsgspecError for bytes that are no answer.
    """
    answer = msgspec.msgpack.decode(message, type=_Answer)
    if answer.bundle_error:
        raise BundleError(answer.bundle_error)
    if answer.settings_error:
        raise SettingsError(answer.settings_error)
    features = None if answer.features is None else np.frombuffer(answer.features, "<f4").astype(np.float32)
    return Outcome(features, answer.reason, answer.notes)
