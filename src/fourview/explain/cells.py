"""Where the cells of a network's last map lie in its input.

Spread evenly over the input, cells of a network with padding on both sides would lie up to half a cell from where they
look, and to the same side in a left and a mirrored right breast. So their places are measured: every convolution is
replaced by one that passes on its middle tap, batch statistics by none, and a ramp is sent through. What arrives says
where each cell looks. Max pooling passes on the far end of a rising and the near end of a falling ramp: the mean of
both is the middle.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.explain.target import Target, with_network
from fourview.networks.lesion import LesionNetwork

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """rows (h,), cols (w,): the middle of what each cell looks at, pixel-centre coordinates of the input."""

    rows: Floats
    cols: Floats

    def spread(self, values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """(rows, cols) float32 of the input: values (h, w) of the cells, linear between their middles, beyond the
        outermost middles as there."""
        down, across = _weights(self.rows, shape[0]), _weights(self.cols, shape[1])
        return np.asarray(down @ values.astype(np.float64) @ across.T, np.float32)


def measure_cells(target: Target, name: str, x: Tensor) -> Cells:
    """The cells of the last map of one input (1, channels, rows, cols) of the target's network."""
    probe = with_network(target, _straight(target.network))
    channels, rows, cols = x.shape[1:]
    down = torch.arange(rows, dtype=torch.float64, device=x.device)[:, None].expand(rows, cols)
    across = torch.arange(cols, dtype=torch.float64, device=x.device).expand(rows, cols)
    planes = torch.stack([torch.ones_like(down), down + 1, rows - down, across + 1, cols - across])
    with torch.inference_mode():
        found = [
            probe.last_map(name, plane.expand(1, channels, -1, -1)).sum(dim=(0, 1)).cpu().numpy() for plane in planes
        ]
    ones, *ramps = (np.asarray(one, np.float64) for one in found)
    seen = ones > 0  # a cell whose middle tap lies in the padding sees nothing
    rising, falling, right, left = (np.divide(ramp, ones, out=np.full_like(ramp, np.nan), where=seen) for ramp in ramps)
    return Cells(
        _fill(np.nanmean((rising - 1 + rows - falling) / 2, axis=1)),
        _fill(np.nanmean((right - 1 + cols - left) / 2, axis=0)),
    )


def _straight(network: nn.Module) -> nn.Module:
    """A copy in which every convolution passes on the mean of its channels' middle taps."""
    straight = copy.deepcopy(network).double().eval()
    if isinstance(straight, LesionNetwork):
        straight.attention = straight.from_middle = straight.from_last = None  # a gate would bend the ramp
    for module in list(straight.modules()):
        for name, part in module.named_children():
            if isinstance(part, nn.MaxPool2d) and part.stride == 1:
                setattr(module, name, nn.Identity())  # many in a row would carry the border's end of the ramp inward
        if isinstance(module, nn.Conv2d):
            _pass_middle(module)
        elif isinstance(module, nn.BatchNorm2d):
            _pass_all(module)
    return straight


def _pass_middle(convolution: nn.Conv2d) -> None:
    rows, cols = (_middle(size) for size in convolution.weight.shape[2:])
    with torch.no_grad():
        convolution.weight.zero_()
        convolution.weight[:, :, rows, cols] = 1 / (convolution.weight.shape[1] * _length(rows) * _length(cols))
        if convolution.bias is not None:
            convolution.bias.zero_()


def _pass_all(norm: nn.BatchNorm2d) -> None:
    with torch.no_grad():
        for tensor, value in ((norm.weight, 1.0), (norm.bias, 0.0), (norm.running_mean, 0.0), (norm.running_var, 1.0)):
            if tensor is not None:
                tensor.fill_(value)
    norm.eps = 0.0


def _middle(size: int) -> slice:
    """The middle tap, or the middle two."""
    return slice((size - 1) // 2, size // 2 + 1)


def _length(taps: slice) -> int:
    return int(taps.stop) - int(taps.start)


def _fill(places: Floats) -> Floats:
    """Cells that saw nothing, as far from their neighbours as those from theirs."""
    known = np.flatnonzero(np.isfinite(places))
    if len(known) in (0, len(places)):
        return places
    if len(known) == 1:
        return np.full_like(places, places[known[0]])
    line = np.polynomial.Polynomial.fit(known, places[known], 1)
    return np.where(np.isfinite(places), places, line(np.arange(len(places))))


def _weights(middles: Floats, length: int) -> Floats:
    """(length, cells): how much of each cell a pixel has."""
    pixels = np.arange(length)
    if len(middles) == 1:
        return np.ones((length, 1))
    after = np.clip(np.searchsorted(middles, pixels, side="right"), 1, len(middles) - 1)
    share = np.clip((pixels - middles[after - 1]) / (middles[after] - middles[after - 1]), 0, 1)
    weights = np.zeros((length, len(middles)))
    weights[pixels, after - 1] = 1 - share
    weights[pixels, after] = share
    return weights
