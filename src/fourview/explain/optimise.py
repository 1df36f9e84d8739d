"""The input that a network calls most malignant, and the one that it calls most benign, reached from the same start.

A way to look at what a network has learned, in the spirit of Yi et al. 2017, whose method is not known in detail.
Methods: Simonyan et al. 2014 (gradient ascent on the input), Mahendran and Vedaldi 2015 (total variation), Yosinski et
al. 2015 (blur), Mordvintsev et al. 2015 (jitter).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fourview.explain.target import Target, score

Array = NDArray[np.float32]


@dataclass(frozen=True)
class OptimiseSettings:
    """How an input is changed, in units of the standardised input.

    steps, rate       of Adam
    jitter_px         largest shift, either way, drawn anew in every step;  flips  left-right, drawn too
    blur_px           standard deviation of a blur of the input, every `blur_every` steps
    total_variation   coefficient of the sum of absolute differences of neighbours
    to_start          coefficient of the sum of squared differences from the start; above 0, blur and total variation
                      are those of the change from it: else they would wear the start's own detail away
    """

    steps: int = 300
    rate: float = 0.02
    jitter_px: int = 8
    flips: bool = True
    blur_px: float = 0.5
    blur_every: int = 4
    total_variation: float = 1e-3
    to_start: float = 0.0


FROM_LESION = OptimiseSettings(to_start=1e-4)  # a real lesion stays one


@dataclass(frozen=True, eq=False)
class Prototype:
    """start, malignant, benign  (rows, cols) float32, standardised;  scores  of the three, log-odds of malignant"""

    name: str
    start: Array
    malignant: Array
    benign: Array
    scores: tuple[float, float, float]

    @property
    def difference(self) -> Array:
        """The malignant one minus the benign one: what makes the difference to the network."""
        return np.asarray(self.malignant - self.benign, np.float32)

    @property
    def moved(self) -> bool:
        """Whether the score went up on the one way and down on the other."""
        start, malignant, benign = self.scores
        return malignant > start > benign


def make_prototype(
    target: Target,
    start: Tensor,
    *,
    name: str,
    limits: tuple[float, float],
    settings: OptimiseSettings = OptimiseSettings(),
    seed: int = 0,
) -> Prototype:
    """Both ways from one start (1, 1, rows, cols), with the same shifts and flips, so that these make no difference.

    limits  smallest and largest value of real inputs: the changed ones stay within
    """
    up, down = (
        optimise_input(target, start, sign=sign, limits=limits, settings=settings, seed=seed) for sign in (1, -1)
    )
    with torch.inference_mode():
        said = [float(score(target, {"crop": x})[0]) for x in (start, up, down)]
    first, malignant, benign = (np.asarray(x[0, 0].cpu().numpy(), np.float32) for x in (start, up, down))
    return Prototype(name, first, malignant, benign, (said[0], said[1], said[2]))


def optimise_input(
    target: Target, start: Tensor, *, sign: int, limits: tuple[float, float], settings: OptimiseSettings, seed: int
) -> Tensor:
    """(1, 1, rows, cols): the start, changed so that `sign` times the score grows. The same for the same seed."""
    draws = np.random.default_rng(seed)
    base = start.detach() if settings.to_start else torch.zeros_like(start)
    change = (start.detach() - base).requires_grad_()
    adam = torch.optim.Adam([change], lr=settings.rate)
    for step in range(1, settings.steps + 1):
        down, right = (int(v) for v in draws.integers(-settings.jitter_px, settings.jitter_px + 1, 2))
        flipped = bool(settings.flips and draws.random() < 0.5)
        seen = torch.roll(base + change, (down, right), dims=(2, 3))
        seen = seen.flip(3) if flipped else seen
        loss = -sign * score(target, {"crop": seen}).sum() + settings.total_variation * _variation(change)
        if settings.to_start:
            loss = loss + settings.to_start * change.square().sum()
        (change.grad,) = torch.autograd.grad(loss, [change])
        adam.step()
        with torch.no_grad():
            if settings.blur_px and step % settings.blur_every == 0:
                change.copy_(_blur(change, settings.blur_px))
            change.copy_((base + change).clamp(*limits) - base)
    return (base + change).detach()


def draw_noise(shape: tuple[int, int], *, seed: int, deviation: float = 0.3) -> Tensor:
    """(1, 1, rows, cols) of noise about 0, the mean of a standardised input."""
    generator = torch.Generator().manual_seed(seed)
    return deviation * torch.randn((1, 1, *shape), generator=generator)


def _variation(x: Tensor) -> Tensor:
    return (x[..., 1:, :] - x[..., :-1, :]).abs().sum() + (x[..., 1:] - x[..., :-1]).abs().sum()


def _blur(x: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    places = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(x, [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))
