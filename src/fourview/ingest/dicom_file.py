"""One DICOM file opened with every way of being broken turned into an ExamError, and what names its patient."""

from __future__ import annotations

import re
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fourview.exam import ExamError
from fourview.ingest.dicom_kinds import MAMMOGRAM, object_class
from fourview.ingest.dicom_values import quiet, text, texts
from fourview.ingest.identity import telling_words


def read_dataset(path: Path, name: str, *, pixels: bool) -> Dataset:
    """The tags of a DICOM file, with its pixel data or without.

    name  what the file is called in messages

    Raises ExamError if the file is empty, unreadable, no DICOM file, cut, or (asked for pixels) without any.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise ExamError(f"{name}: an empty file, need a DICOM file")
        with path.open("rb") as file, quiet():
            dataset: Dataset = pydicom.dcmread(file, stop_before_pixels=not pixels)
            whole = file.tell() < size
    except ExamError:
        raise
    except InvalidDicomError:
        raise ExamError(f"{name}: no DICOM file (the DICM mark is missing); need one") from None
    except OSError as error:
        raise ExamError(f"{name}: cannot be read ({error.strerror}); need a readable DICOM file") from None
    except MemoryError:
        raise
    except Exception:  # pydicom raises nearly anything on broken files
        raise ExamError(f"{name}: cut or broken DICOM file; need the whole file") from None
    if len(dataset) == 0 and not pixels:
        raise ExamError(f"{name}: cut or broken DICOM file, it holds no tags; need the whole file")
    deflated = text(dataset.file_meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    if not pixels and not whole and not deflated and _is_image(dataset):
        raise ExamError(f"{name}: truncated before its pixel data; need the whole file")
    if pixels and "PixelData" not in dataset:  # of a file that is cut within compressed pixels no tag is left
        raise ExamError(f"{name}: truncated: the pixel data are absent or cut; need the whole file")
    return dataset


def _is_image(dataset: Dataset) -> bool:
    return object_class(dataset) == MAMMOGRAM or "Rows" in dataset or "ImageType" in dataset


def patient_words(dataset: Dataset) -> tuple[str, ...]:
    """What names the patient: ids, the parts of the names, the birth date; see telling_words."""
    words = [*texts(dataset, "PatientID"), *texts(dataset, "OtherPatientIDs"), *texts(dataset, "PatientBirthDate")]
    for full_name in (*texts(dataset, "PatientName"), *texts(dataset, "OtherPatientNames")):
        words += re.split(r"[\^=\s,.\-_]+", full_name)
    return telling_words(words)
