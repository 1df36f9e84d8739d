"""What kind of DICOM object a file is, and whether a reader of screening mammograms takes it."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.uid import UID

from fourview.exam import Decision
from fourview.ingest.dicom_values import quiet, text, texts

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"  # Digital Mammography X-Ray Image, For Presentation
_NEVER_READ = {
    "1.2.840.10008.5.1.4.1.1.1.2.1": "For Processing: need For Presentation",
    "1.2.840.10008.5.1.4.1.1.13.1.3": "a tomosynthesis volume: no two-dimensional mammogram",
    "1.2.840.10008.5.1.4.1.1.13.1.4": "tomosynthesis projections: no two-dimensional mammogram",
    "1.2.840.10008.5.1.4.1.1.13.1.5": "tomosynthesis projections, For Processing: no two-dimensional mammogram",
    "1.2.840.10008.1.3.10": "a DICOMDIR: no image",
}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_OTHER_RADIOGRAPHS = {  # computed and general digital radiography: mammograms where the modality says so
    "1.2.840.10008.5.1.4.1.1.1",
    "1.2.840.10008.5.1.4.1.1.1.1",
}


def object_class(dataset: Dataset) -> str:
    """The SOP class UID of a file, from its data or its file meta information; "" if neither names one."""
    meta = getattr(dataset, "file_meta", None)
    return text(dataset, "SOPClassUID") or (text(meta, "MediaStorageSOPClassUID") if meta is not None else "")


def is_digitised_film(dataset: Dataset) -> bool:
    """Whether a secondary capture says that it is a digitised film (ConversionType DF)."""
    return _is_secondary_capture(object_class(dataset)) and text(dataset, "ConversionType") == "DF"


def find_phantom_mark(dataset: Dataset) -> tuple[Decision, ...]:
    """That fourview drew the image: it names itself as manufacturer and as model. Empty for any other file."""
    maker, model = text(dataset, "Manufacturer"), text(dataset, "ManufacturerModelName")
    if maker != "FOURVIEW" or not model.startswith("PHANTOM ("):
        return ()
    return (Decision.phantom("Manufacturer, ManufacturerModelName"),)


def reason_left_out(dataset: Dataset) -> str | None:
    """Why this kind of object is not read; None for a two-dimensional mammogram For Presentation.

    Files may lack the modality (public sets remove it): then the SOP class alone decides.
    """
    return _by_class(dataset) or _by_image_type(dataset) or _by_purpose(dataset)


def _by_class(dataset: Dataset) -> str | None:
    sop_class = object_class(dataset)
    if sop_class in _NEVER_READ:
        return _NEVER_READ[sop_class]
    if _is_secondary_capture(sop_class):
        return None if is_digitised_film(dataset) else "a screen or secondary capture: no mammogram"
    modality = text(dataset, "Modality")
    if modality not in ("", "MG"):
        return f"modality {modality}: no mammogram"
    if sop_class == MAMMOGRAM or (modality == "MG" and sop_class in {"", *_OTHER_RADIOGRAPHS}):
        return None
    with quiet():  # of a malformed UID
        name = UID(sop_class).name
    return f"{name or 'an object without SOP class and modality'}: no mammogram"


def _is_secondary_capture(sop_class: str) -> bool:
    return sop_class == _SECONDARY_CAPTURE or sop_class.startswith(f"{_SECONDARY_CAPTURE}.")


def _by_image_type(dataset: Dataset) -> str | None:
    words = [word for value in texts(dataset, "ImageType") for word in value.split("\\")]
    if any(word == "GENERATED_2D" or word.endswith("_2D") for word in words):
        return "a synthesised two-dimensional image (made from tomosynthesis): need an acquired mammogram"
    if any(word.startswith("TOMO") or word == "VOLUME" for word in words):
        return "a tomosynthesis image: no two-dimensional mammogram"
    if any(word.startswith("STEREO") for word in words):
        return "a stereotactic image: no screening view"
    return None


def _by_purpose(dataset: Dataset) -> str | None:
    if text(dataset, "PresentationIntentType") == "FOR PROCESSING":
        return "For Processing: need For Presentation"
    if text(dataset, "QualityControlImage") == "YES":
        return "a quality control image: no patient"
    return None
