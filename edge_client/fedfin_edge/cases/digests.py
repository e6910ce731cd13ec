"""The identity of an input in the feature store: SHA-256 over its kind and content.

Each prefix names how this version of FedFIN reads that kind. When reading changes in a way that changes
features (another DICOM windowing, say), the prefix must change too, so that stale features are never reused.
"""

import hashlib
import struct
from pathlib import Path

from fedfin.encoders.bundle import READER, TEXT_READER

Input = Path | str | list[float]

IMAGE_READING = f"fedfin image {READER}\n".encode()
_TEXT = f"fedfin text {TEXT_READER}\n".encode()
_VECTOR = b"fedfin vector 1\n"


def digest_input(value: Input) -> bytes:
    """32 bytes: of the file for a path, of the UTF-8 for a string, of little-endian float32 for a vector.

    Raises OSError when the file cannot be read.
    """
    if isinstance(value, Path):
        return _digest_file(value)
    if isinstance(value, str):
        return hashlib.sha256(_TEXT + value.encode()).digest()
    return hashlib.sha256(_VECTOR + struct.pack(f"<{len(value)}f", *value)).digest()


def _digest_file(path: Path) -> bytes:
    digest = hashlib.sha256(IMAGE_READING)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.digest()
