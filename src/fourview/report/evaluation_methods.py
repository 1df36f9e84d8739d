"""What an evaluation did, in words: the methods paragraph, the checklist's answers, the settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fourview.evaluate.evaluation import Evaluation
from fourview.report.checklist import fill_checklist
from fourview.report.document import ChecklistItem
from fourview.report.versions import package_versions


def describe_methods(evaluation: Evaluation) -> Iterator[str]:
    """Paragraphs for a paper: only what this run did."""
    options, units = evaluation.options, evaluation.tasks[0].units
    unit, cluster = units.unit, units.cluster
    findings = " and ".join(task.units.finding for task in evaluation.tasks)
    other = "" if unit == cluster else f", not {unit}s,"
    yield (
        f"The unit of analysis was the {unit}; the question was {findings} findings ({_counts(evaluation)}). "
        f"Population: {units.population}. Intervals are 95 % and take {cluster}s{other} as independent."
    )
    elsewhere = ""
    if options.prevalence is not None:
        how = "by weighting positives and negatives, with a cluster bootstrap"
        elsewhere = f", and at a prevalence of {options.prevalence:g} {how}"
    yield (
        "Areas under the ROC curve are given with the clustered variance of Obuchowski (1997) and Student's t on the "
        "logit scale; DeLong's own (Wald) interval, which assumes independent units, is shown beside it. Average "
        "precision is given as found in the table, with a clustered infinitesimal-jackknife interval on the logit "
        f"scale{elsewhere}. Sensitivity at a specificity, partial areas and bands of curves come from a cluster "
        "bootstrap (percentiles)."
    )
    if options.threshold_from is not None:
        before = all(task.locked_elsewhere for task in evaluation.tasks)
        where = "on other data and locked before these tables were read" if before else "on these very tables"
        yield f"Thresholds had been chosen {where}; shares at them have Wilson intervals at the effective sample size."
    yield (
        "Brier score, log loss, calibration line and pF1 have linearised intervals with clusters kept together; the "
        "calibration error uses ten bins of equal count and a cluster bootstrap."
    )
    if options.by:
        yield (
            f"Subgroups ({', '.join(options.by)}) were compared by Wald tests of equal AUC on the logit scale, with "
            f"Holm's correction for {len(options.by)} columns."
        )
    if options.others:
        yield (
            "Readings were compared on the same units: paired clustered and DeLong tests for AUC, a paired cluster "
            "bootstrap for average precision, a clustered McNemar test for shares at locked thresholds."
        )
    if any(task.bounds for task in evaluation.tasks):
        yield "Units without a score are not in the estimates; bounds show the AUC with their worst possible scores."


def answer_checklist(evaluation: Evaluation) -> tuple[ChecklistItem, ...]:
    """The reporting checklists with what this run knows."""
    options, units = evaluation.options, evaluation.tasks[0].units
    removed, unread = sum(step.units for step in units.flow if step.removed), sum(units.unread)
    known = {
        "population": f"The {units.population}.",
        "exclusions": f"{removed:,} {units.unit}s removed, step by step in the flow table.",
        "unit": f"{units.unit}; intervals clustered by {units.cluster}.",
        "n": f"{_counts(evaluation)}.",
        "missing data": f"{unread:,} have no score: worst case given." if unread else "Every unit has a score.",
        "metrics": "AUC, average precision, sensitivity, specificity, Brier score, log loss, calibration, net benefit.",
        "intervals": "95 %, clustered: see Methods.",
        "calibration": "Line, in the large, error, reliability diagram.",
        "software": f"fourview {package_versions()['fourview']}.",
    }
    if options.prevalence is not None:
        known["prevalence"] = f"As in the table, and at {options.prevalence:g}."
    if options.by:
        known["subgroups"] = f"{', '.join(options.by)}, with interaction tests (Holm)."
    if options.threshold_from is not None:
        where = "on other data" if all(t.locked_elsewhere for t in evaluation.tasks) else "on these very tables"
        known["thresholds"] = f"Chosen {where}, locked in {options.threshold_from.name}."
    if options.others:
        known["comparisons"] = "Paired, on the same units: see Comparisons."
    if units.readings_of.get("model"):
        known["model"] = f"{units.readings_of['model']}, weights {units.readings_of.get('weights_hash', 'unknown')}."
    return fill_checklist(known)


def list_settings(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """(what, value) of everything that the numbers depend on."""
    options, units = evaluation.options, evaluation.tasks[0].units
    yield "unit", options.unit
    yield "cluster", units.cluster
    yield "findings", ", ".join(options.findings)
    yield "score", options.score or "p_malignant, p_benign"
    yield "population", str(options.population)
    yield "prevalence", "not given" if options.prevalence is None else f"{options.prevalence:g}"
    yield "subgroups", ", ".join(options.by) or "none"
    yield "only units that both tables have (--inner)", "yes" if options.inner else "no"
    yield "thresholds from", options.threshold_from.name if options.threshold_from else "none"
    for other in options.others:
        yield "compared with", other.name
    for what, name, digest in units.files:
        yield f"{what} table", f"{Path(name).name}, SHA-256 {digest}"
    yield from units.readings_of.items()


def _counts(evaluation: Evaluation) -> str:
    return "; ".join(
        f"{task.units.finding}: {len(task.units.keys):,} {task.units.unit}s, {task.units.positives:,} positive"
        for task in evaluation.tasks
    )
