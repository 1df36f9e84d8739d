"""An image that a list names: its file, checked against what the list says about it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fourview.exam import Direction, ExamError, View
from fourview.ingest import dicom, raster
from fourview.ingest.files import PREAMBLE, StoredFile, lacks_preamble
from fourview.ingest.identity import safe_name
from fourview.ingest.sources import ImageSource

_DICOM_SUFFIXES = {".dcm", ".dicom", ".dic", ".ima"}
Kind = Literal["png", "dicom", "perhaps dicom", "other"]


def kind_of(head: bytes, suffix: str) -> Kind:
    """What a file is, from its first 132 bytes and its suffix (lower case)."""
    if head.startswith(raster.PNG_SIGNATURE) or suffix == ".png":
        return "png"
    if head[PREAMBLE - 4 : PREAMBLE] == b"DICM" or suffix in _DICOM_SUFFIXES:
        return "dicom"
    return "perhaps dicom" if lacks_preamble(head) else "other"


def listed_image(
    path: Path,
    *,
    view: View,
    list_name: str,
    patient_id: str | None = None,
    spacing_mm: float | None = None,
    tagged: Direction | None = None,
    tag_source: str = "",
) -> ImageSource:
    """The image source of a listed file, its DICOM tags read where it has some.

    list_name  the list's file name, for messages
    Raises ExamError if the file is missing, no mammogram, or if its tags contradict the list.
    """
    file = StoredFile(path, path.name)
    name = safe_name(path.name, patient_id)
    if not path.is_file():
        raise ExamError(f"{view} {name}: named in {list_name} but not there, need the file")
    kind = kind_of(file.read_bytes(limit=PREAMBLE), file.suffix)
    header = None
    if kind in ("dicom", "perhaps dicom"):
        try:
            with file.on_disk() as readable:
                header = dicom.read_header(readable)
        except ExamError as error:
            raise ExamError(str(error).replace(path.name, name)) from None
        name = safe_name(header.name, patient_id)
        if header.problem is not None:
            raise ExamError(header.problem)
        if header.left_out is not None:
            raise ExamError(f"{view} {name}: named in {list_name}, but it is left out: {header.left_out}")
        if header.view is not view:
            raise ExamError(
                f"{view} {name}: {list_name} says {view}, its DICOM tags say {header.view or 'no view'}; "
                "need one of them corrected"
            )
    elif kind == "other":
        raise ExamError(f"{view} {name}: neither DICOM nor PNG, need one of them")
    return ImageSource(
        file,
        name,
        view,
        list_name,
        header=header,
        tagged=tagged,
        tag_source=tag_source,
        spacing_mm=spacing_mm,
        spacing_source=list_name,
    )


def different_studies(images: list[ImageSource]) -> list[str]:
    """A warning where DICOM files of several studies are listed as one exam."""
    studies = {image.header.study_uid for image in images if image.header is not None}
    return [f"the files of this exam come from {len(studies)} DICOM studies"] if len(studies) > 1 else []
