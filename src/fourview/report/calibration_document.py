"""A calibration -> its report: maps, reliability before and after, metrics, operating points, and how it was done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from fourview.calibration import Calibration, Isotonic, Platt, in_percent
from fourview.evaluate.calibrate import FOLDS, Comparison, FindingFit, Measurement
from fourview.evaluate.estimate import Estimate
from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.plots import Line, draw_calibration

FEW_POSITIVES = 100  # fewer carry no more than a line
LOG_BELOW = 0.1  # of prevalence: then the interesting probabilities are small
ALIKE = 1.25  # prevalences within this factor are not worth a warning
_METHODS = {
    "platt": "Platt scaling (a logistic regression of the truth on the logit of the score; no smoothed targets)",
    "temperature": "temperature scaling (the slope of the logit; the offset is fixed at the difference of the logits "
    "of the prevalence and of the table's own share of positives)",
    "isotonic": "isotonic regression (pool adjacent violators; straight lines between knots, constant beyond them)",
}


def calibration_document(
    calibration: Calibration,
    fits: Sequence[FindingFit],
    *,
    settings: Sequence[tuple[str, str]] = (),
    versions: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
) -> Document:
    """The report of `fourview calibrate`.

    warnings  about how the tables were joined, besides those that follow from the fits
    """
    sections = [Section("maps", "The calibration", (_tabulate_maps(calibration),), (_explain(calibration),))]
    for fit in fits:
        sections.append(_compare(fit, fit.compared, "", f"cross-fitted in {FOLDS} folds of {fit.units.cluster}s"))
        if fit.tested is not None:
            sections.append(_compare(fit, fit.tested, "test_", "on the test table, which no fit has seen"))
    if calibration.operating_points:
        sections.append(_tabulate_points(calibration, fits))
    return Document(
        "calibration",
        f"Calibration of {calibration.model or 'readings'}",
        tuple(_headline(fits)),
        tuple(sections),
        warnings=(*warnings, *_warn(fits)),
        methods=(_describe_methods(calibration, fits),),
        settings=tuple(settings),
        versions=versions or {},
    )


def _headline(fits: Sequence[FindingFit]) -> Iterator[Estimate]:
    """How good probabilities are on units that their fit has not seen, as the table is."""
    wanted = ("calibration in the large", "calibration slope", "Brier score")
    for fit in fits:
        compared = fit.tested or fit.compared
        for estimate in compared.after[0].estimates:
            if estimate.name in wanted:
                yield replace(estimate, name=f"{fit.units.finding}, after: {estimate.name}")


def _tabulate_maps(calibration: Calibration) -> Table:
    columns = ("finding", "map", "for a prevalence of", "positive in the table", "units", "positives", "clusters")
    rows: list[tuple[Cell, ...]] = []
    for finding, fitted in calibration.findings.items():
        if isinstance(fitted.map, Platt):
            text = f"sigmoid({fitted.map.slope:.6g} logit(p) {fitted.map.intercept:+.6g})"
        elif isinstance(fitted.map, Isotonic):
            text = f"{len(fitted.map.scores)} knots, see calibration.json"
        else:
            text = f"sigmoid(logit(p) / {fitted.map.temperature:.6g} {fitted.map.offset:+.6g})"
        counts = fitted.n, fitted.positives, fitted.clusters
        rows.append((finding, text, fitted.prevalence, fitted.table_prevalence, *counts))
    return Table(
        "maps", "Maps from scores to probabilities", columns, tuple(rows), "calibration.json has them in full."
    )


def _explain(calibration: Calibration) -> str:
    return (
        f"This belongs to readings of {calibration.model or 'a model that its readings do not name'} (weights hash "
        f"{calibration.weights_hash or 'unknown'}), per {calibration.unit}, on {calibration.population}. Raw scores "
        "stay as they are; calibrated probabilities stand beside them. At a site with another prevalence, "
        "logit(p) is moved by the difference of the logits of the two prevalences."
    )


def _compare(fit: FindingFit, compared: Comparison, prefix: str, how: str) -> Section:
    """Before and after, as the table is and at the prevalence of the fit."""
    finding = fit.units.finding
    parts: list[Table | Figure] = []
    for number, place in enumerate(("table", "prevalence")):
        before, after = compared.before[number], compared.after[number]
        where = "as in the table" if number == 0 else f"at a prevalence of {in_percent(fit.prevalence)}"
        name = f"{prefix}{finding}_{place}"
        parts.append(_draw(f"{name}_reliability", f"Reliability {where}", before, after))
        rows = tuple((b.name, b, a) for b, a in zip(before.estimates, after.estimates, strict=True))
        columns = ("", "before", "after")
        parts.append(Table(f"{name}_metrics", f"Before and after, {where}", columns, rows, f"After: {how}."))
        parts.append(_tabulate_bins(f"{name}_bins", f"Bins after calibration, {where}", after))
    title = f"{finding.capitalize()} findings{', on the test table' if prefix else ''}"
    text = (
        f"Before: raw scores. After: probabilities, {how}. The intervals are of the measurement, for the map as it is: "
        "they do not know how the map itself would vary.",
    )
    return Section(f"{prefix}{finding}", title, tuple(parts), text)


def _draw(name: str, title: str, before: Measurement, after: Measurement) -> Figure:
    lines, data = [], {}
    for label, measured in (("before", before), ("after", after)):
        bins = measured.bins.bins
        numbers = {
            "predicted": [b.predicted for b in bins],
            "observed": [b.observed.value for b in bins],
            "low": [b.observed.low for b in bins],
            "high": [b.observed.high for b in bins],
        }
        data[label] = numbers
        lines.append(Line(label, *numbers.values()))
    first = before.estimates[0]
    prevalence = before.prevalence or (first.positives or 0) / first.n
    svg = draw_calibration(lines, log=prevalence < LOG_BELOW)
    caption = (
        f"Observed share over mean predicted probability, {len(before.bins.bins)} and {len(after.bins.bins)} bins of "
        "about as many units each; bars: 95 % intervals, clusters kept together; dotted: perfect."
    )
    return Figure(name, title, svg, caption, data)


def _tabulate_bins(name: str, title: str, measured: Measurement) -> Table:
    rows = tuple((b.lowest, b.highest, b.predicted, b.observed) for b in measured.bins.bins)
    return Table(name, title, ("lowest", "highest", "mean predicted", "observed"), rows)


def _tabulate_points(calibration: Calibration, fits: Sequence[FindingFit]) -> Section:
    tested = any(fit.tested is not None for fit in fits)
    columns: tuple[str, ...] = ("name", "finding", "chosen as", "threshold on p", "sensitivity", "specificity")
    if tested:
        columns += ("sensitivity, test", "specificity, test")
    rows: list[tuple[Cell, ...]] = []
    for fit in fits:
        for number, point in enumerate(fit.points):
            own = fit.points_compared[number]
            more = fit.points_tested[number] if tested else ()
            rows.append((point.name, point.finding, point.chosen, point.threshold, *own, *more))
    note = f"A {calibration.unit} with p (raw) at or above the threshold is called positive."
    table = Table("operating_points", "Thresholds on the raw score", columns, tuple(rows), note)
    text = "Sensitivity and specificity on the table that the threshold was chosen on flatter it" + (
        "; those on the test table do not." if tested else ": measure them on other exams with --test."
    )
    return Section("operating_points", "Operating points", (table,), (text,))


def _warn(fits: Sequence[FindingFit]) -> Iterator[str]:
    for fit in fits:
        units, own = fit.units, fit.table_prevalence
        if units.positives < FEW_POSITIVES:
            yield (
                f"{units.finding}: only {units.positives} positives. With fewer than {FEW_POSITIVES} the map is a "
                "guess outside of the scores that most positives have"
            )
        if not 1 / ALIKE <= own / fit.prevalence <= ALIKE:
            yield (
                f"{units.finding}: {in_percent(own)} of the table are positive, and probabilities are for "
                f"{in_percent(fit.prevalence)}: positives weigh {fit.prevalence / own:.3g}, negatives "
                f"{(1 - fit.prevalence) / (1 - own):.3g}. That is right only if positives and negatives of the "
                "table are like those of the population"
            )
        if units.cluster == "exam":
            yield (
                f"{units.finding}: folds and intervals keep exams together, not patients: a patient with several exams "
                "may be on both sides of a fold"
            )


def _describe_methods(calibration: Calibration, fits: Sequence[FindingFit]) -> str:
    first = fits[0]
    prevalences = ", ".join(f"{in_percent(fit.prevalence)} ({fit.units.finding})" for fit in fits)
    tested = " and on a test table without any of its exams and patients" if first.tested is not None else ""
    cluster = first.units.cluster
    return (
        f"Raw scores were mapped to probabilities per {calibration.unit} by {_METHODS[first.method]}. Units were "
        f"weighted so that positives make up {prevalences}. The stored map was fitted on all units; it was measured by "
        f"cross-fitting in {FOLDS} folds with all units of a {cluster} in the same fold{tested}. Brier score and log "
        "loss have linearised 95 % intervals, calibration in the large, slope and intercept those of the sandwich "
        f"variance (CR3), clustered by {cluster}; the expected calibration error, in 10 bins of equal count and of "
        "equal width, has a basic bootstrap interval over clusters; bins have Wilson intervals at the effective sample "
        "size."
    )
