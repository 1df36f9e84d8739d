"""A set of drawn breasts whose lesions have grey levels that tell their kind, and outlines without any symmetry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing, MaskFile
from fourview.exam import Side
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from fourview.train.recipe import Recipe

ROWS, COLS = 400, 320
SPACING_MM = 0.2
LEVELS = {"malignant": 60000, "benign": 45000, "distractor": 30000}  # tissue: 8,000 to 12,000
Drawn = dict[str, tuple[int, int]]  # kind of lesion -> (row, col) of its corner, in an image that faces right


@dataclass(frozen=True)
class Planted:
    """One image."""

    exam: str
    view: str
    lesions: Drawn


IMAGES = (
    Planted("e0", "L-CC", {"malignant": (120, 60)}),
    Planted("e0", "R-CC", {}),  # the other breast of a woman with a biopsy: no class takes it
    Planted("e1", "R-CC", {"benign": (220, 90), "distractor": (120, 40)}),
    Planted("e2", "R-MLO", {"malignant": (180, 50), "benign": (230, 130)}),
    Planted("e3", "L-CC", {}),
    Planted("e3", "R-MLO", {"distractor": (200, 100)}),
)


def draw_lesion() -> NDArray[np.bool_]:
    """An L with a long foot, seen from a breast that faces right."""
    shape = np.zeros((40, 56), bool)
    shape[:, :12] = True
    shape[28:, :] = True
    return shape


def make_store(out: Path, folder: Path, images: tuple[Planted, ...] = IMAGES) -> Store:
    """The images as a prepared store."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        pixels, masks = _draw(image, seed=number)
        pictures: dict[str, NDArray[Any]] = {"": pixels, **{f"_{kind}": mask for kind, mask in masks.items()}}
        for end, picture in pictures.items():
            path = folder / f"{image.exam}_{image.view}{end}.png"
            cv2.imwrite(str(path), picture[:, ::-1] if image.view[0] == "R" else picture)
    listing = Listing(tuple(_record(image, folder) for image in images))
    dataset = Dataset("planted", "Planted", "", "none", "", "", find=lambda _: listing, load=load_record)
    prepare(dataset, folder, out, crop=CropSettings(iterations=10, buffer_px=20))
    return Store.open(out)


def on_planted(recipe: Recipe, *settings: str) -> Recipe:
    """A recipe for these images, resampled to half their size and cut closer than they are stored."""
    return recipe.with_values(
        [
            "input.resample=always",
            "input.spacing_mm=0.4",
            "geometry.crop_iterations=5",
            "geometry.crop_buffer_px=4",
            "patches.side_px=[24, 40]",
            "patches.lesion_share=0.05",
            *settings,
        ]
    )


def _draw(image: Planted, *, seed: int) -> tuple[NDArray[np.uint16], dict[str, NDArray[np.uint8]]]:
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:ROWS, :COLS]
    inside = ((rows - 200) / 150) ** 2 + (cols / 230) ** 2 <= 1
    pixels = np.where(inside, rng.integers(8000, 12000, (ROWS, COLS)), 0).astype(np.uint16)
    masks = {}
    for kind, (top, left) in image.lesions.items():
        mask = np.zeros((ROWS, COLS), np.uint8)
        shape = draw_lesion()
        mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape * np.uint8(255)
        pixels[mask > 0] = LEVELS[kind]
        masks[kind] = mask
    return pixels, masks


def _record(image: Planted, folder: Path) -> ImageRecord:
    name = f"{image.exam}_{image.view}"
    side, _, angle = image.view.partition("-")
    kinds = [kind for kind in image.lesions if kind != "distractor"]
    return ImageRecord(
        "planted",
        patient=image.exam,
        exam=image.exam,
        image=name,
        path=folder / f"{name}.png",
        side=Side(side),
        angle=angle,
        malignant="malignant" in kinds if kinds else None,
        benign="benign" in kinds if kinds else None,
        label_unit="breast",
        label_source="biopsy",
        spacing_mm=SPACING_MM,
        lesions=tuple(
            Lesion(
                kind,
                "mass",
                pathology="malignant" if kind == "malignant" else "benign",
                region=MaskFile(folder / f"{name}_{kind}.png"),
                descriptors={"biopsied": "no" if kind == "distractor" else "yes"},
            )
            for kind in image.lesions
        ),
    )
