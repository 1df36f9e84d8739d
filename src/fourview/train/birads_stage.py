"""BI-RADS pretraining: four views -> the BI-RADS class of each breast. Only the columns go on. Wu et al. 2019."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.birads import SIDES, sides_of
from fourview.networks.exam import Head
from fourview.train.data import TrainingData
from fourview.train.exam_batch import Columns, mean_answers, mean_loss
from fourview.train.exam_cases import draw_birads_epoch
from fourview.train.exam_data import PICTURES, ExamData, open_exam_data
from fourview.train.exam_judgement import judge_birads
from fourview.train.initialise import draw_initial
from fourview.train.recipe import Recipe
from fourview.train.stage import UNKNOWN, Batch, Judgement, Key, Sample
from fourview.weights.card import Card
from fourview.weights.folder import Weights, build_birads


@dataclass(frozen=True, eq=False)
class BiradsStage:
    """What the training loop asks (stage.Stage).

    columns  head -> the places in SIDES of the sides that it speaks about
    notes    what was left out
    """

    recipe: Recipe
    network: nn.Module
    heads: tuple[Head, ...]
    columns: Columns
    data: ExamData
    notes: tuple[str, ...]

    def epoch(self, number: int) -> Sequence[Key]:
        """Exams drawn anew, or all of them."""
        if self.recipe.exams is None:
            raise ValueError("the recipe has no section exams")
        return draw_birads_epoch(self.data.cases, self.recipe.exams, seed=self.recipe.seed, epoch=number)

    def validation(self) -> Sequence[Key]:
        return self.data.validation()

    def load(self, key: Key) -> Sample:
        case = self.data.case(key)
        return Sample(case.exam, self.data.samples.read(case, key), case.birads_targets)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        return mean_loss(network, batch, heads=self.heads, columns=self.columns)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(exams, 2, 3) probabilities: left and right, classes."""
        return mean_answers(network, batch, heads=self.heads, columns=self.columns)

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        return judge_birads(names, self.data.women(names), answers, targets)

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        return self.data.name_card(name, data=data)

    def pictures(self) -> Sequence[Sample]:
        return [self.load(key) for key in self.epoch(0)[:PICTURES]]


def open_birads_stage(recipe: Recipe, data: TrainingData, *, patch: Weights | None = None) -> BiradsStage:
    """The stage with a newly drawn network. patch: see exam_data. Raises SetupError if there is nothing to learn."""
    if recipe.exam is None:
        raise SetupError(f"recipe {recipe.name}: found no section exam, need one")
    network = build_birads(recipe.exam)
    draw_initial(network, recipe.seed)
    columns = {head.name: [SIDES.index(side) for side in sides_of(head)] for head in network.heads}
    found = open_exam_data(recipe, data, heads=network.heads, patch=patch)
    for part in ("train", "validation"):
        targets = np.stack([found.cases.cases[place].birads_targets for place in found.cases.of(part)])
        classes = np.unique(targets[targets != UNKNOWN]).tolist()
        if len(classes) < 2:
            raise SetupError(f"{part}: found breasts of the BI-RADS classes {classes}, need two or more of 0, 1, 2")
    return BiradsStage(recipe, network, network.heads, columns, found, tuple(found.notes()))
