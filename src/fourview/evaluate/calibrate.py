"""Units -> a calibration: a map per finding, what it does to units that it was not fitted on, operating points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.calibration import (
    Calibration,
    FindingCalibration,
    Isotonic,
    Measured,
    OperatingPoint,
    Platt,
    Temperature,
    shift_prevalence,
)
from fourview.evaluate.calibration_metrics import (
    ReliabilityBins,
    brier,
    calibration_in_the_large,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability,
)
from fourview.evaluate.columns import name_some
from fourview.evaluate.estimate import Estimate
from fourview.evaluate.fit_map import Method, fit_map
from fourview.evaluate.operating import Rule, choose_threshold, operate
from fourview.evaluate.readings_table import Units
from fourview.evaluate.table import check_scores, check_truth, number_clusters
from fourview.exam import SetupError

Floats = NDArray[np.float64]
ISOTONIC_POSITIVES = 100  # fewer: its steps are noise
FOLDS = 5


@dataclass(frozen=True, eq=False)
class Measurement:
    """One score on one table, as the table is or at a prevalence (None: as it is)."""

    prevalence: float | None
    estimates: tuple[Estimate, ...]
    bins: ReliabilityBins


@dataclass(frozen=True, eq=False)
class Comparison:
    """Raw scores and probabilities on the same units, each as the table is and at the prevalence of the fit."""

    before: tuple[Measurement, Measurement]
    after: tuple[Measurement, Measurement]


@dataclass(frozen=True, eq=False)
class FindingFit:
    """The map of one finding, fitted on all units, and what it does.

    compared  on the units of the fit, each with a map that was fitted on other clusters
    tested    on units that no fit has seen, with the map itself; None: there are none
    points    operating points on raw scores
    points_compared, points_tested  (sensitivity, specificity) of each, on the units of the fit and on the others
    """

    units: Units
    method: Method
    map: Platt | Isotonic | Temperature
    prevalence: float
    compared: Comparison
    tested: Comparison | None
    points: tuple[OperatingPoint, ...]
    points_compared: tuple[tuple[Estimate, Estimate], ...]
    points_tested: tuple[tuple[Estimate, Estimate], ...]

    @property
    def table_prevalence(self) -> float:
        return float(self.units.truth.mean())


def fit_finding(
    units: Units,
    *,
    method: Method,
    prevalence: float,
    rules: Sequence[Rule] = (),
    test: Units | None = None,
    population: str = "",
    seed: int = 0,
) -> FindingFit:
    """The map of the units' finding, what it does before and after, and its operating points.

    prevalence  of positives that probabilities shall refer to
    test        units of other exams and patients (see check_disjoint)
    population  in words, for the operating points

    Raises SetupError as fit_map and cross_fit do, and for isotonic maps of fewer than 100 positives.
    """
    if method == "isotonic" and units.positives < ISOTONIC_POSITIVES:
        raise SetupError(
            f"--method isotonic: found {units.positives} positives; need {ISOTONIC_POSITIVES}, or another method"
        )
    fitted = fit_map(units.truth, units.scores, method=method, prevalence=prevalence)
    others = cross_fit(
        units.truth, units.scores, cluster=units.clusters, method=method, prevalence=prevalence, seed=seed
    )
    points = tuple(_choose_point(units, rule, population) for rule in rules)
    tested = None if test is None else compare(test, fitted.apply(test.scores), prevalence=prevalence)
    return FindingFit(
        units,
        method,
        fitted,
        prevalence,
        compare(units, others, prevalence=prevalence),
        tested,
        points,
        tuple(_sensitivity_specificity(units, point.threshold) for point in points),
        () if test is None else tuple(_sensitivity_specificity(test, point.threshold) for point in points),
    )


def make_calibration(fits: Sequence[FindingFit], *, population: str) -> Calibration:
    """What is stored of the fits of one or both findings, all of the same readings."""
    first = fits[0].units
    said = first.readings_of
    return Calibration(
        model=said.get("model", ""),
        weights_hash=said.get("weights_hash") or None,
        unit=first.unit,
        population=population,
        findings={fit.units.finding: _store(fit) for fit in fits},
        operating_points=tuple(point for fit in fits for point in fit.points),
        files={what: sha256 for what, _, sha256 in first.files},
    )


def cross_fit(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any],
    method: Method,
    prevalence: float,
    seed: int = 0,
) -> Floats:
    """(units,) probabilities at the prevalence, each from a map that was fitted without the unit's cluster.

    Clusters are dealt into 5 folds, those with positives apart from the others. Raises SetupError as fit_map does, and
    if there are fewer than 5 clusters with and without positives.
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    numbers = number_clusters(cluster, len(yes))
    has_positive = np.bincount(numbers, yes) > 0
    folds = np.empty(len(has_positive), np.int64)
    rng = np.random.default_rng(seed)
    for kind in (True, False):
        own = np.flatnonzero(has_positive == kind)
        if len(own) < FOLDS:
            what = "with" if kind else "without"
            raise SetupError(f"calibration: found {len(own)} clusters {what} positives; need {FOLDS} to cross-fit")
        folds[rng.permutation(own)] = np.arange(len(own)) % FOLDS
    found = np.empty(len(yes))
    for fold in range(FOLDS):
        held = folds[numbers] == fold
        fitted = fit_map(yes[~held], score[~held], method=method, prevalence=prevalence)
        found[held] = fitted.apply(score[held])
    return found


def measure(
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    cluster: Sequence[Any] | NDArray[Any],
    prevalence: float | None,
    unit: str,
    bins: int = 10,
) -> Measurement:
    """Everything that says how well scores are probabilities."""
    how: dict[str, Any] = {"cluster": cluster, "prevalence": prevalence, "unit": unit}
    estimates = (
        brier(truth, scores, **how),
        log_loss(truth, scores, **how),
        calibration_in_the_large(truth, scores, **how),
        *calibration_line(truth, scores, **how),
        expected_calibration_error(truth, scores, bins=bins, **how),
        expected_calibration_error(truth, scores, bins=bins, by="width", **how),
    )
    return Measurement(prevalence, estimates, reliability(truth, scores, bins=bins, **how))


def compare(units: Units, probabilities: Floats, *, prevalence: float) -> Comparison:
    """Raw scores and probabilities (at `prevalence`) of the units, as the table is and at the prevalence."""
    own = shift_prevalence(probabilities, fitted=prevalence, site=float(units.truth.mean()))
    how: dict[str, Any] = {"cluster": units.clusters, "unit": units.unit}
    return Comparison(
        (
            measure(units.truth, units.scores, prevalence=None, **how),
            measure(units.truth, units.scores, prevalence=prevalence, **how),
        ),
        (
            measure(units.truth, own, prevalence=None, **how),
            measure(units.truth, probabilities, prevalence=prevalence, **how),
        ),
    )


def check_disjoint(fitted: Units, test: Units) -> tuple[str, ...]:
    """What could not be compared, if no exam and no patient is in both tables. Raises SetupError otherwise."""
    unknown = []
    for what in ("exam", "patient"):
        labels = [_labels(units, what) for units in (fitted, test)]
        if both := sorted(set(labels[0]) & set(labels[1])):
            raise SetupError(
                f"--test: found {len(both)} {what}s that are in the table of the fit too: {name_some(both)}; "
                f"need {what}s that the calibration has not seen"
            )
        if len(labels[0]) < len(fitted.keys) or len(labels[1]) < len(test.keys):
            unknown.append(f"some {what}s are unknown: nobody can tell whether they are in both tables")
    sources = {units.patients_from for units in (fitted, test)} - {""}
    if len(sources) > 1:  # keys of one alphabet, ids of another
        unknown.append(
            "patients are named by the readings in one pair of tables and by the truth in the other: nobody can tell "
            "whether they are in both"
        )
    return tuple(unknown)


def _labels(units: Units, what: str) -> list[str]:
    """The exam or patient of every unit that names one."""
    return units.table[what].drop_nulls().to_list() if what in units.table.columns else []


def _choose_point(units: Units, rule: Rule, population: str) -> OperatingPoint:
    threshold = choose_threshold(units.truth, units.scores, rule)
    sensitivity, specificity = _sensitivity_specificity(units, threshold)
    return OperatingPoint(
        name=rule.name,
        finding=units.finding,
        threshold=threshold,
        unit=units.unit,
        population=population,
        chosen=str(rule),
        sensitivity=_write_down(sensitivity),
        specificity=_write_down(specificity),
    )


def _sensitivity_specificity(units: Units, threshold: float) -> tuple[Estimate, Estimate]:
    sensitivity, specificity = operate(units.truth, units.scores, threshold, cluster=units.clusters, unit=units.unit)[
        :2
    ]
    return sensitivity, specificity


def _store(fit: FindingFit) -> FindingCalibration:
    units = fit.units
    return FindingCalibration(
        map=fit.map,
        prevalence=fit.prevalence,
        table_prevalence=fit.table_prevalence,
        n=len(units.keys),
        positives=units.positives,
        clusters=len(np.unique(units.clusters)),
        cluster=units.cluster,
        before=tuple(_write_down(e) for measured in fit.compared.before for e in measured.estimates),
        after=tuple(_write_down(e) for measured in fit.compared.after for e in measured.estimates),
    )


def _write_down(e: Estimate) -> Measured:
    value, low, high = (number if math.isfinite(number) else None for number in (e.value, e.low, e.high))
    return Measured(
        name=e.name,
        value=value,
        low=low,
        high=high,
        n=e.n,
        positives=e.positives,
        clusters=e.clusters,
        unit=e.unit,
        method=e.method,
    )
