"""Benign or malignant: one crop of a lesion -> two logits, by one of several trunks, with a gate that can be looked at.

The gate multiplies the last map, position by position, before it is judged:
attention  learned from the labels alone: a 1x1 convolution and a sigmoid
mask       learned from the outlines as well: the probability that a position is lesion, of maps of two depths

Method: lineage of Yi et al. 2017 (their public code of the time); each trunk's own file says whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fourview.networks.alexnet import HIDDEN as ALEXNET_HIDDEN
from fourview.networks.alexnet import AlexNet
from fourview.networks.inception import GoogLeNet, scale_channels
from fourview.networks.inception_v3 import InceptionV3
from fourview.networks.resnet import STAGE_CHANNELS, ResNet, ResNetKind
from fourview.networks.vgg import HIDDEN as VGG_HIDDEN
from fourview.networks.vgg import Vgg, VggKind

Architecture = Literal[
    "googlenet",
    "googlenet_light",
    "inception_v3",
    "alexnet",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
    "resnet18",
    "resnet50",
]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
Gate = Literal["none", "attention", "mask"]
BENIGN, MALIGNANT = 0, 1  # the two logits
LIGHT = 0.1  # googlenet_light: share of GoogLeNet's channels
MIDDLE_STRIDE, STRIDE = 16, 32


class Trunk(Protocol):
    """What comes before the gate: (batch, 1, rows, cols) -> maps of every 16th and of every 32nd pixel."""

    middle: int
    channels: int

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, eq=False)
class Look:
    """What a network makes of a batch of crops.

    logits       (batch, 2): benign, malignant
    last         (batch, channels, rows, cols): the last map, times the gate
    gate         (batch, 1, rows, cols) in 0..1 of the same positions; None: the network has none
    mask_logits  (batch, 2, rows, cols) of the crop's pixels: background, lesion; None: not of a mask gate
    """

    logits: Tensor
    last: Tensor
    gate: Tensor | None
    mask_logits: Tensor | None


class LesionNetwork(nn.Module):
    """(batch, 1, side_px, side_px), each crop with mean 0 and deviation 1 -> (batch, 2) logits: benign, malignant.

    width_mult  share of the channels (googlenet_light: of its own tenth)
    side_px     of the crops: alexnet and vgg read no other size. With a mask gate a multiple of 32
    size        the logarithm of the lesion's diameter in mm joins what the last layer sees
    dropout     share of what the last layers see that is left out in training
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        width_mult: float = 1.0,
        side_px: int = 224,
        gate: Gate = "none",
        size: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if gate == "mask" and side_px % STRIDE:
            raise ValueError(f"found crops of {side_px} pixels with a mask gate, need a multiple of {STRIDE}")
        self.architecture, self.side_px, self.has_size, self.dropout = architecture, side_px, size, dropout
        trunk, hidden = _build_trunk(architecture, width_mult=width_mult)
        self.trunk = cast(nn.Module, trunk)
        self.attention = nn.Conv2d(trunk.channels, 1, 1) if gate == "attention" else None
        self.from_middle = self.from_last = None
        if gate == "mask":
            self.from_middle = nn.ConvTranspose2d(trunk.middle, 2, MIDDLE_STRIDE, stride=MIDDLE_STRIDE)
            self.from_last = nn.ConvTranspose2d(trunk.channels, 2, STRIDE, stride=STRIDE)
        features = trunk.channels * _count_positions(side_px) if hidden else trunk.channels
        self.hidden = nn.ModuleList()
        for wide in hidden:
            self.hidden.append(nn.Linear(features, wide))
            features = wide
        self.output = nn.Linear(features + size, 2)

    @property
    def gate(self) -> Gate:
        return "attention" if self.attention is not None else "mask" if self.from_middle is not None else "none"

    def forward(self, x: Tensor, log_diameter: Tensor | None = None) -> Tensor:
        """(batch, 2) logits. log_diameter (batch, 1): where the network asks for the size"""
        return self.look(x, log_diameter).logits

    def look(self, x: Tensor, log_diameter: Tensor | None = None, *, draws: Tensor | None = None) -> Look:
        """The logits, and what led to them.

        draws  (batch, 1) whole numbers that decide what dropout leaves out of each crop, in training; None: nothing
        """
        middle, last = self.trunk(x)
        gate, mask_logits = self._open_gate(middle, last)
        last = last if gate is None else last * gate
        logits = self.judge(last, log_diameter, draws=draws)
        return Look(logits, last, gate, mask_logits)

    def judge(self, last: Tensor, log_diameter: Tensor | None = None, *, draws: Tensor | None = None) -> Tensor:
        """(batch, 2) logits of the last map, times the gate."""
        return self.output(self.penultimate(last, log_diameter, draws=draws))  # type: ignore[no-any-return]

    def penultimate(self, last: Tensor, log_diameter: Tensor | None = None, *, draws: Tensor | None = None) -> Tensor:
        """(batch, features): what the last layer sees, of the last map times the gate."""
        seen = last.flatten(1) if self.hidden else last.mean(dim=(2, 3))
        for number, layer in enumerate(self.hidden, start=1):
            seen = drop(torch.relu(layer(seen)), self.dropout, draws if self.training else None, layer=number)
        if not self.hidden:
            seen = drop(seen, self.dropout, draws if self.training else None)
        if self.has_size:
            if log_diameter is None:
                raise ValueError("found no diameters, and this network needs them")
            seen = torch.cat([seen, log_diameter.to(seen.dtype)], dim=1)
        return seen

    def _open_gate(self, middle: Tensor, last: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if self.attention is not None:
            return torch.sigmoid(self.attention(last)), None
        if self.from_middle is None or self.from_last is None:
            return None, None
        mask_logits: Tensor = self.from_middle(middle) + self.from_last(last)
        p_background = torch.softmax(mask_logits, dim=1)[:, :1]
        return 1 - F.avg_pool2d(p_background, STRIDE), mask_logits


def drop(seen: Tensor, share: float, draws: Tensor | None, *, layer: int = 0) -> Tensor:
    """Some numbers of each row set to 0, the others raised to keep the mean: which ones, the row's own draw decides.

    seen   (batch, features);  draws  (batch, 1) whole numbers below 2**24; None: nothing is dropped
    layer  of several, which one: each has its own

    So a step made again, on another device or in other portions, drops the same. Method: Srivastava et al. 2014.
    """
    if draws is None or share <= 0:
        return seen
    generator = torch.Generator()
    kept = torch.empty(seen.shape)
    for row, number in zip(kept, draws.flatten().tolist(), strict=True):
        generator.manual_seed(int(number) * 8 + layer)
        torch.rand(row.shape, generator=generator, out=row)
    return seen * ((kept >= share).to(seen.device, seen.dtype) / (1 - share))


def _build_trunk(architecture: Architecture, *, width_mult: float) -> tuple[Trunk, Sequence[int]]:
    """The trunk, and how wide its hidden layers are (none: the map is averaged)."""
    if architecture in ("googlenet", "googlenet_light"):
        share = LIGHT if architecture == "googlenet_light" else 1.0
        return GoogLeNet(width_mult=share * width_mult), ()
    if architecture in ("resnet18", "resnet50"):
        return ResNetTrunk(architecture, width_mult=width_mult), ()
    if architecture == "inception_v3":
        return InceptionV3(width_mult=width_mult), ()
    if architecture == "alexnet":
        return AlexNet(width_mult=width_mult), [scale_channels(ALEXNET_HIDDEN, width_mult)] * 2
    return Vgg(cast(VggKind, architecture), width_mult=width_mult), [scale_channels(VGG_HIDDEN, width_mult)] * 2


class ResNetTrunk(nn.Module):
    """ResNet without its last layer, for one grey channel."""

    def __init__(self, kind: ResNetKind, *, width_mult: float) -> None:
        super().__init__()
        one, two, three, four = (scale_channels(channels, width_mult) for channels in STAGE_CHANNELS)
        self.network = ResNet(kind, classes=None, colours=1, stage_channels=(one, two, three, four))
        self.middle, self.channels = self.network.middle, self.network.features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.network.maps(x)


def _count_positions(side_px: int) -> int:
    return (-(-side_px // STRIDE)) ** 2
