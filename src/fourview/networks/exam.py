"""The exam-level wirings: which views feed which head, and what each head says.

Every wiring is a `WiredNetwork`: columns (one ResNet-22 per angle, shared by left and right) give features per
view; heads read the features of one or more views and answer "benign?" and "malignant?" for one side or both.
Method: Wu et al. 2019, figure 3 (view-wise, image-wise, side-wise, joint); side-wise and joint widths by analogy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fourview.networks.resnet22 import RESNET22_BLOCKS, ResNet22

Wiring = Literal["view-wise", "image-wise", "single-image", "side-wise", "joint"]
L_CC, R_CC, L_MLO, R_MLO = VIEW_NAMES = ("L-CC", "R-CC", "L-MLO", "R-MLO")

BOTH_SIDES = (("L", "benign"), ("R", "benign"), ("L", "malignant"), ("R", "malignant"))


def one_side(side: str) -> tuple[tuple[str, str], ...]:
    return (side, "benign"), (side, "malignant")


@dataclass(frozen=True)
class Head:
    """A head reads `views` (their features side by side) and gives one 2-way softmax per row.

    rows    outputs of the head, upstream's count; the first len(labels) are used, the rest were never trained
            to mean anything for these views
    labels  (side, finding) of each used row
    """

    name: str
    views: tuple[str, ...]
    rows: int
    labels: tuple[tuple[str, str], ...]


def _heads(wiring: Wiring) -> tuple[Head, ...]:
    if wiring == "view-wise":
        return (Head("CC", (L_CC, R_CC), 4, BOTH_SIDES), Head("MLO", (L_MLO, R_MLO), 4, BOTH_SIDES))
    if wiring == "image-wise":  # four outputs were trained per view; rows 0 and 1 are that view's own breast
        return tuple(Head(view, (view,), 4, one_side(view[0])) for view in VIEW_NAMES)
    if wiring == "single-image":
        return tuple(Head(view, (view,), 2, one_side(view[0])) for view in VIEW_NAMES)
    if wiring == "side-wise":
        return (Head("L", (L_CC, L_MLO), 2, one_side("L")), Head("R", (R_CC, R_MLO), 2, one_side("R")))
    return (Head("all", VIEW_NAMES, 4, BOTH_SIDES),)


HEADS: Mapping[Wiring, tuple[Head, ...]] = {
    wiring: _heads(wiring) for wiring in ("view-wise", "image-wise", "single-image", "side-wise", "joint")
}
READS_SINGLE_VIEWS: frozenset[Wiring] = frozenset({"image-wise", "single-image"})


class HeadLayers(nn.Module):
    """(batch, features) -> (batch, rows, answers) log-probabilities; of two answers, index 1 means "yes"."""

    def __init__(self, features: int, rows: int, *, answers: int = 2) -> None:
        super().__init__()
        self.fc1 = nn.Linear(features, features)
        self.output = nn.Linear(features, answers * rows)
        self.rows, self.answers = rows, answers

    def hidden(self, features: Tensor) -> Tensor:
        return torch.relu(self.fc1(features))

    def forward(self, features: Tensor) -> Tensor:
        logits = self.output(self.hidden(features)).reshape(-1, self.rows, self.answers)
        return torch.log_softmax(logits, dim=-1)


class WiredNetwork(nn.Module):
    """An exam-level network.

    wiring       which views feed which head
    channels_in  1 (image only) or 3 (image, benign heatmap, malignant heatmap)
    width        of the ResNet-22 columns;  blocks  of each of their stages
    views        the views that it has heads for (a single-image network may have one only)
    """

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
            {head.name: HeadLayers(features * len(head.views), head.rows) for head in self.heads}
        )

    def features(self, view: str, x: Tensor) -> Tensor:
        """(batch, channels, rows, cols) of one view -> (batch, 16 * width)."""
        found: Tensor = self.column(view[2:])(x)
        return found

    def column(self, angle: str) -> nn.Module:
        """The column of "CC" or "MLO" images."""
        return self.columns[angle.lower()]

    def read_head(self, head: Head, features: Mapping[str, Tensor]) -> Tensor:
        """(batch, used rows, 2) log-probabilities of one head from the features of its views."""
        joined = torch.cat([features[view] for view in head.views], dim=1)
        out: Tensor = self.head_layers[head.name](joined)
        return out[:, : len(head.labels)]

    def forward(self, windows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Log-probabilities per head name from one window (batch) per view."""
        features = read_columns(self.columns, windows)
        return {h.name: self.read_head(h, features) for h in self.heads if set(h.views) <= set(features)}


def choose_heads(wiring: Wiring, views: Sequence[str]) -> tuple[Head, ...]:
    """The heads of a wiring that read these views only. Raises ValueError if there is none."""
    heads = tuple(head for head in HEADS[wiring] if set(head.views) <= set(views))
    if not heads:
        raise ValueError(f"a {wiring} network with views {list(views)} has no head")
    return heads


def build_columns(heads: Sequence[Head], *, channels_in: int, width: int, blocks: Sequence[int]) -> nn.ModuleDict:
    """A column per angle ("cc", "mlo") that the heads read."""
    angles = dict.fromkeys(view[2:].lower() for head in heads for view in head.views)
    return nn.ModuleDict({angle: ResNet22(channels_in, width=width, blocks=blocks) for angle in angles})


def read_columns(columns: nn.ModuleDict, windows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """(batch, features) per view from one window (batch) per view.

    Left and right go through their column side by side, so that it runs once: while training, they share the batch
    statistics, and the gradients of a column are complete after one way back.
    """
    features: dict[str, Tensor] = {}
    for angle, column in columns.items():
        views = [view for view in windows if view[2:].lower() == angle]
        if views:
            found = column(torch.cat([windows[view] for view in views]) if len(views) > 1 else windows[views[0]])
            parts = torch.split(found, [len(windows[view]) for view in views])
            features |= dict(zip(views, parts, strict=True))
    return features
