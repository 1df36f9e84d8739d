"""Images as an observer sees them, for the benchmarks of the phantoms: brightness from 0 to 1, breast facing right."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

import fourview.phantom
from fourview.exam import View
from fourview.phantom import PhantomImage
from fourview.phantom.acquisition import read_stored

Light = NDArray[np.float32]
Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Seen:
    """One image.

    light   (rows, cols) float32 brightness in 0 to 1, as its reader hands it on
    breast  (rows, cols) bool: the largest bright region
    masks   of the findings, as many as the image has
    """

    view: View
    light: Light
    breast: Mask
    masks: tuple[Mask, ...]
    pixel_mm: float


def see(image: PhantomImage) -> Seen:
    """A phantom's image from its stored pixels alone, turned by the direction that the file states."""
    profile = image.acquired.profile
    flipped = image.faces == "left"
    light = as_light(read_stored(image.pixels, profile))
    light = turn(light) if flipped else light
    masks = tuple(turn(mask) if flipped else mask for mask in image.masks)
    breast = find_breast(light, pixel_mm=image.spacing_mm, black=not profile.film)
    return Seen(image.view, light, breast, masks, image.spacing_mm)


def turn(image: NDArray[T]) -> NDArray[T]:
    """Left becomes right."""
    return np.ascontiguousarray(image[:, ::-1])


def as_light(pixels: NDArray[Any]) -> Light:
    """Integers as shares of their range."""
    return np.asarray(pixels / np.float32(np.iinfo(pixels.dtype).max), np.float32)


def find_breast(light: Light, *, pixel_mm: float, black: bool) -> Mask:
    """The largest region that is brighter than air, letters and labels cut off.

    black  air is exactly 0; otherwise the border between dark and bright is found (Otsu 1979), and a quarter of
           it taken, as the rim of the breast is darker than that
    """
    if black:
        bright = (light > 0).astype(np.uint8)
    else:
        grey = np.rint(255 * cv2.GaussianBlur(light, (0, 0), 0.6 / pixel_mm)).astype(np.uint8)
        air = int(np.argmax(np.bincount(grey.ravel(), minlength=256)[:128]))
        middle, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        bright = (grey > air + max(4, (middle - air) / 4)).astype(np.uint8)
    opened = cv2.morphologyEx(bright, cv2.MORPH_OPEN, disc(3.0, pixel_mm))
    count, labels, found, _ = cv2.connectedComponentsWithStats(opened)
    if count < 2:
        return np.zeros(light.shape, np.bool_)
    return np.asarray(labels == 1 + np.argmax(found[1:, cv2.CC_STAT_AREA]))


def disc(radius_mm: float, pixel_mm: float) -> NDArray[np.uint8]:
    """A kernel for morphology, at least 3 x 3."""
    reach = max(1, round(radius_mm / pixel_mm))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)), np.uint8)


def erode(breast: Mask, by_mm: float, pixel_mm: float) -> Mask:
    """The inside of the breast, this far from its border; the edges of the image are no border."""
    far = cv2.distanceTransform(np.pad(breast.astype(np.uint8), 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(far * pixel_mm > by_mm)


def digest_sources() -> str:
    """SHA-256 of the phantoms' code and recipes: results are of this generator, bit by bit."""
    found = hashlib.sha256()
    folder = Path(fourview.phantom.__file__).parent
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".py", ".toml")):
        found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()
