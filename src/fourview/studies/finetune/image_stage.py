"""One phase of fine-tuning as the training loop asks for it: one image -> positive or not, or its category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.studies.finetune.cases import ImageCases
from fourview.studies.finetune.image_input import ReadImage
from fourview.studies.finetune.image_network import ImageNetwork
from fourview.studies.finetune.judgement import Said, common_class, complete, mean_area, mean_recall
from fourview.studies.finetune.phase_settings import PhaseSettings
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.train.stage import VALIDATION, Batch, Judgement, Key, Sample, open_stream

_EPOCH, _AUGMENT = 31, 32  # random streams: which images an epoch has, what is done to one
PICTURES = 6


@dataclass(frozen=True, eq=False)
class ImageStage:
    """What the training loop asks (train.stage.Stage). It pickles; pixels stay where they are."""

    finetune: FinetuneRecipe
    phase: PhaseSettings
    cases: ImageCases
    read: ReadImage
    network: ImageNetwork
    notes: tuple[str, ...] = ()

    @property
    def recipe(self) -> PhaseSettings:
        return self.phase

    def epoch(self, number: int) -> Sequence[Key]:
        """Every training image once, in random order; with the sampler as many, each class as often as the others."""
        rng = open_stream(self.finetune.seed, _EPOCH, self.phase.number, number)
        places = self.cases.of("train")
        if self.finetune.balance == "sampler":
            weights = self.class_weights()[self.cases.y[places]]
            drawn = rng.choice(places, len(places), p=weights / weights.sum())
        else:
            drawn = rng.permutation(places)
        return [Key(number, place, int(case)) for place, case in enumerate(drawn)]

    def validation(self) -> Sequence[Key]:
        return [Key(VALIDATION, place, int(case)) for place, case in enumerate(self.cases.of("validation"))]

    def load(self, key: Key) -> Sample:
        """One image, augmented in training. Raises ExamError."""
        row = self.cases.rows[key.case]
        rng = None
        if key.epoch != VALIDATION:
            rng = open_stream(self.finetune.seed, _AUGMENT, self.phase.number, key.epoch, key.place)
        return Sample(row["image"], self.read(row, rng), self.cases.y[key.case : key.case + 1])

    def class_weights(self) -> NDArray[np.float64]:
        """(classes,) by which a class counts more the rarer it is in training; 1 in the mean over images, 0: none."""
        y = self.cases.y[self.cases.of("train")]
        counts = np.bincount(y, minlength=len(self.cases.targets.classes))
        return np.where(counts > 0, len(y) / (np.maximum(counts, 1) * (counts > 0).sum()), 0.0)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """The mean cross-entropy, weighted by class if the recipe says so.

        Divided by the number of images and not by their weights, so that portions of a batch add up to it.
        """
        logits, y = network(batch.inputs).float(), batch.targets[:, 0]
        if self.cases.targets.is_binary:
            costs = F.binary_cross_entropy_with_logits(logits[:, 0], y.float(), reduction="none")
        else:
            costs = F.cross_entropy(logits, y, reduction="none")
        if self.finetune.balance == "loss":
            costs = costs * torch.tensor(self.class_weights(), dtype=torch.float32, device=costs.device)[y]
        # with several devices all weights must have gradients, also those of a view that no image of the batch is of
        silent = torch.stack([weight.sum() for weight in network.parameters() if weight.requires_grad]).sum()
        return costs.mean() + 0.0 * silent

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(images, 1) probability of positive, or (images, classes)."""
        logits = network(batch.inputs).float()
        return torch.sigmoid(logits) if self.cases.targets.is_binary else torch.softmax(logits, dim=1)

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        """AUC (mean over classes, each against all) and loss of the validation part; the AUC is the score."""
        said = self.say(names, answers, targets[:, 0])
        p_true = said.p[np.arange(len(said.y)), said.y]
        metrics = {
            "auc": mean_area(said.y, said.p),
            "balanced_accuracy": mean_recall(said.y, said.called),
            "validation_loss": float(-np.log(np.maximum(p_true, 1e-12)).mean()),
        }
        return Judgement(metrics["auc"], metrics, said.table())

    def say(self, names: Sequence[str], answers: NDArray[np.float32], y: NDArray[np.int64]) -> Said:
        """Answers of this stage's network about images, to be measured."""
        owners: Mapping[str, str] = {row["image"]: row["patient"] for row in self.cases.rows}
        classes = self.cases.targets.classes
        common = common_class(self.cases.y[self.cases.of("train")], classes)
        patients = np.array([owners[name] for name in names], np.str_)
        return Said(classes, tuple(names), y.astype(np.int64), complete(answers), patients, common)

    def pictures(self) -> Sequence[Sample]:
        return [self.load(key) for key in self.epoch(0)[:PICTURES]]
