"""Spearman's correlation against scipy's, the partial one against residuals of ranks, and its interval."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from fourview.evaluate.rank_correlation import rank_correlation, spearman
from fourview.exam import SetupError


def test_it_is_scipys_with_ties() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 80), rng.normal(size=80)
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first, second).statistic)
    assert rank_correlation(first, first**3) == pytest.approx(1)
    assert rank_correlation(first, np.ones(80)) == 0


def test_the_partial_one_is_the_correlation_of_what_size_leaves_over() -> None:
    rng = np.random.default_rng(1)
    size = rng.normal(size=200)
    first, second = size + rng.normal(size=200), size + rng.normal(size=200)

    def residual(values: np.ndarray) -> np.ndarray:
        ranks, fixed = rankdata(values), rankdata(size)
        return ranks - np.polyval(np.polyfit(fixed, ranks, 1), fixed)

    expected = np.corrcoef(residual(first), residual(second))[0, 1]
    assert rank_correlation(first, second, fixed=size) == pytest.approx(expected)
    assert rank_correlation(first, second) > 0.35
    assert abs(expected) < 0.2


def test_the_interval_keeps_patients_together() -> None:
    rng = np.random.default_rng(2)
    patients = np.repeat(np.arange(30), 6)
    own = rng.normal(size=30)
    first, second = own[patients] + 0.1 * rng.normal(size=180), -own[patients] + 2 * rng.normal(size=180)
    clustered = spearman(first, second, cluster=patients, resamples=300)
    alone = spearman(first, second, resamples=300)
    assert clustered.value == alone.value
    assert clustered.clusters == 30
    assert clustered.high - clustered.low > alone.high - alone.low
    assert clustered.low <= clustered.value <= clustered.high < 0
    assert clustered.p is not None
    assert clustered.p < 0.05


def test_too_few_units_are_refused() -> None:
    with pytest.raises(SetupError, match="found 3 lesions; need 4"):
        spearman([1, 2, 3], [1, 2, 3])
