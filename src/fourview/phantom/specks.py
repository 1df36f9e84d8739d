"""What calcifications look like, one painter a type.

Each painter draws its specks at `places` (mm, in the axes of the finding) into the canvas, about 1 bright, and gives
points (mm) that enclose what it drew.
Sizes after the BI-RADS atlas (5th edition): punctate under 0.5 mm, round 0.5 to 1 mm, coarse over 1 mm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fourview.phantom.local_view import Image, LocalView, lay_strokes, stamp
from fourview.phantom.solid import Solid, draw_directions, draw_turns, make_forms, measure_thickness, size_to

Points = NDArray[np.float64]
Rng = np.random.Generator
_FROM_ABOVE = 0.3  # radians of tilt, up to which the beam is nearly vertical
Painter = Callable[[Image, LocalView, Points, Rng, Points], Points]


def near_way(rng: np.random.Generator, way: Points, spread: float) -> Points:
    """A unit vector that points about this way."""
    turned = way + rng.normal(0, spread, 3)
    return np.asarray(turned / np.linalg.norm(turned))


def _pleomorphic(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Of every size and form: crushed stone."""
    ends = []
    for place in places:
        size = rng.uniform(0.13, 0.36)
        for _ in range(int(rng.integers(1, 5))):
            part = place + rng.normal(0, 0.75 * size, 3)
            _grain(
                canvas,
                local,
                part,
                rng,
                half=size * rng.uniform(0.5, 1),
                long=rng.uniform(1, 2.4),
                light=rng.uniform(0.35, 1),
            )
            ends.append(part)
    return np.array(ends)


def _amorphous(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Too small and faint to have a form: powder."""
    for place in places:
        _grain(
            canvas,
            local,
            place,
            rng,
            half=rng.uniform(0.16, 0.4),
            long=rng.uniform(1, 1.6),
            light=rng.uniform(0.2, 0.5),
            hazy=True,
        )
    return places


def _punctate(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    for place in places:
        _grain(canvas, local, place, rng, half=rng.uniform(0.13, 0.24), long=1.0, light=rng.uniform(0.6, 1))
    return places


def _round_and_regular(
    canvas: Image, local: LocalView, places: Points, rng: np.random.Generator, way: Points
) -> Points:
    usual = rng.uniform(0.28, 0.45)
    for place in places:
        _grain(canvas, local, place, rng, half=usual * rng.uniform(0.8, 1.25), long=1.0, light=rng.uniform(0.7, 1))
    return places


def _fine_linear(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Casts of ducts: thin broken lines that fork, along the ducts."""
    lines = []
    for place in places:
        axis, long = near_way(rng, way, 0.5), rng.uniform(1.0, 3.4)
        lines.append(_curve(rng, place, axis, long, bend=0.18))
        if rng.random() < 0.55:
            lines.append(
                _curve(
                    rng,
                    lines[-1][rng.integers(6, 16)],
                    near_way(rng, axis, 0.7),
                    long * rng.uniform(0.3, 0.7),
                    bend=0.1,
                )
            )
    points = np.stack(lines)
    shape = points.shape[:2]
    beads = np.clip(0.62 + 0.55 * rng.standard_normal(shape), 0, 1.15)  # gaps and knots
    width = rng.uniform(0.14, 0.26, (shape[0], 1)) * rng.uniform(0.7, 1.3, shape)
    lay_strokes(canvas, local, points, width_mm=width, light=1.15 * beads)
    return points.reshape(-1, 3)


def _rods(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Thick smooth rods along the ducts, to the nipple; some forked, some hollow."""
    lines = [_curve(rng, place, near_way(rng, way, 0.2), rng.uniform(3, 9), bend=0.06) for place in places]
    points = np.stack(lines)
    width = np.broadcast_to(rng.uniform(0.5, 0.95, (len(lines), 1)), points.shape[:2])
    lay_strokes(canvas, local, points, width_mm=width, light=0.9 * np.full(points.shape[:2], 1.0))
    return points.reshape(-1, 3)


def _vascular(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Tram tracks: grainy broken parallel lines, the two walls of a winding artery."""
    steps, ends = 160, []
    for place in places[:2]:
        middle = _curve(
            rng, 0.2 * place, near_way(rng, way, 0.8), rng.uniform(26, 44), bend=0.1, steps=steps, wind=0.03
        )
        x, y = local.project(middle)
        along = np.stack([np.gradient(x), np.gradient(y)])
        along /= np.maximum(np.hypot(*along), 1e-6)
        half = rng.uniform(0.5, 1.0)
        stretch = np.repeat(rng.random(steps // 16), 16)  # whole parts of the wall are free
        for side in (-1, 1):
            grain = 0.5 * stretch + 0.5 * np.repeat(rng.random(steps // 4), 4)
            light = np.clip(2.4 * (grain - 0.38) + 0.25 * rng.standard_normal(steps), 0, 1)
            # the wall is where the beam runs along it: beside the middle line, as this view sees it
            seen = np.stack([x - side * half * along[1], y + side * half * along[0], 0 * x], axis=1)
            wall = seen @ local.beam  # back to the axes of the finding
            width = 0.30 * rng.uniform(0.6, 1.4, (1, steps))
            lay_strokes(canvas, local, wall[None], width_mm=width, light=0.8 * light[None])
        ends.append(middle)
    return np.concatenate(ends)


def _rings(low: float, high: float, wall: float) -> Painter:
    """Hollow spheres: a bright rim around a lucent centre, as the beam sees a shell."""

    def paint(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
        ends = []
        for place in places:
            outer = rng.uniform(low, high)
            shell = _make_shell(outer, outer * (1 - wall * rng.uniform(0.8, 1.3)), rng)
            x, y = (float(value) for value in local.project(place))
            stamp(canvas, local, x=x, y=y, half_mm=1.1 * outer, profile=shell)
            ends.append(place + outer * draw_directions(rng, 12))
        return np.concatenate(ends)

    return paint


def _make_shell(outer: float, inner: float, rng: Rng) -> Callable[[Image, Image], Image]:
    """The profile of a shell between two radii, a little squashed, and thicker on one side."""
    light, squash, turn, thicker = rng.uniform([0.65, 0.82, 0, 0], [1, 1, np.pi, 2 * np.pi])
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))

    def profile(dx: Image, dy: Image) -> Image:
        u, v = dx * cos + dy * sin, (dy * cos - dx * sin) / np.float32(squash)
        d2 = u * u + v * v
        length = np.sqrt(np.maximum(outer**2 - d2, 0)) - np.sqrt(np.maximum(inner**2 - d2, 0))
        side = 1 + 0.35 * np.cos(np.arctan2(v, u) + thicker)
        return np.asarray(light * side * length / (outer**2 - inner**2) ** 0.5, np.float32)

    return profile


def _lumps(low: float, high: float, lobes: int) -> Painter:
    """Coarse: solid lumps of several rounded parts, as popcorn."""

    def paint(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
        ends = []
        for place in places:
            half = rng.uniform(low, high)
            ways = draw_directions(rng, lobes, jitter=0.4)
            axes = rng.uniform(0.22, 0.5, (lobes, 1)) * rng.uniform(0.7, 1.4, (lobes, 3))
            centres = ways * rng.uniform(0.3, 0.9, (lobes, 1))
            solid = size_to(Solid(centres, make_forms(axes, draw_turns(rng, lobes))), half)
            solid = Solid(solid.centres + place, solid.forms)
            thick = measure_thickness(local, solid) / np.float32(1.4 * half)
            canvas += np.minimum(thick, 1.2) ** np.float32(0.7)
            ends.append(place + half * ways)
        return np.concatenate(ends)

    return paint


def _milk(canvas: Image, local: LocalView, places: Points, rng: Rng, way: Points) -> Points:
    """Sediment in small cysts: vague discs from above, cups from the side."""
    for place in places:
        half, light = rng.uniform(0.4, 0.8), rng.uniform(0.7, 1)
        if local.tilt < _FROM_ABOVE:
            _grain(canvas, local, place, rng, half=half, long=1.0, light=0.4 * light, hazy=True)
            continue

        x, y = (float(value) for value in local.project(place))
        stamp(canvas, local, x=x, y=y, half_mm=half, profile=_make_cup(half, light))
    return places


def _make_cup(radius: float, light: float) -> Callable[[Image, Image], Image]:
    """The profile of sediment in a sphere, seen from the side: a crescent that lies on the floor."""

    def profile(dx: Image, dy: Image) -> Image:
        inside = np.clip((radius - np.hypot(dx, dy)) / 0.05, 0, 1)
        below = np.clip((np.hypot(dx, dy + 0.6 * radius) - radius) / 0.05, 0, 1)
        return np.asarray(light * inside * below, np.float32)

    return profile


TYPES: dict[str, Painter] = {
    "amorphous": _amorphous,
    "coarse": _lumps(1.2, 2.4, 11),
    "dystrophic": _lumps(0.5, 1.2, 6),
    "eggshell": _rings(2.0, 4.5, 0.09),
    "fine linear branching": _fine_linear,
    "large rodlike": _rods,
    "lucent centered": _rings(0.5, 1.2, 0.35),
    "milk of calcium": _milk,
    "pleomorphic": _pleomorphic,
    "punctate": _punctate,
    "round and regular": _round_and_regular,
    "skin": _rings(0.35, 0.6, 0.5),
    "vascular": _vascular,
}


def _grain(
    canvas: Image,
    local: LocalView,
    place: Points,
    rng: np.random.Generator,
    *,
    half: float,
    long: float,
    light: float,
    hazy: bool = False,
) -> None:
    """One speck: an ellipsoid `long` times as long as it is thick, with a crisp or a hazy border."""
    way = rng.standard_normal(3)
    x, y = (float(v) for v in local.project(way / np.linalg.norm(way)))
    along = half * (1 + (long**2 - 1) * (x * x + y * y)) ** 0.5
    length = max(np.hypot(x, y), 1e-6)
    cos, sin = np.float32(x / length), np.float32(y / length)

    def profile(dx: Image, dy: Image) -> Image:
        q = ((dx * cos + dy * sin) / np.float32(along)) ** 2 + ((dy * cos - dx * sin) / np.float32(half)) ** 2
        return np.asarray(np.float32(light) * np.exp(-q if hazy else -q * q), np.float32)

    at = local.project(place)
    stamp(canvas, local, x=float(at[0]), y=float(at[1]), half_mm=(2.4 if hazy else 1.7) * along, profile=profile)


def _curve(
    rng: np.random.Generator,
    middle: Points,
    axis: Points,
    long: float,
    *,
    bend: float,
    steps: int = 24,
    wind: float = 0.0,
) -> Points:
    """(steps, 3): a line of this length that bends to one side, and winds."""
    t = np.linspace(-0.5, 0.5, steps)[:, None]
    side = np.cross(axis, rng.standard_normal(3))
    turns = np.sin(2 * np.pi * (t * rng.uniform(1.5, 3) + rng.random()))
    return np.asarray(middle + long * (t * axis + (4 * t * t - 0.5) * side * rng.normal(0, bend) + wind * turns * side))
