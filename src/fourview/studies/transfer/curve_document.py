"""The page of a learning curve: sizes, single training sets, the forecast or why there is none."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.plots import Line, draw_lines
from fourview.report.versions import package_versions
from fourview.studies.transfer.curve_measures import Curve, SizePoint
from fourview.studies.transfer.curve_rounds import FEW
from fourview.studies.transfer.few_patients import LEAST
from fourview.studies.transfer.forecast import TIMES, Forecast
from fourview.studies.transfer.learning_curve import SMALL, CurveStudy
from fourview.studies.transfer.measures import CHANCE

_X = "Training patients"
NARROW = "They know nothing of the luck of those trained on and are too short, most of all at small sizes."
LOUD = 0.05  # share of training sets below chance that is a warning
_ADVANCE = 40  # points of the law's line


def describe_curve(study: CurveStudy, curve: Curve, forecast: Forecast) -> Document:
    """How good classifiers from ever more patients are, how much luck is in it, and what more would give."""
    plan, labels, card = study.plan, study.labels, study.card
    return Document(
        kind="learning curve",
        title=f"Learning curve: {card.extractor}, {plan.method}",
        headline=(curve.points[-1].auc, *forecast.estimates),
        sections=(_sizes(study, curve, forecast), _single_sets(curve), _forecast(forecast)),
        warnings=_warnings(study, curve, forecast),
        methods=(_methods(study),),
        settings=(
            ("labels", f"{labels.name}; a positive is {labels.positive}"),
            ("left out", "; ".join(f"{n} images: {why}" for why, n in labels.left_out) or "none"),
            ("classifier", str(plan.method)),
            ("folds", f"{plan.folds} outer, {plan.inner} inner, up to {plan.rounds} rounds, seed {plan.seed}"),
            ("features", study.settings["features"]),
        ),
        versions=package_versions(),
    )


def tabulate_curve(curve: Curve) -> pl.DataFrame:
    """One row per size, every number of it."""
    return pl.DataFrame([_row(point) for point in curve.points], infer_schema_length=None)


def _row(point: SizePoint) -> dict[str, float | int | None]:
    row: dict[str, float | int | None] = {
        "patients": point.patients,
        "rounds": point.rounds,
        "classifiers": point.classifiers,
        "untuned_share": point.untuned,
        "auc_error_of_draws": point.auc_error,
    }
    for name, e, spread in (
        ("auc", point.auc, point.auc_spread),
        ("balanced_accuracy", point.balanced_accuracy, point.balanced_spread),
    ):
        row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
        row |= {f"{name}_sd_of_sets": None if spread is None else spread.sd}
        row |= {f"{name}_p5_of_sets": None if spread is None else spread.low}
        row |= {f"{name}_p95_of_sets": None if spread is None else spread.high}
        row |= {f"{name}_below_chance": None if spread is None else spread.below}
    return row


def _sizes(study: CurveStudy, curve: Curve, forecast: Forecast) -> Section:
    points = curve.points
    x = [float(point.patients) for point in points]
    lines = [
        Line(name, x, [e.value for e in found], [e.low for e in found], [e.high for e in found])
        for name, found in (
            ("AUC", [point.auc for point in points]),
            ("balanced accuracy", [point.balanced_accuracy for point in points]),
        )
    ]
    shown = list(lines)
    if forecast.estimates:
        shown.append(_extend(x[0], x[-1], forecast))
    figure = Figure(
        "curve",
        "How good, by number of training patients",
        draw_lines(
            shown, x_label=_X, y_label="Value", log_x=True, y_limits=_limits(shown), marks=[(x[-1], "all patients")]
        ),
        "Means over draws of training patients. Bands: 95 % over patients under test"
        + ("; the forecast's also over draws." if forecast.estimates else ".")
        + f" {NARROW}"
        + " The same patients are tested at every size.",
        {line.label: {"patients": line.x, "value": line.y, "low": line.low, "high": line.high} for line in shown},
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (p.patients, p.auc, p.balanced_accuracy, p.classifiers, p.auc_error, f"{100 * p.untuned:.0f} %") for p in points
    )
    columns = ("training patients", "AUC", "balanced accuracy", "classifiers", "se of AUC from draws", "untuned")
    note = (
        f"Last row: all that the folds leave for training. Untuned: fewer than {LEAST} patients of a class, so the "
        "strictest penalty and the classifier's own threshold instead of inner folds."
    )
    text = (_describe_tested(study),)
    return Section("curve", "The curve", (figure, Table("sizes", "By size", columns, rows, note)), text)


def _describe_tested(study: CurveStudy) -> str:
    cases = study.cases
    patients = int(cases.patients.max()) + 1
    return (
        f"{len(cases.y)} images of {patients} patients, {int(cases.y.sum())} images of {cases.positive_patients} "
        f"patients positive: {study.labels.positive}. In every round each of them is tested once, by a classifier that "
        "was trained on other patients."
    )


def _extend(first: float, last: float, forecast: Forecast) -> Line:
    x = np.geomspace(first, last * TIMES[len(forecast.estimates) - 1], _ADVANCE)
    resampled = np.stack([forecast.resampled.at(n) for n in x])
    beyond = x > last
    low, high = np.percentile(resampled, (2.5, 97.5), axis=1)
    y = np.array([forecast.law.at(n)[0] for n in x])
    low, high = np.where(beyond, low, y), np.where(beyond, high, y)  # where there are numbers, their bands count
    return Line("law of the AUC, forecast", x.tolist(), y.tolist(), low.tolist(), high.tolist())


def _limits(lines: list[Line]) -> tuple[float, float]:
    ends = [v for line in lines for part in (line.y, line.low or (), line.high or ()) for v in part if math.isfinite(v)]
    return max(0.0, min(ends) - 0.03), min(1.02, max(ends) + 0.03)


def _single_sets(curve: Curve) -> Section:
    points = [point for point in curve.points if point.auc_spread is not None]
    lines, rows = [], []
    for name, pairs in (
        ("AUC", [(p, p.auc_spread, p.auc) for p in points]),
        ("balanced accuracy", [(p, p.balanced_spread, p.balanced_accuracy) for p in points]),
    ):
        known = [(float(p.patients), s, e) for p, s, e in pairs if s is not None]
        lines.append(
            Line(
                name,
                [x for x, _, _ in known],
                [e.value for _, _, e in known],
                [s.low for _, s, _ in known],
                [s.high for _, s, _ in known],
            )
        )
    for p in points:
        if p.auc_spread is not None and p.balanced_spread is not None:
            a, b = p.auc_spread, p.balanced_spread
            rows.append((p.patients, a.sd, a.low, a.high, a.below, b.sd, b.low, b.high))
    figure = Figure(
        "single_sets",
        "What one training set may give",
        draw_lines(
            lines, x_label=_X, y_label="Value", log_x=True, y_limits=_limits(lines), marks=[(float(FEW[-1]), "50")]
        )
        if points
        else "",
        "Lines: means. Bands: from the 5th to the 95th percentile of single training sets, tested on endlessly many "
        "patients.",
        {line.label: {"patients": line.x, "mean": line.y, "p5": line.low, "p95": line.high} for line in lines},
    )
    columns = (
        "training patients",
        "AUC: sd",
        "AUC: 5th percentile",
        "AUC: 95th percentile",
        "share with AUC below 0.5",
        "balanced accuracy: sd",
        "balanced accuracy: 5th percentile",
        "balanced accuracy: 95th percentile",
    )
    note = (
        "Of single training sets, around their mean in a test part: an interval over patients says how well a number "
        "is known, this says how much of it is the luck of the draw. What the luck of small test parts adds is "
        "estimated and taken off; percentiles and shares are those of a normal distribution of the log odds. An sd of "
        "0: none was seen. No share: the mean itself may be 0.5."
    )
    table = Table("single_sets", "Single training sets", columns, tuple(rows), note)
    text = (
        "Whoever has 5 to 50 patients has one such set, not the mean of many. Sets that overlap look alike: near the "
        "right end the spread is too small.",
    )
    return Section("single_sets", "Few patients: one training set", (figure, table) if points else (), text)


def _forecast(forecast: Forecast) -> Section:
    law = forecast.law
    fitted: tuple[tuple[Cell, ...], ...] = (
        ("ceiling", float(law.ceiling[0])),
        ("drop", float(law.drop[0])),
        ("decay", float(law.decay[0])),
    )
    table = Table("law", "AUC = ceiling - drop x patients^-decay", ("", "fitted"), fitted)
    if forecast.refused:
        return Section("forecast", "Forecast", (table,), warnings=(f"No forecast: {forecast.refused}.",))
    rows: tuple[tuple[Cell, ...], ...] = tuple((e.name, e) for e in forecast.estimates)
    text = (
        "The forecast holds for more patients like these, read in the same way, and for this classifier. It is the "
        "curve's law and no measurement.",
    )
    left = TIMES[len(forecast.estimates) :]
    warnings = tuple(f"No forecast for {times} times as many: its interval would be too wide to use." for times in left)
    return Section("forecast", "Forecast", (Table("forecast", "Forecast", ("", "AUC"), rows), table), text, warnings)


def _warnings(study: CurveStudy, curve: Curve, forecast: Forecast) -> tuple[str, ...]:
    found = list(study.card.warnings)
    if loud := [p for p in curve.points if p.auc_error > SMALL]:
        found.append(
            f"The mean AUC of {', '.join(str(p.patients) for p in loud)} patients still depends on the draws (standard "
            f"error up to {max(p.auc_error for p in loud):.3f}): more --rounds would make it smaller."
        )
    if lost := [p for p in curve.points if p.auc.low <= CHANCE <= p.auc.high]:
        sizes = ", ".join(str(p.patients) for p in lost)
        found.append(f"With {sizes} patients the mean AUC is not told from {CHANCE:g}: nothing was seen to be learned.")
    for point in curve.points:
        spread = point.auc_spread
        if spread is not None and spread.below is not None and spread.below >= LOUD:
            share = 100 * spread.below
            found.append(f"With {point.patients} patients about {share:.0f} % of training sets rank worse than chance.")
    if forecast.refused:
        found.append(f"No forecast: {forecast.refused}.")
    return tuple(found)


def _methods(study: CurveStudy) -> str:
    plan = study.plan
    return (
        f"Features were frozen. In each round patients were split into {plan.folds} stratified test parts; for every "
        f"size patients were drawn, stratified, from the others, and a classifier ({plan.method}) was tuned by "
        f"{plan.inner} inner folds by patient and fitted on them (untuned where fewer than {LEAST} patients had the "
        "rarer class). The AUC counts pairs of images of the same test part. 95 % intervals resample patients under "
        "test; the spread over training sets is given apart. The forecast is an inverse power law (Figueroa et al. "
        "2012) by weighted least squares, its interval by resampling patients and rounds."
    )
