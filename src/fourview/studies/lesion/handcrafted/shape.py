"""Size and shape of a lesion in numbers, from its outline alone.

Methods. Normalised radial length: Kilday, Palmieri and Fox 1993. Fourier descriptors of the outline: Persoon and Fu
1977. Fractal dimension: box counting of the outline. The outline is the mask's border, evenly sampled and smoothed, so
that steps between pixels do not count; a disc's perimeter and a square's area come out as they should.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from fourview.exam import ExamError

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
POINTS = 512  # of an outline
_SMOOTH_PX = 1.5
_BINS = 20  # of radial lengths from 0 to 1
_LEVEL = 0.01  # of the longest radius: less is no crossing
_DENT = 0.03  # of the equivalent diameter: less is no dent
_HARMONICS = (-5, -4, -3, -2, -1, 2, 3, 4, 5, 6)
_BOXES_PX = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, eq=False)
class Outline:
    """The border of the largest piece of a mask, without its holes.

    filled   (rows, cols) bool: the piece;  points  (POINTS, 2) x, y of pixel centres, evenly along the border
    centre   (2,) x, y of its middle;  length  px
    """

    filled: Mask
    points: Floats
    centre: Floats
    length: float

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.filled.sum())

    @property
    def radius(self) -> float:
        """Of a disc of this area, px."""
        return float(np.sqrt(self.area / np.pi))


def trace_outline(mask: Mask) -> Outline:
    """The outline of a mask. Raises ExamError if it is empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.pad(mask.astype(np.uint8), 1), connectivity=8)
    if count < 2:
        raise ExamError("lesion: found an empty mask; need an outline")
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    own = (labels == largest).astype(np.uint8)
    contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(own), contours, -1, 1, cv2.FILLED)[1:-1, 1:-1] > 0
    rows, cols = np.nonzero(filled)
    centre = np.array([cols.mean(), rows.mean()])
    border = max(contours, key=len).reshape(-1, 2).astype(np.float64) - 1
    points = _space_evenly(_smooth(_space_evenly(border)))  # steps between pixels are too long off the axes
    length = _length(points) + np.pi  # pixel centres lie half a pixel inside the border
    return Outline(filled, points, centre, length)


def measure_shape(outline: Outline, *, unit: float) -> dict[str, float]:
    """Name -> number. unit: length of a pixel's side in mm, or in pixels of the file where that is unknown.

    With the outline turned by 90 degrees or mirrored the numbers are the same, but for the sampling of the border.
    """
    area, diameter = outline.area, 2 * outline.radius
    hull = _find_hull(outline.filled)
    hull_area = float(cv2.contourArea(hull.astype(np.float32)))
    longest, narrowest = _calipers(hull)
    rows, cols = (np.nonzero(outline.filled.any(axis=axis))[0] for axis in (1, 0))
    box = (rows[-1] - rows[0] + 1) * (cols[-1] - cols[0] + 1)
    return {
        "area": area * unit**2,
        "log diameter": float(np.log(diameter * unit)),
        "equivalent diameter": diameter * unit,
        "perimeter": outline.length * unit,
        "longest diameter": longest * unit,
        "narrowest width": narrowest * unit,
        "elongation": longest / narrowest,
        "compactness": 4 * np.pi * area / outline.length**2,
        "eccentricity": _eccentricity(outline.filled),
        "solidity": area / hull_area,
        "extent": area / float(box),
        **_measure_dents(outline, hull),
        **_measure_radii(outline),
        **dict(_describe_harmonics(outline.points)),
        "fractal dimension": _fractal_dimension(outline.filled),
    }


def _space_evenly(border: Floats) -> Floats:
    """(POINTS, 2) of a closed border of pixel centres, evenly along it."""
    if len(border) < 2:
        return np.repeat(border[:1], POINTS, axis=0)
    closed = np.concatenate([border, border[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    places = np.linspace(0, along[-1], POINTS, endpoint=False)
    return np.stack([np.interp(places, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def _smooth(points: Floats) -> Floats:
    step = _length(points) / POINTS
    if step == 0:
        return points
    return np.asarray(gaussian_filter1d(points, _SMOOTH_PX / step, axis=0, mode="wrap"), np.float64)


def _length(points: Floats) -> float:
    return float(np.hypot(*(np.roll(points, -1, axis=0) - points).T).sum())


def _find_hull(filled: Mask) -> Floats:
    """(corners, 2) x, y of the convex hull of the pixels' corners."""
    rows, cols = np.nonzero(filled)
    corners = np.concatenate([np.stack([cols + x, rows + y], axis=1) for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    return np.asarray(cv2.convexHull(corners.astype(np.float32)).reshape(-1, 2), np.float64)


def _calipers(hull: Floats) -> tuple[float, float]:
    """The longest diameter and the narrowest width (Feret) of a convex polygon."""
    longest = float(np.hypot(*(hull[:, None] - hull[None]).T).max())
    edges = np.roll(hull, -1, axis=0) - hull
    edges = edges[np.hypot(*edges.T) > 1e-9]
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1) / np.hypot(*edges.T)[:, None]
    return longest, float(np.ptp(hull @ normals.T, axis=0).min())


def _eccentricity(filled: Mask) -> float:
    """Of the ellipse with the same second moments; a pixel is a square, not a point."""
    moments = cv2.moments(filled.astype(np.uint8), binaryImage=True)
    own = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]]) / moments["m00"]
    small, large = np.linalg.eigvalsh(own + np.eye(2) / 12)
    return float(np.sqrt(max(0.0, 1 - small / large)))


def _measure_dents(outline: Outline, hull: Floats) -> dict[str, float]:
    """How deep and how many the dents are between outline and hull, in equivalent diameters."""
    corners = hull.astype(np.float32)
    inside = [cv2.pointPolygonTest(corners, (float(x), float(y)), True) for x, y in outline.points]
    depth = np.maximum(np.array(inside) - 0.5, 0) / (2 * outline.radius)  # pixel centres lie half a pixel inside
    dented = depth > _DENT
    return {
        "deepest dent": float(depth.max()),
        "mean dent": float(depth.mean()),
        "dents": float((dented & ~np.roll(dented, 1)).sum()),
    }


def _measure_radii(outline: Outline) -> dict[str, float]:
    """Of the distances from the middle along the border, in longest ones (normalised radial length)."""
    radii = np.hypot(*(outline.points - outline.centre).T)
    radii = radii / max(float(radii.max()), 1e-9)
    mean = float(radii.mean())
    off = radii - mean
    signs = np.sign(off[np.abs(off) > _LEVEL])
    shares = np.histogram(radii, _BINS, (0, 1 + 1e-9))[0] / POINTS
    shares = shares[shares > 0]
    return {
        "radius mean": mean,
        "radius sd": float(radii.std()),
        "radius entropy": float(-(shares * np.log2(shares)).sum()),
        "radius area ratio": float(np.maximum(off, 0).mean() / max(mean, 1e-9)),
        "radius roughness": float(np.abs(np.diff(radii, append=radii[:1])).sum()),
        "radius crossings": float((signs != np.roll(signs, 1)).sum()),
    }


def _describe_harmonics(points: Floats) -> Iterator[tuple[str, float]]:
    """Sizes of the harmonics of the border beside the first, which is a circle; where it begins does not matter."""
    harmonics = np.fft.fft(points[:, 0] + 1j * points[:, 1])
    first, last = np.abs(harmonics[1]), np.abs(harmonics[-1])
    sign = 1 if first >= last else -1  # borders run one way
    for number in _HARMONICS:
        yield f"harmonic {number}", float(np.abs(harmonics[sign * number]) / max(float(max(first, last)), 1e-9))


def _fractal_dimension(filled: Mask) -> float:
    """How the number of boxes that hold some of the border grows as they shrink: 1 for smooth ones, more for ragged."""
    border = filled & ~(cv2.erode(np.pad(filled.astype(np.uint8), 1), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0)
    most = _BOXES_PX[-1]
    rows, cols = (-(-size // most) * most for size in border.shape)
    padded = np.zeros((rows, cols), bool)
    padded[: border.shape[0], : border.shape[1]] = border
    counts = [padded.reshape(rows // px, px, cols // px, px).any(axis=(1, 3)).sum() for px in _BOXES_PX]
    return float(-np.polyfit(np.log(_BOXES_PX), np.log(counts), 1)[0])
