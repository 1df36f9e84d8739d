"""What a calibration adds to the page of an exam: probabilities beside the scores, operating points, its origin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fourview.calibration import SiteCalibration, in_percent
from fourview.exam import Finding, Score


@dataclass(frozen=True)
class CalibratedText:
    """Beside one score. p and prevalence are None where this finding is not calibrated; points: those it reaches."""

    p: str | None = None
    prevalence: str | None = None
    points: tuple[str, ...] = ()


def describe_calibrated(score: Score, finding: Finding, site: SiteCalibration | None) -> CalibratedText:
    """The calibrated number of one finding, the prevalence it is for, and the operating points that are reached."""
    if site is None:
        return CalibratedText()
    points = tuple(
        f"{point.name} (threshold {point.threshold:.3g})"
        for point in site.calibration.operating_points
        if point.finding == finding and point.reached(score)
    )
    if finding not in site.findings:
        return CalibratedText(points=points)
    return CalibratedText(_few_digits(site.calibrate(score)[finding]), in_percent(site.prevalence[finding]), points)


def calibration_facts(site: SiteCalibration) -> Iterator[tuple[str, str]]:
    """(what, value) about the calibration, for the page's provenance."""
    calibration = site.calibration
    yield "calibration hash", calibration.calibration_hash
    yield "fitted on", f"{calibration.population}, per {calibration.unit}"
    for finding in site.findings:
        fitted = calibration.findings[finding]
        counts = f"{fitted.n} {calibration.unit}s, {fitted.positives} positive"
        prevalences = f"{in_percent(fitted.prevalence)}, shown for {in_percent(site.prevalence[finding])}"
        yield finding, f"{fitted.map.kind}, {counts}; fitted for a prevalence of {prevalences}"
    for point in calibration.operating_points:
        yield f"operating point {point.name}", f"p {point.finding} at or above {point.threshold:.6g}; {point.chosen}"


def _few_digits(p: float) -> str:
    """Probabilities at the prevalence of screening are small: at least two digits of them, at most six decimals."""
    if p < 1e-6:
        return "0.000" if p == 0 else "< 0.000001"
    return f"{p:.{min(6, max(3, 1 - math.floor(math.log10(p))))}f}"
