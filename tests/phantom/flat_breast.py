"""A stand-in for a breast: a place appears at the same depth in CC and MLO, over tissue of 1/f^3 noise or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.finding import PhantomFinding, paint_finding

ANGLES: tuple[Literal["CC", "MLO"], ...] = ("CC", "MLO")
SIDE_MM = 120.0


@dataclass(frozen=True)
class FlatOutline:
    """Places a finding in the upper middle of a square image of SIDE_MM."""

    tilt: float

    def place(
        self, depth: NDArray[np.float64], lateral: NDArray[np.float64], upper: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        across = np.cos(self.tilt) * lateral + np.sin(self.tilt) * upper
        return 110 * depth, SIDE_MM / 2 - 25 * across


def paint(
    finding: PhantomFinding,
    angle: Literal["CC", "MLO"] = "CC",
    *,
    pixel_mm: float = 0.28,
    tissue: NDArray[np.float32] | None = None,
    view_key: tuple[int, ...] = (1,),
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(tissue with the finding, mask); without tissue given, on black."""
    n = round(SIDE_MM / pixel_mm)
    painted = np.zeros((n, n), np.float32) if tissue is None else tissue.copy()
    outline: Any = FlatOutline(0.0 if angle == "CC" else 0.8)
    mask = paint_finding(painted, finding, outline, pixel_mm=pixel_mm, view_key=view_key)
    return painted, mask


def draw_tissue(seed: int, *, pixel_mm: float = 0.28) -> NDArray[np.float32]:
    """Brightness of mean 0.4 and deviation 0.07, with the power spectrum 1/f^3 of parenchyma."""
    n = round(SIDE_MM / pixel_mm)
    f = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    f[0, 0] = np.inf
    white = np.fft.rfft2(np.random.default_rng([seed, 9]).standard_normal((n, n)))
    field = np.fft.irfft2(white / f**1.5, s=(n, n))
    return (0.4 + 0.07 * field / field.std()).astype(np.float32)
