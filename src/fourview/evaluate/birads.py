"""Three-class BI-RADS readings (0 incomplete, 1 normal, 2 benign): one class against the others.

Method: Wu et al. 2019, BI-RADS pretraining, judged by the mean of the three areas.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.estimate import Estimate, logit_interval
from fourview.evaluate.resample import clustered_se
from fourview.evaluate.roc import auc
from fourview.evaluate.subgroups import auc_influence
from fourview.evaluate.table import number_clusters
from fourview.exam import SetupError

CATEGORIES = (0, 1, 2)


def birads_aucs(
    category: ArrayLike,
    probabilities: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any] | None = None,
    unit: str = "exam",
) -> tuple[Estimate, ...]:
    """The AUC of each category against the other two, then their mean.

    category  (units,) 0, 1 or 2;  probabilities  (units, 3), of the three categories

    Raises SetupError if shapes do not fit, another category is found, or one is missing.
    """
    truth, p = np.asarray(category), np.asarray(probabilities, np.float64)
    if truth.ndim != 1 or p.shape != (len(truth), 3) or not np.isin(truth, CATEGORIES).all():
        raise SetupError(
            f"BI-RADS: found {truth.shape} categories {np.unique(truth)[:6].tolist()} and {p.shape} probabilities; "
            "need one of 0, 1, 2 and three probabilities per unit"
        )
    found = [
        auc(truth == c, p[:, c], cluster=cluster, unit=unit, name=f"AUC, BI-RADS {c} against the others")
        for c in CATEGORIES
    ]
    numbers = np.arange(len(truth)) if cluster is None else number_clusters(cluster, len(truth))
    influence = np.mean([auc_influence(truth == c, p[:, c]) for c in CATEGORIES], axis=0)
    value, se = float(np.mean([e.value for e in found])), clustered_se(influence, numbers)
    low, high = logit_interval(value, se) if se > 0 else (math.nan, math.nan)
    warnings = tuple(dict.fromkeys(warning for e in found for warning in e.warnings))
    method = f"mean of three, linearised, {'independent units' if cluster is None else 'clustered'}, logit"
    n = len(truth)
    mean = Estimate("mean AUC, BI-RADS", value, low, high, se, n, n, int(numbers.max()) + 1, unit, method, warnings)
    return (*found, mean)
