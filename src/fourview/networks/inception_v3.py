"""Inception v3 for one grey channel, without auxiliary answers.

Method: Szegedy et al. 2016. Every convolution and pooling is padded, so that maps lie on every 16th and 32nd pixel as
those of the other lesion networks; the original does not pad some, and loses a rim of its map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fourview.networks.inception import scale_channels

_EPS = 1e-3  # of batch norm, as in the paper's code
Kernel = tuple[int, int]
ONE, THREE, FIVE, WIDE, TALL = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1)


@dataclass(frozen=True)
class Branch:
    """One of several ways through a block.

    steps   (channels, kernel) of its convolutions;  stride  of the last one, or of the pooling
    before  pooling before the convolutions
    ends    kernels of convolutions side by side after the last one, each as wide as it
    """

    steps: tuple[tuple[int, Kernel], ...] = ()
    stride: int = 1
    before: Literal["none", "mean", "largest"] = "none"
    ends: tuple[Kernel, ...] = ()


STEM: tuple[Branch, ...] = (
    Branch(((32, THREE),), stride=2),
    Branch(((32, THREE), (64, THREE))),
    Branch(before="largest", stride=2),
    Branch(((80, ONE), (192, THREE))),
    Branch(before="largest", stride=2),
)
_SIDES: tuple[Kernel, Kernel] = ((1, 3), (3, 1))


def _fine(pooled: int) -> tuple[Branch, ...]:
    return (
        Branch(((64, ONE),)),
        Branch(((48, ONE), (64, FIVE))),
        Branch(((64, ONE), (96, THREE), (96, THREE))),
        Branch(((pooled, ONE),), before="mean"),
    )


def _factored(inner: int) -> tuple[Branch, ...]:
    return (
        Branch(((192, ONE),)),
        Branch(((inner, ONE), (inner, WIDE), (192, TALL))),
        Branch(((inner, ONE), (inner, TALL), (inner, WIDE), (inner, TALL), (192, WIDE))),
        Branch(((192, ONE),), before="mean"),
    )


_HALVED = Branch(before="largest", stride=2)
_COARSE = (
    Branch(((320, ONE),)),
    Branch(((384, ONE),), ends=_SIDES),
    Branch(((448, ONE), (384, THREE)), ends=_SIDES),
    Branch(((192, ONE),), before="mean"),
)
UNTIL_MIDDLE: tuple[tuple[Branch, ...], ...] = (
    *((branch,) for branch in STEM),
    _fine(32),
    _fine(64),
    _fine(64),
    (Branch(((384, THREE),), stride=2), Branch(((64, ONE), (96, THREE), (96, THREE)), stride=2), _HALVED),
    *(_factored(inner) for inner in (128, 160, 160, 192)),
)
UNTIL_LAST: tuple[tuple[Branch, ...], ...] = (
    (
        Branch(((192, ONE), (320, THREE)), stride=2),
        Branch(((192, ONE), (192, WIDE), (192, TALL), (192, THREE)), stride=2),
        _HALVED,
    ),
    _COARSE,
    _COARSE,
)


class InceptionV3(nn.Module):
    """(batch, 1, rows, cols) -> maps of every 16th and of every 32nd pixel, (batch, channels, rows, cols) each.

    width_mult       share of the channels of the full network
    middle, channels of the two maps
    """

    def __init__(self, *, width_mult: float = 1.0) -> None:
        super().__init__()
        self.until_middle, self.middle = _chain(UNTIL_MIDDLE, 1, width_mult)
        self.until_last, self.channels = _chain(UNTIL_LAST, self.middle, width_mult)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.until_middle(x)
        return middle, self.until_last(middle)


class Beside(nn.ModuleList):
    """Layers side by side, their maps joined."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([one(x) for one in self], dim=1)


def _chain(blocks: Sequence[Sequence[Branch]], channels_in: int, share: float) -> tuple[nn.Sequential, int]:
    """The blocks one after the other, and how many channels come out."""
    layers = []
    for block in blocks:
        made = [_build(branch, channels_in, share) for branch in block]
        layers.append(Beside([layer for layer, _ in made]))
        channels_in = sum(channels for _, channels in made)
    return nn.Sequential(*layers), channels_in


def _build(branch: Branch, channels_in: int, share: float) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = []
    if branch.before == "mean":
        layers.append(nn.AvgPool2d(3, stride=1, padding=1))
    elif branch.before == "largest":
        layers.append(nn.MaxPool2d(3, stride=branch.stride, padding=1))
    for number, (wide, kernel) in enumerate(branch.steps, start=1):
        channels = scale_channels(wide, share)
        layers.append(_convolve(channels_in, channels, kernel, branch.stride if number == len(branch.steps) else 1))
        channels_in = channels
    if branch.ends:
        layers.append(Beside([_convolve(channels_in, channels_in, kernel, 1) for kernel in branch.ends]))
        return nn.Sequential(*layers), channels_in * len(branch.ends)
    return nn.Sequential(*layers), channels_in


def _convolve(channels_in: int, channels: int, kernel: Kernel, stride: int) -> nn.Sequential:
    padding = kernel[0] // 2, kernel[1] // 2
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(channels, eps=_EPS),
        nn.ReLU(),
    )
