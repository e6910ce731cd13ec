"""The identity of an input in the feature store: SHA-256 over its kind and content.

Each prefix names how this version of FedFIN reads that kind. When reading changes in a way that changes
features (another DICOM windowing, say), the prefix must change too, so that stale features are never reused.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.bundle import READER, TEXT_READER


@dataclass(frozen=True)
class Kept:
    """An image or text that is gone: the intake has encoded it and kept its features. digest: 32 bytes, keyed."""

    kind: Literal["image", "text"]
    digest: bytes


# A vector is an array, not a list: a site with 1,000 cases of 1,664 numbers has 7 MB of them, and not 53.
Input = Path | str | NDArray[np.float32] | Kept

IMAGE_READING = f"fedfin image {READER}\n".encode()
_TEXT = f"fedfin text {TEXT_READER}\n".encode()
_VECTOR = b"fedfin vector 1\n"
_READING = {"image": IMAGE_READING, "text": _TEXT}
_KEPT = b"kept\n"  # so that no file or text has such a digest
_CELL = "kept"
_DIGEST_BYTES = 32


def digest_input(value: Input) -> bytes:
    """32 bytes: of the file for a path, of the UTF-8 for a string, of little-endian float32 for a vector.

    Of what is only kept, of the digest that it had: a reader that has changed does not find what a former one made.

    Raises OSError when the file cannot be read.
    """
    if isinstance(value, Path):
        return _digest_file(value)
    if isinstance(value, Kept):
        return hashlib.sha256(_KEPT + _READING[value.kind] + value.digest).digest()
    if isinstance(value, str):
        return hashlib.sha256(_TEXT + value.encode()).digest()
    return hashlib.sha256(_VECTOR + value.astype("<f4").tobytes()).digest()


def kept_cell(kept: Kept) -> dict[str, str]:
    """How a case table of JSON lines names it."""
    return {_CELL: f"{kept.kind}:{kept.digest.hex()}"}


def read_kept(cell: Any) -> Kept | None:
    """What `kept_cell` wrote; None of any other cell."""
    named = cell.get(_CELL) if isinstance(cell, dict) else None
    kind, _, digits = named.partition(":") if isinstance(named, str) else ("", "", "")
    if kind not in _READING or len(digits) != 2 * _DIGEST_BYTES:
        return None
    try:
        return Kept("image" if kind == "image" else "text", bytes.fromhex(digits))
    except ValueError:
        return None


def _digest_file(path: Path) -> bytes:
    digest = hashlib.sha256(IMAGE_READING)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()
