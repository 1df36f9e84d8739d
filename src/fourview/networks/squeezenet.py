"""SqueezeNet 1.0 and 1.1 as torchvision names and computes them, so that files for torchvision's load.

Method: Iandola et al. 2016; 1.1 is the authors' later version, which pools earlier.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

SqueezeNetKind = Literal["squeezenet1_0", "squeezenet1_1"]
FEATURES = 512
_POOL = 0  # in the lists below
# channels in, squeezed, of each of the two expansions; the order of the layers after the first convolution
_STEPS: dict[SqueezeNetKind, tuple[tuple[int, int, int] | int, ...]] = {
    "squeezenet1_0": (
        _POOL,
        (96, 16, 64),
        (128, 16, 64),
        (128, 32, 128),
        _POOL,
        (256, 32, 128),
        (256, 48, 192),
        (384, 48, 192),
        (384, 64, 256),
        _POOL,
        (512, 64, 256),
    ),
    "squeezenet1_1": (
        _POOL,
        (64, 16, 64),
        (128, 16, 64),
        _POOL,
        (128, 32, 128),
        (256, 32, 128),
        _POOL,
        (256, 48, 192),
        (384, 48, 192),
        (384, 64, 256),
        (512, 64, 256),
    ),
}


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions of these side by side."""

    def __init__(self, channels_in: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], dim=1)


class SqueezeNet(nn.Module):
    """(batch, 3, rows, cols) -> (batch, classes) logits, which are never below 0: torchvision activates them."""

    def __init__(self, kind: SqueezeNetKind, *, classes: int = 1000) -> None:
        super().__init__()
        first = nn.Conv2d(3, 96, 7, stride=2) if kind == "squeezenet1_0" else nn.Conv2d(3, 64, 3, stride=2)
        steps = (
            nn.MaxPool2d(3, stride=2, ceil_mode=True) if isinstance(step, int) else Fire(*step) for step in _STEPS[kind]
        )
        self.features = nn.Sequential(first, nn.ReLU(), *steps)
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(FEATURES, classes, 1), nn.ReLU())

    def pooled(self, x: Tensor) -> Tensor:
        """(batch, 512): the last map before the classifier, averaged over all positions."""
        found: Tensor = self.features(x).mean(dim=(2, 3))
        return found

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x)).mean(dim=(2, 3))
        return logits
