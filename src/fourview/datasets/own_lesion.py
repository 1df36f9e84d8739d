"""The lesion of one row of a user's table: a mask picture, a box or a circle, in source pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import get_args

from fourview.datasets.record import LESION_KINDS, Circle, Lesion, LesionKind, MaskFile, Pathology, Region
from fourview.exam import Box, ExamError

_BOX, _CIRCLE = ("top", "bottom", "left", "right"), ("row", "col", "radius")
LESION_COLUMNS = ("lesion", "kind", "pathology", "mask", *_BOX, *_CIRCLE)
_KINDS: dict[str, LesionKind] = {kind: kind for kind in LESION_KINDS}
_PATHOLOGIES: dict[str, Pathology] = {word: word for word in get_args(Pathology)}
Row = Mapping[str, str]


def read_lesion(row: Row, name: str, root: Path) -> Lesion | None:
    """The lesion of a row; None where all its columns are blank.

    name  of a lesion that the row does not name;  root  the folder that mask paths are relative to
    Raises ExamError for a region that is half given, given twice, or has no area.
    """
    if not any(row.get(column) for column in LESION_COLUMNS):
        return None
    kind, pathology = row.get("kind", "").lower() or "other", row.get("pathology", "").lower() or "unknown"
    if kind not in _KINDS or pathology not in _PATHOLOGIES:
        raise ExamError(
            f"found kind {kind!r} and pathology {pathology!r}; need one of {', '.join(_KINDS)}, and one of "
            f"{', '.join(_PATHOLOGIES)}"
        )
    given = [found for found in (_mask(row, root), _box(row), _circle(row)) if found is not None]
    if len(given) > 1:
        raise ExamError("found several regions for one lesion, need a mask, a box or a circle")
    return Lesion(row.get("lesion") or name, _KINDS[kind], _PATHOLOGIES[pathology], region=given[0] if given else None)


def _mask(row: Row, root: Path) -> Region | None:
    if not (file := row.get("mask", "")):
        return None
    place = PurePosixPath(file)
    if "\\" in file:
        raise ExamError(f"found the mask {file!r}, need / between folders")
    if place.is_absolute() or ".." in place.parts or real_file(root, file) is None:
        raise ExamError(f"found the mask {file!r}, need a picture that is there, below the folder")
    return MaskFile(root / place)


def real_file(root: Path, cell: str) -> Path | None:
    """The file that a cell names, links followed; None for what is no file, and no name that a file could have."""
    try:
        path = (root / cell).resolve(strict=True)
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a NUL byte
        return None


def _box(row: Row) -> Region | None:
    if not any(row.get(column) for column in _BOX):
        return None
    sides = [number_in(row, column, -1e5, 1e5) for column in _BOX]
    top, bottom, left, right = (0 if side is None else round(side) for side in sides)
    if None in sides or not (top < bottom and left < right):
        raise ExamError("found a box without all of top < bottom and left < right, need the four of them")
    return Box(top, bottom, left, right)


def _circle(row: Row) -> Region | None:
    if not any(row.get(column) for column in _CIRCLE):
        return None
    centre_row, col, radius = (number_in(row, column, -1e5, 1e5) for column in _CIRCLE)
    if centre_row is None or col is None or radius is None or radius <= 0:
        raise ExamError("found a circle without row, col and a radius above 0, need the three of them")
    return Circle(centre_row, col, radius)


def number_in(row: Row, column: str, low: float, high: float) -> float | None:
    """The number in a cell; None where it is blank. Raises ExamError for a word, or beyond low to high."""
    if not (cell := row.get(column, "")):
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ExamError(f"found {column} {cell!r}, need a number from {low:g} to {high:g}")
    return value
