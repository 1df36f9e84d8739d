"""What scores are worth, averaged over repeats: areas, decisions, probabilities, with intervals that know patients."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate import (
    Estimate,
    auc,
    average_precision,
    brier,
    expected_calibration_error,
    share_method,
)
from fourview.evaluate.operating import operate

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
CHANCE = 0.5
_EXACT = 1e-9  # of a count
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, eq=False)
class Scored:
    """One repeat's scores of one kind of unit: y, cluster (the patient), score, called (0, 1), probability or None."""

    y: Places
    cluster: Places
    score: Floats
    called: Places
    probability: Floats | None = None


@dataclass(frozen=True)
class Measures:
    """Averages over repeats. brier and ece: None without probabilities; spread  sd of the AUC over repeats.

    says  in words, what the numbers do not say loudly enough; "" if nothing
    """

    auc: Estimate
    average_precision: Estimate
    balanced_accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    accuracy: Estimate
    brier: Estimate | None
    ece: Estimate | None
    spread: float
    says: str


def measure(repeats: Sequence[Scored], *, unit: str = "image") -> Measures:
    """Every number of the repeats. Raises SetupError if a repeat has one class alone."""
    areas = [auc(r.y, r.score, cluster=r.cluster, unit=unit) for r in repeats]
    precise = [average_precision(r.y, r.score, cluster=r.cluster, unit=unit) for r in repeats]
    decided = [{e.name: e for e in operate(r.y, r.called, 0.5, cluster=r.cluster, unit=unit)} for r in repeats]
    likely = [r for r in repeats if r.probability is not None]
    calibrated = [
        (brier(r.y, p, cluster=r.cluster, unit=unit), expected_calibration_error(r.y, p, cluster=r.cluster, unit=unit))
        for r in likely
        if (p := r.probability) is not None
    ]
    area, balanced = average_repeats(areas), average_repeats([d["balanced accuracy"] for d in decided])
    return Measures(
        area,
        average_repeats(precise),
        balanced,
        average_repeats([d["sensitivity"] for d in decided]),
        average_repeats([d["specificity"] for d in decided]),
        average_repeats([d["accuracy"] for d in decided]),
        average_repeats([pair[0] for pair in calibrated]) if calibrated else None,
        average_repeats([pair[1] for pair in calibrated]) if calibrated else None,
        float(np.std([a.value for a in areas], ddof=1)) if len(areas) > 1 else math.nan,
        judge(repeats, area, balanced),
    )


def average_repeats(estimates: Sequence[Estimate]) -> Estimate:
    """Their mean, from the mean of the low ends to the mean of the high ends.

    Repeats share their patients, so the interval of the mean is hardly narrower than one repeat's; averaged ends are
    the wide side. It counts who was tested, not who was trained on: repeats show that. Counts are means, rounded; of
    shares (sensitivities) nobody can say how many of n they were: None. Ends and standard errors are those of the
    repeats that have an interval (a perfect one has none), and a warning says how many do.
    """
    first = estimates[0]
    if len(estimates) == 1:
        return first

    bounded = [e for e in estimates if math.isfinite(e.low) and math.isfinite(e.high)]

    def mean(name: str, among: Sequence[Estimate] = estimates) -> float:
        return float(np.mean([getattr(e, name) for e in among])) if among else math.nan

    warnings = _merge_warnings([warning for e in estimates for warning in e.warnings])
    if 0 < len(bounded) < len(estimates):
        warnings += (f"the interval is that of {len(bounded)} of {len(estimates)} repeats: the others have none",)
    return replace(
        first,
        value=mean("value"),
        low=mean("low", bounded),
        high=mean("high", bounded),
        se=mean("se", bounded),
        n=round(mean("n")),
        positives=None if _are_shares(estimates) else round(mean("positives")),
        clusters=round(mean("clusters")),
        method=f"mean of {len(estimates)} repeats, each: {share_method(estimates) or first.method}",
        warnings=warnings,
    )


def _are_shares(estimates: Sequence[Estimate]) -> bool:
    """Whether each is positives of n, or of no positives at all."""
    return all(e.positives is None or abs(e.value * e.n - e.positives) < _EXACT for e in estimates)


def _merge_warnings(warnings: Sequence[str]) -> tuple[str, ...]:
    """Each once; of those that differ in their numbers alone the one with the smallest."""
    kept: dict[str, str] = {}
    for warning in warnings:
        alike = _NUMBER.sub("#", warning)
        kept[alike] = min(kept.get(alike, warning), warning, key=lambda one: [float(n) for n in _NUMBER.findall(one)])
    return tuple(kept.values())


def mark(measures: Measures, warning: str, *, unit: str) -> Measures:
    """The same numbers, each with a warning and the name of what was counted, wherever it is shown or stored."""
    named = {field.name: getattr(measures, field.name) for field in fields(measures)}
    marked = {
        name: replace(value, unit=unit, warnings=(*value.warnings, warning))
        for name, value in named.items()
        if isinstance(value, Estimate)
    }
    return replace(measures, **marked)  # type: ignore[arg-type]


def judge(repeats: Sequence[Scored], area: Estimate, balanced: Estimate) -> str:  # noqa: PLR0911 - a list of verdicts
    """In words whether the scores are of any use; "" if nothing speaks against it."""
    if all(np.ptp(r.score) < 1e-12 for r in repeats):
        return "useless: says the same of every one"
    calls = {int(value) for r in repeats for value in np.unique(r.called)}
    if len(calls) == 1:
        return f"useless as a decision: calls every one {'positive' if 1 in calls else 'negative'}"
    if math.isnan(area.low):
        return "no interval: not judged"
    if area.high < CHANCE:
        return "ranks the wrong way round"
    if area.low <= CHANCE:
        return "not told from chance"
    if not math.isnan(balanced.low) and balanced.low <= CHANCE:
        return "ranks better than chance; its decisions are not told from chance"
    return ""
