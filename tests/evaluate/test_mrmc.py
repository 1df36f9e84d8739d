"""Means over readers against published analyses, formulas written out, and simulated studies."""

from __future__ import annotations

import json
import math
from itertools import combinations, product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.mrmc_null import DESIGNS, STUDIES, Design, analyse, draw_study, measure_design
from scipy import stats

from fourview.evaluate import auc, average_precision
from fourview.evaluate.covariance import Measured, measure, metric_values
from fourview.evaluate.mrmc import average_over_readers, compare_treatments
from fourview.exam import SetupError

# Van Dyke's data, empirical areas, jackknife: published with RJafroc and OR-DBM MRMC.
SPIN_ECHO = [0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907]
CINE = [0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517]
VAN_DYKE = {"variance": 0.0008022883, "cov1": 0.0003466137, "cov2": 0.0003440748, "cov3": 0.0002390284}


def van_dyke() -> Measured:
    """The published areas with a covariance matrix that has the published means."""
    j, c = 5, VAN_DYKE
    same = np.full((j, j), c["cov2"])
    np.fill_diagonal(same, c["variance"])
    other = np.full((j, j), c["cov3"])
    np.fill_diagonal(other, c["cov1"])
    covariance = np.block([[same, other], [other, same]])
    return Measured("AUC", np.array(SPIN_ECHO + CINE), covariance, 114, 45, 114, 45, "jackknife")


def small_study(seed: int, readers: int = 3, exams: int = 40):
    rng = np.random.default_rng(seed)
    truth = (rng.random(2 * exams) < 0.4).astype(int)
    exam = np.repeat(np.arange(exams), 2)
    scores = np.round(rng.random((2 * readers, 2 * exams)) + 0.3 * truth + rng.random(exams)[exam], 1)
    return truth, scores, exam


def test_van_dykes_study_comes_out_as_published() -> None:
    found = compare_treatments(van_dyke())
    assert found.ms_t == pytest.approx(0.0047961705, abs=1e-9)
    assert found.ms_tr == pytest.approx(0.0005510306, abs=1e-9)
    assert found.variance_tr == pytest.approx(0.0002004025, abs=1e-9)
    assert [found.variance, found.cov1, found.cov2, found.cov3] == pytest.approx(list(VAN_DYKE.values()))
    assert found.f == pytest.approx(4.456319, abs=1e-5)
    assert found.difference.df == pytest.approx(15.25967, abs=1e-4)
    assert found.difference.p == pytest.approx(0.05166569, abs=1e-6)
    assert found.difference.value == pytest.approx(0.0438003, abs=1e-7)
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.000359, 0.087959), abs=2e-6)


def test_single_treatment_analysis_comes_out_as_published() -> None:
    """First treatment of Zanca's study: OR-DBM MRMC 2.51 gives 0.0286 on 5.46 df, and 0.0183 for fixed readers."""
    covariance = np.full((4, 4), 0.00021119)
    np.fill_diagonal(covariance, 0.00071053)
    areas = [0.90425, 0.79820, 0.81175, 0.86645]
    found = average_over_readers(areas, covariance)
    assert (found.value, found.ms_readers) == pytest.approx((0.8451625, 0.00242212), abs=1e-8)
    assert (found.se, found.df) == pytest.approx((0.02857824, 5.46), abs=5e-3)
    assert (found.low, found.high) == pytest.approx((0.77351391, 0.91681109), abs=1e-5)
    fixed = average_over_readers(areas, covariance, readers_are="fixed")
    assert fixed.se == pytest.approx(0.01833087, abs=1e-6)
    assert (fixed.low, fixed.high) == pytest.approx((0.80923466, 0.88109034), abs=1e-5)


def test_f_is_that_of_obuchowski_and_rockette() -> None:
    truth, scores, exam = small_study(0, readers=4)
    measured = measure(truth, scores, cluster=exam)
    found = compare_treatments(measured)
    error = found.ms_tr + 4 * max(found.cov2 - found.cov3, 0)
    assert found.f == pytest.approx(found.ms_t / error)
    assert found.difference.df == pytest.approx(error**2 / (found.ms_tr**2 / 3))
    assert found.difference.p == pytest.approx(stats.f.sf(found.f, 1, found.difference.df))
    assert found.difference.se == pytest.approx(math.sqrt(2 / 4 * error))
    c = measured.covariance
    pairs = list(combinations(range(4), 2))
    assert found.cov2 == pytest.approx(np.mean([c[a + k, b + k] for a, b in pairs for k in (0, 4)]))
    assert found.cov3 == pytest.approx(np.mean([c[a, b + 4] for a, b in product(range(4), repeat=2) if a != b]))
    assert found.cov1 == pytest.approx(np.mean([c[a, a + 4] for a in range(4)]))


def test_with_fixed_cases_it_is_the_paired_t_test_over_readers() -> None:
    measured = van_dyke()
    found = compare_treatments(measured, cases_are="fixed").difference
    expected = stats.ttest_rel(CINE, SPIN_ECHO)
    assert (found.p, found.df) == pytest.approx((expected.pvalue, 4))


def test_with_fixed_readers_it_is_the_variance_of_the_mean_over_cases() -> None:
    truth, scores, exam = small_study(1)
    measured = measure(truth, scores, cluster=exam)
    found = compare_treatments(measured, readers_are="fixed").difference
    contrast = np.repeat([-1 / 3, 1 / 3], 3)
    assert found.covariance > 0  # else it is taken as 0
    assert found.se == pytest.approx(math.sqrt(contrast @ measured.covariance @ contrast))
    assert math.isinf(found.df)


def test_negative_covariances_between_readers_count_as_none() -> None:
    covariance = np.array([[4.0, -1.0], [-1.0, 4.0]]) * 1e-4
    found = average_over_readers([0.7, 0.8], covariance)
    assert found.se == pytest.approx(math.sqrt(0.005 / 2))
    assert found.df == 1


def test_treatments_that_are_the_same_have_no_difference_and_no_p_value() -> None:
    truth, scores, exam = small_study(2)
    found = compare_treatments(measure(truth, np.vstack([scores[:3], scores[:3]]), cluster=exam)).difference
    assert found.value == 0
    assert math.isnan(found.p)
    assert math.isnan(found.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_over_readers([0.8], [[1e-4]]), "found 1 readers"),
        (lambda: average_over_readers([0.8, 0.7], [[1e-4]]), "covariance of shape"),
        (lambda: average_over_readers([0.8, 0.7], np.eye(2), readers_are="fixed", cases_are="fixed"), "one of them"),
        (lambda: compare_treatments(van_dyke().combine(np.eye(3, 10))), "found 3 scores"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, message) -> None:
    with pytest.raises(SetupError, match=message):
        call()


@pytest.mark.parametrize("metric", ["AUC", "average precision"])
def test_metrics_are_those_of_single_scores(metric) -> None:
    truth, scores, _ = small_study(3)
    single = {"AUC": auc, "average precision": average_precision}[metric]
    expected = [single(truth, score).value for score in scores]
    np.testing.assert_allclose(metric_values(truth, scores, metric=metric), expected, atol=1e-12)


@pytest.mark.parametrize("metric", ["AUC", "average precision"])
def test_the_jackknife_leaves_out_one_exam_at_a_time(metric) -> None:
    truth, scores, exam = small_study(4, exams=20)
    left_out = np.array([metric_values(truth[exam != e], scores[:, exam != e], metric=metric) for e in range(20)])
    deviations = left_out - left_out.mean(axis=0)
    expected = 19 / 20 * deviations.T @ deviations
    found = measure(truth, scores, metric=metric, covariance="jackknife", cluster=exam)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-14)


def test_all_covariances_of_areas_agree_on_a_large_study() -> None:
    truth, ratings, exam = draw_study(Design("LL", 3, 900), np.random.default_rng(0))
    found = {
        kind: compare_treatments(measure(truth, ratings, covariance=kind, cluster=exam)).difference.se
        for kind in ("clustered", "delong", "jackknife", "bootstrap")
    }
    assert found["jackknife"] == pytest.approx(found["clustered"], rel=0.01)
    assert found["bootstrap"] == pytest.approx(found["clustered"], rel=0.05)
    assert found["delong"] == pytest.approx(found["clustered"], rel=0.15)


def test_a_single_exam_with_positives_gives_no_covariance() -> None:
    truth, scores = np.array([1, 1, 0, 0, 0, 0]), np.random.default_rng(0).random((4, 6))
    for kind in ("clustered", "jackknife", "bootstrap"):
        found = measure(truth, scores, covariance=kind, cluster=[0, 0, 1, 1, 2, 2])
        assert np.isnan(found.covariance).all()
        assert math.isnan(compare_treatments(found).difference.p)


def test_averages_of_two_halves_have_a_quarter_of_the_summed_covariance() -> None:
    first, second = (measure(*small_study(s)[:2], covariance="delong") for s in (5, 6))
    both = Measured.mean_of_halves(first, second)
    np.testing.assert_allclose(both.values, (first.values + second.values) / 2)
    np.testing.assert_allclose(both.covariance, (first.covariance + second.covariance) / 4)
    assert (both.n, both.positives) == (first.n + second.n, first.positives + second.positives)
    assert "each half" in both.method


@pytest.mark.slow
def test_a_difference_that_is_not_there_is_found_in_about_five_percent() -> None:
    """300 studies of each of four designs: the share is within 0.05 by four of its standard errors."""
    designs = [design for design in DESIGNS if design.exams == 180 and design.readers == 5]
    rows = [row for design in designs for row in measure_design(design, studies=300, seed=1)]
    rejected = [row["rejected"] for row in rows if row["covariance"] == "clustered"]
    assert len(rejected) == 4
    assert sum(rejected) / 1200 == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 1200))


@pytest.mark.slow
def test_a_difference_that_is_there_is_found_in_most_simulated_studies() -> None:
    rng = np.random.default_rng(3)
    found = [analyse(draw_study(Design("LL", 10, 180), rng, shift=0.5), "clustered") for _ in range(50)]
    assert np.mean([result.difference.value for result in found]) > 0.04
    assert sum(result.difference.p < 0.05 for result in found) > 35


def test_the_stored_simulation_is_complete_and_rejects_about_five_percent() -> None:
    stored = Path(__file__).parents[2] / "benchmarks/results/mrmc_null.csv"
    table = pl.read_csv(stored).filter(pl.col("covariance") == "clustered")
    about = json.loads(stored.with_suffix(".json").read_text())
    assert about["studies"] == STUDIES
    assert table.select("structure", "readers", "exams").rows() == [(d.structure, d.readers, d.exams) for d in DESIGNS]
    assert 0.045 < table["rejected"].sum() / table["studies"].sum() < 0.055
    enough = table.filter(pl.col("positives") >= 60)
    assert enough["rate"].is_between(0.04, 0.06).all()
