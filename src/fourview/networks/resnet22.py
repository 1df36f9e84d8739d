"""ResNet-22: the column that turns one view's window into features. Method: Wu et al. 2019, figure 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGE_STRIDES = (1, 2, 2, 2, 2)


class Block(nn.Module):
    """Pre-activation residual block of two 3x3 convolutions.

    The first block of every stage (also where the stride is 1) takes its residual through a 1x1 convolution of the
    *activated* input; the others take the raw input. Nothing is activated after the sum.
    """

    def __init__(self, channels_in: int, channels: int, *, stride: int, projects: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False)) if projects else None
        )

    def forward(self, x: Tensor) -> Tensor:
        activated = torch.relu(self.bn1(x))
        residual = x if self.downsample is None else self.downsample(activated)
        out = self.conv1(activated)
        out = self.conv2(torch.relu(self.bn2(out)))
        summed: Tensor = out + residual
        return summed


class ResNet22(nn.Module):
    """(batch, channels, rows, cols) -> (batch, 16 * width): features averaged over all positions.

    channels_in  1 (image) or 3 (image, benign heatmap, malignant heatmap)
    width        channels of the first stage; they double in each of the five stages
    """

    def __init__(self, channels_in: int, *, width: int = 16) -> None:
        super().__init__()
        self.first_conv = nn.Conv2d(channels_in, width, 7, stride=2, padding=0, bias=False)
        self.first_pool = nn.MaxPool2d(3, stride=2, padding=0)
        stages, channels = [], width
        for number, stride in enumerate(STAGE_STRIDES):
            wider = width * 2**number
            first = Block(channels, wider, stride=stride, projects=True)
            stages.append(nn.Sequential(first, Block(wider, wider, stride=1, projects=False)))
            channels = wider
        self.layer_list = nn.ModuleList(stages)
        self.final_bn = nn.BatchNorm2d(channels)
        self.features = channels

    def feature_map(self, x: Tensor) -> Tensor:
        """The last activated map, (batch, features, rows / 64, cols / 64) or so."""
        x = self.first_pool(self.first_conv(x))
        for stage in self.layer_list:
            x = stage(x)
        return torch.relu(self.final_bn(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.feature_map(x).mean(dim=(2, 3))
