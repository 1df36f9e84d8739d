"""What a network said of images, against their targets: areas, accuracy, and what always saying the same would give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.operating import operate
from fourview.evaluate.proportion import proportion
from fourview.evaluate.question import Question
from fourview.evaluate.roc import auc
from fourview.studies.finetune.jackknife import jackknife

UNIT = "image"
HALF = 0.5
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Said:
    """Answers about images.

    y         (images,) places in `classes`;  p  (images, classes) probabilities, each row summing to 1
    patients  (images,) whose each is;  common  the class that comes most often in training
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    y: NDArray[np.int64]
    p: Floats
    patients: NDArray[np.str_]
    common: int

    @property
    def is_binary(self) -> bool:
        return len(self.classes) == 2

    @property
    def called(self) -> NDArray[np.int64]:
        """(images,) what is said: the likeliest class; of two, positive from a probability of one half on."""
        return (self.p[:, 1] >= HALF).astype(np.int64) if self.is_binary else self.p.argmax(axis=1)

    @cached_property
    def questions(self) -> tuple[Question, ...]:
        """Positive or not; or each class that comes, against all others."""
        asked = (
            [1] if self.is_binary else [k for k in range(len(self.classes)) if 0 < (self.y == k).sum() < len(self.y)]
        )
        return tuple(
            Question(
                f"AUC, {'positive' if self.is_binary else 'BI-RADS ' + self.classes[k]}",
                UNIT,
                self.y == k,
                self.p[:, k],
                self.patients,
            )
            for k in asked
        )

    @cached_property
    def area(self) -> Estimate:
        """AUC; of classes the mean over those that come, each against all others."""
        if self.is_binary:
            return auc(self.y == 1, self.p[:, 1], cluster=self.patients, unit=UNIT, name="AUC")
        return jackknife(
            self._mean_area, self.patients, name="AUC, mean of one class against all", positives=len(self.y)
        )

    def _mean_area(self, places: NDArray[np.int64]) -> float:
        return mean_area(self.y[places], self.p[places])

    @cached_property
    def numbers(self) -> tuple[Estimate, ...]:
        """Accuracy, balanced accuracy and, of two classes, sensitivity and the like at one half."""
        if self.is_binary:
            return operate(self.y == 1, self.p[:, 1], HALF, cluster=self.patients, unit=UNIT)
        right = self.called == self.y
        positives = len(self.y)
        return (
            jackknife(
                lambda places: mean_recall(self.y[places], self.called[places]),
                self.patients,
                name="balanced accuracy",
                positives=positives,
            ),
            proportion(right, cluster=self.patients, unit=UNIT, name="accuracy"),
        )

    @property
    def balanced(self) -> Estimate:
        return next(one for one in self.numbers if one.name == "balanced accuracy")

    @property
    def accuracy(self) -> Estimate:
        return next(one for one in self.numbers if one.name == "accuracy")

    @cached_property
    def majority(self) -> Estimate:
        """Accuracy of always saying the class that is the most common one in training."""
        name = f"accuracy of always saying {'' if self.is_binary else 'BI-RADS '}{self.classes[self.common]}"
        return proportion(self.y == self.common, cluster=self.patients, unit=UNIT, name=name)

    def table(self) -> pl.DataFrame:
        """A row per image: truth, what is said, probabilities."""
        shown = {"p_positive": self.p[:, 1]} if self.is_binary else {}
        if not self.is_binary:
            shown = {f"p_{name}": self.p[:, k] for k, name in enumerate(self.classes)}
        return pl.DataFrame(
            {
                "image": list(self.names),
                "patient": self.patients.tolist(),
                "truth": [self.classes[k] for k in self.y],
                "said": [self.classes[k] for k in self.called],
                **shown,
            }
        )


def complete(answers: NDArray[np.float32]) -> Floats:
    """(images, classes) from a network's answers: a single column is the probability of positive."""
    p = answers.astype(np.float64)
    return np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p


def mean_area(y: NDArray[np.int64], p: Floats) -> float:
    """The mean area of the classes that come, each against all others; of two that of the second. NaN: one comes."""
    if p.shape[1] == 2:
        return auc(y == 1, p[:, 1]).value if 0 < y.sum() < len(y) else math.nan
    there = [k for k in range(p.shape[1]) if 0 < (y == k).sum() < len(y)]
    return float(np.mean([auc(y == k, p[:, k]).value for k in there])) if there else math.nan


def mean_recall(y: NDArray[np.int64], called: NDArray[np.int64]) -> float:
    """The mean over the classes that come, of the share that is said rightly."""
    return float(np.mean([(called[y == k] == k).mean() for k in np.unique(y)]))


def common_class(y: NDArray[np.int64], classes: Sequence[str]) -> int:
    """The class that comes most often."""
    return int(np.bincount(y, minlength=len(classes)).argmax())
