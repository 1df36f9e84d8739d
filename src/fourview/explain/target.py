"""One score of a network in two steps: the last map of every input, and what the rest of the network makes of them.

Views share an encoder. A hook on a layer of it would see them side by side in one batch, or the last one only; so the
encoder is asked for one input at a time, and every input has maps and gradients of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from fourview.explain.split import split_network

Tensors = Mapping[str, Tensor]  # input's name -> (batch, channels, rows, cols)


class Target(Protocol):
    """A network and one of its scores. Implementations are frozen dataclasses with a field `network`."""

    @property
    def network(self) -> nn.Module: ...

    @property
    def words(self) -> str:
        """What the score is: "log-odds of malignant, left breast"."""

    def last_map(self, name: str, x: Tensor) -> Tensor:
        """(batch, channels, h, w): the last activated map of one input (batch, channels, rows, cols), of it alone."""

    def read(self, maps: Tensors) -> Tensor:
        """(batch,) the score, from the last maps of all inputs."""


T = TypeVar("T", bound=Target)


def score(target: Target, inputs: Tensors) -> Tensor:
    """(batch,) the score of inputs, one of each name per element of the batch."""
    return target.read({name: target.last_map(name, x) for name, x in inputs.items()})


def with_network(target: T, network: nn.Module) -> T:
    """The same score of another network of the same kind."""
    return cast(T, replace(cast(Any, target), network=network))


@dataclass(frozen=True, eq=False)
class ClassTarget:
    """The logit of one class against others, of a network that sees one image (explain.split knows which).

    plus   the class; minus  those that it is weighed against: z_plus - log sum exp z_minus. All the others make it the
           log-odds of the class; one makes it the difference of two logits
    """

    network: nn.Module
    plus: int
    minus: tuple[int, ...]
    words: str

    def last_map(self, name: str, x: Tensor) -> Tensor:
        return split_network(self.network).last_map(x)

    def read(self, maps: Tensors) -> Tensor:
        (only,) = maps.values()
        logits = split_network(self.network).read_map(only)
        return logits[:, self.plus] - torch.logsumexp(logits[:, list(self.minus)], dim=1)
