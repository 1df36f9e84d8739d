"""The exam stages: four views -> what is known of each breast. exam: a benign, a malignant finding; birads: its class.

BI-RADS pretraining is for the columns alone, which go on. Method: Wu et al. 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.exam import FINDINGS, SetupError
from fourview.networks.birads import SIDES, BiradsNetwork, sides_of
from fourview.networks.exam import BOTH_SIDES, Head, WiredNetwork
from fourview.train.data import TrainingData
from fourview.train.exam_batch import Columns, mean_answers, mean_loss
from fourview.train.exam_cases import draw_birads_epoch, draw_exam_epoch
from fourview.train.exam_data import PICTURES, ExamData, open_exam_data
from fourview.train.exam_judgement import has_both, judge_birads, judge_findings
from fourview.train.initialise import draw_initial
from fourview.train.recipe import Recipe
from fourview.train.stage import UNKNOWN, Batch, Judgement, Key, Sample
from fourview.weights.card import Card
from fourview.weights.folder import Weights, build_birads, build_exam


@dataclass(frozen=True, eq=False)
class ExamStage:
    """What the training loop asks (stage.Stage), of the stages exam and birads.

    columns  head -> the columns of the targets that it speaks about (ExamCase.targets)
    notes    what was left out, and which labels cannot be judged
    """

    recipe: Recipe
    network: nn.Module
    heads: tuple[Head, ...]
    columns: Columns
    data: ExamData
    notes: tuple[str, ...]

    def epoch(self, number: int) -> Sequence[Key]:
        """exam: every exam with a finding, and others newly drawn; birads: exams drawn anew, or all of them."""
        if self.recipe.exams is None:
            raise ValueError("the recipe has no section exams")
        draw = draw_birads_epoch if self.recipe.stage == "birads" else draw_exam_epoch
        return draw(self.data.cases, self.recipe.exams, seed=self.recipe.seed, epoch=number)

    def validation(self) -> Sequence[Key]:
        return self.data.validation()

    def load(self, key: Key) -> Sample:
        case = self.data.case(key)
        return Sample(case.exam, self.data.samples.read(case, key), case.targets(self.recipe.stage))

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        return mean_loss(network, batch, heads=self.heads, columns=self.columns)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """Probabilities; exam: (exams, 4) of a finding, in the order of BOTH_SIDES; birads: (exams, 2, 3) of a class,
        left and right."""
        p = mean_answers(network, batch, heads=self.heads, columns=self.columns)
        return p if self.recipe.stage == "birads" else p[:, :, 1]

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        judge = judge_birads if self.recipe.stage == "birads" else judge_findings
        return judge(names, self.data.women(names), answers, targets)

    def kept(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """All of them."""
        return tensors

    def card(self, *, name: str, judgement: Judgement | None, data: str) -> Card:
        return self.data.name_card(name, data=data)

    def pictures(self) -> Sequence[Sample]:
        return [self.load(key) for key in self.epoch(0)[:PICTURES]]


def open_exam_stage(recipe: Recipe, data: TrainingData, *, patch: Weights | None = None) -> ExamStage:
    """The stage with a newly drawn network. patch: see exam_data. Raises SetupError if there is nothing to learn."""
    if recipe.exam is None:
        raise SetupError(f"recipe {recipe.name}: found no section exam, need one")
    network: WiredNetwork | BiradsNetwork
    columns: Columns
    if recipe.stage == "birads":
        network = build_birads(recipe.exam)
        columns = {head.name: [SIDES.index(side) for side in sides_of(head)] for head in network.heads}
    else:
        network = build_exam(recipe.exam)
        columns = {head.name: [BOTH_SIDES.index(label) for label in head.labels] for head in network.heads}
    draw_initial(network, recipe.seed)
    found = open_exam_data(recipe, data, heads=network.heads, patch=patch)
    notes = (*found.notes(), *(_check_birads(found) if recipe.stage == "birads" else _check_findings(found)))
    return ExamStage(recipe, network, network.heads, columns, found, notes)


def _check_birads(found: ExamData) -> list[str]:
    """Nothing to note. Raises SetupError for a part with one class."""
    for part, targets in found.targets("birads").items():
        classes = np.unique(targets[targets != UNKNOWN]).tolist()
        if len(classes) < 2:
            raise SetupError(f"{part}: found breasts of the BI-RADS classes {classes}, need two or more of 0, 1, 2")
    return []


def _check_findings(found: ExamData) -> list[str]:
    """Notes on labels that cannot be judged. Raises SetupError if there is nothing to learn, or nothing to judge by."""
    notes = []
    for part, targets in found.targets("exam").items():
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
