"""A small set of drawn lesions in CC and MLO: smooth discs are benign, stars with spokes malignant."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile
from fourview.exam import Side
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store

ROWS, COLS, MIDDLE, RADIUS_PX = 200, 160, (100, 60), 18
SPACING_MM = 0.5


def draw_set(
    folder: Path,
    *,
    patients: int = 12,
    spacing_mm: float | None = SPACING_MM,
    planted: bool = True,
    official: tuple[str, ...] = (),
    views: tuple[str, ...] = ("CC", "MLO"),
    fooled: tuple[int, ...] = (),
    empty: tuple[int, ...] = (),
) -> Store:
    """A store of them; every second woman's lesion is malignant.

    planted   each lesion has the probability that its label was drawn with;  official  parts, in turn
    fooled    women whose lesion looks as the other class does;  empty  women whose image has one grey value
    """
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    records = [
        _record(
            number,
            angle,
            pictures,
            spacing_mm,
            official,
            planted=planted,
            fooled=number in fooled,
            flat=number in empty,
        )
        for number in range(patients)
        for angle in views
    ]
    dataset = Dataset("drawn", "Drawn", "", "none", "", "", find=lambda _: Listing(tuple(records)), load=load_record)
    prepare(dataset, pictures, folder / "store", crop=CropSettings(iterations=5, buffer_px=10))
    return Store.open(folder / "store")


def _record(
    number: int,
    angle: str,
    folder: Path,
    spacing_mm: float | None,
    official: tuple[str, ...],
    *,
    planted: bool,
    fooled: bool,
    flat: bool,
) -> ImageRecord:
    name, malignant = f"p{number:02d}-{angle}", number % 2 == 1
    pixels, mask = _draw(spiculated=malignant != fooled, seed=100 * number + len(angle), flat=flat)
    cv2.imwrite(str(folder / f"{name}.png"), pixels)
    cv2.imwrite(str(folder / f"{name}_mask.png"), mask.astype(np.uint8) * 255)
    words = {"shape": "irregular" if malignant else "oval", "pathology": "MALIGNANT" if malignant else "BENIGN"}
    words |= {"margins": "spiculated"} if number % 4 == 3 else {}  # said of some alone
    words |= {"assessment": "5" if malignant else "2", "subtlety": str(1 + number % 5)}
    words |= {"p_malignant": "0.9" if malignant else "0.1"} if planted else {}
    return ImageRecord(
        "drawn",
        patient=f"p{number:02d}",
        exam=f"p{number:02d}",
        image=name,
        path=folder / f"{name}.png",
        side=Side.LEFT,
        angle=angle,
        malignant=malignant,
        benign=not malignant,
        label_unit="breast",
        label_source="biopsy",
        spacing_mm=spacing_mm,
        density="ABCD"[number % 4],
        split=official[number % len(official)] if official else None,
        lesions=(
            Lesion(
                "one",
                "mass",
                pathology="malignant" if malignant else "benign",
                region=MaskFile(folder / f"{name}_mask.png"),
                descriptors=words,
            ),
        ),
    )


def _draw(*, spiculated: bool, seed: int, flat: bool) -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:ROWS, :COLS]
    inside = ((rows - ROWS / 2) / 90) ** 2 + (cols / 140) ** 2 <= 1
    if flat:
        mask = (rows - MIDDLE[0]) ** 2 + (cols - MIDDLE[1]) ** 2 < RADIUS_PX**2
        return np.where(inside, 9000, 0).astype(np.uint16), mask
    y, x = rows - MIDDLE[0] - rng.normal(), cols - MIDDLE[1] - rng.normal()
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + rng.uniform(0, 6)
    size = RADIUS_PX * rng.uniform(0.9, 1.1)
    wave = 0.35 if spiculated else 0.05
    mask = size * (1 + wave * np.cos(7 * angle)) > radius
    tissue = 9000 + 800 * gaussian_filter(rng.normal(size=(ROWS, COLS)), 2) * 6
    pixels = tissue + 9000 * gaussian_filter(mask.astype(float), 1.5)
    return np.where(inside, np.clip(pixels, 1000, 60000), 0).astype(np.uint16), mask
