"""DenseNet for patches, with torchvision's names and TensorFlow's "SAME" padding.

Method: Huang et al. 2017; the padding is Wu et al.'s, who trained their patch network in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DENSENET121_BLOCKS = (6, 12, 24, 16)


def pad_same(x: Tensor, *, kernel: int, stride: int) -> Tensor:
    """x with the zeros that TensorFlow's SAME puts around it: uneven ones go below and to the right."""
    pads = []
    for size in (x.shape[3], x.shape[2]):  # F.pad wants left, right, top, bottom
        total = max(0, kernel - (stride if size % stride == 0 else size % stride))
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads) if any(pads) else x


class SameConv2d(nn.Conv2d):
    """A convolution with SAME padding (square kernels)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(pad_same(x, kernel=self.kernel_size[0], stride=self.stride[0]))


class SameMaxPool2d(nn.Module):
    """3x3 max pooling with stride 2 over explicit zeros, which is the same as SAME after a ReLU."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(pad_same(x, kernel=3, stride=2), 3, stride=2)


class DenseLayer(nn.Module):
    def __init__(self, channels_in: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = SameConv2d(channels_in, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)  # SAME, for stride 1

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(torch.relu(self.norm1(x)))
        grown: Tensor = self.conv2(torch.relu(self.norm2(x)))
        return grown


class DenseBlock(nn.ModuleDict):
    def __init__(self, layers: int, channels_in: int, growth: int) -> None:
        super().__init__({f"denselayer{i + 1}": DenseLayer(channels_in + i * growth, growth) for i in range(layers)})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class Transition(nn.Module):
    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels_in)
        self.conv = SameConv2d(channels_in, channels_in // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.conv(torch.relu(self.norm(x))), 2)


class DenseNet(nn.Module):
    """(batch, 1 or 3, rows, cols) -> (batch, classes) logits.

    A one-channel patch is repeated to three channels. blocks, growth and stem of DenseNet-121 are the defaults.
    """

    def __init__(
        self,
        *,
        classes: int = 4,
        blocks: Sequence[int] = DENSENET121_BLOCKS,
        growth: int = 32,
        stem: int = 64,
    ) -> None:
        super().__init__()
        parts: dict[str, nn.Module] = {
            "conv0": SameConv2d(3, stem, 7, stride=2, bias=False),
            "norm0": nn.BatchNorm2d(stem),
            "relu0": nn.ReLU(),
            "pool0": SameMaxPool2d(),
        }
        channels = stem
        for number, layers in enumerate(blocks, start=1):
            parts[f"denseblock{number}"] = DenseBlock(layers, channels, growth)
            channels += layers * growth
            if number < len(blocks):
                parts[f"transition{number}"] = Transition(channels)
                channels //= 2
        parts["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.ModuleDict(parts)
        self.classifier = nn.Linear(channels, classes)

    def pooled(self, x: Tensor) -> Tensor:
        """(batch, channels): the features that the classifier sees (1024 for DenseNet-121)."""
        x = x.expand(-1, 3, -1, -1)
        for part in self.features.values():
            x = part(x)
        return torch.relu(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pooled(x))
        return logits
