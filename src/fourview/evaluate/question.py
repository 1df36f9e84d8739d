"""One yes-or-no question put to many units: what is true, what was said, and which units belong together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.curves import Band, draw_curves
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.roc import auc
from fourview.exam import SetupError


@dataclass(frozen=True, eq=False)
class Question:
    """The answers to one question.

    name     of its area, e.g. "AUC, malignant"
    unit     what is asked about: "patch", "image", "breast" ...
    truth    (units,) bool;  scores  (units,) float, larger means yes
    cluster  (units,) of labels: the women whom units are of, or the exams where women are not known

    Raises SetupError if the lengths differ or one of the two answers never comes.
    """

    name: str
    unit: str
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    cluster: NDArray[np.str_]

    def __post_init__(self) -> None:
        lengths = {len(self.truth), len(self.scores), len(self.cluster)}
        if len(lengths) > 1 or not self.truth.any() or self.truth.all():
            raise SetupError(
                f"{self.name}: found {int(self.truth.sum())} positive of {len(self.truth)} {self.unit}s (lengths "
                f"{sorted(lengths)}); need both answers and as many of each"
            )

    @cached_property
    def area(self) -> Estimate:
        """The area under the ROC curve."""
        return auc(self.truth, self.scores, cluster=self.cluster, unit=self.unit, name=self.name)

    @cached_property
    def roc(self) -> Band:
        """The curve, with its pointwise band."""
        return draw_curves(self.truth, self.scores, cluster=self.cluster, unit=self.unit).roc
