"""Targets whose maps are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class LinearTarget:
    """The sum of each input times its own weights: the input is its last map."""

    network: nn.ParameterDict
    words: str = "a weighted sum"

    def last_map(self, name: str, x: Tensor) -> Tensor:
        return x * self.network[name]

    def read(self, maps: dict[str, Tensor]) -> Tensor:
        return torch.stack([found.sum(dim=(1, 2, 3)) for found in maps.values()]).sum(dim=0)


@dataclass(frozen=True, eq=False)
class MapTarget:
    """A convolutional body, its map averaged, and a weight per channel of every input's map."""

    network: nn.Sequential
    weights: Tensor
    words: str = "channels, averaged and weighed"

    def last_map(self, name: str, x: Tensor) -> Tensor:
        found: Tensor = self.network(x)
        return found

    def read(self, maps: dict[str, Tensor]) -> Tensor:
        return torch.stack([found.mean(dim=(2, 3)) @ self.weights for found in maps.values()]).sum(dim=0)


def draw_input(seed: int, *, shape: tuple[int, int] = (40, 30), channels: int = 1) -> Tensor:
    return torch.randn((1, channels, *shape), generator=torch.Generator().manual_seed(seed))
