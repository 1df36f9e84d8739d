"""A body made of ellipsoids: what the beam has to pass through it, in either view.

The added brightness of a mass is proportional to the length of the beam inside it, so that it is brightest in the
middle and ends softly at a round border, as a body does and a disc does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView, open_view

Points = NDArray[np.float64]
_MLO_TILT = np.deg2rad(47)  # of a usual MLO view


@dataclass(frozen=True, eq=False)
class Solid:
    """The union of ellipsoids without its holes; mm in the axes of the finding.

    centres  (n, 3)
    forms    (n, 3, 3): a point p is inside when (p - centre) form (p - centre) <= 1
    holes    as many of the last ellipsoids are holes: fat that is cut out of the others
    """

    centres: Points
    forms: Points
    holes: int = 0

    def scaled(self, factor: float) -> Solid:
        return Solid(self.centres * factor, self.forms / factor**2, self.holes)

    def with_lobes(self, centres: Points, forms: Points) -> Solid:
        """The same with more ellipsoids, which holes cut as well."""
        full = len(self.centres) - self.holes
        return Solid(
            np.concatenate([self.centres[:full], centres, self.centres[full:]]),
            np.concatenate([self.forms[:full], forms, self.forms[full:]]),
            self.holes,
        )


def make_forms(axes: Points, turns: Points) -> Points:
    """(n, 3, 3) forms of ellipsoids with these half axes (n, 3), turned by rotations (n, 3, 3)."""
    return np.asarray(np.einsum("nij,nj,nkj->nik", turns, 1 / axes**2, turns))


def draw_turns(rng: np.random.Generator, n: int) -> Points:
    """(n, 3, 3) random rotations."""
    q, r = np.linalg.qr(rng.standard_normal((n, 3, 3)))
    return np.asarray(q * np.sign(np.einsum("nii->ni", r))[:, None, :])


def draw_directions(rng: np.random.Generator, n: int, *, jitter: float = 0.25) -> Points:
    """(n, 3) unit vectors spread over the sphere: a turned spiral, shaken by `jitter` of their distance."""
    k = np.arange(n) + 0.5
    polar, around = np.arccos(1 - 2 * k / n), np.pi * (1 + 5**0.5) * k
    places = np.stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], axis=1)
    places = places @ draw_turns(rng, 1)[0].T + rng.standard_normal((n, 3)) * jitter * 3.5 / n**0.5
    return np.asarray(places / np.linalg.norm(places, axis=1, keepdims=True))


def find_surface(solid: Solid, directions: Points) -> Points:
    """(n,) mm from the middle to where rays in these directions leave the body; 0 where they never enter it."""
    full = len(solid.centres) - solid.holes
    centres, forms = solid.centres[:full], solid.forms[:full]
    a = np.einsum("ri,nij,rj->rn", directions, forms, directions)
    b = np.einsum("ri,nij,nj->rn", directions, forms, centres)
    c = np.einsum("ni,nij,nj->n", centres, forms, centres) - 1
    inside = b**2 - a * c
    leaves = np.where(inside > 0, (b + np.sqrt(np.maximum(inside, 0))) / a, 0)
    return np.asarray(np.maximum(leaves.max(axis=1), 0))


def size_to(solid: Solid, radius_mm: float) -> Solid:
    """The solid at the size at which its outline has the area of a disc of this radius, on average of CC and MLO."""
    reach = float(np.max(find_surface(solid, draw_directions(np.random.default_rng(0), 60))) * 1.15)
    areas = []
    for tilt in (0.0, _MLO_TILT):
        coarse = open_view(tilt, x_mm=0.0, y_mm=0.0, reach_mm=reach, pixel_mm=reach / 20)
        areas.append(np.count_nonzero(measure_thickness(coarse, solid)) * coarse.pixel_mm**2)
    return solid.scaled(radius_mm / (sum(areas) / len(areas) / np.pi) ** 0.5)


def measure_thickness(local: LocalView, solid: Solid) -> Image:
    """(n, n) float32 mm of the beam that lie in the body."""
    top = np.full((local.n, local.n), -np.inf, np.float32)
    bottom = np.full((local.n, local.n), np.inf, np.float32)
    sections = _cut(local, solid)
    full = len(sections) - solid.holes
    for box, middle, half in sections[:full]:
        hit = half > 0
        np.maximum(top[box], np.where(hit, middle + half, -np.inf), out=top[box])
        np.minimum(bottom[box], np.where(hit, middle - half, np.inf), out=bottom[box])
    thick = np.where(top > bottom, top - bottom, 0).astype(np.float32)
    for box, middle, half in sections[full:]:
        high, low = np.minimum(top[box], middle + half), np.maximum(bottom[box], middle - half)
        thick[box] -= np.where((half > 0) & (high > low), high - low, 0)
    return np.maximum(thick, 0)


def _cut(local: LocalView, solid: Solid) -> list[tuple[tuple[slice, slice], Image, Image]]:
    """For each ellipsoid: where it is seen, and there the middle and half the length of the beam in it (0: outside)."""
    centres = solid.centres @ local.beam.T
    forms = np.einsum("ij,njk,lk->nil", local.beam, solid.forms, local.beam).astype(np.float32)
    spread = np.sqrt(np.einsum("nii->ni", np.linalg.inv(forms)))[:, :2]
    first, last = (
        np.clip((edge / local.pixel_mm + local.middle), 0, local.n).astype(int)
        for edge in (centres[:, :2] - spread, centres[:, :2] + spread)
    )
    x_mm, y_mm = local.x_mm, local.y_mm
    sections = []
    for centre, f, low, high in zip(centres.astype(np.float32), forms, first, last + 1, strict=True):
        box = slice(low[1], high[1]), slice(low[0], high[0])
        x, y = x_mm[box[1]][None, :] - centre[0], y_mm[box[0]][:, None] - centre[1]
        b = f[0, 2] * x + f[1, 2] * y
        c = f[0, 0] * x * x + 2 * f[0, 1] * x * y + (f[1, 1] * y * y - 1)
        half = np.sqrt(np.maximum(b * b - f[2, 2] * c, 0)) / f[2, 2]
        sections.append((box, centre[2] - b / f[2, 2], half))
    return sections
