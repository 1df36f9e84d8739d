"""What the training loop asks of a stage: samples of an epoch, a loss, a judgement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.train.recipe import Recipe
from fourview.train.recipe_parts import Loop, Optimiser, Schedule
from fourview.weights.card import Card

VALIDATION = -1  # the epoch of keys that are judged
UNKNOWN = -1  # in targets


@dataclass(frozen=True)
class Key:
    """Which sample. All that is drawn for it is drawn from these numbers and the recipe's seed.

    epoch  from 0; VALIDATION
    place  in the epoch
    case   row of the stage's own table: an exam, or an image, lesion or position of a class
    kind   patch stage: the class
    """

    epoch: int
    place: int
    case: int
    kind: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """One input with its truth.

    name     exam or image that it is of, for reports of errors
    inputs   "patch": (1, side, side); exam stages: view -> (channels, rows, cols); float32, NaN in none
    targets  UNKNOWN: not known; patch: (1 + descriptors,) class, and codes of words (patch_words: always known);
             exam: (4,) 0 or 1, in the order of networks.exam.BOTH_SIDES;
             birads: (2,) class 0, 1, 2 of the left and the right breast
    """

    name: str
    inputs: Mapping[str, NDArray[np.float32]]
    targets: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples side by side. A view that a sample does not have is NaN in its row, so that every row is a sample's."""

    names: tuple[str, ...]
    inputs: dict[str, Tensor]
    targets: Tensor


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good a network is.

    score    larger is better: early stopping and "best" go by it
    metrics  one row of history.csv
    table    one row per judged unit: names, targets, probabilities (predictions.csv)
    """

    score: float
    metrics: Mapping[str, float]
    table: pl.DataFrame


UNJUDGED = Judgement(math.nan, {}, pl.DataFrame())  # of an epoch, where the recipe asks for no validation


class LoopRecipe(Protocol):
    """What the training loop reads of a recipe. is_judged: epochs are judged, and the best is kept"""

    @property
    def loop(self) -> Loop: ...
    @property
    def optimiser(self) -> Optimiser: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def is_judged(self) -> bool: ...


class Stage(Protocol):
    """One trainable thing with its data. It pickles: worker processes load samples, and nothing in it is open."""

    @property
    def recipe(self) -> LoopRecipe: ...
    @property
    def network(self) -> nn.Module:
        """On the CPU, with its initial values."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out of the data, and what the network started from, in words."""
        ...

    def epoch(self, number: int) -> Sequence[Key]:
        """The samples of an epoch, in order."""
        ...

    def validation(self) -> Sequence[Key]:
        """The samples that are judged, the same every time; none if the recipe is not judged."""
        ...

    def load(self, key: Key) -> Sample:
        """One sample, in a worker process. Raises ExamError if its files are broken."""
        ...

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """A scalar: the mean over the known targets, each counting alike; 0 if none is. Calls the network once."""
        ...

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(samples, ...) float32 probabilities, NaN where the network says nothing (a breast without an image)."""
        ...

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        """Names, answers and targets of the validation samples, in any order."""
        ...

    def pictures(self) -> Sequence[Sample]:
        """A few training inputs as the network sees them."""
        ...


class WeightsStage(Stage, Protocol):
    """A stage of `fourview train`: its network becomes a weights folder."""

    @property
    def recipe(self) -> Recipe: ...
    def kept(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What of the network's state goes into the weights folder."""
        ...

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        """Of the weights folder that this stage makes."""
        ...


def collate(samples: Sequence[Sample]) -> Batch:
    """The samples as one batch."""
    inputs = {}
    for name in dict.fromkeys(name for sample in samples for name in sample.inputs):
        shape = next(sample.inputs[name].shape for sample in samples if name in sample.inputs)
        rows = torch.empty((len(samples), *shape))
        for row, sample in zip(rows, samples, strict=True):
            if name in sample.inputs:
                row.copy_(torch.from_numpy(sample.inputs[name]))
            else:
                row.fill_(torch.nan)
        inputs[name] = rows
    targets = torch.from_numpy(np.stack([sample.targets for sample in samples]))
    return Batch(tuple(sample.name for sample in samples), inputs, targets)


def open_stream(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """The random stream of one purpose: of a recipe's seed, and of the numbers (from -1) that say what it is for."""
    return np.random.default_rng([seed, purpose, *(number + 1 for number in numbers)])
