"""The exam stage: four views -> is there a benign, is there a malignant finding in each breast? Wu et al. 2019."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.exam import FINDINGS, SetupError
from fourview.networks.exam import BOTH_SIDES, Head
from fourview.train.data import TrainingData
from fourview.train.exam_batch import Columns, mean_answers, mean_loss
from fourview.train.exam_cases import draw_exam_epoch
from fourview.train.exam_data import PICTURES, ExamData, open_exam_data
from fourview.train.exam_judgement import has_both, judge_findings
from fourview.train.initialise import draw_initial
from fourview.train.recipe import Recipe
from fourview.train.stage import Batch, Judgement, Key, Sample
from fourview.weights.card import Card
from fourview.weights.folder import Weights, build_exam


@dataclass(frozen=True, eq=False)
class ExamStage:
    """What the training loop asks (stage.Stage).

    columns  head -> the places in BOTH_SIDES of its labels
    notes    what was left out, and which labels cannot be judged
    """

    recipe: Recipe
    network: nn.Module
    heads: tuple[Head, ...]
    columns: Columns
    data: ExamData
    notes: tuple[str, ...]

    def epoch(self, number: int) -> Sequence[Key]:
        """Every exam with a finding, and others newly drawn."""
        if self.recipe.exams is None:
            raise ValueError("the recipe has no section exams")
        return draw_exam_epoch(self.data.cases, self.recipe.exams, seed=self.recipe.seed, epoch=number)

    def validation(self) -> Sequence[Key]:
        return self.data.validation()

    def load(self, key: Key) -> Sample:
        case = self.data.case(key)
        return Sample(case.exam, self.data.samples.read(case, key), case.finding_targets)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        return mean_loss(network, batch, heads=self.heads, columns=self.columns)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(exams, 4) probabilities in the order of BOTH_SIDES."""
        return mean_answers(network, batch, heads=self.heads, columns=self.columns)[:, :, 1]

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        return judge_findings(names, self.data.women(names), answers, targets)

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        return self.data.name_card(name, data=data)

    def pictures(self) -> Sequence[Sample]:
        return [self.load(key) for key in self.epoch(0)[:PICTURES]]


def open_exam_stage(recipe: Recipe, data: TrainingData, *, patch: Weights | None = None) -> ExamStage:
    """The stage with a newly drawn network. patch: see exam_data. Raises SetupError if there is nothing to learn."""
    if recipe.exam is None:
        raise SetupError(f"recipe {recipe.name}: found no section exam, need one")
    network = build_exam(recipe.exam)
    draw_initial(network, recipe.seed)
    columns = {head.name: [BOTH_SIDES.index(label) for label in head.labels] for head in network.heads}
    found = open_exam_data(recipe, data, heads=network.heads, patch=patch)
    notes = (*found.notes(), *_check_classes(found))
    return ExamStage(recipe, network, network.heads, columns, found, notes)


def _check_classes(found: ExamData) -> list[str]:
    """Notes on labels that cannot be judged. Raises SetupError if there is nothing to learn, or nothing to judge by."""
    notes = []
    for part in ("train", "validation"):
        targets = np.stack([found.cases.cases[place].finding_targets for place in found.cases.of(part)])
        with_both = []
        for finding in FINDINGS:
            of_finding = targets[:, [place for place, label in enumerate(BOTH_SIDES) if label[1] == finding]].ravel()
            with_both.append(has_both(of_finding))
            if not with_both[-1]:
                counts = f"{(of_finding == 1).sum()} breasts with and {(of_finding == 0).sum()} without"
                what = "it is not learned" if part == "train" else "it is not judged"
                notes.append(f"{finding}: found {counts} a {finding} finding in {part}: {what}")
        if not any(with_both):
            raise SetupError(f"{part}: {'; '.join(notes)}; need breasts with and without one, of one finding at least")
    return notes
