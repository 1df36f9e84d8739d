"""Learning rates by depth, under the training loop's one rate: first layers move less, as they are the most general."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

_SHARE = "share"  # of the rate, in an optimiser's group


@contextmanager
def rates_by_depth(network: nn.Module, shares: Mapping[str, float]) -> Iterator[None]:
    """In the block, optimisers of this network move each weight by its share of the rate that they were given.

    shares  name of each weight -> share

    The loop gives all groups of an optimiser one rate before each step; before the step it is taken times the share.
    Groups keep the order of the weights, so that checkpoints fit whether or not a step was made.
    """
    by_weight = {id(weight): shares[name] for name, weight in network.named_parameters()}

    def apply(optimiser: Optimizer, arguments: Any, words: Any) -> None:
        if id(optimiser.param_groups[0]["params"][0]) in by_weight:
            if _SHARE not in optimiser.param_groups[0]:
                _divide(optimiser, by_weight)
            for group in optimiser.param_groups:
                group["lr"] *= group[_SHARE]

    handle = register_optimizer_step_pre_hook(apply)
    try:
        yield
    finally:
        handle.remove()


def _divide(optimiser: Optimizer, by_weight: Mapping[int, float]) -> None:
    """Its one group as several, each of weights in a row with the same share."""
    (whole,) = optimiser.param_groups
    weights: list[Tensor] = whole["params"]
    runs = itertools.groupby(weights, key=lambda weight: by_weight[id(weight)])
    optimiser.param_groups[:] = [{**whole, "params": list(run), _SHARE: share} for share, run in runs]
