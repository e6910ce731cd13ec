"""Small files that claim or grow to gigabytes are refused within little memory, each in a process of its own."""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from dicom_files import as_bytes, make_dicom
from peak_memory import peak_mb
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import uid
from pydicom.encaps import encapsulate

from fedfin.errors import InputError
from fedfin_edge.intake.dicom_header import read_header

READ_IMAGE = """
import sys
from pathlib import Path
from fedfin.encoders.images import read_image
from fedfin.errors import InputError
try:
    print(read_image(Path(sys.argv[1])).image.size)
except InputError as error:
    print(error)
"""
READ_TABLE = """
import sys
from pathlib import Path
from fedfin.errors import InputError
from fedfin_edge.cases.read_rows import read_rows
try:
    print([problem.reason for problem in read_rows(Path(sys.argv[1])).problems])
except InputError as error:
    print(error)
"""
IMPORTS_MB = 250  # Pillow, numpy, pydicom and its decoders, or pyarrow, without any image
GIGABYTE = 1 << 30


def png(width: int, height: int, *chunks: tuple[bytes, bytes], data: bytes = b"") -> bytes:
    """A PNG of these claims, whatever its pixels are."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    made = b"\x89PNG\r\n\x1a\n"
    for kind, body in (header, *chunks, (b"IDAT", data or zlib.compress(bytes(99))), (b"IEND", b"")):
        made += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return made


def zeros(size: int) -> bytes:
    """So many zeros, deflated block by block."""
    pack = zlib.compressobj(9)
    return b"".join(pack.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pack.flush()


def deflated_dicom(mebibytes: int = 3 << 10) -> bytes:
    """So many zeros in a dataset."""
    made = as_bytes(make_dicom(None))
    meta = made[: made.index(b"\x08\x00\x16\x00")].replace(
        b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99"
    )
    meta = _with_length(meta)
    pack = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, mebibytes << 20)
    blocks = (pack.compress(bytes(1 << 20)) for _ in range(mebibytes))
    return meta + pack.compress(element) + b"".join(blocks) + pack.flush()


def _with_length(meta: bytes) -> bytes:
    """The transfer syntax grew by two: its own length, and that of the group."""
    at = meta.index(b"\x02\x00\x10\x00UI") + 6
    meta = meta[:at] + struct.pack("<H", 22) + meta[at + 2 :]
    return meta[:140] + struct.pack("<I", len(meta) - 144) + meta[144:]


def compressed(syntax: str, frame: bytes, rows: int = 40, columns: int = 36) -> bytes:
    """A DICOM file with one compressed frame."""
    dataset = make_dicom(np.zeros((40, 36), np.uint8))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Rows, dataset.Columns = rows, columns
    dataset.PixelData = encapsulate([frame])
    return as_bytes(dataset)


def jpeg_with_a_small_header_in_a_comment() -> bytes:
    """A decoder allocates by the second header."""
    shown = b"\xff\xc3\x00\x0b\x08" + struct.pack(">2H", 8, 8) + b"\x01\x01\x11\x00"
    real = b"\xff\xc3\x00\x0b\x08" + struct.pack(">2H", 65_000, 65_000) + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xfe" + struct.pack(">H", 2 + len(shown)) + shown + real + b"\xff\xd9"


def test_the_header_of_a_deflated_file_that_grows_is_not_looked_for() -> None:
    """Its reader inflates all of it, however little is asked for."""
    with pytest.raises(InputError, match="deflated DICOM of more than 256 MiB"):
        read_header(deflated_dicom(280))


IMAGES = {
    "a deflated DICOM file of 3 MB that grows to 3 GB": (deflated_dicom, "deflated DICOM of more than 256 MiB"),
    "a DICOM file that claims 65,535 x 65,535 pixels": (
        lambda: as_bytes(make_dicom(np.zeros((40, 36), np.uint8), Rows=65_535, Columns=65_535)), "claims more than"),
    "RLE that grows beyond the image": (
        lambda: compressed(uid.RLELossless, struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * (16 << 20)),
        "compressed pixels are more than it claims"),
    "a JPEG stream whose first header is for show": (
        lambda: compressed(uid.JPEGLosslessSV1, jpeg_with_a_small_header_in_a_comment()), "claims more than"),
    "a PNG that claims a square of 65,535": (lambda: png(65_535, 65_535), "claims more than"),
    "a PNG line of a million pixels": (lambda: png(1_000_000, 1), "times as long as wide"),
    "a PNG text that grows to a gigabyte": (
        lambda: png(9, 9, (b"zTXt", b"a\0\0" + zeros(GIGABYTE))), "cannot be decoded"),
    "an international PNG text that grows to a gigabyte": (
        lambda: png(9, 9, (b"iTXt", b"a\0\1\0\0\0" + zeros(GIGABYTE))), "cannot be decoded"),
    "a PNG profile that grows to a gigabyte": (
        lambda: png(9, 9, (b"iCCP", b"a\0\0" + zeros(GIGABYTE))), ""),
    "PNG pixels that grow beyond the image": (lambda: png(9, 9, data=zeros(GIGABYTE)), ""),
    "a TIFF": (lambda: b"II*\0\x08\0\0\0" + bytes(99), "is not a PNG, JPEG or DICOM image"),
    "a WebP": (lambda: b"RIFF\x99\0\0\0WEBPVP8L" + b"\xff" * 99, "is not a PNG, JPEG or DICOM image"),
}  # fmt: skip


@pytest.mark.parametrize("attack", IMAGES)
def test_an_image_that_claims_or_grows_to_gigabytes_is_refused_in_little_memory(
    tmp_path: Path, attack: str
) -> None:
    """Under 250 MB beside the imports, or read as the small image that it is."""
    make, reason = IMAGES[attack]
    path = tmp_path / "image"
    path.write_bytes(make())
    assert path.stat().st_size < 40_000_000
    peak, printed = peak_mb(READ_IMAGE, path)
    assert reason in printed
    assert peak < IMPORTS_MB + 250


def test_an_image_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    """A sparse file costs nothing to make."""
    path = tmp_path / "image.dcm"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)
    peak, printed = peak_mb(READ_IMAGE, path)
    assert "more than 536,870,912 bytes" in printed
    assert peak < IMPORTS_MB + 600


def test_the_largest_image_that_is_taken_fits(tmp_path: Path) -> None:
    """89 million pixels, transparent in places: everything that is done to an image is done to it."""
    path = tmp_path / "large.png"
    info = PngInfo()
    info.add_text("note", "x", zip=True)
    stream = io.BytesIO()
    image = Image.new("LA", (9_400, 9_400), (100, 200))
    image.save(stream, "PNG", compress_level=1, pnginfo=info)
    path.write_bytes(stream.getvalue())
    peak, printed = peak_mb(READ_IMAGE, path)
    assert printed == "(9400, 9400)"
    assert peak < 2000


def workbook(*parts: tuple[str, int]) -> bytes:
    """A zip archive with parts that grow to so many bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", b"<Types/>")
        for name, size in parts:
            with archive.open(name, "w", force_zip64=True) as part:
                for _ in range(size >> 20):
                    part.write(bytes(1 << 20))
    return stream.getvalue()


@pytest.mark.parametrize("part", ["xl/sharedStrings.xml", "xl/worksheets/sheet1.xml", "xl/media/image1.png"])
def test_a_workbook_that_unpacks_to_a_gigabyte_is_refused_before_it_does(tmp_path: Path, part: str) -> None:
    """Whichever of its parts grows."""
    path = tmp_path / "cases.xlsx"
    path.write_bytes(workbook((part, GIGABYTE)))
    peak, printed = peak_mb(READ_TABLE, path)
    assert "the workbook unpacks to 1,024 MiB, more than 512; split it, or save it as CSV" in printed
    assert peak < IMPORTS_MB


def test_a_parquet_file_of_endless_rows_is_refused_before_one_is_read(tmp_path: Path) -> None:
    """One value in a dictionary, run-length coded: five million rows in a few KB."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "cases.parquet"
    parquet.write_table(pa.table({"text": pa.array(["x"] * 5_000_000)}), path)
    assert path.stat().st_size < 20_000
    peak, printed = peak_mb(READ_TABLE, path)
    assert "holds 5,000,000 rows" in printed
    assert peak < IMPORTS_MB


def test_a_line_of_json_that_is_too_long_is_skipped_and_a_file_that_is_too_long_is_not_read(
    tmp_path: Path,
) -> None:
    """A line of a gigabyte is in a file of a gigabyte."""
    path = tmp_path / "cases.jsonl"
    path.write_text('{"text": "' + "x" * (17 << 20) + '"}\n' + json.dumps({"text": "clear"}) + "\n")
    _, printed = peak_mb(READ_TABLE, path)
    assert printed == "['the line is longer than 16,777,216 characters']"
    with path.open("ab") as stream:
        stream.truncate(1 << 40)
    peak, printed = peak_mb(READ_TABLE, path)
    assert "more than 536,870,912 bytes" in printed
    assert peak < 700
