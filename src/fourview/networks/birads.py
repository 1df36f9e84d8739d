"""The network of BI-RADS pretraining: the columns of an exam network under heads for three classes.

Method: Wu et al. 2019, transfer learning from BI-RADS. Only the columns go on; their names are those of WiredNetwork.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fourview.networks.exam import VIEW_NAMES, Head, HeadLayers, Wiring, build_columns, choose_heads, read_columns
from fourview.networks.resnet22 import RESNET22_BLOCKS

CLASSES = 3  # 0 incomplete, 1 normal, 2 benign
SIDES = ("L", "R")


def sides_of(head: Head) -> tuple[str, ...]:
    """The sides that a head speaks about, left first."""
    return tuple(side for side in SIDES if any(side == own for own, _ in head.labels))


class BiradsNetwork(nn.Module):
    """An exam-level network that tells the BI-RADS class of each breast. Parameters: as of WiredNetwork."""

    def __init__(
        self,
        wiring: Wiring,
        *,
        channels_in: int,
        width: int = 16,
        views: Sequence[str] = VIEW_NAMES,
        blocks: Sequence[int] = RESNET22_BLOCKS,
    ) -> None:
        super().__init__()
        self.wiring: Wiring = wiring
        self.heads = choose_heads(wiring, views)
        self.columns = build_columns(self.heads, channels_in=channels_in, width=width, blocks=blocks)
        features = 16 * width
        self.head_layers = nn.ModuleDict(
            {h.name: HeadLayers(features * len(h.views), len(sides_of(h)), answers=CLASSES) for h in self.heads}
        )

    def forward(self, windows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(batch, sides of the head, 3) log-probabilities per head name from one window (batch) per view."""
        features = read_columns(self.columns, windows)
        return {
            head.name: self.head_layers[head.name](torch.cat([features[view] for view in head.views], dim=1))
            for head in self.heads
            if set(head.views) <= set(features)
        }
