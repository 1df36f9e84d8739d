"""Maps fitted to planted truths, against scikit-learn, and measured on clusters that the fit has not seen."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from fourview.calibration import Isotonic, Platt, Temperature, logit, sigmoid
from fourview.evaluate.calibrate import (
    check_disjoint,
    compare,
    cross_fit,
    fit_finding,
    make_calibration,
)
from fourview.evaluate.calibration_metrics import calibration_line
from fourview.evaluate.fit_map import fit_map
from fourview.evaluate.operating import Rule
from fourview.evaluate.readings_table import Units, load_units
from fourview.exam import SetupError

Table = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


def draw(seed: int, *, women: int, slope: float = 1.0, intercept: float = 0.0, centre: float = -2.0) -> Table:
    """Two breasts per woman; the risk's logit is slope * logit(score) + intercept."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(centre, 1.2, women)[:, None] + rng.normal(0, 0.6, (women, 2))
    truth = rng.random((women, 2)) < sigmoid(risk)
    return truth.ravel(), sigmoid((risk - intercept) / slope).ravel(), np.repeat(np.arange(women), 2)


def thin(table: Table, share: float, seed: int = 0) -> Table:
    """The table with a share of its negatives left: enriched, as reader studies are."""
    kept = table[0] | (np.random.default_rng(seed).random(len(table[0])) < share)
    return table[0][kept], table[1][kept], table[2][kept]


def units_of(tmp_path: Path, table: Table, *, name: str = "", first: int = 0, patients: bool = True) -> Units:
    """The same as files, and the units that they hold."""
    truth, scores, women = table
    sides = ["LR"[int(np.sum(women[:place] == woman))] for place, woman in enumerate(women)]
    columns: dict[str, list[str]] = {"exam": [f"e{first + w}" for w in women], "side": sides}
    if patients:
        columns["patient_key"] = [f"p{first + w}" for w in women]
    readings, truths = tmp_path / f"{name}readings.csv", tmp_path / f"{name}truth.csv"
    more = {"p_malignant": scores, "weights_hash": ["feed"] * len(truth), "model": ["fake"] * len(truth)}
    pl.DataFrame({**columns, **more}).write_csv(readings)
    pl.DataFrame({"exam": columns["exam"], "side": sides, "malignant": truth.astype(int)}).write_csv(truths)
    return load_units(readings, truths)


def test_platt_recovers_a_planted_distortion_within_its_interval() -> None:
    truth, scores, cluster = draw(1, women=6000, slope=0.6, intercept=-0.7)
    fitted = fit_map(truth, scores, method="platt", prevalence=float(truth.mean()))
    assert isinstance(fitted, Platt)
    slope, intercept = calibration_line(truth, scores, cluster=cluster)
    assert (fitted.slope, fitted.intercept) == pytest.approx((slope.value, intercept.value))
    assert slope.low < 0.6 < slope.high
    assert intercept.low < -0.7 < intercept.high


def test_an_enriched_table_is_weighted_back_to_the_population() -> None:
    population = draw(2, women=20_000, slope=0.6, intercept=-0.7)
    prevalence = float(population[0].mean())
    enriched = thin(population, 0.1)
    assert enriched[0].mean() > 3 * prevalence
    fitted = fit_map(*enriched[:2], method="platt", prevalence=prevalence)
    assert isinstance(fitted, Platt)
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.6, -0.7), abs=0.1)
    assert fitted.apply(population[1]).mean() == pytest.approx(prevalence, rel=0.05)


def test_a_platt_fit_has_the_prevalence_as_its_mean() -> None:
    truth, scores, _ = draw(3, women=500)
    fitted = fit_map(truth, scores, method="platt", prevalence=0.01)
    weights = np.where(truth, 0.01 / truth.sum(), 0.99 / (~truth).sum())
    assert weights @ fitted.apply(scores) == pytest.approx(0.01, rel=1e-6)


def test_temperature_recovers_a_planted_one_and_its_offset_is_that_of_the_prevalences() -> None:
    truth, scores, _ = draw(4, women=6000, slope=0.5)
    own = float(truth.mean())
    plain = fit_map(truth, scores, method="temperature", prevalence=own)
    assert isinstance(plain, Temperature)
    assert plain.temperature == pytest.approx(2, rel=0.05)
    assert plain.offset == pytest.approx(0)
    moved = fit_map(truth, scores, method="temperature", prevalence=0.01)
    assert isinstance(moved, Temperature)
    assert moved.offset == pytest.approx(float(logit(np.array(0.01)) - logit(np.array(own))))
    assert moved.temperature == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_isotonic_is_that_of_scikit_learn_also_between_and_beyond_the_scores(prevalence: float | None) -> None:
    truth, scores, _ = draw(5, women=800)
    scores = np.round(scores, 2)  # many ties
    own = float(truth.mean())
    fitted = fit_map(truth, scores, method="isotonic", prevalence=prevalence or own)
    assert isinstance(fitted, Isotonic)
    share = prevalence or own
    weights = np.where(truth, share / own, (1 - share) / (1 - own))
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, truth.astype(float), sample_weight=weights)
    wanted = np.concatenate([scores, np.linspace(0, 1, 333)])
    np.testing.assert_allclose(fitted.apply(wanted), theirs.predict(wanted), atol=1e-9)
    assert len(fitted.scores) < 100


@pytest.mark.parametrize("method", ["platt", "temperature"])
def test_scores_that_rank_the_wrong_way_round_or_separate_the_classes_are_refused(method: str) -> None:
    truth, scores, _ = draw(6, women=300)
    with pytest.raises(SetupError, match="rank positives below negatives"):
        fit_map(truth, 1 - scores, method=method, prevalence=float(truth.mean()))  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="separate the classes"):
        fit_map([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], method="platt", prevalence=0.5)


def test_cross_fitting_never_uses_the_clusters_own_truth() -> None:
    truth, scores, cluster = draw(7, women=300)
    found = cross_fit(truth, scores, cluster=cluster, method="platt", prevalence=0.1)
    woman = cluster == np.flatnonzero(truth.reshape(-1, 2).sum(axis=1) == 1)[0]  # one breast of two
    flipped = truth.copy()
    flipped[woman] = ~flipped[woman]  # she stays a woman with a positive, in the same fold
    again = cross_fit(flipped, scores, cluster=cluster, method="platt", prevalence=0.1)
    assert again[woman] == pytest.approx(found[woman], abs=0)
    assert not np.array_equal(again, found)


def test_cross_fitted_probabilities_are_calibrated_and_raw_scores_are_not() -> None:
    truth, scores, cluster = draw(8, women=4000, slope=0.5, intercept=-1)
    own = float(truth.mean())
    after = cross_fit(truth, scores, cluster=cluster, method="platt", prevalence=own)
    before_line, after_line = (calibration_line(truth, p, cluster=cluster) for p in (scores, after))
    assert before_line[0].high < 0.8
    assert after_line[0].low < 1 < after_line[0].high
    assert after_line[1].low < 0 < after_line[1].high


def test_too_few_clusters_cannot_be_cross_fitted() -> None:
    truth = np.array([1] * 4 + [0] * 20)
    with pytest.raises(SetupError, match="found 4 clusters with positives; need 5"):
        cross_fit(truth, np.linspace(0.9, 0.1, 24), cluster=np.arange(24), method="platt", prevalence=0.1)


def test_isotonic_maps_of_few_positives_are_refused(tmp_path: Path) -> None:
    units = units_of(tmp_path, draw(9, women=150))
    assert 20 < units.positives < 100
    with pytest.raises(SetupError, match=f"found {units.positives} positives; need 100"):
        fit_finding(units, method="isotonic", prevalence=0.1)


def test_before_and_after_are_measured_as_the_table_is_and_at_the_prevalence(tmp_path: Path) -> None:
    units = units_of(tmp_path, draw(10, women=1500, slope=0.5, intercept=-1))
    assert units.cluster == "patient"
    fit = fit_finding(units, method="platt", prevalence=0.02)
    for number, prevalence in enumerate((None, 0.02)):
        before, after = fit.compared.before[number], fit.compared.after[number]
        assert before.prevalence == after.prevalence == prevalence
        found = {e.name: (e, a) for e, a in zip(before.estimates, after.estimates, strict=True)}
        assert {"Brier score", "log loss", "calibration slope", "calibration intercept"} <= found.keys()
        raw, calibrated = found["log loss"]
        assert calibrated.value < raw.value
        large = found["calibration in the large"][1]
        assert large.low < 0 < large.high


def test_the_stored_calibration_says_what_it_was_fitted_on(tmp_path: Path) -> None:
    units = units_of(tmp_path, draw(11, women=400))
    fit = fit_finding(units, method="platt", prevalence=0.02, rules=[Rule.parse("recall:specificity=0.9")],
                      population="here")  # fmt: skip
    calibration = make_calibration([fit], population="here")
    stored = calibration.findings["malignant"]
    assert (calibration.model, calibration.weights_hash, calibration.unit) == ("fake", "feed", "breast")
    assert (stored.n, stored.positives, stored.clusters) == (800, units.positives, 400)
    assert (stored.prevalence, stored.table_prevalence) == (0.02, units.truth.mean())
    assert len(stored.before) == len(stored.after) == 2 * len(fit.compared.before[0].estimates)
    (point,) = calibration.operating_points
    called = units.scores >= point.threshold
    assert point.specificity is not None
    assert point.sensitivity is not None
    assert point.specificity.value == pytest.approx((~called[~units.truth]).mean())
    assert point.specificity.value >= 0.9
    assert point.sensitivity.value == pytest.approx(called[units.truth].mean())
    assert set(calibration.files) == {"readings", "truth"}


def test_readings_without_a_hash_make_a_calibration_without_one(tmp_path: Path) -> None:
    units = replace(units_of(tmp_path, draw(12, women=400)), readings_of={})
    assert make_calibration([fit_finding(units, method="platt", prevalence=0.02)], population="").weights_hash is None


def test_an_exam_or_a_patient_on_both_sides_of_a_test_is_refused(tmp_path: Path) -> None:
    fitted = units_of(tmp_path, draw(13, women=100))
    others = units_of(tmp_path, draw(14, women=100), name="b", first=100)
    assert check_disjoint(fitted, others) == ()
    overlapping = units_of(tmp_path, draw(14, women=100), name="c", first=99)
    with pytest.raises(SetupError, match="1 exams that are in the table of the fit too: e99"):
        check_disjoint(fitted, overlapping)
    same_woman = replace(others, table=others.table.with_columns(patient=pl.lit("p7")))
    with pytest.raises(SetupError, match="1 patients that are in the table of the fit too: p7"):
        check_disjoint(fitted, same_woman)
    unknown = units_of(tmp_path, draw(14, women=100), name="d", first=100, patients=False)
    assert any("some patients are unknown" in text for text in check_disjoint(fitted, unknown))


def test_a_test_table_is_measured_with_the_map_itself(tmp_path: Path) -> None:
    fitted = units_of(tmp_path, draw(15, women=600, slope=0.5))
    others = units_of(tmp_path, draw(16, women=600, slope=0.5), name="b", first=600)
    fit = fit_finding(fitted, method="platt", prevalence=0.05, rules=[Rule.parse("r:sensitivity=0.8")], test=others)
    assert fit.tested is not None
    by_hand = compare(others, fit.map.apply(others.scores), prevalence=0.05)
    assert fit.tested.after[1].estimates == by_hand.after[1].estimates
    (((sensitivity, _),), ((on_test, _),)) = fit.points_compared, fit.points_tested
    assert sensitivity.n == fitted.positives
    assert on_test.n == others.positives


@pytest.mark.parametrize("column", ["AI_DMVCNN_POM", "AI_GMIC_top5_POM"])
def test_models_of_the_public_reader_study_are_calibrated_on_women_not_in_the_fit(shared: Path, column: str) -> None:
    with (shared / "data/nyu_reader_study/reader_study_results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    truth = np.array([float(row["label"]) for row in rows])
    scores = np.array([float(row[column]) for row in rows])
    cluster = [row["case_ID"] for row in rows]
    own = float(truth.mean())
    after = cross_fit(truth, scores, cluster=cluster, method="platt", prevalence=own)
    slope, intercept = calibration_line(truth, after, cluster=cluster)
    assert slope.low < 1 < slope.high
    assert intercept.low < 0 < intercept.high
