"""How weights move: the optimiser, its learning rate, the running average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from fourview.train.recipe_parts import Optimiser, Schedule

STATE = "optimiser."  # begins the names of its tensors in a checkpoint


def build_optimiser(network: nn.Module, recipe: Optimiser) -> Optimizer:
    """Of all weights of the network; its learning rate is set at every step."""
    weights = list(network.parameters())
    if recipe.name == "sgd":
        return SGD(weights, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay)
    if recipe.name == "rmsprop":
        return RMSprop(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)
    kind = AdamW if recipe.name == "adamw" else Adam
    return kind(weights, lr=recipe.lr, weight_decay=recipe.weight_decay)


def learning_rate(
    optimiser: Optimiser, schedule: Schedule, *, at: float, epochs: int, step: float, drops: int
) -> float:
    """Of one step.

    at      how far training is when the step begins, in epochs
    step    length of the step in epochs
    drops   how often the judgement stopped rising (kind "plateau")
    """
    rate = optimiser.lr
    warm_up = schedule.warm_up_epochs
    if at < warm_up:
        return rate * min(1.0, (at + step) / warm_up)
    if schedule.kind == "cosine":
        gone = (at - warm_up) / (epochs - warm_up)
        return rate * (schedule.last_share + (1 - schedule.last_share) * (1 + math.cos(math.pi * gone)) / 2)
    return rate * schedule.factor**drops


def set_rate(optimiser: Optimizer, rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate


def optimiser_tensors(optimiser: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers: "optimiser.3.exp_avg", of the fourth weight."""
    state: Mapping[int, Mapping[str, Tensor]] = optimiser.state_dict()["state"]
    return {f"{STATE}{number}.{key}": tensor for number, values in state.items() for key, tensor in values.items()}


def load_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Remember what `optimiser_tensors` gave; other names are left aside."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(STATE):
            number, key = name.removeprefix(STATE).split(".", 1)
            state.setdefault(int(number), {})[key] = tensor
    content: dict[str, Any] = {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    optimiser.load_state_dict(content)


def gradient_norm(weights: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of the gradients of all weights, a scalar."""
    return torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])


@torch.no_grad()
def move_average(average: Mapping[str, Tensor], network: nn.Module, *, keep: float, steps: int) -> None:
    """The running average of weights and statistics, moved in place after a step.

    keep   share of the old values; less in the first steps, (1 + steps) / (10 + steps), so that the initial values do
           not outweigh all others for long (as TensorFlow's ExponentialMovingAverage does)
    steps  made so far
    """
    share = min(keep, (1 + steps) / (10 + steps))
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - share)
        else:
            average[name].copy_(tensor)
