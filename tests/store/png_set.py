"""A small set of drawn breasts as PNG files, with lesions whose brightest pixel is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.reading import load_record
from fourview.datasets.record import Box, Circle, Dataset, ImageRecord, Lesion, Listing, MaskFile, Polygon, Region
from fourview.exam import Side
from fourview.store.prepare_image import CropSettings

ROWS, COLS = 300, 240
CROP = CropSettings(iterations=10, buffer_px=8)
LIST = "set.json"
SPOT = (170, 60)  # of the lesion in a left image, source pixels; a right one is the mirror image


def draw_breast(*, right: bool, seed: int, spot: bool = True, bits: int = 16, gap: int = 0) -> NDArray[np.generic]:
    """A half ellipse at the chest wall, with grain, one brightest pixel and darkness of exactly 0 around it."""
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:ROWS, :COLS]
    inside = ((rows - 150) / 120) ** 2 + ((cols - gap) / 150) ** 2 <= 1
    inside &= cols >= gap
    top = 200 if bits == 8 else 60000
    image = np.where(inside, rng.integers(top // 4, top // 2, (ROWS, COLS)), 0)
    if spot:
        image[SPOT] = top
    return (image[:, ::-1] if right else image).astype(np.uint8 if bits == 8 else np.uint16)


def spot_of(side: Side) -> tuple[int, int]:
    """Where the lesion's brightest pixel is in the file."""
    return (SPOT[0], COLS - 1 - SPOT[1]) if side is Side.RIGHT else SPOT


def region_of(kind: str, side: Side, folder: Path) -> Region:
    """A small, lopsided outline that holds the spot, in source pixels."""
    row, col = spot_of(side)
    towards = -1 if side is Side.RIGHT else 1  # the nipple
    if kind == "circle":
        return Circle(row + 2, col + 3 * towards, 6)
    if kind == "box":
        far = col + 15 * towards
        return Box(row - 3, row + 9, min(col, far), max(col, far) + 1)
    if kind == "polygon":
        return Polygon(((row - 2, col - towards), (row + 12, col - towards), (row - 2, col + 20 * towards)))
    mask = np.zeros((ROWS, COLS), np.uint8)
    mask[row - 2 : row + 12, min(col, col + 9 * towards) : max(col, col + 9 * towards) + 1] = 255
    path = folder / f"mask_{side}.png"
    cv2.imwrite(str(path), mask)
    return MaskFile(path)


@dataclass(frozen=True)
class Drawn:
    """One image to write. kind: of the lesion's outline, "" for none."""

    exam: str
    view: str
    kind: str = "circle"


def write_set(folder: Path, images: list[Drawn]) -> Path:
    """The folder with the images and their list."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, drawn in enumerate(images):
        pixels = draw_breast(right=drawn.view.startswith("R"), seed=number)
        cv2.imwrite(str(folder / f"{drawn.exam}_{drawn.view}.png"), pixels)
    listed = [{"exam": d.exam, "view": d.view, "kind": d.kind} for d in images]
    (folder / LIST).write_text(json.dumps(listed))
    return folder


def four_views(exams: int) -> list[Drawn]:
    """Whole exams e0, e1 ..."""
    return [Drawn(f"e{n}", view) for n in range(exams) for view in ("L-CC", "R-CC", "L-MLO", "R-MLO")]


def find(root: Path) -> Listing:
    """The records of a folder that write_set wrote."""
    return Listing(tuple(record_of(root, item) for item in json.loads((root / LIST).read_text())))


def record_of(root: Path, item: dict[str, str]) -> ImageRecord:
    """One record; the keys of `item` beyond exam, view and kind are fields of the record."""
    side, _, angle = item["view"].partition("-")
    lesions: tuple[Lesion, ...] = ()
    if item.get("kind"):
        region = region_of(item["kind"], Side(side), root)
        lesions = (Lesion("mass-1", "mass", pathology="malignant", region=region, descriptors={"shape": "ROUND"}),)
    more = {key: value for key, value in item.items() if key not in ("exam", "view", "kind")}
    name = f"{item['exam']}_{item['view']}"
    fields = {"patient": item["exam"], "malignant": bool(lesions), "birads": "4a"} | more
    return ImageRecord(
        "drawn",
        exam=item["exam"],
        image=name,
        path=root / f"{name}.png",
        side=Side(side),
        angle=angle,
        lesions=lesions,
        **fields,  # type: ignore[arg-type]
    )


DATASET = Dataset(
    name="drawn",
    title="Drawn breasts",
    has="drawn breasts with one lesion",
    terms="none",
    source="this file",
    read_here="all of it",
    find=find,
    load=load_record,
)
