"""ResNet-18 and ResNet-50 as torchvision names and computes them, so that files for torchvision's load.

Of grey images, with fewer channels or without the last layer it is the same network, whose files are its own.

Method: He et al. 2016; the stride of a bottleneck lies in its 3x3 convolution ("v1.5"), as in torchvision.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

ResNetKind = Literal["resnet18", "resnet50"]
BLOCKS: dict[ResNetKind, tuple[int, int, int, int]] = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
STAGE_CHANNELS = (64, 128, 256, 512)
IMAGENET_CLASSES = 1000


class BasicBlock(nn.Module):
    """Two 3x3 convolutions."""

    widening = 1

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(channels_in, channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)) + residual)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; the last is four times as wide."""

    widening = 4

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        wide = self.widening * channels
        self.conv1 = nn.Conv2d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.downsample = _shortcut(channels_in, wide, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + residual)


class ResNet(nn.Module):
    """(batch, colours, rows, cols) -> (batch, classes) logits.

    classes      None: there is no last layer, and the answer is what it would see
    colours      channels of an image
    stage_channels  of the four stages
    features     how many numbers `pooled` gives: 512 (resnet18), 2048 (resnet50)
    middle       channels of the third stage's map
    """

    def __init__(
        self,
        kind: ResNetKind,
        *,
        classes: int | None = IMAGENET_CLASSES,
        colours: int = 3,
        stage_channels: tuple[int, int, int, int] = STAGE_CHANNELS,
    ) -> None:
        super().__init__()
        block = BasicBlock if kind == "resnet18" else Bottleneck
        self.conv1 = nn.Conv2d(colours, stage_channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stage_channels[0])
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stages, channels_in = [], stage_channels[0]
        for number, (channels, count) in enumerate(zip(stage_channels, BLOCKS[kind], strict=True)):
            blocks: list[nn.Module] = []
            for place in range(count):
                blocks.append(block(channels_in, channels, stride=2 if place == 0 and number > 0 else 1))
                channels_in = block.widening * channels
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.middle, self.features = block.widening * stage_channels[2], channels_in
        self.fc = nn.Identity() if classes is None else nn.Linear(channels_in, classes)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of every 16th and of every 32nd pixel: (batch, middle, rows, cols) and (batch, features, rows, cols)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        middle = self.layer3(self.layer2(self.layer1(x)))
        return middle, self.layer4(middle)

    def pooled(self, x: Tensor) -> Tensor:
        """(batch, features): what the last layer sees, averaged over all positions."""
        return self.maps(x)[1].mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.pooled(x))
        return logits


def _shortcut(channels_in: int, channels: int, *, stride: int) -> nn.Sequential | None:
    """What brings the input to the output's shape; None where it has it."""
    if stride == 1 and channels_in == channels:
        return None
    return nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride=stride, bias=False), nn.BatchNorm2d(channels))
