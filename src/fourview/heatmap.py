"""The patch network slid over one breast: where it sees a malignant or a benign finding."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.window import standardise

Patches = NDArray[np.float32]
PatchProbabilities = Callable[[Patches], NDArray[np.float32]]


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
    pixels: NDArray[np.generic],
    grid: PatchGrid,
    probabilities: PatchProbabilities,
    *,
    batch: int,
    std_floor: float = 1e-5,
) -> NDArray[np.float32]:
    """(patches, classes) float32 probabilities, one row per patch in the grid's order.

    pixels         (rows, cols) crop frame; standardised as a whole, in float64, before patches are cut
    probabilities  (batch, 1, side, side) float32 -> (batch, classes)
    """
    whole = standardise(pixels.astype(np.float64), std_floor=std_floor).astype(np.float32)
    side = grid.side_px
    corners = list(grid.corners())
    parts = []
    for start in range(0, len(corners), batch):
        chosen = corners[start : start + batch]
        parts.append(probabilities(np.stack([whole[None, t : t + side, le : le + side] for t, le in chosen])))
    return np.concatenate(parts)


def spread_over_pixels(p: NDArray[np.float32], grid: PatchGrid, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, cols) float32: at each pixel the mean of the patches that cover it.

    p  one probability per patch, in the grid's order
    """
    total = np.zeros(shape, np.float32)
    covering = np.zeros(shape, np.float32)
    side = grid.side_px
    for (top, left), value in zip(grid.corners(), p, strict=True):
        total[top : top + side, left : left + side] += value
        covering[top : top + side, left : left + side] += 1
    return total / covering


def network_probabilities(network: torch.nn.Module, device: torch.device) -> PatchProbabilities:
    """The softmax of a patch network as a function of numpy patches."""

    def probabilities(patches: Patches) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits = network(torch.from_numpy(patches).to(device))
            return np.asarray(torch.softmax(logits, dim=1).cpu().numpy())

    return probabilities
