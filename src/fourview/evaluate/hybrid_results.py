"""What a reader study shows of computed averages of its readers with a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fourview.evaluate.covariance import Measured, metric_values
from fourview.evaluate.declaration import DEFAULT, Declaration
from fourview.evaluate.estimate import Z_95, Estimate, logit_interval
from fourview.evaluate.hybrid import Hybrid, break_ties, measure_hybrid
from fourview.evaluate.mrmc import Factor, TwoTreatments, compare_treatments
from fourview.evaluate.reader_study import ReaderStudy

VARIANTS: tuple[tuple[Factor, Factor], ...] = (("random", "random"), ("fixed", "random"), ("random", "fixed"))


@dataclass(frozen=True)
class HybridResult:
    """Readers averaged with one model.

    alone, readers, differences AUC of each reader alone, averaged, and the difference, on the same cases
    mean_*                      over readers
    minus_readers, minus_model  differences over readers, of AUC and of average precision
    mrmc, variants              the two treatments behind minus_readers[0]; the same with other factors fixed
    by_ties                     what the mean AUC gains if the model only orders breasts that a reader rated alike
    """

    hybrid: Hybrid
    alone: tuple[Estimate, ...]
    readers: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    mean_auc: Estimate
    mean_average_precision: Estimate
    minus_readers: tuple[Estimate, Estimate]
    minus_model: tuple[Estimate, Estimate]
    mrmc: TwoTreatments
    variants: tuple[Estimate, ...]
    by_ties: float

    @property
    def better(self) -> int:
        """How many readers have a larger AUC averaged than alone."""
        return sum(difference.value > 0 for difference in self.differences)


def compare_hybrid(study: ReaderStudy, model: str, *, declared: Declaration = DEFAULT) -> HybridResult:
    """Every reader averaged with a model, against the readers and against the model. Raises SetupError."""
    hybrid = measure_hybrid(
        study,
        model,
        weight=declared.weight,
        average=declared.average,
        covariance=declared.covariance,
        seed=declared.seed,
    )
    j = len(study.readers)
    eye, none, column = np.eye(j), np.zeros((j, j)), np.ones((j, 1))
    only = np.hstack([none, eye, 0 * column])
    minus_readers, minus_model = np.hstack([-eye, eye, 0 * column]), np.hstack([none, eye, -column])
    areas, precisions = hybrid.measured["AUC"], hybrid.measured["average precision"]
    both = ((areas, "AUC"), (precisions, "average precision"))
    treatments = areas.combine(np.eye(2 * j, 2 * j + 1))
    mrmc = compare_treatments(treatments, readers_are=declared.readers_are, cases_are=declared.cases_are)
    variants = (
        compare_treatments(treatments, readers_are=readers, cases_are=cases).difference.estimate(
            f"{readers} readers, {cases} cases", treatments, is_difference=True
        )
        for readers, cases in VARIANTS
    )
    against_readers, against_model = (
        [declared.estimate_mean(f"{name}, {metric}", m.combine(rows), is_difference=True) for m, metric in both]
        for name, rows in (
            (f"computed average with {model} minus readers", minus_readers),
            (f"computed average minus {model}", minus_model),
        )
    )
    own = areas.combine(only)
    alone = areas.combine(np.eye(j, 2 * j + 1))
    broken = metric_values(study.truth, break_ties(study.readers, study.model(model)), metric="AUC")
    means = [
        declared.estimate_mean(f"mean {metric} of computed averages with {model}", m.combine(only), is_difference=False)
        for m, metric in both
    ]
    return HybridResult(
        hybrid=hybrid,
        alone=tuple(_single(alone, k, f"AUC of {name}") for k, name in enumerate(study.reader_names)),
        readers=tuple(_single(own, k, f"AUC of {name} averaged") for k, name in enumerate(study.reader_names)),
        differences=tuple(
            _single(areas.combine(minus_readers), k, f"{name} averaged minus alone", is_difference=True)
            for k, name in enumerate(study.reader_names)
        ),
        mean_auc=means[0],
        mean_average_precision=means[1],
        minus_readers=(against_readers[0], against_readers[1]),
        minus_model=(against_model[0], against_model[1]),
        mrmc=mrmc,
        variants=tuple(variants),
        by_ties=float((broken - metric_values(study.truth, study.readers, metric="AUC")).mean()),
    )


def _single(measured: Measured, k: int, name: str, *, is_difference: bool = False) -> Estimate:
    """One of the measured values by itself, over cases: t on the logit scale as for auc, or Wald for a difference."""
    value, variance = float(measured.values[k]), float(measured.covariance[k, k])
    se = math.sqrt(max(0.0, variance)) if math.isfinite(variance) else math.nan
    if is_difference:
        (low, high), scale = (value - Z_95 * se, value + Z_95 * se), "Wald"
    else:
        degrees = max(1, measured.rarer - 1)
        low, high = logit_interval(value, se, quantile=float(stats.t.ppf(0.975, degrees)))
        scale = f"logit, t with {degrees} degrees of freedom"
    p = None
    if is_difference:
        p = math.erfc(abs(value) / se / math.sqrt(2)) if se > 0 else math.nan
    return Estimate(
        name,
        value,
        low,
        high,
        se,
        measured.n,
        measured.positives,
        measured.clusters,
        "breast",
        f"{'paired, ' if is_difference else ''}{measured.method}, {scale}",
        measured.warnings,
        p,
    )
