"""Two scores on the same units."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from fourview.evaluate.compare import average_precision_difference, share_difference
from fourview.exam import SetupError


def test_the_difference_of_average_precisions_is_scikit_learns_with_a_paired_interval() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(800) < 0.15
    common = rng.normal(truth * 1.0)
    first, second = common + rng.normal(size=800) * 0.3, common + rng.normal(size=800) * 0.3
    found = average_precision_difference(truth, first, second, cluster=np.arange(800) // 2)
    expected = average_precision_score(truth, first) - average_precision_score(truth, second)
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high
    unpaired = average_precision_difference(truth, first, rng.permutation(first)).se
    assert found.se < unpaired


def test_without_clusters_the_p_value_is_the_exact_mcnemar_test() -> None:
    first = [1] * 8 + [0] * 2 + [1] * 10
    second = [0] * 8 + [1] * 2 + [1] * 10
    found = share_difference(first, second)
    assert found.value == pytest.approx(6 / 20)
    assert found.p == pytest.approx(binomtest(8, 10).pvalue)


def test_copies_in_a_cluster_bring_no_new_evidence() -> None:
    rng = np.random.default_rng(2)
    first, second = (rng.random((2, 300)) < [[0.7], [0.6]]).astype(int)
    one = share_difference(first, second, cluster=np.arange(300) // 1)
    copies = share_difference(np.repeat(first, 2), np.repeat(second, 2), cluster=np.repeat(np.arange(300), 2))
    assert copies.value == one.value
    assert copies.se == pytest.approx(one.se)
    assert copies.p == pytest.approx(one.p, abs=0.05)  # exact test against the normal one


def test_clustered_p_values_are_uniform_under_no_difference() -> None:
    rng = np.random.default_rng(4)
    rejected = 0
    for _ in range(400):
        shared = rng.normal(size=100).repeat(2)  # two breasts of a woman
        first, second = ((shared + rng.normal(size=200)) > 0.5 for _ in range(2))
        rejected += share_difference(first.astype(int), second.astype(int), cluster=np.arange(200) // 2).p < 0.05
    assert 0.02 < rejected / 400 < 0.08


def test_equal_calls_differ_by_nothing() -> None:
    found = share_difference([1, 0, 1, 1], [1, 0, 1, 1], cluster=[0, 0, 1, 1])
    assert (found.value, found.p) == (0, 1)
    with pytest.raises(SetupError, match="one 0 or 1 per unit"):
        share_difference([1, 0], [1])
