"""What is trained: a network with its optimiser, running statistics and running average; one step of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.resnet22 import ResNet22
from fourview.train.devices import average
from fourview.train.feed import Portion
from fourview.train.optimise import (
    build_optimiser,
    gradient_norm,
    load_optimiser,
    move_average,
    optimiser_tensors,
    set_rate,
)
from fourview.train.stage import UNKNOWN, Batch, Stage
from fourview.train.statistics import RunningStatistics, set_training

NETWORK, AVERAGE = "network.", "average."  # begin the names of tensors in a checkpoint


@dataclass(frozen=True)
class Taken:
    """A step. loss: mean over its known targets, of all devices; norm: of the gradient, before it is clipped.

    names, losses  of this device's portions
    """

    loss: float
    norm: float
    names: tuple[tuple[str, ...], ...]
    losses: tuple[float, ...]

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Trainee:
    """A stage's network on the device of `fabric`, ready to be trained."""

    def __init__(self, stage: Stage, fabric: Fabric) -> None:
        self._stage, self._fabric, self._recipe = stage, fabric, stage.recipe
        self._network = stage.network
        _recompute(self._network, stages=self._recipe.loop.recomputed)
        fabric.to_device(self._network)
        put_channels_last(self._network)
        self._optimiser = build_optimiser(self._network, self._recipe.optimiser)
        self._module: Any = fabric.setup(self._network, self._optimiser)[0]  # what runs backward and over all devices
        self._statistics = RunningStatistics(self._network) if self._recipe.loop.statistics == "learned" else None
        averages = self._recipe.optimiser.average is not None
        self._average = {k: v.clone() for k, v in self._network.state_dict().items()} if averages else None

    def step(self, portions: tuple[Portion, ...], take: Callable[[], Batch], *, rate: float, steps: int) -> Taken:
        """Move the weights once; not at all if the loss or the gradient is no finite number (then training is over).

        portions  of this device; take: gives their batches, one after the other
        rate      learning rate; steps: made so far
        """
        set_training(self._network, statistics=self._recipe.loop.statistics)
        self._optimiser.zero_grad()
        if self._statistics:
            self._statistics.begin()
        samples, names, losses, known = sum(map(len, portions)), [], [], []
        for number, portion in enumerate(portions, start=1):
            batch, share = take(), len(portion) / samples
            known.append((batch.targets != UNKNOWN).float().mean() * share)  # of this device's targets of the step
            with self._fabric.no_backward_sync(self._module, enabled=number < len(portions)):
                loss = self._stage.loss(self._module, batch)
                self._fabric.backward(loss * known[-1])
            if self._statistics:
                self._statistics.collect(share)
            names.append(batch.names)
            losses.append(loss.detach())
        total, told = (torch.stack(values) for values in (losses, known))
        loss_sum, known_share = self._average_devices(torch.stack([(total * told).sum(), told.sum()])).tolist()
        weights = list(self._network.parameters())
        if known_share < 1 - 1e-6:  # portions and devices knew different numbers of targets, and each counts alike
            for weight in weights:
                if weight.grad is not None:
                    weight.grad /= max(known_share, 1e-12)
        norm = gradient_norm(weights)
        loss_mean = loss_sum / max(known_share, 1e-12)
        taken = Taken(loss_mean, float(norm), tuple(names), tuple(total.tolist()))
        if taken.finite:
            self._move(weights, norm, rate=rate, steps=steps)
        return taken

    def _move(self, weights: list[nn.Parameter], norm: Tensor, *, rate: float, steps: int) -> None:
        optimiser = self._recipe.optimiser
        if optimiser.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(weights, optimiser.clip_norm, norm)
        set_rate(self._optimiser, rate)
        self._optimiser.step()
        if self._statistics:
            self._statistics.move(self._average_devices)
        if self._average is not None and optimiser.average is not None:
            move_average(self._average, self._network, keep=optimiser.average, steps=steps)

    def answer(self, batch: Batch) -> NDArray[np.float32]:
        """Of the network as it is judged; inside `as_judged`."""
        with (
            torch.no_grad(),
            self._fabric.autocast(),
        ):  # the plain network: devices may have different numbers of batches
            return self._stage.answer(self._network, batch).float().cpu().numpy()

    @contextmanager
    def as_judged(self) -> Iterator[None]:
        """In the block, the network reads: with its running statistics, and its running average if there is one."""
        self._network.eval()
        if self._average is None:
            yield
            return
        own = {name: tensor.clone() for name, tensor in self._network.state_dict().items()}
        try:
            self._network.load_state_dict(self._average)
            yield
        finally:
            self._network.load_state_dict(own)

    def judged_tensors(self) -> dict[str, Tensor]:
        """The network's state as it is judged, copied to the CPU."""
        return _copy(self._average or self._network.state_dict())

    def tensors(self) -> dict[str, Tensor]:
        """All that changes in training, copied to the CPU."""
        own = {NETWORK + name: tensor for name, tensor in self._network.state_dict().items()}
        average = {AVERAGE + name: tensor for name, tensor in (self._average or {}).items()}
        return _copy({**own, **average, **optimiser_tensors(self._optimiser)})

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Be what gave these `tensors`."""
        self._network.load_state_dict(_strip(tensors, NETWORK))
        for name, tensor in _strip(tensors, AVERAGE).items():
            if self._average is not None:
                self._average[name].copy_(tensor)
        load_optimiser(self._optimiser, tensors)

    def _average_devices(self, tensor: Tensor) -> Tensor:
        return average(self._fabric, tensor)


def put_channels_last(network: nn.Module) -> None:
    """The same network, its weights laid out as convolutions like them: on a CPU up to 1.6 times as fast."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch does not declare it


def _copy(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _strip(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _recompute(network: nn.Module, *, stages: int) -> None:
    columns = [module for module in network.modules() if isinstance(module, ResNet22)]
    if stages and not columns:
        raise SetupError(f"loop.recomputed: found {stages} for a network without columns; need 0")
    for column in columns:
        column.recomputed = stages
