"""The shape of a compressed breast in one view. Everything here faces right; left breasts are stored so.

Lengths in mm: x from the chest wall edge of the image towards the nipple, y downwards from its top edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.woman import Woman

HEIGHT_MM = 3328 * 0.07
WIDTH_MM = 2560 * 0.07
_NIPPLE_HEIGHT_MM = 5.0
_NIPPLE_WIDTH_MM = 6.0
_FLANK = 1.9  # how square the outline is towards its ends, and how pointed near the nipple


@dataclass(frozen=True)
class Outline:
    """The skin line x(y) of one view.

    CC   a rounded half-ellipse: level with the nipple it reaches depth_mm
    MLO  above the nipple a sagging slope that comes from the axilla (axilla_mm wide at the top edge of the
         image), below it a rounder curve back to the chest wall; a pectoral wedge fills the upper corner
    """

    angle: Literal["CC", "MLO"]
    nipple_y_mm: float
    depth_mm: float
    above_mm: float  # nipple to upper end of the outline (to the image edge in MLO)
    below_mm: float
    point: float  # 0.5 round, 1 pointed
    axilla_mm: float = 0.0
    pectoral_width_mm: float = 0.0
    pectoral_length_mm: float = 0.0

    def skin_x(self, y_mm: NDArray[np.float64], *, nipple: bool = True) -> NDArray[np.float64]:
        """The x of the skin at each y; 0 above and below the breast."""
        up = (self.nipple_y_mm - y_mm) / self.above_mm
        t = np.clip(np.where(up >= 0, up, (y_mm - self.nipple_y_mm) / self.below_mm), 0, 1)
        round_x = self.depth_mm * (1 - t**_FLANK) ** self.point
        slope_x = self.axilla_mm + (self.depth_mm - self.axilla_mm) * np.cos(np.pi / 2 * t) ** 1.3
        x = np.where((up >= 0) & (self.angle == "MLO"), slope_x, round_x)
        if nipple:
            bump = np.exp(-(((y_mm - self.nipple_y_mm) / _NIPPLE_WIDTH_MM) ** 2))
            x = np.where(x > 0, x + _NIPPLE_HEIGHT_MM * bump, x)
        return np.asarray(x)

    def pectoral_x(self, y_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The x of the front of the pectoral muscle at each y; negative below it, and in CC."""
        if not self.pectoral_width_mm:
            return np.full_like(y_mm, -1e3)
        t = y_mm / self.pectoral_length_mm
        return np.asarray(self.pectoral_width_mm * (1 - t + 0.35 * t * (1 - t)))

    def place(
        self, depth: NDArray[np.float64], lateral: NDArray[np.float64], upper: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x, y) in mm of places in the breast (see PhantomFinding), as deep in one view as in the other.

        CC shows medial and lateral, lateral on top; MLO shows lower inner to upper outer.
        """
        across = lateral if self.angle == "CC" else np.clip(0.85 * upper + 0.35 * lateral, -1, 1)
        x = depth * self.depth_mm
        t = (1 - np.clip(depth, 0, 1) ** (1 / self.point)) ** (1 / _FLANK)
        reach = np.where(across > 0, min(self.above_mm, 0.62 * HEIGHT_MM * 0.8), self.below_mm)
        return x, self.nipple_y_mm - 0.82 * across * t * reach


def outline_view(woman: Woman, angle: Literal["CC", "MLO"], rng: np.random.Generator) -> Outline:
    """How this breast is positioned and shaped in a view of this angle."""
    if angle == "CC":
        half = woman.width_mm / 2
        return Outline(
            "CC",
            nipple_y_mm=HEIGHT_MM / 2 + rng.uniform(-0.7, 0.7) * max(HEIGHT_MM / 2 - 1.05 * half, 0),
            depth_mm=woman.depth_mm,
            above_mm=half * rng.uniform(0.98, 1.03),
            below_mm=half * rng.uniform(0.97, 1.01),
            point=rng.uniform(0.55, 0.72),
        )
    nipple_y = HEIGHT_MM * (0.56 + 0.08 * woman.sag) + rng.uniform(-5, 5)
    axilla = woman.depth_mm * rng.uniform(0.58, 0.74)
    return Outline(
        "MLO",
        nipple_y_mm=nipple_y,
        depth_mm=woman.depth_mm * rng.uniform(0.99, 1.05),
        above_mm=nipple_y,
        below_mm=min(0.46 * woman.width_mm, HEIGHT_MM - nipple_y - 6),
        point=rng.uniform(0.5, 0.6),
        axilla_mm=axilla,
        pectoral_width_mm=axilla * rng.uniform(0.62, 0.86),
        pectoral_length_mm=nipple_y * rng.uniform(0.72, 1.0),
    )
