"""Curves in the breast: ducts, ligaments, strands and vessels, drawn once in 3-D and painted in both views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.phantom.outline import Outline

_SUBPIXEL = 4  # bits of cv2's fixed-point coordinates
_STEPS = 14
_FADES = (((0, 14), 0.45, 1.0), ((3, 11), 1.0, 1.0))  # steps, share of brightness, of width: fainter towards the ends
_TIES = (((0, 14), 0.65, 0.8), ((0, 4), 0.85, 1.1), ((10, 14), 0.85, 1.1), ((0, 2), 1.0, 1.4), ((12, 14), 1.0, 1.4))
_WING_MM = 1.0


@dataclass(frozen=True, eq=False)
class Curves:
    """places (n, steps, 3) depth, lateral, upper; width_mm (n,); light (n,) 0 to 1 where it is as wide as drawn.

    tied  their ends meet in nodes, where they are widest and brightest; other curves fade towards their ends
    """

    places: NDArray[np.float64]
    width_mm: NDArray[np.float64]
    light: NDArray[np.float64]
    tied: bool = False

    def paint(
        self, outline: Outline, shape: tuple[int, int], *, pixel_mm: float, soft_mm: float
    ) -> NDArray[np.float32]:
        """(rows, cols) float32 brightness in 0 to 1: anti-aliased lines; where lines cross, the brighter one."""
        x, y = outline.place(*np.moveaxis(self.places, -1, 0), beyond=True)
        points = np.stack([x, y], axis=-1) / pixel_mm - 0.5
        fixed = np.round(points * 2**_SUBPIXEL).astype(np.int32)
        # a line finer than a pixel keeps its total brightness
        full = 255 * np.clip(self.light, 0, 1)
        light = full * np.minimum(1, self.width_mm / pixel_mm)
        parts = _TIES if self.tied else _FADES
        width = np.array([share for _, _, share in parts]) * self.width_mm[:, None] / pixel_mm
        thick = np.maximum(1, np.round(width)).astype(int).tolist()
        fine = np.minimum(1, width).tolist()
        # where short segments meet, anti-aliasing paints twice: keep them at least 4 pixels long
        step_px = np.hypot(*np.moveaxis(np.diff(points, axis=1), -1, 0)).mean(axis=1)
        every = np.ceil(4 / np.maximum(step_px, 0.25)).astype(int)
        canvas = np.zeros(shape, np.uint8)
        for n in np.argsort(light, kind="stable"):
            if light[n] < 2:
                continue
            for k, ((first, last), share, _) in enumerate(parts):
                part = np.ascontiguousarray(fixed[n, first : last : min(every[n], last - first - 1)])
                cv2.polylines(
                    canvas, [part], False, int(share * full[n] * fine[n][k]), thick[n][k], cv2.LINE_AA, _SUBPIXEL
                )
        lines = canvas.astype(np.float32)
        lines *= np.float32(1 / 255)
        sigma = soft_mm / pixel_mm
        if self.tied:  # sheets: beside the line where they are seen edge-on they go on, faintly
            coarse = max(1, round(0.56 / pixel_mm))
            size = (-(-shape[1] // coarse), -(-shape[0] // coarse))
            wings = cv2.GaussianBlur(
                cv2.resize(lines, size, interpolation=cv2.INTER_AREA), (0, 0), _WING_MM / pixel_mm / coarse
            )
            lines += np.float32(1.5) * cv2.resize(wings, shape[::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.GaussianBlur(lines, (0, 0), sigma) if sigma > 0.3 else lines, np.float32)


def draw_ducts(key: Sequence[int], *, amount: float) -> Curves:
    """15 to 20 ducts (times `amount`) that leave the nipple, fan out and branch: one to three branches each."""
    rng = np.random.default_rng(key)
    curves, widths = [], []
    for _ in range(round(rng.integers(15, 21) * amount)):
        angle, out = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.75)
        length = rng.uniform(0.25, 0.6)
        trunk = _wander(
            rng,
            [0.985, 0.5 * out * np.cos(angle), 0.5 * out * np.sin(angle)],
            [-length, 0.5 * out * np.cos(angle), 0.5 * out * np.sin(angle)],
            0.03,
        )
        curves.append(trunk)
        widths.append(rng.uniform(0.4, 0.9))
        for _ in range(int(rng.integers(1, 4))):
            start = trunk[int(rng.integers(3, 11))]
            step = [-rng.uniform(0.1, 0.3), *rng.normal([0.2 * np.cos(angle), 0.2 * np.sin(angle)], 0.18)]
            curves.append(_wander(rng, start, step, 0.015))
            widths.append(rng.uniform(0.25, 0.6))
    return Curves(np.array(curves), np.array(widths), rng.uniform(0.25, 0.9, len(curves)))


def draw_ligaments(key: Sequence[int], *, amount: float) -> Curves:
    """Cooper's ligaments: arcs from the gland out to the skin, scalloped between their ends."""
    rng = np.random.default_rng(key)
    count = int(70 * amount)
    curves = []
    for _ in range(count):
        angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.95)
        radius = rng.uniform(0.55, 0.85)
        start = [depth, radius * np.cos(angle), radius * np.sin(angle)]
        rise = 1.03 - radius
        turn = angle + rng.normal(0, 0.12)
        step = [rng.normal(0.05, 0.06), rise * np.cos(turn), rise * np.sin(turn)]
        curves.append(_wander(rng, start, step, 0.03))
    return Curves(np.array(curves), rng.uniform(0.2, 0.6, count), rng.uniform(0.2, 0.9, count) ** 1.5)


def draw_web(key: Sequence[int], *, size_mm: tuple[float, float], cell_mm: float, amount: float) -> Curves:
    """Septa between the lobules of fat: a net in three dimensions whose threads meet in nodes about cell_mm apart."""
    rng = np.random.default_rng(key)
    scale = np.array([size_mm[0], size_mm[1], size_mm[1]])
    count = int(np.clip(1.5 * np.prod(scale) * amount / cell_mm**3, 150, 900))
    angle, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count)) * 0.98
    tail = rng.random(count) < 0.15  # beyond the breast proper, towards the axilla: seen in MLO alone
    angle = np.where(tail, rng.normal(np.pi / 4, 0.35, count), angle)
    out = np.where(tail, rng.uniform(0.75, 2.0, count), out)
    nodes = np.stack([rng.uniform(-0.02, 0.96, count), out * np.cos(angle), out * np.sin(angle)], axis=1)
    strength = rng.lognormal(0, 0.6, count) * np.clip(2.2 - 2 * nodes[:, 0], 0.3, 1)  # they crowd towards the nipple
    place = (nodes * scale).astype(np.float32)
    square = (place**2).sum(axis=1)
    apart = square[:, None] + square - 2 * place @ place.T
    np.fill_diagonal(apart, np.inf)
    apart[np.minimum(apart, apart.T) < (0.4 * cell_mm) ** 2] = np.inf  # nodes too close to be two
    near = np.argpartition(apart, 3, axis=1)[:, :3]
    pairs = np.stack([np.repeat(np.arange(count), 3), near.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs[apart[pairs[:, 0], pairs[:, 1]] < (2.5 * cell_mm) ** 2], axis=1), axis=0)
    start, end = nodes[pairs[:, 0]], nodes[pairs[:, 1]]
    n = len(pairs)
    t = np.linspace(0, 1, _STEPS)[None, :, None]
    places = start[:, None] + t * (end - start)[:, None]
    length = np.linalg.norm((end - start) * scale, axis=1)
    for k, bend in ((1, 0.07), (2, 0.03), (5, 0.012)):
        places += (bend * length[:, None] / scale * rng.normal(0, 1, (n, 3)))[:, None] * np.sin(np.pi * k * t)
    places[..., 0] = np.clip(places[..., 0], -0.05, 0.985)
    light = 0.28 * np.sqrt(strength[pairs[:, 0]] * strength[pairs[:, 1]]) * rng.lognormal(0, 0.35, n)
    return Curves(places, 0.09 + rng.gamma(1.8, 0.06, n), np.clip(light, 0.03, 0.65), tied=True)


def draw_strands(key: Sequence[int], *, size_mm: tuple[float, float], amount: float) -> Curves:
    """Fibres that cross the lobules of fat: fine curved lines of 15 to 50 mm, most towards the nipple."""
    rng = np.random.default_rng(key)
    count = int(600 * amount)
    depth_mm, half_mm = size_mm
    angle, out = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count)) * 0.96
    tail = rng.random(count) < 0.2  # beyond the breast proper, towards the axilla: seen in MLO alone
    angle = np.where(tail, rng.normal(np.pi / 4, 0.35, count), angle)
    out = np.where(tail, rng.uniform(0.75, 2.0, count), out)
    start = np.stack([rng.uniform(0.0, 0.97, count), out * np.cos(angle), out * np.sin(angle)], axis=1)
    length = rng.gamma(5.0, 6.5, count)
    tilt = np.where(rng.random(count) < 0.65, rng.normal(0, 0.45, count), rng.normal(0, 1.2, count))
    around = rng.uniform(0, 2 * np.pi, count)
    step = np.stack(
        [
            length * np.cos(tilt) / depth_mm,
            length * np.sin(tilt) * np.cos(around) / half_mm,
            length * np.sin(tilt) * np.sin(around) / half_mm,
        ],
        axis=1,
    )
    bend = rng.normal(0, 0.14, (count, 3)) * (length[:, None] / [depth_mm, half_mm, half_mm])
    wave = rng.normal(0, 0.025, (count, 3)) * (length[:, None] / [depth_mm, half_mm, half_mm])
    t = np.linspace(0, 1, _STEPS)[None, :, None]
    arc, ripple = 4 * t * (1 - t), np.sin(2 * np.pi * (t * 1.5 + rng.random((count, 1, 3))))
    places = start[:, None] + (t - 0.5) * step[:, None] + arc * bend[:, None] + ripple * wave[:, None]
    places[..., 0] = np.clip(places[..., 0], -0.05, 0.985)
    return Curves(places, 0.10 + rng.gamma(1.6, 0.12, count), np.clip(rng.gamma(2.2, 0.15, count), 0.04, 0.8))


def draw_vessels(key: Sequence[int], *, amount: float) -> Curves:
    """Veins and arteries: long, even, gently winding lines beneath the skin, some in pairs."""
    rng = np.random.default_rng(key)
    curves, widths, lights = [], [], []
    for _ in range(int(rng.poisson(2 + 6 * amount))):
        angle = rng.uniform(0, 2 * np.pi)
        out = rng.uniform(0.55, 0.9)
        turn = angle + rng.normal(0, 0.5)
        start = [rng.uniform(-0.05, 0.1), out * np.cos(angle), out * np.sin(angle)]
        end = [rng.uniform(0.35, 0.8), rng.uniform(0.4, 0.8) * np.cos(turn), rng.uniform(0.4, 0.8) * np.sin(turn)]
        path = _wander(rng, start, np.subtract(end, start), 0.06)
        width, light = rng.uniform(0.9, 2.2), rng.uniform(0.35, 0.9)
        curves.append(path)
        widths.append(width)
        lights.append(light)
        if rng.random() < 0.4:  # an artery beside its vein
            curves.append(path + np.array([0, *rng.normal(0, 0.03, 2)]))
            widths.append(0.6 * width)
            lights.append(0.8 * light)
        if rng.random() < 0.6:
            at = path[int(rng.integers(4, 10))]
            curves.append(_wander(rng, at, [rng.uniform(0.1, 0.3), *rng.normal(0, 0.2, 2)], 0.04))
            widths.append(0.7 * width)
            lights.append(0.8 * light)
    return Curves(np.array(curves).reshape(-1, _STEPS, 3), np.array(widths), np.array(lights))


def _wander(rng: np.random.Generator, start: ArrayLike, step: ArrayLike, wave: float) -> NDArray[np.float64]:
    """(steps, 3): a path from start by step, bent by smooth waves of about this size."""
    t = np.linspace(0, 1, _STEPS)[:, None]
    path = np.asarray(start) + t * np.asarray(step)
    for k in (1, 2, 3):
        path = path + wave / k * rng.normal(size=3) * np.sin(np.pi * k * t)
    path[:, 0] = np.clip(path[:, 0], -0.05, 0.99)
    return np.asarray(path)
