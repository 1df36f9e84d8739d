"""VGG-11, 13, 16 and 19 with batch norm, for one grey channel. Method: Simonyan and Zisserman 2015."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from fourview.networks.inception import scale_channels

VggKind = Literal["vgg11", "vgg13", "vgg16", "vgg19"]
_CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS: dict[VggKind, tuple[int, int, int, int, int]] = {  # of each of the five stages, before it pools
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
HIDDEN = 4096  # of each of the two layers after the map


class Vgg(nn.Module):
    """(batch, 1, rows, cols) -> maps of every 16th and of every 32nd pixel, (batch, channels, rows, cols) each.

    width_mult       share of the channels of the full network
    middle, channels of the two maps
    """

    def __init__(self, kind: VggKind, *, width_mult: float = 1.0) -> None:
        super().__init__()
        stages, channels_in = [], 1
        for wide, count in zip(_CHANNELS, CONVOLUTIONS[kind], strict=True):
            layers: list[nn.Module] = []
            for _ in range(count):
                channels = scale_channels(wide, width_mult)
                layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
                channels_in = channels
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2, ceil_mode=True)))
        self.stages = nn.ModuleList(stages)
        self.middle = scale_channels(_CHANNELS[3], width_mult)
        self.channels = channels_in

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for stage in self.stages[:-1]:
            x = stage(x)
        return x, self.stages[-1](x)
