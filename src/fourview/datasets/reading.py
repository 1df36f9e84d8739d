"""The pixels of a record, exactly as ingest reads them. Tables and files of a set: see tables.

The view comes from the set and not from DICOM tags: public sets strip their headers, or write another word there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.record import ImageRecord
from fourview.datasets.tables import side_of
from fourview.exam import Decision, Direction, ExamError, Mammogram, View
from fourview.film import blank_film
from fourview.ingest import grey, orientation, raster
from fourview.ingest.dicom_file import read_dataset
from fourview.ingest.dicom_geometry import read_direction, read_spacing
from fourview.ingest.dicom_kinds import find_phantom_mark, object_class, reason_left_out
from fourview.ingest.dicom_pixels import read_codes, read_grey_tags
from fourview.ingest.dicom_values import text
from fourview.ingest.files import PREAMBLE, StoredFile
from fourview.ingest.listed import kind_of
from fourview.ingest.tags import read_view

LOSSY = "the images are lossy JPEG of 8 bits: fine detail and grey values differ from the originals"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # digitised films come as this class, most without saying more


def load_record(
    record: ImageRecord,
    *,
    faces: Direction | None = None,
    faces_source: str = "",
    mirrored_auto: bool = False,
    jpeg: bool = False,
    film: bool = False,
) -> Mammogram:
    """The mammogram of a record: DICOM, PNG or PGM, source pixels, exactly as ingest reads them.

    faces          where the nipple points, where the set says so in `faces_source`; None: the tags of DICOM files,
                   else the usual direction of the view
    mirrored_auto  the pixels decide where neither `faces` nor a tag says it (sets that mix directions)
    jpeg           the set is published as JPEG: 8-bit grey JPEG is taken too
    film           a digitised film: all but its breast is set to 0 (film.blank_film), where ingest leaves it
    The set's own tables decide the view, because headers of public sets are stripped; a side in the header that is
    another one is an error. Raises ExamError.
    """
    view, name = _view_of(record), record.image
    file = StoredFile(record.path, record.path.name)
    if not record.path.is_file():
        raise ExamError(f"{view} {name}: {record.path.name} is not there, need the image")
    head = file.read_bytes(limit=PREAMBLE)
    kind = kind_of(head, file.suffix)
    try:
        if kind in ("dicom", "perhaps dicom"):
            with file.on_disk() as path:
                return _load_dicom(
                    record, path, faces=faces, faces_source=faces_source, mirrored_auto=mirrored_auto, film=film
                )
        if kind == "png":
            image, scale = raster.read_png(file.read_bytes(), name)
        elif head.startswith(b"P5"):
            image, scale = raster.read_pgm(file.read_bytes(), name)
        elif jpeg and head.startswith(b"\xff\xd8"):
            image, scale = read_jpeg(file.read_bytes(), name)
        else:
            raise ExamError(f"{record.path.name} is neither DICOM, PNG nor PGM{', nor JPEG' if jpeg else ''}")
        return compose(
            record, image, scale, faces=faces, faces_source=faces_source, mirrored_auto=mirrored_auto, film=film
        )
    except ExamError as error:
        said, prefix = str(error), f"{view} {name}: "
        raise ExamError(said if said.startswith(prefix) else prefix + said.removeprefix(f"{name}: ")) from None


def _view_of(record: ImageRecord) -> View:
    if record.view is None:
        raise ExamError(f"{record.image}: {record.side or 'no side'} {record.angle or 'no angle'} is no CC or MLO view")
    return record.view


def read_jpeg(data: bytes, name: str) -> tuple[NDArray[np.uint8], tuple[Decision, ...]]:
    """(rows, cols) uint8 of a grey JPEG file, or of one whose three colours are equal everywhere; raises ExamError."""
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):  # OpenCV fills the rest of a cut file with grey
        raise ExamError(f"{name}: the JPEG is cut off after {len(data)} bytes, need the whole file")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.dtype != np.uint8:
        raise ExamError(f"{name}: the JPEG cannot be decoded, need grey JPEG of 8 bits")
    if image.ndim == 3:
        if (image != image[:, :, :1]).any():
            raise ExamError(f"{name}: found a colour JPEG, need grey JPEG of 8 bits")
        image = image[:, :, 0]
    return np.array(image, np.uint8), (Decision("grey scale", "values of the file, 8 bits, lossy", "JPEG"),)


def compose(
    record: ImageRecord,
    image: NDArray[Any],
    decisions: tuple[Decision, ...],
    *,
    faces: Direction | None = None,
    faces_source: str = "",
    mirrored_auto: bool = False,
    film: bool = False,
    lightness: NDArray[np.float32] | None = None,
) -> Mammogram:
    """The mammogram of pixels that come without DICOM tags; options as in load_record. Raises ExamError.

    image      (rows, cols) uint8 or uint16, high values bright
    decisions  how the pixels were read
    lightness  of a film: where its breast is looked for, if not in `image` (film.blank_film)
    """
    view = _view_of(record)
    image, frame = grey.blank_frame(image)
    if not image.any():
        raise ExamError(f"{view} {record.image}: all pixels are 0, need a breast brighter than its background")
    blanked: tuple[Decision, ...] = ()
    left: tuple[str, ...] = ()
    if film:
        image, blanked, left = blank_film(image, spacing_mm=record.spacing_mm, lightness=lightness)
    direction, why, doubts = _decide(
        view, image, name=record.image, faces=faces, source=faces_source, mirrored_auto=mirrored_auto
    )
    size = "unknown" if record.spacing_mm is None else f"{record.spacing_mm:.6g} mm"
    set_says = Decision("view", view.value, record.dataset), Decision("spacing", size, record.dataset)
    return Mammogram(
        image,
        view,
        record.image,
        direction,
        spacing_mm=record.spacing_mm,
        decisions=(*set_says, *decisions, *frame, *blanked, *why),
        warnings=(*left, *doubts),
    )


def _decide(
    view: View,
    image: NDArray[Any],
    *,
    name: str,
    faces: Direction | None,
    source: str,
    mirrored_auto: bool,
) -> orientation.DecidedDirection:
    if faces is None and mirrored_auto:
        return orientation.decide_direction_auto(view, pixels=image, name=name)
    return orientation.decide_direction(view, tagged=faces, tag_source=source, pixels=image, name=name)


def _load_dicom(
    record: ImageRecord, path: Path, *, faces: Direction | None, faces_source: str, mirrored_auto: bool, film: bool
) -> Mammogram:
    """A DICOM file whose view the set knows; grey scale "stored", as ingest.dicom reads it."""
    view = _view_of(record)
    dataset = read_dataset(path, record.image, pixels=True)
    warnings = _compare_tags(dataset, record)
    tags = read_grey_tags(dataset)
    codes, decoding = read_codes(dataset, tags)
    scaled = grey.scale_grey(codes, tags)
    image, frame = grey.blank_frame(scaled.pixels)
    if not image.any():
        raise ExamError("all pixels are black (background); need a breast brighter than its background")
    spacing, size = read_spacing(dataset)
    if spacing is None and record.spacing_mm is not None:
        spacing, size = record.spacing_mm, (Decision("spacing", f"{record.spacing_mm:.6g} mm", record.dataset),)
    blanked: tuple[Decision, ...] = ()
    left: tuple[str, ...] = ()
    if film:
        image, blanked, left = blank_film(image, spacing_mm=spacing)
    tagged = read_direction(dataset, view)
    if faces is None:
        faces, faces_source = tagged.direction, tagged.source
    direction, why, doubts = _decide(
        view, image, name=record.image, faces=faces, source=faces_source, mirrored_auto=mirrored_auto
    )
    return Mammogram(
        image,
        view,
        record.image,
        direction,
        spacing_mm=spacing,
        pixel_mode="stored",
        decisions=(
            *find_phantom_mark(dataset),
            Decision("view", view.value, record.dataset),
            *decoding,
            *scaled.decisions,
            *frame,
            *blanked,
            *tagged.decisions,
            *why,
            *size,
        ),
        warnings=(*warnings, *scaled.warnings, *left, *doubts),
    )


def _compare_tags(dataset: Any, record: ImageRecord) -> list[str]:
    """What the tags say otherwise than the set, as warnings. Raises ExamError for another side or kind of image."""
    left_out = reason_left_out(dataset)
    if left_out is not None and not object_class(dataset).startswith(_SECONDARY_CAPTURE):
        raise ExamError(left_out)
    for tag in ("ImageLaterality", "Laterality"):
        side = side_of(text(dataset, tag))
        if side is not None and side is not record.side:
            raise ExamError(f"the set says side {record.side}, {tag} says {side}: need one of them corrected")
    warnings = ["lossy compressed"] if text(dataset, "LossyImageCompression") == "01" else []
    try:
        tagged = read_view(dataset)
    except ExamError:  # no side in the header, or tags at odds with each other: the set decides
        return warnings
    if tagged.view is not None and tagged.view is not record.view:
        raise ExamError(f"the set says {record.view}, the tags say {tagged.view}: need one of them corrected")
    if tagged.left_out and (text(dataset, "ViewPosition") or "ViewCodeSequence" in dataset):
        warnings.append(f"the set says {record.angle}, the tags: {tagged.left_out}")
    return warnings
