"""Upstream's recorded results and the images that they were recorded on (see the shared folder's README)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Mammogram, View


@dataclass(frozen=True, eq=False)
class Goldens:
    folder: Path
    numbers: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @classmethod
    def read(cls, shared: Path) -> Goldens:
        folder = shared / "goldens"
        with np.load(folder / "upstream_exam1.npz") as arrays:
            return cls(folder, json.loads((folder / "upstream_exam1.json").read_text()), dict(arrays))


def read_png(path: Path) -> NDArray[Any]:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def half_ellipse(
    *, height: int, width: int, half_height: int, depth: int, center_row: int, line: bool = False, blob: bool = False
) -> NDArray[np.uint16]:
    """The synthetic images of the recording: a half ellipse at the left edge with a formula for its pixels."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    inside = (y - center_row) ** 2 * depth**2 + x**2 * half_height**2 <= half_height**2 * depth**2
    image = np.where(inside, 20000 + ((7 * x + 13 * y + ((x * y) % 911)) % 9000), 0).astype(np.uint16)
    if line:
        image[center_row - half_height // 2] = 30000
    if blob:
        image[100:400, width - 700 : width - 200] = 65535
    return image


def recorded_mammogram(goldens: Goldens, name: str) -> Mammogram:
    """The image behind one name of the recording: exam 1 (also mirrored, also wrongly flagged) or synthetic."""
    record = goldens.numbers["crop_and_center"][name]
    if name in goldens.numbers["synthetic"]:
        spec = goldens.numbers["synthetic"][name]
        pixels = half_ellipse(**spec["args"])
        mirrored = spec["mirrored"]
    else:
        stem = "1_L_CC" if "_L_" in name else "1_R_CC"
        pixels = read_png(goldens.folder.parent / f"data/nyu_sample_exams/dmv_cnn_partial/{stem}.png")
        mirrored = name.endswith("_flipped")
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == record["original_pixels_sha256"]
    return mammogram(pixels, record["full_view"], flip=record["horizontal_flip"], name=name)


def formula_heatmaps(shape: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(malignant, benign) of the recording, in the right-facing crop."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    benign = 0.5 + 0.5 * np.sin(y / 97) * np.cos(x / 53)
    malignant = 0.5 + 0.5 * np.cos(y / 61 + x / 151)
    return malignant.astype(np.float32), benign.astype(np.float32)


def mammogram(pixels: NDArray[Any], view: str, *, flip: str = "NO", name: str = "") -> Mammogram:
    """A mammogram with upstream's exam-wide flip flag."""
    usual = View(view).usual_direction
    opposite = "left" if usual == "right" else "right"
    return Mammogram(pixels, View(view), name or view, usual if flip == "NO" else opposite)
