"""What a site sees of a DICOM file is what the standard says, or it is refused, or noted."""

import re
import warnings
from pathlib import Path

import numpy as np
import pydicom.data
import pytest
from dicom_files import RAMP, as_bytes, lookup_table, make_dicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.pixel_reference import show
from benchmarks.pixels import files_below, judge
from fedfin.encoders import dicom, dicom_pixels
from fedfin.encoders.dicom import read_dicom
from fedfin.encoders.dicom_display import _levels
from fedfin.errors import InputError

DOCS = (Path(__file__).parents[2] / "docs/edge.md").read_text(encoding="utf-8")
RGB = np.stack([np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))] * 3, -1) // np.uint8([1, 2, 4])
LOSSLESS = {RLELossless: "pydicom", JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}
NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def seen(dataset):
    """Pixels as a site sees them, and the notes."""
    picture = read_dicom(dataset if isinstance(dataset, bytes) else as_bytes(dataset))
    return np.asarray(picture.image).astype(float), picture.notes


def ranged(values):
    """The range of the values as 0 to 255."""
    return (values - np.nanmin(values)) / (np.nanmax(values) - np.nanmin(values)) * 255


def compress(dataset, syntax):
    """As an archive would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.compress(syntax, encoding_plugin=LOSSLESS[syntax])
    return dataset


def raw(dataset, keyword, text):
    """The element with this text, which pydicom would not write from a number."""
    data = as_bytes(make_dicom(**{**dataset, keyword: "1234.5"}))
    return data.replace(b"1234.5", text.ljust(6).encode())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_ybr_becomes_rgb_once(syntax):
    """Grey in YBR is grey: a second conversion would tint it."""
    ybr = np.full((16, 32, 3), 128, np.uint8)
    ybr[..., 0] = np.arange(0, 256, 8)
    dataset = make_dicom(ybr, PhotometricInterpretation="YBR_FULL")
    shown, notes = seen(compress(dataset, syntax) if syntax in LOSSLESS else dataset)
    assert (shown == ybr[..., :1]).all()
    assert notes == ()


def test_the_reversible_transform_of_jpeg_2000_is_undone():
    """YBR_RCT is how lossless JPEG 2000 holds RGB."""
    shown, notes = seen(compress(make_dicom(RGB, PhotometricInterpretation="YBR_RCT"), JPEG2000Lossless))
    assert (shown == RGB).all()
    assert notes == ()


def test_colours_of_more_bits_are_scaled_by_the_bits_stored():
    """10 bits in 16 are not black."""
    deep = np.linspace(0, 1023, 16 * 8 * 3).reshape(16, 8, 3).astype(np.uint16)
    shown, _ = seen(make_dicom(deep, BitsStored=10, HighBit=9))
    assert np.abs(shown - deep / 1023 * 255).max() <= 0.51


WINDOWS = {
    "a decimal comma": (("2000,5", "1001,0"), lambda x: (x - 1500) / 1000, "decimal comma"),
    "a width below 1": (("2000.0", "0.5000"), lambda x: (x - 1999.75) / 0.5, "narrower than 1"),
    "a width of 1": (("2000.0", "1.0000"), lambda x: (x > 1999.5) * 1.0, None),
    "no width": (("2000.0", "0.0000"), lambda x: x / 4095, "a window that is none"),
    "a negative width": (("2000.0", "-10.00"), lambda x: x / 4095, "a window that is none"),
    "no number": (("2000.0", "abc"), lambda x: x / 4095, "no number in WindowWidth"),
    "two windows": (("2000.5\\9", "1001\\9"), lambda x: (x - 1500) / 1000, "several windows"),
    "an impossible one first": (("0\\2000.5", "0\\1001"), lambda x: (x - 1500) / 1000, "that is none"),
    "a center alone": (("2000.0", ""), lambda x: x / 4095, "a window that is none"),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_every_window_is_what_the_standard_says_or_noted(kind):
    """PS3.3 C.11.2.1.2."""
    (center, width), right, note = WINDOWS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = as_bytes(make_dicom(WindowCenter="11111111", WindowWidth="22222222"))
    data = data.replace(b"11111111", center.ljust(8).encode()).replace(b"22222222", width.ljust(8).encode())
    shown, notes = seen(data)
    assert np.abs(shown - np.clip(right(RAMP.astype(float)), 0, 1) * 255).max() <= 0.51
    assert (note is None and notes == ()) or any(note in each for each in notes)


def test_an_unknown_window_function_is_noted():
    """LINEAR is the default."""
    _, notes = seen(make_dicom(WindowCenter=9, WindowWidth=9, VOILUTFunction="CUBIC"))
    assert "is DICOM with a window of an unknown function: LINEAR is used" in notes


def test_a_table_shows_its_own_range_not_the_images():
    """Values 1000 to 3000 of a 12-bit identity are grey, not black and white."""
    middle = np.linspace(1000, 3000, RAMP.size).reshape(RAMP.shape).astype(np.uint16)
    shown, notes = seen(make_dicom(middle, VOILUTSequence=[lookup_table(range(4096), bits=12)]))
    assert np.abs(shown - middle / 4095 * 255).max() <= 0.51
    assert notes == ()


def test_a_table_may_begin_below_zero():
    """Rescaled values are signed; those outside the table take its ends."""
    table = lookup_table(range(0, 2000, 10), first=-100, bits=11)
    shown, _ = seen(make_dicom(RescaleSlope=1, RescaleIntercept=-2000, VOILUTSequence=[table]))
    entries = np.clip(RAMP.astype(float) - 2000 + 100, 0, 199) * 10
    assert np.abs(shown - entries / 2047 * 255).max() <= 0.51


def test_a_table_beyond_its_bits_is_noted_and_one_too_short_refused():
    """A descriptor that lies is no matter of taste."""
    _, notes = seen(make_dicom(VOILUTSequence=[lookup_table(range(4096), bits=10)]))
    assert any("exceeds its own range" in each for each in notes)
    short = lookup_table(range(100), bits=12)
    short.LUTDescriptor = [4096, 0, 12]
    with pytest.raises(InputError, match="not as its descriptor says"):
        seen(make_dicom(VOILUTSequence=[short]))


def test_a_modality_table_comes_before_the_window():
    """PS3.3 C.11.1.1.1: a table that reverses."""
    table = lookup_table(range(4095, -1, -1), bits=12)
    table.ModalityLUTType = "US"
    shown, _ = seen(make_dicom(ModalityLUTSequence=[table], WindowCenter=1000.5, WindowWidth=1001))
    assert np.abs(shown - np.clip((4095 - RAMP.astype(float) - 500) / 1000, 0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("limit", [None, 65000])
def test_padding_does_not_stretch_the_range(inverted, limit):
    """PS3.3 C.7.5.1.1.2: one value, or all from it to the limit."""
    padded = RAMP.copy()
    padded[0] = 65535 if limit is None else np.linspace(65000, 65535, RAMP.shape[1]).astype(np.uint16)
    kind = "MONOCHROME1" if inverted else "MONOCHROME2"
    elements = {} if limit is None else {"PixelPaddingRangeLimit": limit}
    shown, _ = seen(make_dicom(padded, PhotometricInterpretation=kind, PixelPaddingValue=65535, **elements))
    right = ranged(RAMP[1:].astype(float))
    assert np.abs(shown[1:] - (255 - right if inverted else right)).max() <= 0.51


def test_signed_padding_written_as_unsigned_is_the_same_bits():
    """-2000 is 63536 where a device writes US for SS."""
    signed = RAMP.astype(np.int16)
    signed[0] = -2000
    dataset = make_dicom(signed)
    dataset.add_new("PixelPaddingValue", "US", 63536)
    assert np.abs(seen(dataset)[0][1:] - ranged(RAMP[1:].astype(float))).max() <= 0.51


@pytest.mark.parametrize("signed", [False, True])
def test_the_bits_below_high_bit_are_used_and_others_are_noted(signed):
    """12 bits at the top of 16, an overlay below (PS3.5 8.1.1)."""
    values = RAMP.astype(np.int16) - 2048 if signed else RAMP
    words = ((values.astype(np.int64) << 4) | 5).astype(values.dtype)
    shown, notes = seen(make_dicom(words, BitsStored=12, HighBit=15))
    assert np.abs(shown - ranged(values.astype(float))).max() <= 0.51
    assert "is DICOM with other things in unused bits: these are left out" in notes


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_overlays_in_unused_bits_are_left_out(syntax):
    """They would be the brightest thing in the picture; pydicom leaves them in, in JPEG 2000."""
    dataset = make_dicom(RAMP | np.uint16(0x1000))
    dataset = compress(dataset, syntax) if syntax in LOSSLESS else dataset
    dataset.BitsStored, dataset.HighBit = 12, 11
    shown, notes = seen(dataset)
    assert np.abs(shown - ranged(RAMP.astype(float))).max() <= 0.51
    assert "is DICOM with other things in unused bits: these are left out" in notes


def test_what_is_not_a_number_is_black_and_noted():
    """The rest of a float image shows its finite range."""
    values = RAMP.astype(np.float32)
    values[0, 0], values[0, 1] = np.nan, np.inf
    dataset = make_dicom(values)
    dataset.FloatPixelData = dataset.pop("PixelData").value
    del dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    shown, notes = seen(dataset)
    assert shown[0, 0] == 0
    assert np.abs(shown.ravel()[2:] - ranged(RAMP.ravel()[2:].astype(float))).max() <= 0.51
    assert any("are no numbers" in each for each in notes)


@pytest.mark.parametrize("blank", ["RescaleSlope", "RescaleIntercept"])
def test_an_empty_rescale_changes_nothing(blank):
    """A slope is 1, an intercept 0."""
    view = {"WindowCenter": 2000.5, "WindowWidth": 1001}
    shown, _ = seen(make_dicom(**view, **{"RescaleSlope": 1, "RescaleIntercept": 0, blank: None}))
    assert (shown == seen(make_dicom(**view))[0]).all()


def test_a_rescale_with_a_comma_is_read_and_one_that_is_no_number_refused():
    """What cannot be known is not guessed: units would be wrong."""
    data = as_bytes(make_dicom(RescaleSlope="1234.5", WindowCenter=1000.5, WindowWidth=1001))
    shown, notes = seen(data.replace(b"1234.5", b"0,5000"))
    assert np.abs(shown - np.clip((RAMP * 0.5 - 500) / 1000, 0, 1) * 255).max() <= 0.51
    assert "has a decimal comma in RescaleSlope: read as a point" in notes
    with pytest.raises(InputError, match="slope or intercept is no number"):
        seen(data.replace(b"1234.5", b"secret"))


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_a_meta_header_are_read(tmp_path, implicit):
    """As PS3.10 7.1's default, whatever the name."""
    from fedfin.encoders.images import read_image

    dataset = make_dicom(WindowCenter=2000, WindowWidth=1000)
    right, _ = seen(dataset)
    del dataset.file_meta
    dataset.save_as(tmp_path / "IM000001", implicit_vr=implicit, little_endian=True)
    picture = read_image(tmp_path / "IM000001")
    assert (np.asarray(picture.image) == right).all()
    assert any("without a meta header" in each for each in picture.notes)


def test_compressed_without_a_meta_header_is_refused():
    """Which way it is compressed cannot be known."""
    dataset = compress(make_dicom(), RLELossless)
    whole = as_bytes(dataset)
    with pytest.raises(InputError, match="does not say how"):
        seen(whole[whole.index(b"\x08\x00\x16\x00UI") :])


def test_fewer_or_more_pixels_than_claimed_are_told():
    """The reason is the pixels, not the transfer syntax."""
    for pixels in (b"", RAMP.tobytes()[:-2]):
        with pytest.raises(InputError, match="fewer, pixels than it claims"):
            seen(make_dicom(PixelData=pixels))
    _, notes = seen(make_dicom(PixelData=RAMP.tobytes() + b"\0" * 20))
    assert any("more bytes of pixels" in each for each in notes)
    stream = compress(make_dicom(), JPEG2000Lossless)
    stream.PixelData = stream.PixelData.replace(b"\xff\xd9", b"\0\0")
    with pytest.raises(InputError, match="end too early"):
        seen(stream)


def test_a_signed_stream_in_an_unsigned_file_is_refused_and_the_reverse_noted():
    """Decoders differ (PS3.5 8.2.4)."""
    signed = compress(make_dicom(RAMP.astype(np.int16)), JPEG2000Lossless)
    signed.PixelRepresentation = 0
    with pytest.raises(InputError, match="stream is signed"):
        seen(signed)
    unsigned = compress(make_dicom(), JPEG2000Lossless)
    unsigned.PixelRepresentation = 1
    assert any("stream is unsigned" in each for each in seen(unsigned)[1])


def test_a_palette_is_looked_up():
    """Its entries have 16 bits."""
    dataset = make_dicom(
        np.arange(16, dtype=np.uint8).reshape(4, 4), PhotometricInterpretation="PALETTE COLOR"
    )
    for scale, colour in enumerate(("Red", "Green", "Blue"), 1):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [16, 0, 16])
        entries = (np.arange(16) * 65535 // 15 // scale).astype("<u2")
        setattr(dataset, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    shown, _ = seen(dataset)
    assert np.abs(shown[..., 1] - np.arange(16).reshape(4, 4) / 15 * 127.5).max() <= 1


def test_contradictions_are_refused_or_noted():
    """Colour in one sample; HighBit below BitsStored; a shape that inverts MONOCHROME2."""
    with pytest.raises(InputError, match="contradicts its samples"):
        seen(make_dicom(PhotometricInterpretation="RGB"))
    with pytest.raises(InputError, match="contradict each other"):
        seen(make_dicom(BitsStored=12, HighBit=3))
    assert any("PresentationLUTShape" in each for each in seen(make_dicom(PresentationLUTShape="INVERSE"))[1])
    assert seen(make_dicom(PresentationLUTShape="IDENTITY"))[1] == ()


def test_a_missing_decoder_is_named_with_the_command_that_mends_it(monkeypatch):
    """Never another decoder that happens to be there."""
    monkeypatch.setitem(dicom_pixels.DECODERS, JPEG2000Lossless, "not there")
    with pytest.raises(InputError, match=re.escape("pip install 'fedfin[predict]'")):
        seen(compress(make_dicom(), JPEG2000Lossless))


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, "1.2.840.10008.1.2.4.100"])
def test_a_syntax_without_a_decoder_says_export_uncompressed(syntax):
    """Lossy JPEG of 12 bits; MPEG."""
    dataset = compress(make_dicom(BitsStored=12, HighBit=11), RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    with pytest.raises(InputError, match="export it uncompressed"):
        seen(dataset)


def test_a_stream_that_claims_more_than_its_file_is_refused_before_it_grows():
    """Decoders allocate what the stream says."""
    bomb = compress(make_dicom(), JPEG2000Lossless)
    start = bomb.PixelData.index(b"\xff\x4f\xff\x51") + 8
    huge = (60_000).to_bytes(4, "big") * 2
    bomb.PixelData = bomb.PixelData[:start] + huge + bomb.PixelData[start + 8 :]
    with pytest.raises(InputError, match="claims more than"):
        seen(bomb)


def test_a_deflated_bomb_is_refused_before_it_grows(monkeypatch):
    """A file of a few KB may hold gigabytes of zeros."""
    monkeypatch.setattr(dicom, "MAX_INFLATED", 1 << 20)
    dataset = make_dicom(PixelData=b"\0" * (4 << 20))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert len(as_bytes(dataset)) < 1 << 14
    with pytest.raises(InputError, match="deflated DICOM of more than"):
        seen(dataset)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16])
def test_the_table_of_levels_is_bit_identical_to_the_formula(kind, function, monkeypatch):
    """It is there for speed alone."""
    values = np.random.default_rng(3).integers(np.iinfo(kind).min, np.iinfo(kind).max, (40, 30), kind)
    slope = {"RescaleSlope": 0.37, "RescaleIntercept": -11.3}
    dataset = make_dicom(values, **slope, WindowCenter=21.5, WindowWidth=60.3, VOILUTFunction=function)
    fast, _ = seen(dataset)
    assert _levels(values)[1] is not None
    monkeypatch.setattr("fedfin.encoders.dicom_display._levels", lambda stored: (stored, None))
    assert (fast == seen(dataset)[0]).all()


def test_pydicoms_own_files_are_equal_noted_or_refused():
    """Every transfer syntax that it knows, with what real devices and other toolkits wrote."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    verdicts = [judge(path) for path in files_below([folder])]
    assert [each for each in verdicts if each.verdict == "different"] == []
    assert sum(each.verdict == "equal" for each in verdicts) > 60


@st.composite
def grey_dicom(draw):
    """A grey file over everything that changes what is shown."""
    allocated = draw(st.sampled_from([8, 16]))
    stored = draw(st.integers(allocated - 7 if allocated == 16 else 2, allocated))
    signed = draw(st.booleans())
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    values = draw(st.lists(st.integers(low, high), min_size=64, max_size=64))
    kind = np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")
    dataset = make_dicom(
        np.tile(np.asarray(values, kind).reshape(8, 8), (4, 4)), BitsStored=stored, HighBit=stored - 1
    )
    dataset.PhotometricInterpretation = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
    if draw(st.booleans()):
        dataset.RescaleSlope, dataset.RescaleIntercept = draw(
            st.sampled_from([(1, -1024), (2.5, 3), (0.25, -7.5)])
        )
    _draw_view(draw, dataset, low, high)
    return dataset


def _draw_view(draw, dataset, low, high):
    view = draw(st.sampled_from(["none", "padding", "window", "table"]))
    if view == "padding":
        dataset.PixelPaddingValue = draw(st.integers(low, high))
        dataset["PixelPaddingValue"].VR = "SS" if low < 0 else "US"
    if view == "window":
        dataset.WindowCenter = draw(st.integers(-2000, 3000))
        dataset.WindowWidth = draw(st.integers(1, 5000))
        dataset.VOILUTFunction = draw(st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))
    if view == "table":
        entries = draw(st.lists(st.integers(0, 4095), min_size=2, max_size=300))
        # In implicit VR a first value below 0 can only be told from one above 32767 by signed pixels.
        first = draw(st.integers(-200 if low < 0 else 0, 200))
        dataset.VOILUTSequence = [lookup_table(entries, first=first, bits=12)]


def is_right(dataset, right):
    """Equal within one grey level of 255, or refused with a reason that docs/edge.md has."""
    try:
        shown, _ = seen(dataset)
    except InputError as error:
        return re.split(r"[(:;]", str(error))[0].strip() in DOCS
    return np.abs(shown - right).max() <= 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(grey_dicom(), st.sampled_from([*NATIVE, *LOSSLESS]))
def test_any_grey_file_equals_the_reference_or_is_refused_with_a_documented_reason(dataset, syntax):
    """Within one grey level of 255."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        right = show(dataset)
        if syntax in LOSSLESS:
            try:
                compress(dataset, syntax)
            except (ValueError, RuntimeError, NotImplementedError):
                return  # its encoder cannot write these bits
        dataset.file_meta.TransferSyntaxUID = syntax
    assert is_right(dataset, right)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*NATIVE, *LOSSLESS]), st.sampled_from(["RGB", "YBR_FULL"]), st.integers(0, 2**32 - 1))
def test_any_colour_file_equals_the_reference(syntax, photometric, seed):
    """RGB as it is, YBR converted once."""
    pixels = np.random.default_rng(seed).integers(0, 256, (33, 35, 3), np.uint8)
    dataset: Dataset = make_dicom(pixels, PhotometricInterpretation=photometric)
    right = show(dataset)
    if syntax in LOSSLESS:
        compress(dataset, syntax)
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.abs(seen(dataset)[0] - right).max() <= 1


def test_lossy_jpeg_has_one_decoder():
    """The one that the table of decoders names."""
    assert dicom_pixels.DECODERS[JPEGBaseline8Bit] == "pillow"
