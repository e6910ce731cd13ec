"""What benchmarks/encoding.py encodes, and with which encoder: all made up, the same every time."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    JPEG2000,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

ROWS, COLUMNS, BITS, SIDE = 3000, 2500, 12, 256
CALIBRATION_IMAGES = 24
# Images of a kind as a multiple of --count: a run of each kind takes about as long.
TIMES = {"DICOM": 4, "JPEG 2000": 1, "JPEG 2000, lossy": 3, "PNG": 40}
# Of the 12 bits of a pixel: what archives commonly keep of radiographs that they compress with losses.
LOSSY_RATIO = 10


def make_inputs(folder: Path, count: int) -> dict[str, list[Path]]:
    """The files by kind; each differs in a few pixels, so that none is the same content again."""
    folder.mkdir(parents=True)
    pixels = make_radiograph()
    files: dict[str, list[Path]] = {kind: [] for kind in TIMES}
    for kind, paths in files.items():
        for number in range(count * TIMES[kind]):
            pixels[0, :2] = divmod(number, 256)
            path = folder / f"{kind}-{number}.{'png' if kind == 'PNG' else 'dcm'}"
            _write(path, kind, pixels)
            paths.append(path)
    return files


def make_radiograph() -> NDArray[np.uint16]:
    """Smooth shades with the noise of a detector: JPEG 2000 makes a third of it, as it does of radiographs."""
    rng = np.random.default_rng(0)
    shades = Image.fromarray(rng.integers(300, 3800, (40, 30)).astype(np.float32))
    smooth = np.asarray(shades.resize((COLUMNS, ROWS), Image.Resampling.BICUBIC))
    noisy = smooth + rng.normal(0, 8, smooth.shape)
    return noisy.clip(0, (1 << BITS) - 1).astype(np.uint16)


def _write(path: Path, kind: str, pixels: NDArray[np.uint16]) -> None:
    if kind == "PNG":
        Image.fromarray(
            (pixels[:SIDE, :SIDE] >> (BITS - 8)).astype(np.uint8) ^ pixels[0, 1].astype(np.uint8)
        ).save(path)
        return
    make_dicom(pixels, kind).save_as(path, enforce_file_format=True)


def make_dicom(pixels: NDArray[np.uint16], kind: str) -> Dataset:
    """A radiograph; compressed if its kind says so."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = *pixels.shape, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, BITS, BITS - 1
    dataset.WindowCenter, dataset.WindowWidth = "2048", "3500"
    dataset.PixelData = pixels.tobytes()
    if kind == "JPEG 2000":
        dataset.compress(JPEG2000Lossless, encoding_plugin="pylibjpeg")
    if kind == "JPEG 2000, lossy":
        dataset.compress(JPEG2000, encoding_plugin="pylibjpeg", j2k_cr=[LOSSY_RATIO])
    return dataset


def make_bundle(folder: Path) -> Path:
    """The preset's bundle, calibrated on noise."""
    images, out = folder / "calibration", folder / "bundle"
    images.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(CALIBRATION_IMAGES):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE), np.uint8)).save(images / f"{number}.png")
    preset = ["--preset", "efficientnet-lite0", "--layer", "block:10", "--calibrate", str(images)]
    # A process of its own: torch's memory is no part of what encoding takes.
    command = [sys.executable, "-m", "fedfin", "export", "encoder", *preset, str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return out
