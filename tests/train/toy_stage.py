"""A stage that takes milliseconds: which half of a small noisy image is brighter. With batch norm, as the real ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from fourview.exam import SetupError
from fourview.train.recipe import Recipe, parse_recipe
from fourview.train.run_folder import RunFolder, open_run
from fourview.train.stage import UNKNOWN, VALIDATION, Batch, Judgement, Key, Sample
from fourview.weights.card import Card

TOML = """
name = "toy"
stage = "patch"
patch = { side_px = 8, blocks = [1], growth = 2, stem = 2, classes = ["malignant", "benign", "outside", "negative"] }
[patches]
per_epoch = 24
mix = { malignant = 0.5, benign = 0.5, outside = 0.0, negative = 0.0 }
side_px = [8, 8]
rotation_deg = 0.0
validation = 10
[optimiser]
name = "adam"
lr = 0.01
weight_decay = 0.0001
[schedule]
kind = "constant"
[loop]
epochs = 3
patience = 9
batch = 8
micro_batch = 4
workers = 0
"""


def toy_recipe(*settings: str) -> Recipe:
    return parse_recipe(TOML).with_values(settings)


class ToyNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 6 * 6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.head(torch.relu(self.norm(self.conv(x))).flatten(1)), dim=1)


@dataclass
class ToyStage:
    """poison: a sample of which loss is NaN; deadly: one whose worker dies; unreadable: one that cannot be read;
    pause_s: how long each takes; unlabelled: so many samples in a row have one whose target is not known; 0: none"""

    recipe: Recipe
    network: nn.Module
    poison: str = ""
    deadly: str = ""
    unreadable: str = ""
    pause_s: float = 0.0
    unlabelled: int = 0

    def epoch(self, number: int) -> Sequence[Key]:
        rng = np.random.default_rng([self.recipe.seed, number])
        count = self.recipe.patches.per_epoch if self.recipe.patches else 0
        return [Key(number, place, int(rng.integers(1000))) for place in range(count)]

    def validation(self) -> Sequence[Key]:
        return [Key(VALIDATION, place, place) for place in range(10)]

    def load(self, key: Key) -> Sample:
        rng = np.random.default_rng([self.recipe.seed, key.case, key.epoch + 1, key.place])
        name = f"exam {key.epoch}-{key.place}"
        if name == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        if name == self.unreadable:
            raise SetupError(f"{name}: found a broken file, need a whole one")
        time.sleep(self.pause_s)
        target = int(rng.integers(2))
        image = rng.normal(0, 1, (1, 8, 8)).astype(np.float32)
        image[:, :, 4 * target : 4 * target + 4] += 0.7
        if name == self.poison:
            image[0, 0, 0] = np.nan
        if self.unlabelled and key.epoch != VALIDATION and key.place % self.unlabelled == 0:
            target = UNKNOWN
        return Sample(name, {"patch": image}, np.array([target], dtype=np.int64))

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        total = F.nll_loss(network(batch.inputs["patch"]), batch.targets[:, 0], ignore_index=UNKNOWN, reduction="sum")
        return total / (batch.targets != UNKNOWN).sum().clamp(min=1)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        probabilities: Tensor = network(batch.inputs["patch"]).exp()
        return probabilities

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        p_true = answers[np.arange(len(names)), targets[:, 0]].astype(np.float64)
        table = pl.DataFrame({"name": names, "p_right": answers[:, 1], "target": targets[:, 0]})
        return Judgement(float(np.log(p_true).mean()), {"accuracy": float((p_true > 0.5).mean())}, table)

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        raise NotImplementedError

    def pictures(self) -> Sequence[Sample]:
        return [self.load(Key(0, 0, 0))]


def toy_stage(*settings: str, **more: Any) -> ToyStage:
    recipe = toy_recipe(*settings)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = ToyNetwork()
    return ToyStage(recipe, network, **more)


def open_toy_run(path: Path, recipe: Recipe, *, resume: bool = False, **other: Any) -> RunFolder:
    named = {"data": "toy", "split": "toy", "data_sha256": "d" * 64, "starts": {}} | other
    return open_run(path, recipe, resume=resume, **named)
