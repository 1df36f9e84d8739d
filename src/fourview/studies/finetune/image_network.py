"""One network for images that come as squares or as windows of views: layers that were there, and a new last one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Model = Literal["resnet50", "resnet18", "squeezenet", "nyu", "scratch"]
IMAGE = "image"  # the input of networks that read squares
_HEAD = "output."
# where the number in a layer's name says how deep it is: (pattern, layers that share a depth)
_DEPTHS: tuple[tuple[str, int], ...] = (
    (r"layer([1-4])\.", 1),  # ResNet
    (r"layer_list\.(\d+)\.", 1),  # ResNet-22
    (r"network\.features\.(\d+)\.", 4),  # SqueezeNet
    (r"blocks\.(\d+)\.", 1),  # the small network
)
_LAST = ("final_bn.", "hidden.")  # layers without a number that come after those with one


class ImageNetwork(nn.Module):
    """Inputs by name, each (batch, channels, rows, cols) with NaN in the rows of images that are not of it -> logits.

    trunks   name -> layers: (batch, channels, rows, cols) -> (batch, features)
    hidden   name -> layer after a trunk, with ReLU
    route    name of an input -> names of its trunk and of its hidden layer, "" for none
    outputs  1 (logit of a positive), or one per class
    """

    def __init__(
        self,
        trunks: Mapping[str, nn.Module],
        *,
        hidden: Mapping[str, nn.Module],
        route: Mapping[str, tuple[str, str]],
        features: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict(dict(trunks))
        self.hidden = nn.ModuleDict(dict(hidden))
        self.output = nn.Linear(features, outputs)
        self.features, self.outputs = features, outputs
        self._route = dict(route)

    def see(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(batch, features) float32: what the last layer sees."""
        first = next(iter(inputs.values()))
        found = torch.zeros((len(first), self.features), device=first.device)
        for name, x in inputs.items():
            there = ~torch.isnan(x[:, 0, 0, 0])
            trunk, hidden = self._route[name]
            own = self.trunks[trunk](x[there])
            if hidden:
                own = torch.relu(self.hidden[hidden](own))
            found[there] = own.float()
        return found

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(batch, outputs) logits."""
        logits: Tensor = self.output(self.see(inputs))
        return logits

    def freeze_trunk(self) -> None:
        """From now on only the last layer learns."""
        for name, weight in self.named_parameters():
            weight.requires_grad = name.startswith(_HEAD)


def rate_shares(network: ImageNetwork, *, lr: float, lr_first: float | None) -> dict[str, float]:
    """Name of each weight -> share of the largest rate: 1 of the last layer, lr_first / lr of the first ones.

    Between them a geometric series by depth. Method: discriminative rates, Howard and Ruder 2018.
    """
    names = [name for name, _ in network.named_parameters()]
    if lr_first is None:
        return dict.fromkeys(names, 1.0)
    numbers = {name: _number(name) for name in names if not name.startswith(_HEAD)}
    last = max((number for number in numbers.values() if number is not None), default=0)
    depths = {name: last if any(part in name for part in _LAST) else number or 0 for name, number in numbers.items()}
    return {name: (lr_first / lr) ** (1 - depths[name] / (last + 1)) if name in depths else 1.0 for name in names}


def _number(name: str) -> int | None:
    """How deep a layer is, by its name; None: the name has no number."""
    for pattern, together in _DEPTHS:
        if match := re.search(pattern, name):
            return int(match[1]) // together
    return None
