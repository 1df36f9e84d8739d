"""Decision curves: the net benefit of calling women whose probability reaches a threshold.

Net benefit at threshold t is sensitivity * P - (1 - specificity) * (1 - P) * t / (1 - t): true positives per unit,
minus false positives at the exchange rate that t stands for (Vickers and Elkin 2006), at the prevalence P. It takes
scores for probabilities: of scores that only rank it says nothing. Bands: bootstrap of clusters, percentiles, point by
point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.resample import Floats, cluster_bootstrap
from fourview.evaluate.table import check_scores, check_truth, number_clusters


@dataclass(frozen=True, eq=False)
class DecisionCurve:
    """Net benefit per threshold, all (thresholds,): of the score with its band, of calling everybody (nobody: 0)."""

    prevalence: float
    thresholds: Floats
    score: Floats
    low: Floats
    high: Floats
    everybody: Floats


def decision_curve(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    prevalence: float | None = None,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
) -> DecisionCurve:
    """The curve at 60 thresholds from a fifth of the prevalence to twenty times it (at most 0.9).

    truth, scores, cluster  (units,) as for auc; scores are probabilities;  prevalence  None: as in this table
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    numbers = np.arange(len(yes)) if cluster is None else number_clusters(cluster, len(yes))
    share = float(yes.mean()) if prevalence is None else prevalence
    thresholds = np.geomspace(share / 5, min(0.9, share * 20), 60)
    bins = np.searchsorted(thresholds, score, side="right")  # how many thresholds the score reaches
    rate = thresholds / (1 - thresholds)

    def measure(times: Floats) -> Floats:
        called = [
            np.cumsum(np.bincount(bins[own], times[own], len(thresholds) + 1)[::-1])[::-1][1:] / times[own].sum()
            for own in (yes, ~yes)
        ]
        return np.asarray(share * called[0] - (1 - share) * called[1] * rate)

    low, high = np.percentile(cluster_bootstrap(yes, numbers, measure), (2.5, 97.5), axis=0)
    return DecisionCurve(share, thresholds, measure(np.ones(len(yes))), low, high, share - (1 - share) * rate)
