"""The patch network slid over one breast: where it sees a malignant or a benign finding."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.engine import PatchJob, ReadPatches
from fourview.exam import ExamError
from fourview.weights.card import Spreading
from fourview.window import standardise_whole


@dataclass(frozen=True)
class PatchGrid:
    """Where patches start, rows and columns apart, in the crop frame."""

    rows: tuple[int, ...]
    cols: tuple[int, ...]
    side_px: int

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def corners(self) -> Iterator[tuple[int, int]]:
        """(top, left) of each patch in upstream's order: column by column, each from the top."""
        return ((top, left) for left in self.cols for top in self.rows)


def draw_steps(length: int, *, side_px: int, stride_px: int, rng: random.Random) -> tuple[int, ...]:
    """The steps between patches along one axis, so that the last patch ends exactly at `length`.

    Where the stride does not fit, the steps are a little shorter, and which of them are shorter still is drawn.
    Raises ExamError if the axis is shorter than a patch.
    """
    if length < side_px:
        raise ExamError(f"{length} pixels along one axis; the patch network needs at least {side_px}")
    steps, rest = divmod(length - side_px, stride_px)
    if rest == 0:
        return (stride_px,) * steps
    steps += 1
    excess = stride_px - rest
    base = stride_px - excess // steps
    shorter = set(rng.sample(range(steps), excess % steps))
    return tuple(base - 1 if step in shorter else base for step in range(steps))


def draw_grid(shape: tuple[int, int], *, side_px: int, stride_px: int, rng: random.Random) -> PatchGrid:
    """The patches of one crop, rows drawn before columns as upstream does. Raises ExamError if it is too small."""
    rows, cols = (
        (0, *np.cumsum(draw_steps(n, side_px=side_px, stride_px=stride_px, rng=rng), dtype=int).tolist()) for n in shape
    )
    return PatchGrid(rows, cols, side_px)


def slide_patches(
    crops: Sequence[NDArray[Any]],
    grids: Sequence[PatchGrid],
    read: ReadPatches,
    *,
    std_floor: float = 1e-5,
) -> list[NDArray[np.float32]]:
    """Per crop, (patches, classes) float32 probabilities, one row per patch in the grid's order.

    crops  (rows, cols) crop frame, background 0; each standardised as a whole before patches are cut
    read   the patch network of an engine

    Patches without any breast are all equal after standardisation, so one of them is read for all of its crop.
    """
    plans = [_Plan.make(pixels, grid) for pixels, grid in zip(crops, grids, strict=True)]
    jobs = (
        PatchJob(standardise_whole(pixels, std_floor=std_floor), plan.corners[plan.chosen])
        for pixels, plan in zip(crops, plans, strict=True)
    )
    p = read(jobs)
    counts = [len(plan.chosen) for plan in plans]
    if len(p) != sum(counts):
        raise ValueError(f"the engine answered for {len(p)} patches; {sum(counts)} were asked for")
    parts = np.split(p, np.cumsum(counts)[:-1])
    return [part[plan.answer] for part, plan in zip(parts, plans, strict=True)]


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which patches of one crop are read: chosen[answer[i]] is the one that stands for patch i."""

    corners: NDArray[np.int64]
    chosen: NDArray[np.int64]
    answer: NDArray[np.int64]

    @classmethod
    def make(cls, pixels: NDArray[Any], grid: PatchGrid) -> _Plan:
        empty = find_empty(pixels, grid)
        stands_for_itself = ~empty
        if empty.any():
            stands_for_itself[np.argmax(empty)] = True  # the first empty patch answers for all of them
        chosen = np.flatnonzero(stands_for_itself)
        answer = np.cumsum(stands_for_itself) - 1
        answer[empty] = answer[np.argmax(empty)]
        return cls(np.array(list(grid.corners()), np.int64), chosen, answer)


def find_empty(pixels: NDArray[Any], grid: PatchGrid) -> NDArray[np.bool_]:
    """For each patch in the grid's order, True if all its pixels are background (exactly 0)."""
    side = grid.side_px
    lefts = np.array(grid.cols)
    empty = np.empty((len(grid.rows), len(grid.cols)), np.bool_)
    for number, top in enumerate(grid.rows):
        lit = np.concatenate([[0], np.cumsum(pixels[top : top + side].any(axis=0))])  # columns with breast, so far
        empty[number] = lit[lefts + side] == lit[lefts]
    return empty.ravel(order="F")  # column by column, as the corners


def spread_over_pixels(
    p: NDArray[np.float32], grid: PatchGrid, shape: tuple[int, int], *, spreading: Spreading | None
) -> NDArray[np.float32]:
    """(rows, cols) float32: at each pixel the mean of the patches that cover it, or as `spreading` says.

    p          one probability per patch, in the grid's order
    spreading  of the card of the patch network

    The grid is a product of rows and columns, so sums run down each column of patches first.
    """
    side = grid.side_px
    per_patch = p.reshape(len(grid.cols), len(grid.rows)).astype(np.float64)
    down = np.zeros((len(grid.cols), shape[0]))
    for number, top in enumerate(grid.rows):
        down[:, top : top + side] += per_patch[:, number, None]
    total = np.zeros(shape, np.float32)
    for number, left in enumerate(grid.cols):
        total[:, left : left + side] += down[number, :, None].astype(np.float32)
    spreading = spreading or Spreading()
    least = {"ignored": 0.0, "healthy": 1.0}[spreading.beyond_border]
    total /= _covering(grid.rows, side, shape[0], least=least)[:, None]
    total /= _covering(grid.cols, side, shape[1], least=least)
    if spreading.smooth_px:
        total = np.asarray(
            cv2.GaussianBlur(total, (0, 0), spreading.smooth_px, borderType=cv2.BORDER_REPLICATE), np.float32
        )
    return total


def _covering(starts: Sequence[int], side: int, length: int, *, least: float) -> NDArray[np.float32]:
    """How many patches cover each position along one axis; at least this share of what covers one in the middle."""
    steps = np.zeros(length + 1, np.int64)
    np.add.at(steps, np.array(starts), 1)
    np.add.at(steps, np.array(starts) + side, -1)
    covering = np.cumsum(steps[:-1]).astype(np.float32)
    usual = side * (len(starts) - 1) / (starts[-1] - starts[0]) if len(starts) > 1 else 1.0
    return np.maximum(covering, np.float32(least * usual))
