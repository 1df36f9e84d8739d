"""One lesion network as the training loop asks for it: a crop -> benign or malignant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.evaluate import auc
from fourview.networks.lesion import MALIGNANT, LesionNetwork
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.lesion_input import DRAW, LOG_DIAMETER, MASK, PATCH, ReadLesion
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.train.stage import VALIDATION, Batch, Judgement, Key, Sample, open_stream

_EPOCH, _AUGMENT = 41, 42  # random streams: which crops an epoch has, what is done to one
_SURE = 1e-7
PICTURES = 6


class LoopNetwork(nn.Module):
    """A lesion network in the loop, which calls it by its inputs' names and wants all that the loss needs at once."""

    def __init__(self, network: LesionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """(batch, 2) logits, and (batch, 2, rows, cols) of a mask gate's pixels; None: it has none."""
        look = self.network.look(inputs[PATCH], inputs.get(LOG_DIAMETER), draws=inputs.get(DRAW))
        return look.logits, look.mask_logits


@dataclass(frozen=True, eq=False)
class LesionStage:
    """What the training loop asks (train.stage.Stage). It pickles; pixels stay where they are.

    seed      of all draws;  train, validate  the lesions
    """

    recipe: LesionRecipe
    seed: int
    train: tuple[LesionView, ...]
    validate: tuple[LesionView, ...]
    read: ReadLesion
    network: LoopNetwork
    notes: tuple[str, ...] = ()

    @property
    def views(self) -> tuple[LesionView, ...]:
        """Those that keys count: training first."""
        return (*self.train, *self.validate)

    def epoch(self, number: int) -> Sequence[Key]:
        """Every training crop once, in random order; with the sampler as many, each class as often as the other."""
        rng = open_stream(self.seed, _EPOCH, number)
        if self.recipe.balance == "sampler":
            weights = self.class_weights()[self._classes(self.train)]
            drawn = rng.choice(len(self.train), len(self.train), p=weights / weights.sum())
        else:
            drawn = rng.permutation(len(self.train))
        return [Key(number, place, int(case)) for place, case in enumerate(drawn)]

    def validation(self) -> Sequence[Key]:
        return [Key(VALIDATION, place, len(self.train) + place) for place in range(len(self.validate))]

    def load(self, key: Key) -> Sample:
        """One crop, augmented in training. Raises ExamError."""
        view = self.train[key.case] if key.case < len(self.train) else self.validate[key.case - len(self.train)]
        rng = None if key.epoch == VALIDATION else open_stream(self.seed, _AUGMENT, key.epoch, key.place)
        return Sample(view.name, self.read(view, rng), np.array([view.malignant], np.int64))

    def class_weights(self) -> NDArray[np.float64]:
        """(benign, malignant): the rarer counts more; 1 in the mean over training crops."""
        counts = np.bincount(self._classes(self.train), minlength=2)
        return np.asarray(len(self.train) / (2 * np.maximum(counts, 1)), np.float64)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """Cross-entropy; of a mask gate also that of its pixels, the mean over them; L1 of the last layer."""
        logits, mask_logits = network(batch.inputs)
        y = batch.targets[:, 0]
        costs = F.cross_entropy(logits.float(), y, reduction="none")
        if self.recipe.balance == "loss":
            costs = costs * torch.tensor(self.class_weights(), dtype=torch.float32, device=costs.device)[y]
        total = costs.mean()
        settings = self.recipe.network
        if mask_logits is not None:
            pixels = F.cross_entropy(mask_logits.float(), batch.inputs[MASK][:, 0].long())
            total = total + settings.gate_weight * pixels
        if settings.l1:
            weights = [weight for name, weight in network.named_parameters() if name.endswith("output.weight")]
            total = total + settings.l1 * torch.stack([weight.abs().sum() for weight in weights]).sum()
        return total

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """(crops, 1) probability of malignant."""
        logits, _ = network(batch.inputs)
        return torch.softmax(logits.float(), dim=1)[:, MALIGNANT : MALIGNANT + 1]

    def judge(self, names: Sequence[str], answers: NDArray[np.float32], targets: NDArray[np.int64]) -> Judgement:
        """Loss and AUC of the validation crops; what the recipe is judged by is the score, the loss with a minus."""
        y, p = targets[:, 0], answers[:, 0].astype(np.float64)
        p_true = np.clip(np.where(y == 1, p, 1 - p), _SURE, 1)
        metrics = {
            "validation_loss": float(-np.log(p_true).mean()),
            "auc": auc(y, p).value,
            "accuracy": float(((p >= 0.5) == y).mean()),
        }
        score = metrics["auc"] if self.recipe.judged_by == "auc" else -metrics["validation_loss"]
        return Judgement(score, metrics, pl.DataFrame({"lesion": list(names), "malignant": y, "p_malignant": p}))

    def pictures(self) -> Sequence[Sample]:
        return [self.load(key) for key in self.epoch(0)[:PICTURES]]

    def _classes(self, views: Sequence[LesionView]) -> NDArray[np.int64]:
        return np.array([view.malignant for view in views]).astype(np.int64)
