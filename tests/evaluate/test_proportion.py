"""Shares and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from fourview.evaluate import proportion
from fourview.evaluate.proportion import wilson
from fourview.exam import SetupError


def test_wilsons_interval_is_the_published_one() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(1, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_units_that_repeat_within_clusters_add_no_certainty() -> None:
    hits = np.random.default_rng(0).integers(0, 2, 100)
    once = proportion(hits)
    twice = proportion(np.repeat(hits, 2), cluster=np.repeat(np.arange(100), 2))
    naive = proportion(np.repeat(hits, 2))
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high), abs=0.002)
    assert naive.high - naive.low < 0.75 * (once.high - once.low)
    assert "effective sample size" in twice.method
    assert (twice.n, twice.clusters) == (200, 100)


def test_a_share_of_none_or_all_counts_clusters_as_units() -> None:
    none = proportion([0] * 20, cluster=np.repeat(np.arange(10), 2))
    assert (none.low, none.high) == pytest.approx(wilson(0, 10))
    assert none.value == 0
    one = proportion([0, 1, 1], cluster=["a", "a", "a"])  # nothing tells how clusters differ
    assert (one.low, one.high) == pytest.approx(wilson(2 / 3, 1))


def test_clustered_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        risk = rng.beta(2, 6, 150)  # two breasts of a woman share their risk; the mean is 0.25
        hits = (rng.random((2, 150)) < risk).T.ravel()
        found = proportion(hits, cluster=np.repeat(np.arange(150), 2))
        covered += found.low <= 0.25 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_wrong_tables_are_refused() -> None:
    for hits in ([], [0, 2], [[0, 1]]):
        with pytest.raises(SetupError, match="need one 0 or 1 per unit"):
            proportion(hits)
    with pytest.raises(SetupError, match="1 cluster labels for 2 units"):
        proportion([0, 1], cluster=["a"])
