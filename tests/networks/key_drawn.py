"""Weights that anybody can draw again: each tensor's values follow from its name and shape."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

Shape = tuple[int, ...]


def draw_state(shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """A state dict with these names and shapes, alive through any depth."""
    return {name: torch.from_numpy(_draw(name, shape)) for name, shape in shapes.items()}


def _draw(name: str, shape: Shape) -> np.ndarray:
    kind = name.rsplit(".", 1)[-1]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if kind == "running_var" or (kind == "weight" and len(shape) == 1):
        values = 0.5 + rng.random(shape)
    elif kind in ("running_mean", "bias"):
        values = 0.1 * rng.standard_normal(shape)
    else:
        values = rng.standard_normal(shape) * 1.3 / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def draw_images(count: int, side: int, *, channels: int = 3) -> Tensor:
    """(count, channels, side, side) of noise."""
    return torch.from_numpy(np.random.default_rng(7).standard_normal((count, channels, side, side)).astype(np.float32))
