"""Error feedback at a site: what its updates still owe the federation, and what becomes of that.

`owed` is what compression left out of updates that counted; it goes with the next one. An update that did not count
(late, refused) left nothing behind, so its whole delta is `lost` and goes with the next one too. Of several
such in a row only the newest of each tensor is kept: all were made from the same cases, each from a model that lacked
those before, so that their sum would take the same step several times.

Both are exact bodies over the tensors of training (b"" for none), so that what is read is what was written.
"""

from dataclasses import dataclass

import msgspec

from fedfin.codec import Preset, Shapes, Tensors, compensate, compress, decompress
from fedfin.errors import ProtocolError
from fedfin.model.model_spec import MAGNITUDES
from fedfin.secure_sums.quantizer import Quantizer


class Feedback(msgspec.Struct, frozen=True):
    """What the next update of `run` carries beside its own delta."""

    run: str
    owed: bytes = b""
    lost: bytes = b""


@dataclass(frozen=True)
class Packed:
    """An update's body, and what will be `owed` if it counts or `lost` if it does not."""

    body: bytes
    owed: bytes
    lost: bytes


def pack(deltas: Tensors, shapes: Shapes, preset: Preset, feedback: Feedback) -> Packed:
    """Compress the deltas together with what is owed and lost. Of tensors without a delta all stays as it is."""
    lost, total = _read(feedback.lost, shapes), _unsent(feedback, shapes)
    packed = compress(compensate(deltas, total), shapes, preset)
    left = {name: array for name, array in total.items() if name not in deltas} | packed.residual
    bare = preset == "exact" and not total  # then the body is the deltas
    return Packed(packed.body, _write(left, shapes), packed.body if bare else _write(lost | deltas, shapes))


def pack_steps(
    deltas: Tensors, weights: dict[str, int], shapes: Shapes, quantizer: Quantizer, feedback: Feedback
) -> Packed:
    """As `pack`; the body holds whole steps, and this site's magnitudes beside them."""
    lost, total = _read(feedback.lost, shapes), _unsent(feedback, shapes)
    wanted = compensate(deltas, total)
    given, rest = quantizer.quantize(wanted, weights)
    given[MAGNITUDES] = quantizer.magnitudes(wanted, weights)
    left = {name: array for name, array in total.items() if name not in deltas} | rest
    body = compress(given, shapes, "exact").body
    return Packed(body, _write(left, shapes), _write(lost | deltas, shapes))


def _unsent(feedback: Feedback, shapes: Shapes) -> Tensors:
    """All that the next update carries beside its own delta."""
    owed, lost = _read(feedback.owed, shapes), _read(feedback.lost, shapes)
    return owed | compensate(lost, owed)


def _write(tensors: Tensors, shapes: Shapes) -> bytes:
    return compress(tensors, shapes, "exact").body if tensors else b""


def _read(body: bytes, shapes: Shapes) -> Tensors:
    """Nothing when the body is of other shapes, or damaged: what cannot be read is owed no more."""
    try:
        return decompress(body, shapes) if body else {}
    except ProtocolError:
        return {}
