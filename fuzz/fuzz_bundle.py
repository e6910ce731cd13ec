"""A bundle's manifest, graph and tokenizer."""

import contextlib

from fedfin.encoders.bundle import MANIFEST, read_manifest
from fedfin.encoders.onnx_file import check_whole
from fedfin.encoders.preprocessing import open_tokenizer
from fuzz.scratch import REFUSED, scratch_file


def fuzz(data: bytes) -> None:
    """Whatever is in them, they are refused or read."""
    with contextlib.suppress(REFUSED):
        read_manifest(scratch_file(MANIFEST, data).parent)
    with contextlib.suppress(REFUSED):
        check_whole(scratch_file("encoder.onnx", data))
    with contextlib.suppress(REFUSED):
        open_tokenizer(scratch_file("tokenizer.json", data))
