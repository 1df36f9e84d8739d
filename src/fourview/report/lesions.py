"""LESIONS.csv: where the lesions are, as masks, boxes or circles in source pixels, checked row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.columns import LINE, CsvTable
from fourview.exam import Box, SetupError, View

BOX = ("top", "bottom", "left", "right")
CIRCLE = ("row", "col", "radius")
_MOST_OF_IMAGE = 0.5  # a mask that is larger is more likely inverted than a lesion


@dataclass(frozen=True)
class Circle:
    """All pixels whose centre is at most `radius` from (row, col); source pixels, pixel centres at whole numbers."""

    row: float
    col: float
    radius: float


@dataclass(frozen=True)
class Lesion:
    """One finding as it is seen in one image.

    exam       as the table names it: the exam's id in readings.csv, or what that is a hash of
    finding    its name within the exam, the same in CC and MLO
    region     a box, a circle, or the path of a mask: a PNG of the source image's size, not 0 where the lesion is
    view, file the image it is in, by its view, its name in the reading, or both
    line       of LESIONS.csv, the header being line 1
    """

    exam: str
    finding: str
    malignant: bool
    region: Box | Circle | Path
    view: View | None
    file: str | None
    line: int

    @property
    def image(self) -> str:
        """What the table says of the image: its view, its file, or both."""
        return " ".join(text for text in (self.view, self.file) if text)


def load_lesions(path: Path) -> tuple[Lesion, ...]:
    """The rows of LESIONS.csv, in its order.

    exam       the exam's id in readings.csv, or the study id or name that it is a hash of
    view       L-CC ...; file  the image's name in the reading, needed where the exam has several images of a view
    finding    a name: rows of one exam with the same name are one finding, seen in several images
    malignant  0 or 1
    and one of
    mask                      path of a PNG, from the folder of LESIONS.csv on
    top bottom left right     box, half-open, whole source pixels
    row col radius            circle, source pixels counted from the top and the left

    Other columns are ignored. Raises SetupError, with the line, for anything missing, contradictory or out of range.
    """
    table = CsvTable.read(path)
    table.need("exam", "finding", "malignant")
    views, malignant = table.views(), table.truths("malignant")
    table.refuse(malignant.is_null(), "malignant: found {}; need 0 or 1", "malignant")
    lesions = []
    for row, view, yes in zip(table.frame.iter_rows(named=True), views, malignant, strict=True):
        cells = {name: str(value or "") for name, value in row.items()}
        try:
            lesions.append(
                Lesion(
                    _need(cells, "exam"),
                    _need(cells, "finding"),
                    yes == 1,
                    read_region(cells, path.parent),
                    View(view) if view else None,
                    None if view and not cells.get("file") else _need(cells, "file"),
                    row[LINE],
                )
            )
        except ValueError as error:
            raise SetupError(f"{path}, line {row[LINE]}: {error}") from error
    _check_together(path, lesions)
    return tuple(lesions)


def _need(cells: dict[str, str], name: str) -> str:
    if not cells.get(name):
        raise ValueError(f"{name} is empty; need one" + (", or a view" if name == "file" else ""))
    return cells[name]


class Region:
    """The pixels of one lesion in one image, and whether a place lies in them.

    Raises SetupError if the region does not fit an image of `shape`, or a mask is missing, empty or inverted.
    """

    def __init__(self, lesion: Lesion, shape: tuple[int, int]) -> None:
        self._region = lesion.region
        where = f"LESIONS line {lesion.line}, exam {lesion.exam} {lesion.image}"
        rows, cols = shape
        if isinstance(lesion.region, Path):
            self._pixels = np.argwhere(_load_mask(lesion.region, shape, where))
        elif isinstance(lesion.region, Box):
            box = lesion.region
            if box.bottom > rows or box.right > cols:
                raise SetupError(
                    f"{where}: found a box down to row {box.bottom} and column {box.right}; need it inside the source "
                    f"image of {rows} x {cols}"
                )
        elif lesion.region.row > rows - 1 or lesion.region.col > cols - 1:
            circle = lesion.region
            raise SetupError(
                f"{where}: found a circle around row {circle.row:g}, column {circle.col:g}; need it inside the source "
                f"image of {rows} x {cols}"
            )

    def distance(self, row: float, col: float) -> float:
        """How far a place is from the nearest pixel of the region, in pixels; 0 in the region."""
        if isinstance(self._region, Box):
            down = max(self._region.top - row, 0.0, row - (self._region.bottom - 1))
            across = max(self._region.left - col, 0.0, col - (self._region.right - 1))
            return math.hypot(down, across)
        if isinstance(self._region, Circle):
            return max(0.0, math.hypot(row - self._region.row, col - self._region.col) - self._region.radius)
        return float(np.hypot(self._pixels[:, 0] - row, self._pixels[:, 1] - col).min())


def _load_mask(path: Path, shape: tuple[int, int], where: str) -> NDArray[np.bool_]:
    try:
        pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    except (OSError, cv2.error) as error:
        raise SetupError(f"{where}: mask {path} cannot be read ({error}); need a PNG") from error
    if pixels is None:
        raise SetupError(f"{where}: mask {path} is no picture; need a PNG")
    inside = np.asarray(pixels[..., :3].any(axis=2) if pixels.ndim == 3 else pixels != 0)  # a fourth channel is opacity
    if inside.shape != shape:
        raise SetupError(
            f"{where}: mask {path} has {inside.shape[0]} x {inside.shape[1]} pixels; need those of the source image, "
            f"{shape[0]} x {shape[1]}"
        )
    share = float(inside.mean())
    if not 0 < share <= _MOST_OF_IMAGE:
        raise SetupError(
            f"{where}: mask {path} marks {100 * share:.1f} % of the image; need a lesion that is not 0 on 0, "
            f"at most {100 * _MOST_OF_IMAGE:.0f} %"
        )
    return inside


def read_region(cells: Mapping[str, str], folder: Path) -> Box | Circle | Path:
    """The box, circle or path of a mask that a row gives; paths begin at `folder`. Raises ValueError."""
    given = [names for names in (("mask",), BOX, CIRCLE) if any(cells.get(name) for name in names)]
    if len(given) != 1:
        found = " and ".join(" ".join(names) for names in given) or "none"
        raise ValueError(f"found {found}; need one of: mask; {' '.join(BOX)}; {' '.join(CIRCLE)}")
    empty = [name for name in given[0] if not cells.get(name)]
    if empty:
        raise ValueError(f"{', '.join(empty)} is empty; need all of {' '.join(given[0])}")
    if given[0] == ("mask",):
        return folder / cells["mask"]
    numbers = {name: _read_number(name, cells[name]) for name in given[0]}
    if given[0] == CIRCLE:
        if numbers["radius"] <= 0:
            raise ValueError(f"radius is {numbers['radius']:g}; need more than 0")
        return Circle(**numbers)
    fractions = [name for name in BOX if numbers[name] != int(numbers[name])]
    if fractions:
        raise ValueError(f"{fractions[0]} is {cells[fractions[0]]}; need whole pixels")
    box = Box(*(int(numbers[name]) for name in BOX))
    if box.height <= 0 or box.width <= 0:
        raise ValueError(
            f"found a box of {box.height} rows (bottom - top) and {box.width} columns (right - left); "
            "need 1 or more of each"
        )
    return box


def _read_number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{name} is {text!r}; need a number of pixels, 0 or more")
    return number


def _check_together(path: Path, lesions: list[Lesion]) -> None:
    """Nothing, if each finding is in an image once, and all its rows agree on malignancy. Raises SetupError."""
    seen: dict[tuple[str, str, str], int] = {}
    kinds: dict[tuple[str, str], Lesion] = {}
    for lesion in lesions:
        before = seen.setdefault((lesion.exam, lesion.finding, lesion.image), lesion.line)
        if before != lesion.line:
            raise SetupError(
                f"{path}, line {lesion.line}: finding {lesion.finding} of exam {lesion.exam} in {lesion.image} "
                f"a second time (line {before}); need one row per finding and image, or another name"
            )
        first = kinds.setdefault((lesion.exam, lesion.finding), lesion)
        if first.malignant != lesion.malignant:
            raise SetupError(
                f"{path}, line {lesion.line}: finding {lesion.finding} of exam {lesion.exam} is malignant "
                f"{int(lesion.malignant)}, in line {first.line} {int(first.malignant)}; need the same"
            )
