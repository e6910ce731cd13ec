"""The stored values of a DICOM image: one decoder per transfer syntax, and the bits that it says are in use.

The decoder is part of what features stand for. So each transfer syntax has exactly one, never whichever is
installed; all come with `fedfin[predict]` and with licences that go with ours:

    JPEG, 8 bits                   Pillow (libjpeg-turbo)
    JPEG lossless                  python-gdcm
    JPEG-LS                        pyjpegls (CharLS)
    JPEG 2000, HTJ2K               pylibjpeg-openjpeg (OpenJPEG)
    RLE, uncompressed, deflated    pydicom
"""

import re
import struct
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import get_expected_length, get_j2k_parameters, pixel_array

from fedfin.encoders.picture import check_pixels
from fedfin.errors import InputError

_J2K = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
DECODERS: dict[str, str] = {
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGExtended12Bit: "pillow",
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.RLELossless: "pydicom",
    **dict.fromkeys(_J2K, "pylibjpeg"),
}
SAMPLES = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_RCT": 3,
    "YBR_ICT": 3,
}
# A JPEG's or JPEG-LS's frame header: marker, length, precision, rows, columns (ITU-T T.81 B.2.2, T.87 C.2.2).
# Within a lookahead, so that headers that overlap are all found.
_FRAME_HEADER = re.compile(rb"(?=\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]..(.)(....))", re.DOTALL)
_END_OF_STREAM = b"\xff\xd9"
_START_OF_J2K = b"\xff\x4f\xff\x51"  # SOC, SIZ (ITU-T T.800 A.5.1)
_RLE_NOTHING, _MOST_RUN, _MOST_SEGMENTS, _RLE_GROWTH = 128, 128, 15, 64
_FREE_RLE_BYTES = 64 << 20  # that a segment may grow to without being looked at


def read_stored(dataset: Any, notes: list[str]) -> NDArray[Any]:
    """The stored values [rows, columns] (grey, palette) or RGB [rows, columns, 3].

    Raises InputError with the reason; other exceptions for elements that are damaged.
    """
    samples = _check_photometric(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax.is_encapsulated:
        _check_compressed(dataset, syntax, notes)
    else:
        _check_length(dataset, notes)
    values = pixel_array(
        dataset,
        index=0,
        decoding_plugin=DECODERS.get(syntax, ""),
        correct_unused_bits=samples > 1,
        view_only=True,  # uncompressed pixels stay where the file was read to
    )
    return _used_bits(values, dataset, notes) if samples == 1 and values.dtype.kind in "iu" else values


def _check_photometric(dataset: Any) -> int:
    kind, samples = str(dataset.PhotometricInterpretation), int(dataset.get("SamplesPerPixel") or 1)
    if SAMPLES.get(kind) != samples:
        raise InputError(
            "is DICOM of a kind of colour that is retired, or contradicts its samples per pixel"
            " (PhotometricInterpretation); export it as MONOCHROME2 or RGB"
        )
    return samples


def _check_length(dataset: Any, notes: list[str]) -> None:
    if "PixelData" not in dataset:
        return
    held, claimed = len(dataset.PixelData or b""), get_expected_length(dataset)
    if held < claimed:
        raise InputError("is DICOM that has no, or fewer, pixels than it claims (an interrupted copy?)")
    if held > claimed + claimed % 2:
        notes.append("is DICOM with more bytes of pixels than it claims: the rest is left out")


def _check_compressed(dataset: Any, syntax: uid.UID, notes: list[str]) -> None:
    if not dataset.PixelData:
        raise InputError("is DICOM that has no, or fewer, pixels than it claims (an interrupted copy?)")
    _check_decoder(syntax, int(dataset.BitsStored))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == uid.RLELossless:
        _check_rle(frame, int(dataset.Rows) * int(dataset.Columns))
        return
    _check_stream_size(frame, syntax)
    if _END_OF_STREAM not in frame[-4:]:
        raise InputError("is DICOM whose compressed pixels end too early (an interrupted copy?)")
    if int(dataset.get("HighBit") or dataset.BitsStored - 1) != dataset.BitsStored - 1:
        raise InputError("is compressed DICOM with an odd bit order (HighBit is not BitsStored - 1)")
    if syntax in _J2K:
        _check_sign(frame, int(dataset.PixelRepresentation), notes)


def _check_decoder(syntax: uid.UID, bits: int) -> None:
    if syntax not in DECODERS:
        raise InputError(
            f"is DICOM compressed in a way that is not read ({syntax.name}); export it uncompressed"
        )
    if syntax == uid.JPEGExtended12Bit and bits > 8:  # noqa: PLR2004
        raise InputError("is DICOM in lossy JPEG of 12 bits, which is not read; export it uncompressed")
    if DECODERS[syntax] not in get_decoder(syntax).available_plugins:
        raise InputError(
            f"is DICOM compressed in a way whose decoder is not installed ({syntax.name}):"
            " pip install 'fedfin[predict]'"
        )


def _check_stream_size(frame: bytes, syntax: uid.UID) -> None:
    """Refuse a stream by the size that it claims itself: a decoder allocates that, not what the file says."""
    if syntax in _J2K:
        start = frame.index(_START_OF_J2K)
        # A box before the stream may hold another start, for show: all that are there must be small enough.
        while start >= 0:
            right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
            check_pixels(right - left, bottom - top)
            start = -1 if frame.startswith(_START_OF_J2K) else frame.find(_START_OF_J2K, start + 1)
    for found in _FRAME_HEADER.finditer(frame) if syntax not in _J2K else ():  # likewise in a comment
        height, width = struct.unpack(">2H", found[2])
        check_pixels(width, height)


def _check_rle(frame: bytes, pixels: int) -> None:
    """Refuse segments that grow beyond the image: two bytes may become 128 (PS3.5 G.3), and a decoder makes them all.

    Only where there are enough bytes for that: honest images are not read twice.
    """
    count = struct.unpack_from("<I", frame)[0]
    if not 1 <= count <= _MOST_SEGMENTS or len(frame) * _RLE_GROWTH <= count * _FREE_RLE_BYTES:
        return  # pydicom refuses the number, or nothing large can come of it
    starts = [*struct.unpack_from(f"<{count}I", frame, 4), len(frame)]
    for start, end in pairwise(starts):
        grown, at = 0, start
        while at < end:
            code = frame[at]
            grown += code + 1 if code < _RLE_NOTHING else 0 if code == _RLE_NOTHING else 257 - code
            at += 2 if code > _RLE_NOTHING else code + 2 if code < _RLE_NOTHING else 1
            if grown > pixels + 1 + _MOST_RUN:
                raise InputError("is DICOM whose compressed pixels are more than it claims")


def _check_sign(frame: bytes, representation: int, notes: list[str]) -> None:
    """PS3.5 8.2.4: stream and PixelRepresentation must agree. Decoders differ in what they make of the rest."""
    signed = get_j2k_parameters(frame).get("is_signed", bool(representation))
    if signed and not representation:
        raise InputError(
            "is DICOM whose JPEG 2000 stream is signed where PixelRepresentation is not; export it again"
        )
    if representation and not signed:
        notes.append(
            "is DICOM whose JPEG 2000 stream is unsigned: read as signed, as PixelRepresentation says"
        )


def _used_bits(values: NDArray[Any], dataset: Any, notes: list[str]) -> NDArray[Any]:
    """The BitsStored bits below HighBit, sign included; overlays may be in the others (PS3.5 8.1.1)."""
    width = values.dtype.itemsize * 8
    stored = int(dataset.BitsStored)
    high = int(stored - 1 if dataset.get("HighBit") is None else dataset.HighBit)
    if not 0 < stored <= high + 1 <= int(dataset.BitsAllocated):
        raise InputError("is DICOM whose BitsAllocated, BitsStored and HighBit contradict each other")
    if stored >= width or (high == stored - 1 and _within(values, stored)):
        return values
    used: NDArray[Any] = (values << (width - 1 - high)) >> (width - stored)
    if (used != values).any():
        notes.append("is DICOM with other things in unused bits: these are left out")
    return used


def _within(values: NDArray[Any], bits: int) -> bool:
    """Whether the values need no more than their lowest bits: two passes, where shifting takes six."""
    least, most = (
        (-(1 << bits - 1), (1 << bits - 1) - 1) if values.dtype.kind == "i" else (0, (1 << bits) - 1)
    )
    return bool(values.size) and least <= int(values.min()) and int(values.max()) <= most
