"""A window of one view around a finding: where its 3-D parts appear, and how they are laid into the tissue.

Three axes through the middle of the finding, in mm of the compressed breast: towards the nipple, lateral, upper.
CC looks from above, MLO from the upper inner side, so both show the same depth and different heights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
FINE_MM = 0.07  # specks are drawn on pixels no coarser than this and averaged, so that they keep their brightness


@dataclass(frozen=True, eq=False)
class LocalView:
    """A square window of n x n pixels, which may reach over the border of the image.

    tilt       radians from lateral to what is up in the view, as in Outline: 0 in CC
    reach_mm   from the middle to the sides, at least
    row, col   the middle of the finding, in pixels of the image (0 is the middle of the first pixel)
    top, left  the image pixel of the window's first pixel; may be negative
    """

    tilt: float
    pixel_mm: float
    reach_mm: float
    row: float
    col: float
    top: int
    left: int
    n: int

    @property
    def beam(self) -> NDArray[np.float64]:
        """(3, 3): rows are the directions of x, y and the beam, in the axes of the finding."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return np.array([[1.0, 0.0, 0.0], [0.0, -cos, -sin], [0.0, -sin, cos]])

    @property
    def middle(self) -> tuple[float, float]:
        """(col, row) of the middle of the finding in the window."""
        return self.col - self.left, self.row - self.top

    @property
    def x_mm(self) -> Image:
        """(n,) float32: how far each column lies from the middle, towards the nipple."""
        return ((np.arange(self.n) + (self.left - self.col)) * self.pixel_mm).astype(np.float32)

    @property
    def y_mm(self) -> Image:
        """(n,) float32: how far each row lies below the middle."""
        return ((np.arange(self.n) + (self.top - self.row)) * self.pixel_mm).astype(np.float32)

    @property
    def distance_mm(self) -> Image:
        """(n, n) float32: from the middle."""
        return np.hypot(self.y_mm[:, None], self.x_mm[None, :])

    def narrowed(self, reach_mm: float) -> tuple[LocalView, tuple[slice, slice]]:
        """A smaller window around the same middle, and where it lies in this one."""
        reach = min(int(np.ceil(reach_mm / self.pixel_mm)) + 2, self.n // 2)
        by = self.n // 2 - reach
        small = replace(
            self,
            reach_mm=min(reach_mm, self.reach_mm),
            top=self.top + by,
            left=self.left + by,
            n=2 * reach + 1,
        )
        return small, (slice(by, by + small.n), slice(by, by + small.n))

    def project(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(x, y) in mm from the middle, of points (..., 3) in the axes of the finding."""
        seen = points @ self.beam.T
        return seen[..., 0], seen[..., 1]

    def cut(self, image: Image) -> Image:
        """The window of an image; beyond its border the last pixels go on."""
        rows = np.clip(np.arange(self.top, self.top + self.n), 0, image.shape[0] - 1)
        cols = np.clip(np.arange(self.left, self.left + self.n), 0, image.shape[1] - 1)
        return np.ascontiguousarray(image[np.ix_(rows, cols)])

    def slices(self, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where window and image overlap: (in the image, in the window)."""
        top, left = max(0, self.top), max(0, self.left)
        bottom, right = min(shape[0], self.top + self.n), min(shape[1], self.left + self.n)
        bottom, right = max(bottom, top), max(right, left)
        here = slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left)
        return (slice(top, bottom), slice(left, right)), here


def open_view(tilt: float, *, x_mm: float, y_mm: float, reach_mm: float, pixel_mm: float) -> LocalView:
    """The window that reaches this far from a place given in mm of the image."""
    row, col = y_mm / pixel_mm - 0.5, x_mm / pixel_mm - 0.5
    reach = int(np.ceil(reach_mm / pixel_mm)) + 2
    return LocalView(tilt, pixel_mm, reach_mm, row, col, round(row) - reach, round(col) - reach, 2 * reach + 1)


def soften(image: Image, local: LocalView, *, sigma_mm: float) -> Image:
    """The image blurred by this many mm; as it is, where that is less than a fifth of a pixel."""
    sigma = sigma_mm / local.pixel_mm
    if sigma < 0.2:
        return image
    shrink = int(sigma // 6)  # a wide blur of fewer pixels looks the same
    if shrink < 2:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    few = max(4, round(local.n / shrink))
    small = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma * few / local.n)
    return np.asarray(cv2.resize(small, (local.n, local.n), interpolation=cv2.INTER_LINEAR), np.float32)


def lay_strokes(
    canvas: Image,
    local: LocalView,
    points: NDArray[np.float64],
    *,
    width_mm: NDArray[np.float64],
    light: NDArray[np.float64],
) -> None:
    """Adds thin lines to the canvas; their total brightness is the same at every pixel size.

    points           (lines, steps, 3) mm in the axes of the finding
    width_mm, light  (lines, steps) full width and brightness along each line; widths are drawn in three classes
    """
    x, y = local.project(points)
    # as the view sees them: a line that points along the beam is a dot as bright as the line, not a bright spot
    length = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1))
    many = max(1, int(np.ceil(2 * length.max() / local.pixel_mm)))  # points leave no gap between pixels
    col, row, width, shine = (_refine(values, many) for values in (x, y, width_mm, light))
    weight = shine * width * np.repeat(length, many, axis=1) / many / local.pixel_mm**2
    col, row = col / local.pixel_mm + (local.col - local.left), row / local.pixel_mm + (local.row - local.top)
    edge = 1.5 * width.max() / local.pixel_mm + 2
    left, top = max(0, int(col.min() - edge)), max(0, int(row.min() - edge))
    right, bottom = min(local.n, int(col.max() + edge) + 1), min(local.n, int(row.max() + edge) + 1)
    box = canvas[top:bottom, left:right]
    if min(box.shape) < 2:
        return
    limits = np.quantile(width, [1 / 3, 2 / 3])
    for band in (width <= limits[0], (width > limits[0]) & (width <= limits[1]), width > limits[1]):
        if band.any():
            laid = _share_out(col[band] - left, row[band] - top, weight[band], shape=box.shape)
            sigma = float(np.median(width[band])) / 2.5 / local.pixel_mm
            box += cv2.GaussianBlur(laid, (0, 0), sigma) if sigma > 0.2 else laid


def _share_out(
    col: NDArray[np.float64], row: NDArray[np.float64], weight: NDArray[np.float64], *, shape: tuple[int, ...]
) -> Image:
    """An image of this shape in which each point's weight is shared out to the four nearest pixels."""
    rows, cols = shape
    inside = (col >= 0) & (col < cols - 1) & (row >= 0) & (row < rows - 1)
    col, row, weight = col[inside], row[inside], weight[inside]
    left, top = col.astype(np.intp), row.astype(np.intp)
    to_right, down = col - left, row - top
    first = top * cols + left
    where = np.concatenate([first, first + 1, first + cols, first + cols + 1])
    share = np.concatenate([(1 - down) * (1 - to_right), (1 - down) * to_right, down * (1 - to_right), down * to_right])
    laid = np.bincount(where, weights=share * np.tile(weight, 4), minlength=rows * cols)
    return laid.reshape(rows, cols).astype(np.float32)


def stamp(
    canvas: Image,
    local: LocalView,
    *,
    x: float,
    y: float,
    half_mm: float,
    profile: Callable[[Image, Image], Image],
) -> None:
    """Adds a small thing at (x, y) mm to the canvas; its total brightness is the same at every pixel size.

    half_mm  half the side of the square outside which the profile is 0
    profile  brightness at offsets (dx, dy) in mm
    """
    fine = max(1, int(np.ceil(local.pixel_mm / FINE_MM - 1e-6)))
    left = int(np.floor((x - half_mm) / local.pixel_mm + (local.col - local.left)))
    top = int(np.floor((y - half_mm) / local.pixel_mm + (local.row - local.top)))
    n = int(np.ceil(2 * half_mm / local.pixel_mm)) + 2
    if left < 0 or top < 0 or left + n > local.n or top + n > local.n:
        return
    steps = (np.arange(n * fine) + 0.5) / fine - 0.5
    dx = ((left + steps + (local.left - local.col)) * local.pixel_mm - x).astype(np.float32)
    dy = ((top + steps + (local.top - local.row)) * local.pixel_mm - y).astype(np.float32)
    light = profile(dx[None, :], dy[:, None])
    canvas[top : top + n, left : left + n] += light.reshape(n, fine, n, fine).mean(axis=(1, 3))


def uneven(local: LocalView, rng: np.random.Generator, *, cell_mm: float, octaves: int = 3) -> Image:
    """(n, n) float32 noise, mean 0, deviation about 1, the same in mm at every pixel size; octaves halve the cell."""
    cells = 2 * int(np.ceil(local.reach_mm / cell_mm)) + 3  # an odd number: the middle of one is the middle of all
    field: Image = np.zeros((1, 1), np.float32)
    for octave in range(octaves + 1):  # the last one is only smooth, so that it can be read linearly
        n = cells * 2**octave
        field = np.asarray(cv2.resize(field, (n, n), interpolation=cv2.INTER_CUBIC), np.float32)
        if octave < octaves:
            field += rng.standard_normal((n, n), dtype=np.float32) * np.float32(0.6**octave)
    step = local.pixel_mm / cell_mm * 2**octaves
    middle = (cells * 2**octaves - 1) / 2
    to_cells = np.array(
        [
            [step, 0, middle + (local.left - local.col) * step],
            [0, step, middle + (local.top - local.row) * step],
        ]
    )
    read = cv2.warpAffine(
        field,
        to_cells,
        (local.n, local.n),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )
    return np.asarray(read * np.float32(1.25 / sum(0.36**k for k in range(octaves)) ** 0.5), np.float32)


def push_about(image: Image, local: LocalView, rng: np.random.Generator, *, by_mm: float, cell_mm: float) -> Image:
    """The image with everything moved about by so many mm (standard deviation), neighbours alike, in cells so wide."""
    by = np.float32(by_mm / local.pixel_mm)
    grid = np.arange(local.n, dtype=np.float32)
    x = grid[None, :] + by * uneven(local, rng, cell_mm=cell_mm)
    y = grid[:, None] + by * uneven(local, rng, cell_mm=cell_mm)
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR), np.float32)


def _refine(values: NDArray[np.float64], many: int) -> NDArray[np.float64]:
    """(lines, steps) -> (lines, (steps - 1) * many): in between, evenly."""
    share = (np.arange(many) + 0.5) / many
    between = values[:, :-1, None] * (1 - share) + values[:, 1:, None] * share
    return between.reshape(len(values), -1)
