"""Where a network comes apart: what makes its last activated map, and what makes logits of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.densenet import DenseNet


@dataclass(frozen=True)
class Split:
    """last_map  (batch, channels, rows, cols) -> (batch, features, h, w), activated;  read_map  that -> logits"""

    last_map: Callable[[Tensor], Tensor]
    read_map: Callable[[Tensor], Tensor]


def split_network(network: nn.Module) -> Split:
    """The two parts of a network that sees one image; one after the other they are its forward.

    Raises SetupError for a network whose parts nobody has written down here.
    """
    if isinstance(network, DenseNet):
        return _split_densenet(network)
    raise SetupError(f"found a {type(network).__name__}; need a network whose last map is known (explain.split)")


def _split_densenet(network: DenseNet) -> Split:
    def last_map(x: Tensor) -> Tensor:
        x = x.expand(-1, 3, -1, -1)
        for part in network.features.values():
            x = part(x)
        return torch.relu(x)

    def read_map(features: Tensor) -> Tensor:
        logits: Tensor = network.classifier(features.mean(dim=(2, 3)))
        return logits

    return Split(last_map, read_map)
