"""The outlines of INbreast: XML property lists of OsiriX, one per image with a finding (Moreira et al. 2012)."""

from __future__ import annotations

import plistlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fourview.datasets.record import Circle, Lesion, LesionKind, Polygon, Region
from fourview.exam import ExamError

DOT_RADIUS_PX = 4  # a calcification marked by a click, without an outline
_POINT = re.compile(r"[({]\s*([-+.\deE]+)\s*,\s*([-+.\deE]+)\s*[)}]")
_KINDS: dict[str, LesionKind] = {
    "mass": "mass",
    "calcification": "calcification",
    "calcifications": "calcification",
    "cluster": "calcification",
    "distortion": "distortion",
    "asymmetry": "asymmetry",
    "assymetry": "asymmetry",
    "spiculated region": "other",  # the spicules around a mass, which has an outline of its own
    "espiculated region": "other",
}
_MUSCLE = "pectoral muscle"
_MEANINGLESS = re.compile(r"|unnamed|point \d+")


@dataclass(frozen=True)
class Annotation:
    """What the XML file of an image holds. ignored: outlines without a meaningful name."""

    lesions: tuple[Lesion, ...] = ()
    muscle: Polygon | None = None
    ignored: int = 0
    warnings: tuple[str, ...] = ()


def read_annotation(path: Path, image: str) -> Annotation:
    """The outlines of AllXML/{image}.xml. Raises ExamError if the file cannot be understood.

    An outline of one or two points is a click on a calcification: a disc of 4 pixels around it. Names are free text;
    one that is not known becomes the kind "other", with a warning.
    """
    lesions, warnings, muscle, ignored = [], [], None, 0
    for number, roi in enumerate(_rois(path), start=1):
        name = str(roi.get("Name") or "").strip()
        word = " ".join(name.lower().split())
        if _MEANINGLESS.fullmatch(word):
            ignored += 1
            continue
        points = _points(roi.get("Point_px"), path.name, number)
        if word == _MUSCLE:
            muscle = Polygon(points)
            continue
        if word not in _KINDS:
            warnings.append(f"{path.name}: unknown outline name {name!r}, kept as 'other'")
        lesions.append(
            Lesion(f"{image}-{number}", _KINDS.get(word, "other"), region=_region(points), descriptors={"name": name})
        )
    return Annotation(tuple(lesions), muscle, ignored, tuple(dict.fromkeys(warnings)))


def read_muscle(path: Path) -> Polygon:
    """The outline of the pectoral muscle, in either of the two forms that the set has. Raises ExamError.

    One form is that of the findings, named "Pectoral Muscle"; the other has a list ROIPoints of "{x, y}".
    """
    content = _load(path)
    listed = _find_key(content, "ROIPoints")
    if listed is None:
        rois = _rois(path)
        if len(rois) != 1:
            raise ExamError(f"{path.name}: found {len(rois)} outlines, need the one of the pectoral muscle")
        listed = rois[0].get("Point_px")
    points = _points(listed, path.name, 1)
    if len(points) < 3:
        raise ExamError(f"{path.name}: found {len(points)} points, need an outline")
    return Polygon(points)


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return plistlib.load(file)
    except Exception:  # the parser raises nearly anything on a broken file
        raise ExamError(f"{path.name}: no property list of OsiriX, or cut off; need the whole file") from None


def _rois(path: Path) -> Sequence[Mapping[str, Any]]:
    try:
        image = _load(path)["Images"][0]
        rois: list[Mapping[str, Any]] = list(image["ROIs"])
    except (KeyError, IndexError, TypeError):
        raise ExamError(f"{path.name}: no list Images[0].ROIs, need the outlines as OsiriX writes them") from None
    announced = image.get("NumberOfROIs", len(rois))
    if announced != len(rois) or not all(isinstance(roi, Mapping) for roi in rois):
        raise ExamError(f"{path.name}: it announces {announced} outlines and holds {len(rois)}")
    return rois


def _find_key(content: Any, key: str) -> Any:
    """The first value under that key, at any depth; None without one."""
    if isinstance(content, Mapping):
        if key in content:
            return content[key]
        content = list(content.values())
    if isinstance(content, list):
        return next((found for part in content if (found := _find_key(part, key)) is not None), None)
    return None


def _points(words: Any, name: str, number: int) -> tuple[tuple[float, float], ...]:
    """(row, col) of strings "(x, y)": x is the column, y the row from the top."""
    matches = [_POINT.fullmatch(str(word).strip()) for word in words] if isinstance(words, list) else []
    try:
        points = tuple((float(match[2]), float(match[1])) for match in matches if match)
    except ValueError:
        points = ()
    if not points or len(points) != len(matches):
        raise ExamError(f"{name}, outline {number}: need points such as '(2070.5, 1411.0)'")
    return points


def _region(points: tuple[tuple[float, float], ...]) -> Region:
    if len(points) > 2:
        return Polygon(points)
    rows, cols = zip(*points, strict=True)
    return Circle(sum(rows) / len(rows), sum(cols) / len(cols), DOT_RADIUS_PX)
