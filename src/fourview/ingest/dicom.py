"""DICOM files -> mammograms: header first (which exam, which view, taken or left out), pixels later."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from fourview.exam import ExamError, Mammogram, PixelMode, SetupError, View
from fourview.ingest.dicom_display import display_values
from fourview.ingest.dicom_file import patient_words, read_dataset
from fourview.ingest.dicom_geometry import read_direction, read_spacing
from fourview.ingest.dicom_kinds import find_phantom_mark, is_digitised_film, reason_left_out
from fourview.ingest.dicom_pixels import read_codes, read_grey_tags
from fourview.ingest.dicom_values import number, text, value
from fourview.ingest.grey import blank_frame, scale_grey
from fourview.ingest.identity import redacted_name
from fourview.ingest.orientation import decide_direction, decide_direction_auto
from fourview.ingest.tags import read_view

OBLIQUE_FROM = 20.0  # degrees of the tube: CC views are taken at 0 to 10, MLO views at 30 to 60


@dataclass(frozen=True)
class DicomHeader:
    """What a DICOM file says of itself before its pixels are read.

    name       its file name, or a hash of it where that holds the patient's name or id
    sop_uid    SOPInstanceUID, "" if the file has none; study_uid alike
    view       None if the image is left out, or if its tags cannot be trusted (`problem`)
    left_out   why this file is no CC or MLO screening view; None if it is one
    problem    why it should be one but cannot be read: tags that contradict each other, no side, no UIDs.
               `read_mammogram` raises it, so that the exam is refused and not read without this image
    words      what names the patient: never shown, but looked for in the names of other files
    """

    path: Path
    name: str
    sop_uid: str
    study_uid: str
    patient_id: str | None
    view: View | None
    left_out: str | None
    problem: str | None = None
    words: tuple[str, ...] = field(default=(), repr=False)


def read_header(path: Path) -> DicomHeader:
    """The header of one DICOM file; its pixels are not read.

    Raises ExamError if the file is empty, no DICOM file, or cut.
    """
    dataset = read_dataset(path, path.name, pixels=False)
    words = patient_words(dataset)
    name = redacted_name(path.name, words)
    sop_uid = _uid(dataset, "SOPInstanceUID") or _uid(dataset.file_meta, "MediaStorageSOPInstanceUID")
    study_uid = _uid(dataset, "StudyInstanceUID")
    patient_id = str(value(dataset, "PatientID") or "").strip() or None
    view, left_out, problem = None, None, None
    try:
        left_out = reason_left_out(dataset)
        if left_out is None:
            tagged = read_view(dataset)
            view, left_out = tagged.view, tagged.left_out
    except ExamError as error:
        problem = f"{name}: {error}"
    if left_out is None and problem is None:
        missing = [tag for tag, uid in (("SOPInstanceUID", sop_uid), ("StudyInstanceUID", study_uid)) if not uid]
        if missing:
            problem = f"{view} {name}: no {' and no '.join(missing)}; need both UIDs to know which exam it belongs to"
    return DicomHeader(path, name, sop_uid, study_uid, patient_id, view, left_out, problem, words)


def read_mammogram(
    header: DicomHeader, *, pixels: PixelMode = "stored", spacing_mm: float | None = None, mirrored_auto: bool = False
) -> Mammogram:
    """The mammogram of a file that is not left out: breast bright on exactly 0, in the direction of the file.

    pixels         "stored": v * 65535 / (2**BitsStored - 1). "presentation": by VOI LUT or window
    spacing_mm     overrides the pixel size that the file gives
    mirrored_auto  in a file without orientation tags the pixels decide where the breast points

    Raises ExamError, SetupError for any other mode.
    """
    if pixels not in ("stored", "presentation"):
        raise SetupError(f"found pixel mode {pixels!r}: DICOM files are read as 'stored' or 'presentation'")
    if header.problem is not None:
        raise ExamError(header.problem)
    if header.left_out is not None or header.view is None:
        raise ExamError(f"{header.name}: {header.left_out or 'no view'}; need a CC or MLO mammogram")
    try:
        dataset = read_dataset(header.path, header.name, pixels=True)
    except ExamError as error:
        raise ExamError(f"{header.view} {error}") from None
    try:
        return _compose(dataset, header, pixels, spacing_mm, mirrored_auto)
    except ExamError as error:
        said, prefix = str(error), f"{header.view} {header.name}: "
        raise ExamError(said if said.startswith(prefix) else prefix + said) from None


def _compose(
    dataset: Dataset, header: DicomHeader, mode: PixelMode, spacing_mm: float | None, mirrored_auto: bool
) -> Mammogram:
    """What the tags ask for, applied in the order of this page."""
    tagged_view = read_view(dataset)
    if tagged_view.view is None or tagged_view.view is not header.view:
        raise ExamError(f"found view {tagged_view.view}: the file has changed since its header was read")
    view, name = tagged_view.view, header.name
    tags = read_grey_tags(dataset)
    tagged = read_direction(dataset, view)
    spacing, spacing_decisions = read_spacing(dataset, override_mm=spacing_mm)
    codes, decoding = read_codes(dataset, tags)
    voi, voi_source = display_values(dataset, tags) if mode == "presentation" else (None, "")
    asked = mode == "presentation" and voi is None
    no_voi = ("neither VOI LUT nor window in the file: shown values are the stored ones",) if asked else ()
    grey = scale_grey(codes, tags, voi=voi, voi_source=voi_source)
    image, frame = blank_frame(grey.pixels)
    if not image.any():
        raise ExamError("all pixels are black (background); need a breast brighter than its background")
    if tagged.direction is None and mirrored_auto:
        faces, direction, doubts = decide_direction_auto(view, pixels=image, name=name)
    else:
        faces, direction, doubts = decide_direction(
            view, tagged=tagged.direction, tag_source=tagged.source, pixels=image, name=name
        )
    return Mammogram(
        image,
        view,
        name,
        faces,
        spacing_mm=spacing,
        pixel_mode=mode,
        decisions=(
            *find_phantom_mark(dataset),
            *tagged_view.decisions,
            *decoding,
            *grey.decisions,
            *frame,
            *tagged.decisions,
            *direction,
            *spacing_decisions,
        ),
        warnings=(*_tag_warnings(dataset, view), *no_voi, *grey.warnings, *doubts),
    )


def _tag_warnings(dataset: Dataset, view: View) -> list[str]:
    tilt = number(dataset, "PositionerPrimaryAngle")
    tilted = tilt is not None and abs(tilt) >= OBLIQUE_FROM
    found = {
        f"labelled {view.angle}, but taken at {tilt or 0:g} degrees": (
            tilt is not None and tilted != (view.angle == "MLO")
        ),
        "a digitised film: the models were trained on digital mammograms": is_digitised_film(dataset),
        "lossy compressed": text(dataset, "LossyImageCompression") == "01",
        "a breast implant is present": text(dataset, "BreastImplantPresent") == "YES",
        "a partial view of the breast": text(dataset, "PartialView") == "YES",
    }
    return [warning for warning, true in found.items() if true]


def _uid(dataset: Dataset, keyword: str) -> str:
    return str(value(dataset, keyword) or "").strip()
