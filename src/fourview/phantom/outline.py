"""The shape of a compressed breast in one view. Everything here faces right; left breasts are stored so.

Lengths in mm: x from the chest wall edge of the image towards the nipple, y downwards from its top edge.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fourview.phantom.woman import Breast

HEIGHT_MM = 3328 * 0.07
WIDTH_MM = 2560 * 0.07
_STEP_MM = 0.5  # of the stored outline
_REACH_STEPS = 65
_FILL = 0.93  # across = 1 lies this share of the way from the nipple's level to the border
_UNEVEN = 2.6  # above and below the nipple differ at most so much, for `place` to keep its order

Angle = Literal["CC", "MLO"]


@dataclass(frozen=True, eq=False)
class Outline:
    """The skin line x(y) of one view, the muscle, and where places of the breast are seen.

    field_mm     height and width of the image
    skin, muscle (n,) x in mm every 0.5 mm of y; 0 without breast, negative without muscle
    depth_mm     chest wall to the base of the nipple, at nipple_y_mm
    nipple_mm    radius and height of the nipple in profile; height 0 where it is not seen in profile
    fold         (n,) x in mm of a fold of skin below the armpit; negative without it
    tilt         radians from lateral to the view's upward direction: 0 in CC, about 47 degrees in MLO
    reach_mm     the farthest that tissue of the breast proper lies from the nipple's level
    """

    angle: Angle
    field_mm: tuple[float, float]
    skin: NDArray[np.float64]
    muscle: NDArray[np.float64]
    depth_mm: float
    nipple_y_mm: float
    nipple_mm: tuple[float, float]
    fold: NDArray[np.float64]
    tilt: float
    reach_mm: float
    _reach: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_reach", self._measure_reach())

    def skin_x(self, y_mm: NDArray[np.float64], *, nipple: bool = True) -> NDArray[np.float64]:
        """The x of the skin at each y; 0 above and below the breast."""
        x = np.interp(y_mm, np.arange(len(self.skin)) * _STEP_MM, self.skin)
        if nipple:
            radius, height = self.nipple_mm
            t = (np.asarray(y_mm) - self.nipple_y_mm) / radius
            bump = 0.6 * np.exp(-(t**6)) + 0.4 * np.exp(-((t / 1.7) ** 2))
            x = np.where(x > 0, x + height * bump, x)
        return np.asarray(x)

    def pectoral_x(self, y_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The x of the front of the pectoral muscle at each y; negative where there is none."""
        return np.asarray(np.interp(y_mm, np.arange(len(self.muscle)) * _STEP_MM, self.muscle))

    def fold_x(self, y_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """The x of the fold of skin at each y; negative where there is none."""
        return np.asarray(np.interp(y_mm, np.arange(len(self.fold)) * _STEP_MM, self.fold))

    def place(
        self,
        depth: NDArray[np.float64],
        lateral: NDArray[np.float64],
        upper: NDArray[np.float64],
        *,
        beyond: bool = False,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x, y) in mm of places in the breast (see PhantomFinding), as deep in one view as in the other.

        CC shows medial and lateral, lateral on top; MLO shows lower inner to upper outer.
        beyond  goes on past the breast proper (in MLO into the axilla); otherwise such places are brought to its border
        """
        across = np.cos(self.tilt) * np.asarray(lateral) + np.sin(self.tilt) * np.asarray(upper)
        even, odd = self._half_heights(np.asarray(depth))
        within = np.clip(across, -1, 1)
        up = within * (even + odd * within)
        if beyond:
            up = up + (across - within) * (even + 2 * odd * within)
        return np.asarray(depth * self.depth_mm), np.asarray(self.nipple_y_mm - up)

    def locate(self, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """(depth, across) of places of the image, the inverse of `place`; across may pass 1 in the axilla.

        Towards the nipple the height of the breast goes to 0: across is measured in no less than a twentieth of
        reach_mm.
        """
        depth = np.asarray(x_mm) / self.depth_mm
        even, odd = self._half_heights(depth)
        least = 0.05 * self.reach_mm
        even = np.maximum(even, least)
        up = self.nipple_y_mm - np.asarray(y_mm)
        root = np.clip(even**2 + 4 * odd * up, 0.04 * even**2, None)
        # up = even a + odd a^2, written so that odd = 0 needs no care
        across = 2 * up / (even + np.sqrt(root))
        return depth, across

    def _half_heights(self, depth: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        steps = np.linspace(0, 1, _REACH_STEPS)
        return np.interp(depth, steps, self._reach[0]), np.interp(depth, steps, self._reach[1])

    def _measure_reach(self) -> NDArray[np.float64]:
        """(2, steps): even and odd half of the heights above and below the nipple's level at each depth."""
        y = np.arange(len(self.skin)) * _STEP_MM
        here = round(self.nipple_y_mm / _STEP_MM)
        above, below = np.zeros(_REACH_STEPS), np.zeros(_REACH_STEPS)
        for n, depth in enumerate(np.linspace(0, 1, _REACH_STEPS)):
            x = min(depth, 0.998) * self.depth_mm
            breast = self.skin >= x
            up, down = np.flatnonzero(~breast[: here + 1]), np.flatnonzero(~breast[here:])
            most = self.reach_mm * (1 - 0.6 * depth**2)
            above[n] = min(self.nipple_y_mm - (y[up[-1]] if len(up) else 0), most)
            below[n] = min((y[here + down[0]] if len(down) else y[-1]) - self.nipple_y_mm, most)
            if self.angle == "MLO":  # the breast lies before the muscle
                behind = np.flatnonzero(self.muscle[: here + 1] > x)
                free = self.nipple_y_mm - (y[behind[-1]] if len(behind) else 0)
                above[n] = min(above[n], max(free, 0.5 * above[n]))
        above, below = (
            np.clip(above, below / _UNEVEN, below * _UNEVEN),
            np.clip(below, above / _UNEVEN, above * _UNEVEN),
        )
        kernel = np.ones(5) / 5
        # never more than was measured: a place must not leave the skin
        smooth = [
            np.minimum(np.convolve(np.pad(side, 2, mode="edge"), kernel, mode="valid"), side) for side in (above, below)
        ]
        return _FILL * np.stack([(smooth[0] + smooth[1]) / 2, (smooth[0] - smooth[1]) / 2])


def outline_view(
    breast: Breast, angle: Angle, rng: np.random.Generator, *, field_mm: tuple[float, float] = (HEIGHT_MM, WIDTH_MM)
) -> Outline:
    """How this breast is positioned and shaped in a view of this angle.

    rng       the same for both sides gives the two breasts of a woman the same positioning
    field_mm  height and width of the detector; a breast higher than the field runs out at its ends
    """
    woman = breast.traits
    y = np.arange(0, field_mm[0] + _STEP_MM, _STEP_MM)
    in_profile = rng.random() < (0.8 if angle == "CC" else 0.88)
    nipple = (breast.nipple[0], breast.nipple[1] if in_profile else 0.0)
    depth_mm = woman.depth_mm * (1 if angle == "CC" else rng.uniform(0.99, 1.04))
    depth_mm = min(depth_mm, field_mm[1] - 12)
    if angle == "CC":
        nipple_y, skin = _skin_cc(breast, rng, y, depth_mm=depth_mm, height_mm=field_mm[0])
        muscle = _sliver(rng, y, nipple_y=nipple_y)
        tilt = 0.0
        reach = 0.62 * woman.width_mm
        fold = np.full_like(y, -1e3)
    else:
        nipple_y, skin = _skin_mlo(breast, rng, y, depth_mm=depth_mm, height_mm=field_mm[0])
        muscle = _muscle(breast, rng, y, axilla_mm=float(skin[0]), nipple_y=nipple_y)
        tilt = float(np.deg2rad(rng.uniform(43, 50)))
        reach = 0.64 * woman.width_mm
        fold = _fold(rng, y, skin)
    return Outline(angle, field_mm, skin, muscle, depth_mm, nipple_y, nipple, fold, tilt, reach)


def _skin_cc(
    breast: Breast, rng: np.random.Generator, y: NDArray[np.float64], *, depth_mm: float, height_mm: float
) -> tuple[float, NDArray[np.float64]]:
    """A rounded to pointed half-oval, with more breast lateral than medial, or less."""
    woman = breast.traits
    uneven = float(np.clip(rng.normal(0.02, 0.05), -0.12, 0.14))
    above, below = woman.width_mm * (0.5 + uneven), woman.width_mm * (0.5 - uneven)
    room = max(height_mm - above - below, 0) / 2
    nipple_y = float(above + room * (1 + np.clip(rng.normal(0, 0.35), -0.9, 0.9)))
    if above + below > height_mm:  # runs out at both ends
        nipple_y = height_mm * above / (above + below)
    skin = np.where(
        y < nipple_y,
        _half_oval((nipple_y - y) / above, rng, point=woman.point),
        _half_oval((y - nipple_y) / below, rng, point=woman.point),
    )
    skin = depth_mm * skin
    for end, sign, chance in ((nipple_y - above, -1, 0.5), (nipple_y + below, 1, 0.3)):
        flare = rng.uniform(3, 12) * (rng.random() < chance) * min(room / 25, 1)
        tail = flare * np.exp(-np.clip(sign * (y - end) + 8, 0, None) / rng.uniform(5, 14))
        skin = np.where(sign * (y - end) > -30, np.sqrt(skin**2 + (tail * (tail > 0.6)) ** 2), skin)
    return nipple_y, skin + _wobble(rng, y, skin, depth_mm=depth_mm, nipple_y=nipple_y)


def _skin_mlo(
    breast: Breast, rng: np.random.Generator, y: NDArray[np.float64], *, depth_mm: float, height_mm: float
) -> tuple[float, NDArray[np.float64]]:
    """From the axilla at the upper edge down a slope to the nipple, and back under to the chest wall."""
    woman = breast.traits
    below = woman.width_mm * (0.50 - 0.14 * woman.sag + rng.uniform(-0.02, 0.03))
    # more of the axilla than of the breast below the nipple, but never a long strip of it above a small breast
    above = below * (1.30 + 0.75 * woman.sag + rng.uniform(-0.15, 0.25)) + 0.5 * max(130 - 2 * below, 0)
    spare = height_mm - above - below
    if spare < 0:  # runs out at the axilla first
        above = max(above + spare - rng.uniform(0, 8), 0.45 * height_mm)
    nipple_y = float(np.clip(above + max(spare, 0) * rng.uniform(0.0, 0.25), 0.35 * height_mm, height_mm - 24))
    # the arm is as wide for a small breast as for a large one
    axilla = float(np.clip(depth_mm * rng.normal(0.74, 0.09) + 0.5 * max(80 - depth_mm, 0), 0.5 * depth_mm, depth_mm))
    t = np.clip(y / nipple_y, 0, 1)
    rise = depth_mm - axilla
    # a wide, smooth slope: from the upper edge out to a belly a little above the nipple
    start = rise * rng.uniform(0.2, 1.5) - 0.10 * depth_mm * (rng.random() < 0.4)
    end = rise * rng.uniform(0.0, 0.5) * woman.point - 0.16 * depth_mm * woman.sag * (1 - woman.point)
    # cubic Hermite from the upper edge to the nipple
    upper = (
        (2 * t**3 - 3 * t**2 + 1) * axilla
        + (t**3 - 2 * t**2 + t) * start
        + (3 * t**2 - 2 * t**3) * depth_mm
        + (t**3 - t**2) * end
    )
    lower = depth_mm * _half_oval((y - nipple_y) / below, rng, point=0.8 * woman.point)
    skin = np.where(y < nipple_y, np.minimum(upper, 1.06 * depth_mm), lower)
    room = height_mm - nipple_y - below
    if rng.random() < 0.45 and room < 40:  # the fold beneath the breast is on the image, and the belly below it
        most = rng.uniform(0.14, 0.34) * depth_mm
        rise_mm = rng.uniform(30, 55)
        t = np.clip((y - nipple_y - below * rng.uniform(0.82, 0.95)) / rise_mm + 0.5, 0, 1)
        belly = most * t * t * (3 - 2 * t) + rng.uniform(0, 0.3) * np.clip(y - nipple_y - below, 0, None)
        skin = np.where(y > nipple_y, np.hypot(skin, belly), skin)
    elif room > 0:  # the skin runs out along the chest wall
        tail = rng.uniform(3, 9) * np.exp(-np.clip(y - nipple_y - below + 8, 0, None) / rng.uniform(4, 9))
        skin = np.where(y > nipple_y, np.hypot(skin, tail * (tail > 0.6)), skin)
    # skin and fat round off where the breast meets the belly
    rounded = np.convolve(np.pad(skin, 24, mode="edge"), np.convolve(np.ones(25), np.ones(25)) / 625, mode="valid")
    near = np.clip((y - nipple_y) / below * 4 - 2.4, 0, 1)
    skin += near * (rounded * (rounded > 0.3) - skin)
    return nipple_y, skin + _wobble(rng, y, skin, depth_mm=depth_mm, nipple_y=nipple_y)


def _half_oval(t: NDArray[np.float64], rng: np.random.Generator, *, point: float) -> NDArray[np.float64]:
    """1 at t = 0 falling to 0 at t = 1."""
    square = rng.uniform(1.95, 2.4) - 0.3 * point
    flank = rng.uniform(0.48, 0.60) + 0.22 * point
    return np.asarray((1 - np.clip(t, 0, 1) ** square) ** flank)


def _wobble(
    rng: np.random.Generator, y: NDArray[np.float64], skin: NDArray[np.float64], *, depth_mm: float, nipple_y: float
) -> NDArray[np.float64]:
    """Unevenness of about 1 mm that leaves the nipple and the ends where they are."""
    waves = np.zeros_like(y)
    for wavelength in (150, 85, 45):
        waves += wavelength / 110 * rng.normal() * np.sin(2 * np.pi * (y / wavelength + rng.random()))
    calm = np.clip(skin / 30, 0, 1) * (1 - np.exp(-(((y - nipple_y) / 25) ** 2)))
    return np.asarray(waves * calm * np.where(skin > 0, 1, 0))


def _muscle(
    breast: Breast, rng: np.random.Generator, y: NDArray[np.float64], *, axilla_mm: float, nipple_y: float
) -> NDArray[np.float64]:
    """The front of the pectoral muscle: from the upper edge back to the chest wall, convex or concave."""
    width = axilla_mm * float(np.clip(0.38 + 0.42 * breast.traits.muscle + rng.normal(0, 0.05), 0.3, 0.88))
    length = nipple_y * float(np.clip(rng.normal(0.92, 0.13), 0.55, 1.2))
    t = y / length
    bulge = float(np.clip(rng.normal(0.25, 0.55), -0.6, 0.95))
    wave = float(np.clip(rng.normal(0, 0.35), -0.5, 0.5)) * (1 - abs(bulge))  # never so much that it turns back
    front = width * (1 - t + t * (1 - t) * (bulge + wave * (1 - 2 * t)))
    front = np.where(t < 1, front, -width * (t - 1))
    return np.asarray(front + rng.normal(0, 0.5) * np.sin(2 * np.pi * y / rng.uniform(50, 120)))


def _sliver(rng: np.random.Generator, y: NDArray[np.float64], *, nipple_y: float) -> NDArray[np.float64]:
    """In some CC views the muscle's front edge is seen along the chest wall."""
    if rng.random() > 0.25:
        return np.full_like(y, -1e3)
    width, half, centre = rng.uniform(2, 8), rng.uniform(25, 60), nipple_y + rng.normal(0, 12)
    return np.asarray(width * (1 - ((y - centre) / half) ** 2))


def _fold(rng: np.random.Generator, y: NDArray[np.float64], skin: NDArray[np.float64]) -> NDArray[np.float64]:
    """In some MLO views skin folds below the armpit: a line from the upper edge down and out to the border."""
    shown, start, length, bend = rng.random() < 0.22, rng.uniform(0.62, 0.9), rng.uniform(35, 90), rng.uniform(0.7, 1.6)
    if not shown:
        return np.full_like(y, -1e3)
    t = y / length
    return np.where(t < 1, skin * (start + (1 - start) * np.clip(t, 0, 1) ** bend), -1e3)
