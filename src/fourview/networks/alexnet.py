"""AlexNet for one grey channel, its second kernel 11 pixels wide as the lesion study's authors had it (original: 5).

Method: Krizhevsky et al. 2012, with batch norm after each convolution in place of response normalisation.
"""

from __future__ import annotations

from torch import Tensor, nn

from fourview.networks.inception import scale_channels

_KERNELS = (11, 11, 3, 3, 3)
_CHANNELS = (96, 256, 384, 384, 256)
_POOLED = (True, True, False, False, True)
HIDDEN = 4096  # of each of the two layers after the map


class AlexNet(nn.Module):
    """(batch, 1, rows, cols) -> maps of every 16th and of every 32nd pixel, (batch, channels, rows, cols) each.

    width_mult       share of the channels of the full network
    middle, channels of the two maps
    """

    def __init__(self, *, width_mult: float = 1.0) -> None:
        super().__init__()
        layers, channels_in = [], 1
        for place, (kernel, wide) in enumerate(zip(_KERNELS, _CHANNELS, strict=True)):
            channels = scale_channels(wide, width_mult)
            convolution = nn.Conv2d(
                channels_in, channels, kernel, stride=4 if place == 0 else 1, padding=5 if kernel == 11 else 1
            )
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU()))
            channels_in = channels
        self.layers = nn.ModuleList(layers)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.middle = self.channels = channels_in

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for layer, pooled in zip(self.layers[:-1], _POOLED[:-1], strict=True):
            x = layer(x)
            x = self.pool(x) if pooled else x
        x = self.layers[-1](x)
        return x, self.pool(x)
