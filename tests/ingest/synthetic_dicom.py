"""Small DICOM mammograms for tests: a half ellipse for a breast, every tag open to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLosslessSV1, generate_uid

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"


def breast(
    rows: int = 240, cols: int = 180, *, faces: str = "right", low: int = 800, high: int = 3000
) -> NDArray[np.uint16]:
    """A half ellipse of noise in low..high-1 on 0, cut by the image edge at the chest wall."""
    y, x = np.mgrid[:rows, :cols]
    inside = ((y - rows / 2) / (0.4 * rows)) ** 2 + (x / (0.6 * cols)) ** 2 < 1
    image = np.where(inside, np.random.default_rng(1).integers(low, high, (rows, cols)), 0).astype(np.uint16)
    return image if faces == "right" else np.ascontiguousarray(image[:, ::-1])


def code_item(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def mammogram_dataset(pixels: NDArray[Any] | None = None, **tags: Any) -> Dataset:
    """An L-CC For Presentation, 12 bits; a tag given as None is left out."""
    image = breast() if pixels is None else pixels
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = MAMMOGRAM, generate_uid(), generate_uid()
    dataset.Modality, dataset.PresentationIntentType = "MG", "FOR PRESENTATION"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.PatientID, dataset.PatientName = "PID-4711", "Muster^Erika"
    dataset.ViewPosition, dataset.ImageLaterality, dataset.PatientOrientation = "CC", "L", ["A", "R"]
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.PixelRepresentation = "MONOCHROME2", 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * image.dtype.itemsize, 12, 11
    dataset.Rows, dataset.Columns = image.shape[:2]
    dataset.ImagerPixelSpacing = [0.1, 0.1]
    dataset.PixelData = image.tobytes()
    dataset["PixelData"].VR = "OW" if image.dtype.itemsize == 2 else "OB"
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def save(dataset: Dataset, path: Path, **options: Any) -> Path:
    dataset.save_as(path, enforce_file_format=True, **options)
    return path


def compress_jpeg_lossless(dataset: Dataset, folder: Path) -> None:
    """Turns uncompressed pixel data into JPEG Lossless, process 14, selection value 1 (pydicom cannot)."""
    reader, change = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax()
    reader.SetFileName(str(save(dataset, folder / "uncompressed.dcm")))
    if not reader.Read():
        raise RuntimeError("gdcm cannot read the uncompressed file")
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    if not change.Change():
        raise RuntimeError("gdcm cannot compress the image")
    stream = change.GetOutput().GetDataElement().GetSequenceOfFragments().GetFragment(0).GetByteValue().GetBuffer()
    dataset.PixelData = encapsulate([stream.encode("utf-8", "surrogateescape")])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
