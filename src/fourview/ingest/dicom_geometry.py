"""Where a DICOM mammogram says the breast points, and how large its pixels are."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from fourview.exam import Decision, Direction, ExamError, Side, View
from fourview.ingest.dicom_values import number, numbers, text, texts

PLAUSIBLE_MAGNIFICATION = (1.0, 1.2)  # of a contact view; some systems write pixel sizes into that tag


@dataclass(frozen=True)
class TaggedDirection:
    """What the tags say about the direction of the breast; direction None where they say nothing."""

    direction: Direction | None
    source: str
    decisions: tuple[Decision, ...] = ()


def read_direction(dataset: Dataset, view: View) -> TaggedDirection:
    """Where the nipple points according to PatientOrientation, else FieldOfViewHorizontalFlip.

    PatientOrientation names where the rows and the columns of pixels run to (PS3.3 C.7.6.1.1.1): rows towards
    anterior = the nipple is on the right of the image. Raises ExamError for an image that stands on its head
    or on its side: this reader never turns an image.
    """
    flip = text(dataset, "FieldOfViewHorizontalFlip")
    flip_decision = (Decision("FieldOfViewHorizontalFlip", flip, "FieldOfViewHorizontalFlip"),) if flip else ()
    words = texts(dataset, "PatientOrientation")
    if len(words) >= 2 and all(words[:2]):
        towards, down = words[:2]
        source = f"PatientOrientation {towards}\\{down}"
        if towards[0] not in "AP":
            raise ExamError(f"{source}: the rows run neither to anterior nor to posterior; need an upright image")
        _refuse_upside_down(view, down, source)
        return TaggedDirection("right" if towards[0] == "A" else "left", source, flip_decision)
    if flip not in ("", "NO", "YES"):
        raise ExamError(f"FieldOfViewHorizontalFlip holds {flip!r}, need YES or NO")
    usual = view.usual_direction
    opposite: Direction = "left" if usual == "right" else "right"
    if not flip:
        return TaggedDirection(None, "")
    return TaggedDirection(opposite if flip == "YES" else usual, f"FieldOfViewHorizontalFlip {flip}", flip_decision)


def _refuse_upside_down(view: View, down: str, source: str) -> None:
    """Raises ExamError if the columns run to the head, or to the outer side of the breast.

    Hanging convention: axilla at the top, so CC columns run from lateral to medial: to the patient's right in
    a left breast. MLO columns run to the feet and to the same inner side (FR, FL). A foot-ward direction alone is
    taken in either view, as some systems write it for CC too.
    """
    medial, lateral = ("R", "L") if view.side is Side.LEFT else ("L", "R")
    if "H" in down or lateral in down:
        raise ExamError(
            f"{source}: the image is upside down, or the side {view.side.value} is wrong; "
            f"need columns towards F or {medial}"
        )
    if "F" not in down and medial not in down:
        raise ExamError(f"{source}: found columns towards {down}, need F or {medial}")


def read_spacing(dataset: Dataset, *, override_mm: float | None = None) -> tuple[float | None, tuple[Decision, ...]]:
    """Pixel size in mm at the breast, with its source; None if the file does not say.

    ImagerPixelSpacing (at the detector) divided by the magnification factor where that is plausible, else
    PixelSpacing, else NominalScannedPixelSpacing (films). `override_mm` wins and is recorded. Raises ExamError
    if the pixels are not square.
    """
    from_file, source = _spacing_in_file(dataset)
    if override_mm is not None:
        said = f"{from_file:.6g} mm" if from_file else "nothing"
        return override_mm, (Decision("spacing", f"{override_mm:.6g} mm", f"option spacing_mm (the file says {said})"),)
    if from_file is None:
        return None, (Decision("spacing", "unknown", "the file does not say"),)
    return from_file, (Decision("spacing", f"{from_file:.6g} mm", source),)


def _spacing_in_file(dataset: Dataset) -> tuple[float | None, str]:
    aspect = numbers(dataset, "PixelAspectRatio")
    if len(aspect) == 2 and aspect[0] != aspect[1]:
        raise ExamError(f"PixelAspectRatio {aspect[0]:g}:{aspect[1]:g}: need square pixels")
    for keyword in ("ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"):
        found = numbers(dataset, keyword)
        if not found:
            continue
        if len(found) < 2 or min(found) <= 0 or abs(found[0] - found[1]) > 0.01 * found[0]:
            raise ExamError(f"{keyword} holds {', '.join(f'{v:g}' for v in found)}: need square pixels")
        if keyword != "ImagerPixelSpacing":
            return found[0], keyword
        factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
        if factor is None:
            return found[0], keyword
        if PLAUSIBLE_MAGNIFICATION[0] <= factor <= PLAUSIBLE_MAGNIFICATION[1]:
            return found[0] / factor, f"{keyword} / EstimatedRadiographicMagnificationFactor {factor:g}"
        return found[0], f"{keyword} (implausible EstimatedRadiographicMagnificationFactor {factor:g} not used)"
    return None, ""
