"""Maps of how much each pixel adds to a score: (target, inputs) -> (rows, cols) per input.

All of them take inputs (1, channels, rows, cols) and leave the network as it is. A target's units are logits, so a
difference of scores is a difference of log-odds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.explain.cells import Cells, measure_cells
from fourview.explain.target import Target, Tensors, score

Maps = dict[str, NDArray[np.float32]]  # input's name -> (rows, cols)

SMOOTH_SAMPLES, SMOOTH_NOISE = 25, 0.15
STEPS = 64
SQUARE_SHARE = 32 / 224  # of the shorter side: the square that occlusion hides, as 32 px are of 224
_BATCH_PX = 2**20  # pixels of all inputs that go through the network together


def gradient(target: Target, inputs: Tensors) -> Maps:
    """The score's derivative by each pixel of the image (the first channel), per unit of the standardised grey.

    Method: Simonyan, Vedaldi and Zisserman 2014.
    """
    return {name: _array(found[0, 0]) for name, found in _gradients(target, inputs).items()}


def smooth_gradient(
    target: Target,
    inputs: Tensors,
    *,
    samples: int = SMOOTH_SAMPLES,
    noise: float = SMOOTH_NOISE,
    seed: int = 0,
) -> Maps:
    """The mean of `gradient` over copies of the inputs with noise.

    noise  standard deviation, of what lies between the 0.5th and the 99.5th percentile of the input's first channel,
           the image, which alone gets it: the largest pixel of a mammogram can be a label

    Method: Smilkov et al. 2017.
    """
    generator = torch.Generator().manual_seed(seed)
    spread = {name: noise * _range(x) for name, x in inputs.items()}
    total = {name: np.zeros(x.shape[2:], np.float64) for name, x in inputs.items()}
    for count in _chunks(samples, inputs):
        drawn = [{name: _draw_noise(x, generator) for name, x in inputs.items()} for _ in range(count)]
        noisy = {name: x + spread[name] * torch.stack([one[name] for one in drawn]).to(x) for name, x in inputs.items()}
        for name, found in _gradients(target, noisy).items():
            total[name] += found[:, 0].double().sum(dim=0).cpu().numpy()
    return {name: np.asarray(sums / samples, np.float32) for name, sums in total.items()}


def integrated_gradients(target: Target, inputs: Tensors, *, baselines: Tensors, steps: int = STEPS) -> Maps:
    """What each pixel (all its channels) adds on the straight way from the baselines to the inputs.

    baselines  of the shapes of the inputs. All inputs go the way together, so the maps' sum over all inputs is the
               score of the inputs minus that of the baselines, but for the finite number of steps (midpoint rule)

    Method: Sundararajan, Taly and Yan 2017.
    """
    total = {name: np.zeros(x.shape[1:], np.float64) for name, x in inputs.items()}
    done = 0
    for count in _chunks(steps, inputs):
        shares = (torch.arange(done, done + count, dtype=torch.float32) + 0.5) / steps
        done += count
        points = {
            name: baselines[name] + shares.to(x).reshape(-1, 1, 1, 1) * (x - baselines[name])
            for name, x in inputs.items()
        }
        for name, found in _gradients(target, points).items():
            total[name] += found.double().sum(dim=0).cpu().numpy()
    way = {name: (x - baselines[name])[0].double().cpu().numpy() for name, x in inputs.items()}
    return {name: np.asarray((way[name] * sums / steps).sum(axis=0), np.float32) for name, sums in total.items()}


def grad_cam(target: Target, inputs: Tensors, *, cells: Mapping[str, Cells] | None = None) -> Maps:
    """The last map's channels, weighed by the score's mean derivative by them; negative sums are 0.

    cells  of each input, where the map's cells lie in it; None: they are measured

    Each input's own map: the derivatives are taken for all inputs at once, by the map of each. Method: Selvaraju et al.
    2017.
    """
    cells = cells or {name: measure_cells(target, name, x) for name, x in inputs.items()}
    maps = {name: target.last_map(name, x).detach().requires_grad_() for name, x in inputs.items()}
    slopes = torch.autograd.grad(target.read(maps).sum(), list(maps.values()), allow_unused=True)
    found = {}
    for (name, features), slope in zip(maps.items(), slopes, strict=True):
        weights = torch.zeros_like(features) if slope is None else slope
        sums = torch.relu((features * weights.mean(dim=(2, 3), keepdim=True)).sum(dim=1))[0]
        found[name] = cells[name].spread(_array(sums), (inputs[name].shape[2], inputs[name].shape[3]))
    return found


def occlusion(
    target: Target,
    inputs: Tensors,
    *,
    baselines: Tensors,
    side_px: int | None = None,
    stride_px: int | None = None,
) -> Maps:
    """At each pixel the mean fall of the score over the squares that hide it.

    baselines  what a square shows when it is hidden
    side_px    of the square; None: 32 of 224 pixels of the input's shorter side
    stride_px  between squares; None: half a side. The last square of a row ends at the border

    One input has a square hidden, the others are whole. Method: Zeiler and Fergus 2014.
    """
    with torch.inference_mode():
        maps = {name: target.last_map(name, x) for name, x in inputs.items()}
        whole = float(target.read(maps)[0])
        found = {}
        for name, x in inputs.items():
            shape = x.shape[2], x.shape[3]
            side = min(side_px or square_side(shape), *shape)
            falls = _hide(target, name, inputs, baselines, maps, side=side, stride=stride_px or max(1, side // 2))
            total, times = np.zeros(shape), np.zeros(shape)
            for top, left, value in falls:
                square = slice(top, top + side), slice(left, left + side)
                total[square] += whole - (whole if value is None else value)
                times[square] += 1
            found[name] = np.asarray(total / times, np.float32)
    return found


def square_side(shape: tuple[int, int]) -> int:
    """The side of occlusion's square in an input (rows, cols)."""
    return max(1, round(SQUARE_SHARE * min(shape)))


def _hide(
    target: Target, name: str, inputs: Tensors, baselines: Tensors, maps: Tensors, *, side: int, stride: int
) -> Iterator[tuple[int, int, float | None]]:
    """(top, left, score) with each square hidden; None: the square already looks like its baseline."""
    x, hidden = inputs[name], baselines[name]
    rows, cols = x.shape[2:]
    differs = (x != hidden).any(dim=1)[0].cpu().numpy()
    waiting: list[tuple[int, int]] = []
    most = max(1, _BATCH_PX // (rows * cols))
    corners = [(top, left) for top in _starts(rows, side, stride) for left in _starts(cols, side, stride)]
    for number, (top, left) in enumerate(corners, 1):
        if differs[top : top + side, left : left + side].any():
            waiting.append((top, left))
        else:
            yield top, left, None
        if waiting and (len(waiting) == most or number == len(corners)):
            batch = x.repeat(len(waiting), 1, 1, 1)
            for place, (r, c) in enumerate(waiting):
                batch[place, :, r : r + side, c : c + side] = hidden[0, :, r : r + side, c : c + side]
            others = {key: one.expand(len(waiting), -1, -1, -1) for key, one in maps.items()}
            scores = target.read({**others, name: target.last_map(name, batch)})
            yield from ((r, c, float(value)) for (r, c), value in zip(waiting, scores, strict=True))
            waiting = []


def _starts(length: int, side: int, stride: int) -> list[int]:
    starts = list(range(0, length - side + 1, stride))
    return starts if starts[-1] == length - side else [*starts, length - side]


def _gradients(target: Target, inputs: Tensors) -> dict[str, Tensor]:
    """The derivative of each element's score by its own inputs; 0 where an input has no say."""
    leaves = {name: x.detach().requires_grad_() for name, x in inputs.items()}
    found = torch.autograd.grad(score(target, leaves).sum(), list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(x) if slope is None else slope
        for (name, x), slope in zip(leaves.items(), found, strict=True)
    }


def _draw_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """(channels, rows, cols): of the image alone; heatmaps, which are probabilities, stay as they are."""
    noise = torch.zeros(x.shape[1:])
    noise[0] = torch.randn(x.shape[2:], generator=generator)
    return noise


def _range(x: Tensor) -> float:
    low, high = np.percentile(x[:, 0].cpu().numpy(), (0.5, 99.5))
    return float(high - low)


def _chunks(count: int, inputs: Tensors) -> Iterator[int]:
    """`count` in portions that fit into memory."""
    most = max(1, _BATCH_PX // sum(x.shape[2] * x.shape[3] for x in inputs.values()))
    while count > 0:
        yield min(count, most)
        count -= most


def _array(x: Tensor) -> NDArray[np.float32]:
    return np.asarray(x.detach().cpu().numpy(), np.float32)
