"""ResNet-22: the column that turns one view's window into features. Method: Wu et al. 2019, figure 4."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

STAGE_STRIDES = (1, 2, 2, 2, 2)
RESNET22_BLOCKS = (2, 2, 2, 2, 2)


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
    blocks       per stage; ResNet-22 has two in each

    `recomputed` may be set for training: activations of so many first stages (the first convolution and pooling go
    with stage 1) are not kept but computed again on the way back, which takes less memory and more time.
    """

    def __init__(self, channels_in: int, *, width: int = 16, blocks: Sequence[int] = RESNET22_BLOCKS) -> None:
        super().__init__()
        if len(blocks) != len(STAGE_STRIDES) or min(blocks) < 1:
            raise ValueError(f"found blocks {list(blocks)}; need {len(STAGE_STRIDES)} numbers above 0")
        self.recomputed = 0
        self.first_conv = nn.Conv2d(channels_in, width, 7, stride=2, padding=0, bias=False)
        self.first_pool = nn.MaxPool2d(3, stride=2, padding=0)
        stages, channels = [], width
        for number, (stride, count) in enumerate(zip(STAGE_STRIDES, blocks, strict=True)):
            wider = width * 2**number
            first = Block(channels, wider, stride=stride, projects=True)
            stages.append(
                nn.Sequential(first, *(Block(wider, wider, stride=1, projects=False) for _ in range(count - 1)))
            )
            channels = wider
        self.layer_list = nn.ModuleList(stages)
        self.final_bn = nn.BatchNorm2d(channels)
        self.features = channels

    def feature_map(self, x: Tensor) -> Tensor:
        """The last activated map, (batch, features, rows / 64, cols / 64) or so."""
        for number in range(len(self.layer_list)):
            if self.training and torch.is_grad_enabled() and number < self.recomputed:
                x = checkpoint(self._stage, x, number, use_reentrant=False, preserve_rng_state=False)
            else:
                x = self._stage(x, number)
        return torch.relu(self.final_bn(x))

    def _stage(self, x: Tensor, number: int) -> Tensor:
        """One stage; the first with what comes before it, whose map is the largest of all."""
        if number == 0:
            x = self.first_pool(self.first_conv(x))
        y: Tensor = self.layer_list[number](x)
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.feature_map(x).mean(dim=(2, 3))
