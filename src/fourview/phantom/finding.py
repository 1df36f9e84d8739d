"""Findings: masses and clusters of calcifications, placed in the breast and painted into one view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError, Side
from fourview.phantom.outline import Outline

Kind = Literal["mass", "calcifications"]
_SUBPIXEL = 4  # bits of cv2's fixed-point coordinates


@dataclass(frozen=True)
class PhantomFinding:
    """One finding in one breast; CC and MLO show the same one.

    depth      0 at the chest wall to 1 at the nipple
    lateral    -1 at the medial border to 1 at the lateral border
    upper      -1 at the lower border to 1 at the upper border
    radius_mm  of the mass, without its spicules, or of the cluster
    contrast   brightness of the middle of a mass, or of a calcification, above its surroundings, as a share
               of the grey scale
    """

    side: Side
    kind: Kind
    malignant: bool
    depth: float = 0.55
    lateral: float = 0.3
    upper: float = 0.3
    radius_mm: float = 8.0
    contrast: float = 0.3

    def __post_init__(self) -> None:
        ranges = (
            ("depth", self.depth, 0.1, 0.9),
            ("lateral", self.lateral, -0.9, 0.9),
            ("upper", self.upper, -0.9, 0.9),
            ("radius_mm", self.radius_mm, 1.0, 40.0),
            ("contrast", self.contrast, 0.01, 1.0),
        )
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise SetupError(f"phantom finding: found {name} {value}, need {low} to {high}")
        if self.kind not in ("mass", "calcifications"):
            raise SetupError(f"phantom finding: found kind {self.kind!r}, need mass or calcifications")


def draw_finding(rng: np.random.Generator, *, side: Side | None = None) -> PhantomFinding:
    """A random finding: half masses, half malignant, most of them upper and outer."""
    sides = (Side.LEFT, Side.RIGHT)
    drawn = sides[int(rng.integers(2))]
    kind: Kind = "mass" if rng.random() < 0.5 else "calcifications"
    return PhantomFinding(
        side=side or drawn,
        kind=kind,
        malignant=bool(rng.random() < 0.5),
        depth=float(rng.uniform(0.3, 0.75)),
        lateral=float(np.clip(rng.normal(0.2, 0.3), -0.7, 0.7)),
        upper=float(np.clip(rng.normal(0.2, 0.3), -0.7, 0.7)),
        radius_mm=float(rng.uniform(5, 14) if kind == "mass" else rng.uniform(5, 12)),
        contrast=float(rng.uniform(0.14, 0.26) if kind == "mass" else rng.uniform(0.35, 0.6)),
    )


def paint_finding(
    tissue: NDArray[np.float32],
    finding: PhantomFinding,
    outline: Outline,
    *,
    pixel_mm: float,
    lesion_key: Sequence[int],
    view_key: Sequence[int],
) -> NDArray[np.bool_]:
    """Adds the finding to `tissue` (rows, cols; brightness 0 to 1, facing right) and gives its mask.

    lesion_key  seeds what both views share (the places of the calcifications)
    view_key    seeds what is seen in this view only (the outline of the mass)

    Mask: the body of a mass without its spicules; the disc that holds a cluster. Never empty.
    """
    x, y = outline.place(np.array(finding.depth), np.array(finding.lateral), np.array(finding.upper))
    row, col = float(y) / pixel_mm - 0.5, float(x) / pixel_mm - 0.5
    radius = finding.radius_mm / pixel_mm
    reach = int(np.ceil(3.5 * radius)) + 2
    top, left = max(0, int(row) - reach), max(0, int(col) - reach)
    bottom, right = min(tissue.shape[0], int(row) + reach + 1), min(tissue.shape[1], int(col) + reach + 1)
    rows, cols = np.mgrid[top:bottom, left:right].astype(np.float32)
    rows -= np.float32(row)
    cols -= np.float32(col)
    mask = np.zeros(tissue.shape, np.bool_)
    if finding.kind == "mass":
        rng = np.random.default_rng(view_key)
        body = _mass_body(rows, cols, finding, radius=radius, rng=rng)
        light = body * np.float32(finding.contrast)
        if finding.malignant:
            spicules = _spicules(rows.shape, (row - top, col - left), radius=radius, pixel_mm=pixel_mm, rng=rng)
            light = np.maximum(light, spicules * np.float32(0.55 * finding.contrast))
        inside = body > 0.5
    else:
        light = _calcifications(
            rows, cols, finding, pixel_mm=pixel_mm, shared=np.random.default_rng(lesion_key), outline=outline
        )
        inside = np.hypot(rows, cols) <= radius + 0.5 / pixel_mm
    inside[np.unravel_index(np.argmin(np.hypot(rows, cols)), inside.shape)] = True
    tissue[top:bottom, left:right] += light
    mask[top:bottom, left:right] = inside
    return mask


def _mass_body(
    rows: NDArray[np.float32],
    cols: NDArray[np.float32],
    finding: PhantomFinding,
    *,
    radius: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """0 to 1: benign masses are oval with a sharp margin, malignant ones irregular with a vague one."""
    waves, height, edge = (7, 0.13, 0.30) if finding.malignant else (3, 0.05, 0.10)
    angle = np.arctan2(rows, cols)
    border = np.ones_like(angle)
    for k in range(2, 2 + waves):
        border += np.float32(height * rng.normal() / k**0.5) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    border = np.clip(border, 0.6, 1.4)
    inward = 1 - np.hypot(rows, cols) / (radius * border)
    ramp = np.clip(inward / edge + 0.5, 0, 1)
    dome = 0.75 + 0.25 * np.sqrt(np.clip(1 - (1 - np.clip(inward, 0, 1)) ** 2, 0, 1))
    return np.asarray(ramp * ramp * (3 - 2 * ramp) * dome, np.float32)


def _spicules(
    shape: tuple[int, int],
    centre: tuple[float, float],
    *,
    radius: float,
    pixel_mm: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """0 to 1: fine lines that radiate from the mass and fade outwards."""
    canvas = np.zeros(shape, np.float32)
    for angle in np.linspace(0, 2 * np.pi, 22, endpoint=False) + rng.uniform(-0.15, 0.15, 22):
        length = rng.uniform(1.4, 3.0) * radius
        bend = rng.normal(0, 0.12)
        parts = np.linspace(0.3 * radius, length, 9)
        angles = angle + bend * parts / length
        points = np.stack([centre[1] + parts * np.cos(angles), centre[0] + parts * np.sin(angles)], axis=1)
        fixed = np.round(points * 2**_SUBPIXEL).astype(np.int32)
        for n in range(len(parts) - 1):
            thick = max(1, round(0.9 * (1 - n / len(parts)) / pixel_mm))
            line = np.zeros(shape, np.uint8)
            cv2.line(line, fixed[n].tolist(), fixed[n + 1].tolist(), 255, thick, cv2.LINE_AA, _SUBPIXEL)
            np.maximum(canvas, line * np.float32((1 - 0.85 * n / len(parts)) / 255), out=canvas)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.4, 0.25 / pixel_mm)), np.float32)


def _calcifications(
    rows: NDArray[np.float32],
    cols: NDArray[np.float32],
    finding: PhantomFinding,
    *,
    pixel_mm: float,
    shared: np.random.Generator,
    outline: Outline,
) -> NDArray[np.float32]:
    """Specks in a ball: benign ones few and round, malignant ones many, small, uneven and elongated."""
    count = int(shared.integers(18, 35) if finding.malignant else shared.integers(7, 14))
    places = shared.normal(size=(count, 3))
    places *= (finding.radius_mm * shared.random((count, 1)) ** 0.5) / np.linalg.norm(places, axis=1, keepdims=True)
    sizes = shared.uniform(0.12, 0.38, count) if finding.malignant else shared.uniform(0.3, 0.55, count)
    lengths = shared.uniform(1, 3.2, count) if finding.malignant else np.ones(count)
    turns, lights = shared.uniform(0, np.pi, count), shared.uniform(0.45, 1, count)
    light = np.zeros_like(rows)
    across = places[:, 1] if outline.angle == "CC" else 0.92 * places[:, 2] + 0.38 * places[:, 1]
    for (x, _, _), y, size, length, turn, speck in zip(places, -across, sizes, lengths, turns, lights, strict=True):
        dx, dy = cols * pixel_mm - x, rows * pixel_mm - y
        along, over = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        # a speck finer than a pixel keeps its total brightness
        wide, long = max(size, 0.5 * pixel_mm), max(size * length, 0.5 * pixel_mm)
        faint = size * size * length / (wide * long)
        spot = np.exp(-((along / long) ** 2) - (over / wide) ** 2)
        light = np.maximum(light, np.float32(finding.contrast * speck * faint) * spot)
    return np.asarray(light, np.float32)
