"""GoogLeNet, full or of any share of its channels: what the lesion study calls googlenet and googlenet_light.

Method: Szegedy et al. 2015, with batch norm after each convolution (Ioffe and Szegedy 2015) and no auxiliary answers.
The light one has a tenth of the channels, rounded down: 57,675 numbers instead of 5,976,610, of one grey channel and
two answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

STEM = (64, 64, 192)
# of each block: 1x1; 3x3 reduced, 3x3; 5x5 reduced, 5x5; after pooling
BLOCKS: dict[str, tuple[int, int, int, int, int, int]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
_POOLED_AFTER = ("3b", "4e")
_MIDDLE = "4b"  # the block of whose map a gate learned from outlines is made, beside the last one


def scale_channels(channels: int, width_mult: float) -> int:
    """So many of `channels`: rounded down, at least one."""
    return max(1, int(channels * width_mult + 1e-6))


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, ReLU; the map keeps its size but for the stride."""

    def __init__(self, channels_in: int, channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )


class Inception(nn.Module):
    """Convolutions of three sizes and a pooling, side by side. channels: as in BLOCKS"""

    def __init__(self, channels_in: int, channels: Sequence[int]) -> None:
        super().__init__()
        one, three_reduced, three, five_reduced, five, pooled = channels
        self.one = ConvNorm(channels_in, one, 1)
        self.three = nn.Sequential(ConvNorm(channels_in, three_reduced, 1), ConvNorm(three_reduced, three, 3))
        self.five = nn.Sequential(ConvNorm(channels_in, five_reduced, 1), ConvNorm(five_reduced, five, 5))
        self.pooled = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvNorm(channels_in, pooled, 1))
        self.channels = one + three + five + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pooled(x)], dim=1)


class GoogLeNet(nn.Module):
    """(batch, 1, rows, cols) -> maps of every 16th and of every 32nd pixel, (batch, channels, rows, cols) each.

    width_mult       share of the channels of the full network
    middle, channels of the two maps
    """

    def __init__(self, *, width_mult: float = 1.0) -> None:
        super().__init__()
        first, reduced, last = (scale_channels(channels, width_mult) for channels in STEM)
        self.stem = nn.Sequential(
            ConvNorm(1, first, 7, stride=2),
            nn.MaxPool2d(3, stride=2, padding=1),
            ConvNorm(first, reduced, 1),
            ConvNorm(reduced, last, 3),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.blocks = nn.ModuleDict()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = last
        for name, wide in BLOCKS.items():
            block = Inception(channels, [scale_channels(one, width_mult) for one in wide])
            self.blocks[name] = block
            channels = block.channels
            if name == _MIDDLE:
                self.middle = channels
        self.channels = channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        middle = x
        for name, block in self.blocks.items():
            x = block(x)
            if name == _MIDDLE:
                middle = x
            if name in _POOLED_AFTER:
                x = self.pool(x)
        return middle, x
