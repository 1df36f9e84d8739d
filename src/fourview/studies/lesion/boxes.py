"""BOXES.csv: which lesions are to be read, as boxes, circles or masks in source pixels, checked row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fourview.datasets.record import Circle, MaskFile, Region
from fourview.evaluate.columns import LINE, CsvTable
from fourview.exam import Box, SetupError, View
from fourview.report.lesions import read_region

_LESION = ("lesion", "finding")  # what its column may be called


@dataclass(frozen=True)
class BoxRow:
    """One lesion in one image.

    exam       as the exam is called in readings, or the study id or name that this is a hash of; "": any
    image      the image's name, also without its ending; "": the images of `view`
    lesion     its name: the same in two images of an exam is the same lesion
    region     in source pixels
    malignant  None: unknown;  kind  of lesion; "": not said
    line       of the file, the header being line 1
    """

    exam: str
    image: str
    view: View | None
    lesion: str
    region: Region
    malignant: bool | None
    line: int
    kind: str = ""

    @property
    def words(self) -> str:
        """Which one, for messages."""
        where = " ".join(text for text in (self.exam, self.image, self.view or "") if text)
        return f"line {self.line}, {where}, lesion {self.lesion}"

    def is_of(self, *, exams: tuple[str, ...], image: str, view: View) -> bool:
        """Whether it lies in this image. exams: all that its exam is called"""
        if self.exam and self.exam not in exams:
            return False
        named = not self.image or self.image in (image, image.rpartition(".")[0])
        return named and (self.view is None or self.view is view)


def load_boxes(path: Path) -> tuple[BoxRow, ...]:
    """The rows, in their order.

    image (or file)           the image's name, or
    exam and view             which image; exam may be left out where names of images are enough
    lesion (or finding)       its name within the exam
    top bottom left right     box, half-open, whole source pixels; or
    row col radius            circle; or
    mask                      path of a PNG of the image's size, from the folder of BOXES.csv on
    malignant                 0, 1, or nothing where it is unknown; the column may be left out
    kind                      of lesion, where it is known: mass ...; the column may be left out

    Other columns are ignored. Raises SetupError, with the line, for anything missing, contradictory or out of range.
    """
    table = CsvTable.read(path)
    named = [name for name in _LESION if name in table.columns]
    if not named:
        raise SetupError(f"{path}: found the columns {', '.join(table.columns)}; need lesion")
    views = table.views()
    truths = table.truths("malignant") if "malignant" in table.columns else [None] * table.frame.height
    rows = []
    for cells, view, truth in zip(table.frame.iter_rows(named=True), views, truths, strict=True):
        texts = {name: str(value or "") for name, value in cells.items()}
        try:
            rows.append(
                BoxRow(
                    texts.get("exam", ""),
                    texts.get("image", "") or texts.get("file", ""),
                    View(view) if view else None,
                    texts[named[0]],
                    _read_region(texts, path.parent),
                    None if truth is None else truth == 1,
                    cells[LINE],
                    texts.get("kind", ""),
                )
            )
            _check(rows[-1])
        except ValueError as error:
            raise SetupError(f"{path}, line {cells[LINE]}: {error}") from error
    _check_together(path, rows)
    return tuple(rows)


def _check(row: BoxRow) -> None:
    if not row.lesion:
        raise ValueError("lesion is empty; need a name")
    if not row.image and not (row.exam and row.view):
        raise ValueError("found no image; need its name, or an exam and a view")


def _check_together(path: Path, rows: list[BoxRow]) -> None:
    """Nothing, if each lesion is in an image once."""
    seen: dict[tuple[str, str, str, str], int] = {}
    for row in rows:
        before = seen.setdefault((row.exam, row.image, str(row.view), row.lesion), row.line)
        if before != row.line:
            raise SetupError(f"{path}, {row.words}: found a second time (line {before}); need one row per image")


def _read_region(cells: Mapping[str, str], folder: Path) -> Region:
    found = read_region(cells, folder)
    if isinstance(found, Path):
        return MaskFile(found)
    return found if isinstance(found, Box) else Circle(found.row, found.col, found.radius)
