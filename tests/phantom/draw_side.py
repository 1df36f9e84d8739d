"""One breast of a woman, and its views, as the tests of the phantom's anatomy need them."""

from __future__ import annotations

import numpy as np

from fourview.exam import Side
from fourview.phantom.breast import paint_breast
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.outline import Angle, Outline, outline_view
from fourview.phantom.woman import Breast, Density, draw_breast, draw_woman, side_key

FIELD_MM = (3328 * 0.07, 2560 * 0.07)


def a_breast(identity: int, side: Side = Side.LEFT, *, density: Density | None = None) -> Breast:
    woman = draw_woman(np.random.default_rng([identity, 0]), density=density)
    return draw_breast(woman, side, identity=identity)


def a_view(breast: Breast, angle: Angle, identity: int, *, field_mm: tuple[float, float] = FIELD_MM) -> Outline:
    return outline_view(breast, angle, np.random.default_rng([identity, 2, angle == "MLO"]), field_mm=field_mm)


def painted(
    identity: int,
    angle: Angle,
    *,
    side: Side = Side.LEFT,
    density: Density | None = None,
    pixel_mm: float = 0.28,
    findings: tuple[PhantomFinding, ...] = (),
    field_mm: tuple[float, float] = FIELD_MM,
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...], Outline]:
    breast = a_breast(identity, side, density=density)
    outline = a_view(breast, angle, identity, field_mm=field_mm)
    shape = (round(field_mm[0] / pixel_mm), round(field_mm[1] / pixel_mm))
    key = [identity, 3, 2 * (angle == "MLO") + side_key(side)]
    return *paint_breast(breast, outline, findings, shape=shape, pixel_mm=pixel_mm, key=key), outline
