"""A mass, by the words for its shape and its margin.

Shape is a body in three dimensions, the same in CC and MLO. The margin is what becomes of its border: sharp, drowned
in tissue on one side, studded with small lobes, washed out, or drawn out into spicules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView, lay_strokes, push_about, soften, uneven
from fourview.phantom.solid import (
    Solid,
    draw_directions,
    draw_turns,
    find_surface,
    make_forms,
    measure_thickness,
    size_to,
)

REACH = 3.6  # radii from the middle of a mass to the tip of the longest spicule
NEAR = {"circumscribed": 2.0, "microlobulated": 2.0, "spiculated": 2.2, "obscured": 2.6, "ill defined": 2.5}  # without
_FLAT = 0.65  # power of the thickness: compression makes a mass flatter than a ball, and its border steeper
_SHARP_MM = 0.2  # unsharpness of a circumscribed border: motion and focal spot
_UNEVEN = {"round": 0.025, "oval": 0.03, "lobulated": 0.04, "irregular": 0.10, "lymph node": 0.035}  # radii
# brightness that gives every margin about the response of a blob detector that a circumscribed mass has
_GAIN = {"circumscribed": 1.0, "obscured": 1.0, "microlobulated": 0.95, "ill defined": 1.28, "spiculated": 1.0}


def light_mass(
    local: LocalView, *, shape: str, margin: str, radius_mm: float, key: int, view_key: tuple[int, ...]
) -> tuple[Image, NDArray[np.bool_]]:
    """(brightness to add, about 1 in the middle; body without spicules), both (n, n).

    radius_mm  of the disc that has the area of the body's outline, on average of the two views
    key        seeds the body and its spicules, which both views share
    view_key   seeds the texture, which is seen in this view only
    """
    rng, grain = np.random.default_rng([key, 1]), np.random.default_rng([*view_key, 1])
    solid = build_body(rng, shape=shape, margin=margin, radius_mm=radius_mm)
    near, box = local.narrowed(NEAR[margin] * radius_mm)  # a spicule reaches further than all else
    thick = (measure_thickness(near, solid) / np.float32(2 * radius_mm)) ** np.float32(_FLAT)
    # no border in the breast is an ellipse: tissue pushes it about
    thick = push_about(thick, near, grain, by_mm=_UNEVEN[shape] * radius_mm, cell_mm=0.7 * radius_mm)
    if margin == "ill defined":
        light = _wash_out(thick, near, radius_mm=radius_mm, rng=grain)
    elif margin == "obscured":
        light = _obscure(thick, near, radius_mm=radius_mm, rng=rng, grain=grain)
    elif margin == "spiculated":
        light = np.float32(1.12) * soften(thick, near, sigma_mm=0.07 * radius_mm)
    else:
        light = soften(thick, near, sigma_mm=_SHARP_MM)
    light = light * np.clip(1 + np.float32(0.13) * uneven(near, grain, cell_mm=0.7 * radius_mm), 0.4, 1.6)
    whole = np.zeros((local.n, local.n), np.float32)
    if margin == "spiculated":
        _add_spicules(whole, local, solid, radius_mm=radius_mm, rng=rng)
        whole[box] *= 1 - np.minimum(light, 0.7)  # over the body itself they are lost in its density
    whole[box] += light
    body = np.zeros((local.n, local.n), np.bool_)
    body[box] = thick > 0
    return whole * np.float32(_GAIN[margin]), body


def build_body(rng: np.random.Generator, *, shape: str, margin: str, radius_mm: float) -> Solid:
    """The body of a mass of this shape; a microlobulated margin studs it with small lobes."""
    solid = _SHAPES[shape](rng)
    if margin == "microlobulated":
        n = int(rng.integers(28, 40))
        ways = draw_directions(rng, n)
        small = rng.uniform(0.15, 0.26, n)
        centres = ways * (find_surface(solid, ways) - 0.25 * small)[:, None]
        solid = solid.with_lobes(centres, np.eye(3) / small[:, None, None] ** 2)
    return size_to(solid, radius_mm)


def _round(rng: np.random.Generator) -> Solid:
    return _ellipsoid(rng, np.clip(rng.normal(1, 0.03, 3), 0.93, 1.07))


def _oval(rng: np.random.Generator) -> Solid:
    return _ellipsoid(rng, np.array([rng.uniform(1.3, 1.5), rng.uniform(0.9, 1.0), rng.uniform(0.7, 0.85)]))


def _lobulated(rng: np.random.Generator) -> Solid:
    """A core and three or four large lobes, with notches between them."""
    n = int(rng.integers(4, 7))
    centres = draw_directions(rng, n, jitter=0.15) * rng.uniform(0.6, 0.78, (n, 1))
    axes = rng.uniform(0.42, 0.6, (n, 1)) * rng.uniform(0.88, 1.12, (n, 3))
    forms = make_forms(axes, draw_turns(rng, n))
    return Solid(np.zeros((1, 3)), np.eye(3)[None] / 0.6**2).with_lobes(centres, forms)


def _irregular(rng: np.random.Generator) -> Solid:
    """A core with blunt and pointed corners of unequal length."""
    n = int(rng.integers(12, 17))
    ways = draw_directions(rng, n, jitter=0.45)
    long, thin = rng.uniform(0.4, 0.8, n), rng.uniform(0.16, 0.38, n)
    axes = np.stack([long, thin, thin * rng.uniform(0.7, 1.3, n)], axis=1)
    core = make_forms(rng.uniform(0.4, 0.7, (2, 3)), draw_turns(rng, 2))
    solid = Solid(rng.normal(0, 0.18, (2, 3)), core)
    return solid.with_lobes(ways * rng.uniform(0.2, 0.6, (n, 1)), make_forms(axes, _turn_to(draw_turns(rng, n), ways)))


def _lymph_node(rng: np.random.Generator) -> Solid:
    """An oval with a hilum of fat that notches one of its long sides."""
    turn = draw_turns(rng, 1)
    # the notch looks along the plane that both views see best
    turn = _turn_to(turn, np.array([[1.0, *rng.normal(0, 0.35, 2)]]) / 1.1, axis=1)
    axes = np.array([[rng.uniform(1.3, 1.5), rng.uniform(0.8, 0.95), rng.uniform(0.75, 0.9)]])
    hole = np.array([[0.62, 0.5, 0.6]]) * rng.uniform(0.9, 1.1)
    notch = turn[0] @ np.array([0.0, 0.72 * axes[0, 1], 0.0])
    return Solid(
        np.stack([np.zeros(3), notch]), np.concatenate([make_forms(axes, turn), make_forms(hole, turn)]), holes=1
    )


_SHAPES = {
    "round": _round,
    "oval": _oval,
    "lobulated": _lobulated,
    "irregular": _irregular,
    "lymph node": _lymph_node,
}


def _ellipsoid(rng: np.random.Generator, axes: NDArray[np.float64]) -> Solid:
    return Solid(np.zeros((1, 3)), make_forms(axes[None], draw_turns(rng, 1)))


def _turn_to(turns: NDArray[np.float64], ways: NDArray[np.float64], *, axis: int = 0) -> NDArray[np.float64]:
    """Rotations whose axis of this number points along `ways`; the others come from `turns`."""
    first = ways / np.linalg.norm(ways, axis=1, keepdims=True)
    second = turns[:, :, 1] - np.einsum("ni,ni->n", turns[:, :, 1], first)[:, None] * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    own = [first, second, np.cross(first, second)]
    return np.stack(own[-axis:] + own[:-axis] if axis else own, axis=2)


def _wash_out(thick: Image, local: LocalView, *, radius_mm: float, rng: np.random.Generator) -> Image:
    """A border that is lost over a third of the radius, unevenly: here tissue bites in, there it runs out."""
    bitten = push_about(thick, local, rng, by_mm=0.16 * radius_mm, cell_mm=0.55 * radius_mm)
    return soften(bitten, local, sigma_mm=0.24 * radius_mm)


def _obscure(
    thick: Image, local: LocalView, *, radius_mm: float, rng: np.random.Generator, grain: np.random.Generator
) -> Image:
    """Sharp on one side; on the other, dense tissue as bright as the mass lies over the border and runs on outside."""
    way = rng.standard_normal(3)
    x, y = local.project(way / np.linalg.norm(way))
    length = max(float(np.hypot(x, y)), 1e-3)
    along = (local.x_mm[None, :] * x + local.y_mm[:, None] * y) / np.float32(length * radius_mm)
    across = (local.y_mm[:, None] * x - local.x_mm[None, :] * y) / np.float32(length * radius_mm)
    rough = uneven(local, grain, cell_mm=0.8 * radius_mm)
    hidden = np.clip((along + np.float32(0.22) * rough + np.float32(0.05)) / np.float32(0.6), 0, 1)
    hidden = hidden * hidden * (3 - 2 * hidden)
    sharp = soften(thick, local, sigma_mm=_SHARP_MM)
    vague = soften(thick, local, sigma_mm=0.36 * radius_mm)
    cover = np.exp(-(((along - np.float32(0.85)) / np.float32(0.75)) ** 2) - (across / np.float32(1.05)) ** 2)
    cover = cover * np.clip(np.float32(0.42) + np.float32(0.30) * rough, 0, 1.2)
    return np.asarray(sharp * (1 - hidden) + hidden * (vague + cover), np.float32)


def _add_spicules(canvas: Image, local: LocalView, solid: Solid, *, radius_mm: float, rng: np.random.Generator) -> None:
    """Fine lines that leave the margin in bundles, taper and bend a little; 0.5 to 2 radii long in three dimensions."""
    bundles, each = int(rng.integers(20, 30)), 4
    ways = np.repeat(draw_directions(rng, bundles, jitter=0.6), each, axis=0)
    ways = ways + rng.normal(0, 0.17, ways.shape)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    n = len(ways)
    long = np.repeat(rng.uniform(0.6, 2.0, bundles), each) * rng.uniform(0.7, 1.0, n) * radius_mm
    side = np.cross(ways, rng.standard_normal((n, 3)))
    t = np.linspace(0, 1, 24)
    bent = rng.normal(0, 0.13, n)[:, None] * t**2
    bent += 0.015 * np.sin(2 * np.pi * (t * rng.uniform(0.7, 1.6, n)[:, None] + rng.random(n)[:, None]))
    root = 0.85 * find_surface(solid, ways)
    along = root[:, None] + t * (long + 0.15 * root)[:, None]
    points = along[:, :, None] * ways[:, None, :] + (bent * long[:, None])[:, :, None] * side[:, None, :]
    drawn = rng.random(n) < np.repeat(rng.uniform(0.25, 1.0, bundles), each)  # bundles of one to four
    width = rng.uniform(0.25, 0.8, n)[:, None] * (1 - 0.6 * t)
    # a root grows out of the body, a tip is lost in the fat
    light = (drawn * rng.uniform(0.25, 0.65, n))[:, None] * np.minimum(1, 3 * t) * (1 - t) ** 0.7
    lay_strokes(canvas, local, points, width_mm=width, light=light)
