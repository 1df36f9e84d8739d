"""Calcifications, by the words for their type and their distribution.

Each one is a small thing at a place in three dimensions; both views show the same ones. What the types look like
is in specks.py.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView
from fourview.phantom.solid import draw_turns
from fourview.phantom.specks import TYPES, near_way

Points = NDArray[np.float64]
_AROUND_MM = 0.6  # of tissue that belongs to a group, beyond its outermost specks


def light_calcifications(
    local: LocalView,
    *,
    calc_type: str,
    distribution: str | None,
    radius_mm: float,
    towards_nipple: tuple[float, float, float],
    key: int,
) -> tuple[Image, NDArray[np.bool_]]:
    """(brightness to add, up to about 1 in a speck; the region of the group), both (n, n).

    distribution    None: as is usual for the type
    radius_mm       of a cluster; other distributions take about the same area in another form, or more
    towards_nipple  unit vector in the axes of the finding

    The region is the disc that holds a cluster, and the hull of any other group.
    """
    rng = np.random.default_rng([key, 2])
    if distribution is None:
        distribution = _USUAL.get(calc_type, "clustered")
    canvas = np.zeros((local.n, local.n), np.float32)
    way = np.array(towards_nipple)
    n = _count(rng, calc_type, distribution)
    places = _PLACES[distribution](rng, n, way) * radius_mm
    ends = TYPES[calc_type](canvas, local, places, rng, way)
    x, y = local.project(ends)
    if distribution == "clustered" and float(np.hypot(x, y).max()) < 1.3 * radius_mm:
        return canvas, local.distance_mm <= radius_mm + 0.5 * local.pixel_mm
    return canvas, _hull(local, x, y)


REACH = 3.2  # radii from the middle to the last speck of a scattered group, without its size
REACH_MM = 32.0  # and of the long things (vessels, rods), whatever the radius

_USUAL = {
    "vascular": "linear",
    "large rodlike": "segmental",
    "lucent centered": "diffusely scattered",
    "round and regular": "diffusely scattered",
    "skin": "regional",
}
_COUNTS = {  # of a cluster
    "amorphous": (18, 34),
    "coarse": (1, 3),
    "dystrophic": (2, 5),
    "eggshell": (1, 2),
    "fine linear branching": (7, 14),
    "large rodlike": (4, 8),
    "lucent centered": (2, 5),
    "milk of calcium": (7, 14),
    "pleomorphic": (10, 24),
    "punctate": (8, 18),
    "round and regular": (6, 12),
    "skin": (4, 9),
    "vascular": (1, 2),
}


def _count(rng: np.random.Generator, calc_type: str, distribution: str) -> int:
    low, high = _COUNTS[calc_type]
    more = {"clustered": 1.0, "linear": 1.0, "segmental": 1.3, "regional": 1.4, "diffusely scattered": 1.3}
    return max(1, round(int(rng.integers(low, high)) * (1.0 if high <= 3 else more[distribution])))


# where they lie: (n, 3) in radii, around the middle of the group


def _clustered(rng: np.random.Generator, n: int, way: Points) -> Points:
    """In a ball, in a few clumps."""
    return 0.86 * _ball(rng, n)


def _ball(rng: np.random.Generator, n: int) -> Points:
    places = rng.standard_normal((n, 3))
    return np.asarray(places * (rng.random((n, 1)) ** 0.45 / np.linalg.norm(places, axis=1, keepdims=True)))


def _linear(rng: np.random.Generator, n: int, way: Points) -> Points:
    """In a line, as in one duct."""
    along = np.sort(rng.uniform(-2.1, 2.1, n))
    axis = near_way(rng, way, 0.35)
    bend = np.cross(axis, rng.standard_normal(3)) * rng.normal(0, 0.12)
    return along[:, None] * axis + (along**2 - 1.4)[:, None] * bend + rng.normal(0, 0.11, (n, 3))


def _segmental(rng: np.random.Generator, n: int, way: Points) -> Points:
    """In a wedge that points to the nipple, as the ducts of one lobe lie."""
    axis = near_way(rng, way, 0.15)
    along = 1.8 - 3.2 * rng.random(n) ** 0.62  # more of them far from the tip, where the wedge is wide
    wide = 0.16 + 0.28 * (1.8 - along)
    return along[:, None] * axis + _ball(rng, n) * wide[:, None]


def _regional(rng: np.random.Generator, n: int, way: Points) -> Points:
    """In a large part of the breast that follows no duct."""
    axes = rng.uniform(0.9, 1.8, 3)
    return np.asarray(_ball(rng, n) * axes @ draw_turns(rng, 1)[0].T)


def _scattered(rng: np.random.Generator, n: int, way: Points) -> Points:
    """Far apart."""
    return 2.6 * _ball(rng, n)


_PLACES: dict[str, Callable[[np.random.Generator, int, Points], Points]] = {
    "clustered": _clustered,
    "linear": _linear,
    "segmental": _segmental,
    "regional": _regional,
    "diffusely scattered": _scattered,
}


def _hull(local: LocalView, x: Points, y: Points) -> NDArray[np.bool_]:
    """The convex hull of points in mm, with a little tissue around."""
    around = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    x = (x[:, None] + _AROUND_MM * np.cos(around)).ravel() / local.pixel_mm + (local.col - local.left)
    y = (y[:, None] + _AROUND_MM * np.sin(around)).ravel() / local.pixel_mm + (local.row - local.top)
    hull = cv2.convexHull(np.stack([x, y], axis=1).astype(np.float32))
    mask = np.zeros((local.n, local.n), np.uint8)
    cv2.fillConvexPoly(mask, np.round(hull * 16).astype(np.int32), 1, cv2.LINE_8, 4)
    return mask > 0
