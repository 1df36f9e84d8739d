"""Do scores and truths agree on the side? A table whose left and right are exchanged still ranks exams well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.estimate import Estimate
from fourview.evaluate.proportion import wilson
from fourview.evaluate.roc import auc
from fourview.exam import SetupError

LEAST = 10  # exams with one positive breast below which nothing is said


@dataclass(frozen=True)
class SideAgreement:
    """agreement  of exams with one positive breast, the share where that breast has the higher score (ties half)

    exam_auc  the same scores per exam: the larger one of both breasts against any positive
    warning   empty, or why the sides are not to be trusted
    """

    agreement: Estimate
    exam_auc: Estimate
    warning: str


def check_sides(
    exams: NDArray[Any], truth: NDArray[np.bool_], scores: NDArray[np.float64], *, cluster: NDArray[Any] | None = None
) -> SideAgreement | None:
    """How well scores find the side, and a warning where they do not although they find the exam.

    exams, truth, scores  (breasts,);  cluster  (breasts,) what the exam AUC's interval keeps together; None: exams

    None if fewer than 10 exams with two breasts have exactly one positive one, or if no exam is negative. The warning
    comes where the share's 95 % interval does not lie above one half and the exam AUC's interval does.
    """
    order = np.argsort(exams, kind="stable")
    _, first, sizes = np.unique(exams[order], return_index=True, return_counts=True)
    pairs = np.stack([order[first], order[np.minimum(first + 1, len(order) - 1)]], axis=1)[sizes == 2]
    one = pairs[truth[pairs].sum(axis=1) == 1]
    if len(one) < LEAST:
        return None
    positive = scores[one][truth[one]]
    other = scores[one][~truth[one]]
    hits = float((positive > other).sum() + (positive == other).sum() / 2)
    share, n = hits / len(one), len(one)
    low, high = wilson(share, n)
    se = float(np.sqrt(share * (1 - share) / n))
    agreement = Estimate("side agreement", share, low, high, se, n, round(hits), n, "exam", "Wilson, one row per exam")
    largest = np.maximum.reduceat(scores[order], first)
    any_positive = np.maximum.reduceat(truth[order].astype(int), first)
    try:
        kept = exams[order][first] if cluster is None else cluster[order][first]
        exam_auc = auc(any_positive, largest, cluster=kept, unit="exam", name="exam AUC")
    except SetupError:  # no exam without a positive breast
        return None
    warning = ""
    if low <= 0.5 < exam_auc.low:
        near = "below" if high < 0.5 else "near"
        warning = (
            f"side agreement is {near} chance: of {n} exams with one positive breast the higher score is on that side "
            f"in {share:.0%} (95 % {low:.0%} to {high:.0%}), yet exams are ranked well (AUC {exam_auc.value:.3f}). "
            "Left and right may be exchanged in one of the tables: check before any number is used"
        )
    return SideAgreement(agreement, exam_auc, warning)
