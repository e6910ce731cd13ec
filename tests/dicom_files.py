"""DICOM files that tests make, in pydicom."""

import io

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CR = "1.2.840.10008.5.1.4.1.1.1"  # SOP class: computed radiography
# OpenJPEG writes nothing smaller than 32 x 32.
RAMP = np.linspace(0, 4095, 40 * 36).reshape(40, 36).astype(np.uint16)


def make_dicom(pixels=RAMP, **elements):
    """A minimal CR image, or one without pixels; elements are set last."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CR
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    if pixels is not None:
        _set_pixels(dataset, pixels)
    for name, value in elements.items():
        setattr(dataset, name, value)
    return dataset


def _set_pixels(dataset, pixels):
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()


def lookup_table(entries, *, first=0, bits):
    """An item of a Modality or VOI LUT sequence."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(entries), first, bits])
    table.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return table


def as_bytes(dataset):
    """The file."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def write_dicom(path, pixels=RAMP, **elements):
    """`make_dicom`, in a file."""
    path.write_bytes(as_bytes(make_dicom(pixels, **elements)))
    return path
