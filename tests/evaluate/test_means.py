"""Means of clustered units: textbook intervals without clusters, wider ones with, and known ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from fourview.evaluate.means import clustered_mean, mean_ratio, paired_mean_difference
from fourview.exam import SetupError


def test_without_clusters_the_interval_is_students() -> None:
    values = np.random.default_rng(0).normal(3, 2, 40)
    found = clustered_mean(values, name="mean")
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert (found.n, found.positives) == (40, None)
    assert "positive" not in str(found)


def test_units_of_one_woman_count_less() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(20), 5)
    values = rng.normal(size=20)[patients] + 0.1 * rng.normal(size=100)
    alone, clustered = clustered_mean(values), clustered_mean(values, cluster=patients)
    assert clustered.clusters == 20
    assert clustered.se > 1.8 * alone.se
    means = values.reshape(20, 5).mean(axis=1)
    assert clustered.se == pytest.approx(means.std(ddof=1) / math.sqrt(20))


def test_a_paired_difference_has_the_p_value_of_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(0.3, 1, 30), rng.normal(0, 1, 30)
    found = paired_mean_difference(first, second, name="difference")
    expected = ttest_1samp(first - second, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.value == pytest.approx(np.mean(first - second))
    with pytest.raises(SetupError, match="found 30 and 2 values"):
        paired_mean_difference(first, [1, 2], name="difference")


def test_a_ratio_of_means_is_covered_by_its_interval() -> None:
    hits, draws = 0, 200
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        size = rng.uniform(0.5, 2, 25)
        bottom = np.repeat(size, 2) * rng.uniform(0.8, 1.2, 50)
        top = 2 * bottom * rng.uniform(0.6, 1.4, 50)
        found = mean_ratio(top, bottom, cluster=np.repeat(np.arange(25), 2), name="ratio")
        hits += found.low <= 2 <= found.high
    assert 0.9 < hits / draws <= 0.99


def test_values_that_do_not_vary_have_no_interval() -> None:
    found = clustered_mean([2.0, 2.0, 2.0])
    assert found.value == 2
    assert math.isnan(found.low)
    assert found.warnings
    with pytest.raises(SetupError, match="at least one unit"):
        clustered_mean([])
