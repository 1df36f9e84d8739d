"""Areas and their variances against formulas written out, and against the real reader study."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourview.evaluate import RocCurves, auc, auc_difference
from fourview.exam import SetupError


def pair(x: float, y: float) -> float:
    return 1.0 if x > y else 0.5 if x == y else 0.0


def by_definition(truth, scores, cluster=None) -> tuple[list[float], list[list[float]]]:
    """Areas and covariances as the papers write them: every pair of a positive and a negative, every cluster."""
    pos = [i for i, t in enumerate(truth) if t]
    neg = [j for j, t in enumerate(truth) if not t]
    m, n = len(pos), len(neg)
    labels = list(range(len(truth))) if cluster is None else list(cluster)
    groups = sorted(set(labels))
    areas, v10, v01 = [], [], []
    for s in scores:
        v10.append({i: sum(pair(s[i], s[j]) for j in neg) / n for i in pos})
        v01.append({j: sum(pair(s[i], s[j]) for i in pos) / m for j in neg})
        areas.append(sum(v10[-1].values()) / m)
    covariance = []
    for a, b in itertools.product(range(len(scores)), repeat=2):
        s10 = s01 = s11 = s11_other = 0.0
        for g in groups:
            xs = [i for i in pos if labels[i] == g]
            ys = [j for j in neg if labels[j] == g]
            up_a = sum(v10[a][i] for i in xs) - len(xs) * areas[a]
            up_b = sum(v10[b][i] for i in xs) - len(xs) * areas[b]
            down_a = sum(v01[a][j] for j in ys) - len(ys) * areas[a]
            down_b = sum(v01[b][j] for j in ys) - len(ys) * areas[b]
            s10 += up_a * up_b
            s01 += down_a * down_b
            s11 += up_a * down_b
            s11_other += up_b * down_a
        i10 = len({labels[i] for i in pos})
        i01 = len({labels[j] for j in neg})
        total = len(groups)
        s10 *= i10 / ((i10 - 1) * m)
        s01 *= i01 / ((i01 - 1) * n)
        s11 *= total / (total - 1)
        s11_other *= total / (total - 1)
        covariance.append(s10 / m + s01 / n + (s11 + s11_other) / (m * n))
    k = len(scores)
    return areas, [covariance[i * k : (i + 1) * k] for i in range(k)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_areas_and_covariances_are_those_of_the_papers(seed, levels) -> None:
    rng = np.random.default_rng(seed)
    truth = np.r_[1, 1, 0, 0, rng.integers(0, 2, 26)]
    scores = np.round(rng.random((3, 30)) * levels) / levels + 0.2 * truth  # many ties
    cluster = np.r_[0, 1, 2, 3, rng.integers(0, 12, 26)]
    for labels in (None, cluster):
        curves = RocCurves.measure(truth, scores, cluster=labels)
        areas, covariance = by_definition(truth, scores, labels)
        np.testing.assert_allclose(curves.areas, areas, atol=1e-12)
        np.testing.assert_allclose(curves.covariance, covariance, atol=1e-12)


def test_with_one_unit_per_cluster_the_clustered_variance_is_delongs_but_for_pairs_within_units() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 200)
    score = rng.random(200) + 0.3 * truth
    plain = RocCurves.measure(truth, score)
    clustered = RocCurves.measure(truth, score, cluster=np.arange(200))
    np.testing.assert_allclose(clustered.covariance, plain.covariance, rtol=1e-12)
    assert (plain.method, clustered.method) == ("delong", "clustered")


def test_breasts_that_repeat_add_no_certainty_when_clustered() -> None:
    rng = np.random.default_rng(2)
    truth = np.r_[np.ones(40), np.zeros(160)]
    score = rng.random(200) + 0.4 * truth
    once = auc(truth, score, cluster=np.arange(200))
    twice = auc(np.tile(truth, 2), np.tile(score, 2), cluster=np.tile(np.arange(200), 2))
    naive = auc(np.tile(truth, 2), np.tile(score, 2))
    assert twice.se == pytest.approx(once.se, rel=0.01)
    assert naive.se < 0.75 * once.se
    assert "assumes that units are independent" in naive.method
    assert twice.clusters == 200


@pytest.fixture(scope="module")
def study(shared: Path) -> pl.DataFrame:
    return pl.read_csv(shared / "data/nyu_reader_study/reader_study_results.csv")


def test_the_areas_of_the_reader_study_are_the_known_ones(study: pl.DataFrame) -> None:
    truth = study["label"].to_numpy()
    readers = [study[f"Reader{r:02}_POM"].to_numpy() for r in range(1, 15)]
    found = RocCurves.measure(truth, readers).areas
    known = [.726, .783, .809, .859, .705, .736, .772, .761, .792, .753, .788, .804, .860, .756]  # fmt: skip
    assert np.round(found, 3).tolist() == pytest.approx(known, abs=1e-9)
    assert found.mean() == pytest.approx(0.7788, abs=5e-5)
    assert auc(truth, np.mean(readers, axis=0)).value == pytest.approx(0.895, abs=5e-4)
    gmic = auc(truth, study["AI_GMIC_top5_POM"].to_numpy())
    assert gmic.value == pytest.approx(0.8812, abs=5e-5)
    assert (gmic.value - 1.959964 * gmic.se, gmic.value + 1.959964 * gmic.se) == pytest.approx((0.839, 0.923), abs=6e-4)
    assert (gmic.n, gmic.positives) == (1440, 61)


def test_clustering_by_exam_hardly_moves_the_interval_of_unilateral_cancers(study: pl.DataFrame) -> None:
    truth, score = study["label"].to_numpy(), study["AI_DMVCNN_POM"].to_numpy()
    clustered = auc(truth, score, cluster=study["case_ID"].to_numpy())
    independent = auc(truth, score)
    assert clustered.value == independent.value == pytest.approx(0.7788, abs=5e-5)
    assert clustered.clusters == 720
    assert 0.85 < clustered.se / independent.se < 1.15
    assert clustered.low < clustered.value < clustered.high
    hybrid = [0.5 * study[f"Reader{r:02}_POM"].to_numpy() + 0.5 * score for r in range(1, 15)]
    areas = RocCurves.measure(truth, hybrid).areas
    assert areas.mean() == pytest.approx(0.8515, abs=5e-5)


def test_a_difference_knows_that_both_scores_saw_the_same_units(study: pl.DataFrame) -> None:
    truth, exam = study["label"].to_numpy(), study["case_ID"].to_numpy()
    gmic, dmv = study["AI_GMIC_top5_POM"].to_numpy(), study["AI_DMVCNN_POM"].to_numpy()
    difference = auc_difference(truth, gmic, dmv, cluster=exam)
    assert difference.value == pytest.approx(auc(truth, gmic).value - auc(truth, dmv).value)
    curves = RocCurves.measure(truth, [gmic, dmv], cluster=exam)
    unpaired = math.sqrt(curves.covariance[0, 0] + curves.covariance[1, 1])
    assert difference.se < unpaired
    assert difference.p == pytest.approx(math.erfc(difference.value / difference.se / math.sqrt(2)))
    same = auc_difference(truth, gmic, gmic * 2, cluster=exam)
    assert same.value == 0
    assert same.p is not None
    assert math.isnan(same.p)
    assert "paired, Obuchowski" in same.method


def test_few_positives_and_perfect_separation_are_said() -> None:
    truth, score = [1, 1, 0, 0, 0], [5.0, 4.0, 3.0, 2.0, 1.0]
    found = auc(truth, score)
    assert found.value == 1
    assert math.isnan(found.low)
    assert "only 2 positives" in found.warnings[0]
    assert "no interval" in found.warnings[1]
    rng = np.random.default_rng(0)
    many = np.r_[np.ones(60), np.zeros(80)]
    assert auc(many, rng.random(140) + many / 2).warnings == ()


@pytest.mark.parametrize(
    ("truth", "scores", "cluster", "message"),
    [
        ([0, 1], [0.1], None, "2 truths and 1 scores"),
        ([0, 1], [0.1, math.nan], None, "1 scores that are no number"),
        ([0, 0], [0.1, 0.2], None, "0 positives among 2"),
        ([0, 2], [0.1, 0.2], None, "need one 0 or 1"),
        ([0, 1], [0.1, 0.2], ["a"], "1 cluster labels for 2 units"),
    ],
)
def test_wrong_tables_are_refused(truth, scores, cluster, message) -> None:
    with pytest.raises(SetupError, match=message):
        RocCurves.measure(truth, scores, cluster=cluster)
