"""Running means and variances of batch norm that move once per step, however a batch is divided."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class RunningStatistics:
    """Those of all batch norms of a network.

    Torch moves them at every forward call: more often with more portions, not at all for what other devices saw, and
    once more when activations are recomputed. Here, during a step, a layer's buffers hold what its last portion had
    (its momentum is 1, so that doing it twice changes nothing); `move` then makes them the running values: by the
    layer's own momentum towards the mean over the portions of all devices. Between two steps the buffers are the
    running values. With one portion this is what torch does.
    """

    def __init__(self, network: nn.Module) -> None:
        self._layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
        self._momenta = [0.1 if layer.momentum is None else layer.momentum for layer in self._layers]
        self._before: list[Tensor] = []
        self._seen: list[Tensor] = []

    def begin(self) -> None:
        """Call before the first portion of a step."""
        self._before = [buffer.clone() for buffer in self._buffers()]
        self._seen = [torch.zeros_like(buffer) for buffer in self._buffers()]
        for layer in self._layers:
            layer.momentum = 1.0

    def collect(self, share: float) -> None:
        """Call after each portion. share: of this device's samples of the step."""
        for seen, buffer in zip(self._seen, self._buffers(), strict=True):
            seen.add_(buffer, alpha=share)

    def move(self, average: Callable[[Tensor], Tensor]) -> None:
        """Call after the last portion. average: over the devices."""
        if not self._layers:
            return
        seen = torch.split(average(torch.cat(self._seen)), [len(tensor) for tensor in self._seen])
        momenta = [momentum for momentum in self._momenta for _ in range(2)]
        for buffer, before, now, momentum in zip(self._buffers(), self._before, seen, momenta, strict=True):
            buffer.copy_(before.lerp(now, momentum))
        for layer, momentum in zip(self._layers, self._momenta, strict=True):
            layer.momentum = momentum
            if layer.num_batches_tracked is not None:
                layer.num_batches_tracked.fill_(0)  # counts forward calls, and nothing reads it

    def _buffers(self) -> list[Tensor]:
        """Mean and variance of each layer."""
        found = []
        for layer in self._layers:
            if layer.running_mean is not None and layer.running_var is not None:
                found += [layer.running_mean, layer.running_var]
        return found


def set_training(network: nn.Module, *, statistics: str) -> None:
    """The network in training mode; if statistics are "kept", its batch norms as when it reads."""
    network.train()
    if statistics == "kept":
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.eval()
