"""Image files: what is read from each kind, and what each damage is called."""

import io
import struct
import zlib

import numpy as np
import pytest
from dicom_files import RAMP, lookup_table, write_dicom
from PIL import Image

from fedfin.encoders.images import read_image
from fedfin.encoders.picture import MAX_PIXELS
from fedfin.errors import InputError


def pixels_of(path):
    """As read_image gives them."""
    return np.asarray(read_image(path).image).astype(int)


def test_dicom_without_a_window_shows_its_range(tmp_path):
    """The smallest value is black, the largest white."""
    shown = pixels_of(write_dicom(tmp_path / "a.dcm"))
    assert np.abs(shown - RAMP / 4095 * 255).max() <= 0.51


def test_monochrome1_is_inverted(tmp_path):
    """Dense is bright, however the device stores it."""
    plain = pixels_of(write_dicom(tmp_path / "a.dcm"))
    inverted = pixels_of(write_dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1"))
    assert (inverted == 255 - plain).all()


def test_dicom_is_rescaled_before_it_is_windowed(tmp_path):
    """The first window, in rescaled units: 1000..3000 is stored as 1000..2000."""
    scale = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    path = write_dicom(tmp_path / "a.dcm", **scale, WindowCenter=[2000.5, 7], WindowWidth=[2001, 9])
    expected = np.clip((RAMP.astype(float) * 2 - 2000) / 2000, 0, 1) * 255
    assert np.abs(pixels_of(path) - expected).max() <= 0.51


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_every_window_function_is_half_bright_at_its_center(tmp_path, function):
    """PS3.3 C.11.2.1: below the center darker, above it brighter."""
    path = write_dicom(tmp_path / "a.dcm", WindowCenter=2048, WindowWidth=2000, VOILUTFunction=function)
    shown, middle = pixels_of(path), np.abs(RAMP.astype(int) - 2048).argmin()
    assert abs(shown.flat[middle] - 127.5) < 4
    assert shown.flat[0] < 10
    assert shown.flat[-1] > 245


def test_a_lookup_table_is_applied(tmp_path):
    """A VOI LUT that reverses the values reverses the image (PS3.3 C.11.2.1.1)."""
    lut = lookup_table(np.arange(4095, -1, -1), bits=12)
    shown = pixels_of(write_dicom(tmp_path / "a.dcm", VOILUTSequence=[lut]))
    assert np.abs(shown - (255 - RAMP / 4095 * 255)).max() <= 0.51


def test_colour_dicom_and_constant_dicom_are_read(tmp_path):
    """An ultrasound still is RGB; a constant image does not divide by zero."""
    colours = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    assert (pixels_of(write_dicom(tmp_path / "a.dcm", colours)) == colours).all()
    assert not pixels_of(write_dicom(tmp_path / "b.dcm", np.full((4, 4), 9, np.uint16))).any()


def test_dicom_is_known_by_its_content(tmp_path):
    """Archives name files by UID, without a suffix."""
    assert read_image(write_dicom(tmp_path / "1.2.840.113")).image.size == (36, 40)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_sixteen_bit_png_is_scaled_by_the_bits_in_use(tmp_path, bits):
    """A 12-bit radiograph in a 16-bit file is neither black nor clipped."""
    values = np.linspace(0, 2**bits - 1, 100).reshape(10, 10).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.abs(pixels_of(tmp_path / "a.png") - values / (2**bits - 1) * 255).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_every_mode_of_png_and_jpeg_is_read(tmp_path, mode):
    """Greys stay grey, all else becomes RGB."""
    Image.new(mode, (9, 7)).save(tmp_path / "a.img", format="JPEG" if mode == "CMYK" else "PNG")
    image = read_image(tmp_path / "a.img").image
    assert (image.mode, image.size) == ("L" if mode in {"1", "L", "LA"} else "RGB", (9, 7))


def png_claiming(width, height):
    """A PNG whose header claims a size that its few bytes do not have."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(kind):
    """A small noisy image as bytes of a file."""
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    Image.fromarray(noise).save(stream, format=kind)
    return stream.getvalue()


BAD_FILES = {
    "empty": (b"", "is empty"),
    "not an image": (b"%PDF-1.4 and so on", "not a PNG, JPEG or DICOM"),
    "another image format": (encoded("BMP"), "not a PNG, JPEG or DICOM"),
    "truncated PNG": (encoded("PNG")[:400], "truncated or damaged"),
    "truncated JPEG": (encoded("JPEG")[:-300], "truncated or damaged"),
    "bomb": (png_claiming(10_000, 10_000), f"{MAX_PIXELS:,}"),
    "huge bomb": (png_claiming(60_000, 60_000), f"{MAX_PIXELS:,}"),
    "a line that would be scaled up": (png_claiming(1_000_000, 1), "times as long"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_picture_is_named(tmp_path, kind):
    """An InputError with the reason."""
    content, reason = BAD_FILES[kind]
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_image(tmp_path / "a.png")


BAD_DICOM = {
    "without pixels": ({"pixels": None}, "without pixels"),
    "several frames": ({"NumberOfFrames": 3}, "several frames"),
    "bomb": ({"Rows": 60_000, "Columns": 60_000}, f"{MAX_PIXELS:,}"),
    "too few bytes": ({"Rows": 500, "Columns": 500}, "fewer, pixels"),
    "no interpretation": ({"PhotometricInterpretation": None}, "kind of colour"),
}


@pytest.mark.parametrize("kind", BAD_DICOM)
def test_bad_dicom_is_named(tmp_path, kind):
    """Every one is an InputError with the reason."""
    elements, reason = BAD_DICOM[kind]
    path = write_dicom(tmp_path / "a.dcm", **elements)
    with pytest.raises(InputError, match=reason):
        read_image(path)


def test_bytes_named_dicom_that_are_none_are_refused(tmp_path):
    """A suffix proves nothing."""
    (tmp_path / "a.dcm").write_bytes(b"\x00\x01 nothing of the kind" * 20)
    with pytest.raises(InputError, match="DICOM"):
        read_image(tmp_path / "a.dcm")


def test_what_pydicom_quotes_reaches_nobody(tmp_path, recwarn, caplog):
    """Its warnings and log lines hold values of the file, which may be a patient's."""
    path = write_dicom(tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"secret.secret.secre"))
    with pytest.raises(InputError) as error:
        read_image(path)
    assert "secret" not in str(error.value) + caplog.text + "".join(str(each.message) for each in recwarn)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_damage_anywhere_is_an_image_or_an_input_error(tmp_path, kind):
    """Whatever bytes change or go missing, nothing else is ever raised."""
    whole = write_dicom(tmp_path / "whole").read_bytes() if kind == "DICOM" else encoded(kind)
    random, refused = np.random.default_rng(1), 0
    for _ in range(150):
        damaged = bytearray(whole[: random.integers(1, len(whole) + 1)] if random.random() < 0.3 else whole)
        for place in random.integers(0, len(damaged), 4):
            damaged[place] = random.integers(0, 256)
        (tmp_path / "a").write_bytes(damaged)
        try:
            read_image(tmp_path / "a")
        except InputError:
            refused += 1
    assert refused > 10


def test_a_photograph_is_turned_as_its_exif_says(tmp_path):
    """Orientation 6: the right side of what is stored is up, and it is noted."""
    stored = np.zeros((8, 16), np.uint8)
    stored[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    picture = read_image(tmp_path / "a.png")
    assert (np.asarray(picture.image) == np.rot90(stored, -1)).all()
    assert picture.notes == ("is turned upright, as its EXIF orientation says",)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_black_and_noted(tmp_path, mode):
    """White ink that nobody sees does not become a white lung."""
    image = Image.new(mode, (9, 7), (200,) * (len(mode) - 1) + (255,))
    image.putpixel((0, 0), (200,) * (len(mode) - 1) + (0,))
    image.save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    shown = np.asarray(picture.image)
    assert (shown[0, 0] == 0).all()
    assert (shown[1] == 200).all()
    assert picture.notes == ("is transparent in places: these are shown over black",)


def test_an_opaque_alpha_channel_changes_nothing(tmp_path):
    """Nor is it worth a note."""
    noise = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    Image.fromarray(np.dstack([noise, np.full((7, 9), 255, np.uint8)])).save(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert (np.asarray(picture.image) == noise).all()
    assert picture.notes == ()


def test_a_transparent_colour_of_a_palette_is_black(tmp_path):
    """PNG's tRNS chunk marks it."""
    image = Image.new("P", (9, 7), 1)
    image.putpalette([250, 250, 250, 10, 20, 30])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=0)
    shown = np.asarray(read_image(tmp_path / "a.png").image)
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[1, 1].tolist() == [10, 20, 30]


def test_cmyk_is_noted_and_an_animation_refused(tmp_path):
    """One has no colour profile that we apply, the other no one image."""
    Image.new("CMYK", (9, 7), (0, 0, 0, 0)).save(tmp_path / "a.jpg")
    assert any("without a colour profile" in note for note in read_image(tmp_path / "a.jpg").notes)
    frames = [Image.new("L", (9, 7), grey) for grey in (10, 200)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="animated PNG"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["PNG", "DICOM"])
def test_a_picture_of_one_single_value_is_noted(tmp_path, kind):
    """An empty exposure trains on nothing."""
    flat = np.full((8, 8), 77, np.uint8)
    if kind == "PNG":
        Image.fromarray(flat).save(tmp_path / "a", format="PNG")
    else:
        write_dicom(tmp_path / "a", flat)
    assert read_image(tmp_path / "a").notes == ("is a picture of one single value",)
