"""An evaluation -> the document of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fourview.evaluate import Estimate
from fourview.evaluate.curves import Band
from fourview.evaluate.evaluation import EvaluateOptions, Evaluation, Task
from fourview.evaluate.operating import ThresholdLock
from fourview.report.document import Cell, Document, Figure, Section, Table, estimate_table
from fourview.report.evaluation_methods import answer_checklist, describe_methods, list_settings
from fourview.report.plots import (
    Line,
    draw_calibration,
    draw_forest,
    draw_lines,
    draw_precision_recall,
    draw_roc,
)
from fourview.report.versions import package_versions


def describe_evaluation(evaluation: Evaluation, *, extra: Sequence[Section] = ()) -> Document:
    """The report of `fourview evaluate`. extra  sections made elsewhere: errors, embedding, localisation."""
    tasks, options = evaluation.tasks, evaluation.options
    several = len(tasks) > 1
    sections = [_cases(task) for task in tasks]
    if evaluation.lock is not None:
        sections.append(_chosen(evaluation.lock))
    for task in tasks:
        sections += _sections(task, options, prefix=f"{task.units.finding.capitalize()}: " if several else "")
    headline = [e for t in tasks for e in t.ranking if e.name == "AUC" or e.name.startswith("average precision")]
    units = tasks[0].units
    return Document(
        kind="evaluation",
        title=f"{', '.join(t.units.finding for t in tasks)} findings per {units.unit}",
        headline=tuple(headline),
        sections=(*sections, *extra),
        warnings=tuple(dict.fromkeys(w for task in tasks for w in task.warnings)),
        methods=tuple(describe_methods(evaluation)),
        checklist=answer_checklist(evaluation),
        settings=tuple(list_settings(evaluation)),
        versions=package_versions(),
    )


def _cases(task: Task) -> Section:
    units = task.units
    rows = [(("− " if s.removed else "") + s.what, s.units, s.positives) for s in units.flow]
    parts = [
        Table(
            f"{units.finding}_flow",
            f"From the truth table to the {units.unit}s analysed",
            ("", f"{units.unit}s", f"positive ({units.finding})"),
            tuple(rows),
            f"{units.population}. Intervals take {units.cluster}s as independent.",
        )
    ]
    if task.bounds is not None:
        lost = sum(units.unread)
        parts.append(
            Table(
                f"{units.finding}_unread",
                f"What {lost:,} unread {units.unit}s could change",
                ("", "AUC"),
                (
                    ("analysed", task.auc),
                    ("worst case: unread positives ranked lowest, negatives highest", task.bounds[0]),
                    ("best case", task.bounds[1]),
                ),
                f"{units.unread[0]} positives and {units.unread[1]} negatives have a truth and no score.",
            )
        )
    if len(task.populations) > 1:
        rows_p = tuple((name, area, precision) for name, area, precision in task.populations)
        parts.append(
            Table(f"{units.finding}_populations", "Populations", ("population", "AUC", "average precision"), rows_p)
        )
    return Section(f"{units.finding}_cases", f"Cases: {units.finding}", tuple(parts))


def _sections(task: Task, options: EvaluateOptions, *, prefix: str) -> Iterator[Section]:
    units, finding = task.units, task.units.finding
    roc, pr = task.curves.roc, task.curves.pr
    curves = [_line("as in this table", pr)]
    data = {"sensitivity": pr.x, "precision": pr.y, "low": pr.low, "high": pr.high}
    if (at := task.curves.pr_at) is not None:
        curves.append(_line(f"at a prevalence of {options.prevalence:g}", at))
        data |= {"precision_at": at.y, "low_at": at.low, "high_at": at.high}
    parts: list[Table | Figure] = [
        estimate_table(
            f"{finding}_ranking",
            "How well scores rank",
            task.ranking,
            note="Numbers read off the curve are not the performance of a threshold chosen beforehand.",
        ),
        Figure(
            f"{finding}_roc",
            "ROC curve",
            draw_roc([_line(f"AUC {task.auc.value:.3f}", roc)]),
            "Band: 95 %, point by point, clusters resampled.",
            {"one_minus_specificity": roc.x, "sensitivity": roc.y, "low": roc.low, "high": roc.high},
        ),
        Figure(
            f"{finding}_precision_recall",
            "Precision-recall curve",
            draw_precision_recall(curves, prevalence=task.curves.prevalence),
            f"Precision depends on prevalence: {task.curves.prevalence:.2%} in this table.",
            data,
        ),
    ]
    if task.sides is not None:
        sides = (task.sides.agreement, task.sides.exam_auc)
        note = "Side agreement: of exams with one positive breast, how often that breast has the higher score."
        parts.append(estimate_table(f"{finding}_sides", "Side and exam", sides, note=note))
    parts.append(
        Table(
            f"{finding}_trapezoid",
            "For comparison with papers that report it",
            ("", "value"),
            (("PR area under straight lines (trapezoid)", task.trapezoid),),
            "Not the same quantity as average precision.",
        )
    )
    yield Section(f"{finding}_ranking", f"{prefix}Ranking", tuple(parts))
    yield _thresholds(task, prefix)
    yield _probabilities(task, options, prefix)
    if task.subgroups:
        yield _subgroups(task, prefix)
    if task.comparisons:
        rows = [e for c in task.comparisons for e in (*c.areas, *c.shares)]
        title = f"These readings minus others, {units.unit} by {units.unit}"
        note = "Differences on the same units. Several comparisons: p values are not corrected."
        table = estimate_table(f"{finding}_comparisons", title, rows, note=note)
        yield Section(f"{finding}_comparisons", f"{prefix}Comparisons", (table,))


def _chosen(lock: ThresholdLock) -> Section:
    rows = tuple(
        (f"{t.rule.name} ({t.finding}): {t.rule}", t.threshold, t.sensitivity, t.specificity) for t in lock.thresholds
    )
    columns = ("rule", "threshold", "sensitivity here", "specificity here")
    note = "Chosen on these tables: what they do here flatters them. thresholds.json takes them to other data."
    return Section("chosen", "Thresholds chosen here", (Table("chosen", "Locked", columns, rows, note),))


def _thresholds(task: Task, prefix: str) -> Section:
    finding, unit = task.units.finding, task.units.unit
    name, title = f"{finding}_thresholds", f"{prefix}Thresholds"
    if not task.operated:
        text = (
            "No threshold was applied. It must be chosen on other data, where --choose writes a lock file, and be "
            "brought here with --threshold-from."
        )
        return Section(name, title, text=(text,))
    parts: list[Table] = []
    for locked, estimates in task.operated:
        where = (
            f"Chosen on {locked.n:,} {locked.unit}s ({locked.positives:,} positive): {locked.rule}; there sensitivity "
            f"{locked.sensitivity:.3f}, specificity {locked.specificity:.3f}."
        )
        title_of = f"{locked.rule.name}: {unit}s with {locked.score} at or above {locked.threshold:.4g}"
        rows: tuple[tuple[str, Cell], ...] = (("threshold", locked.threshold), *((e.name, e) for e in estimates))
        parts.append(Table(f"{name}_{len(parts) + 1}", title_of, ("", "estimate"), rows, where))
    return Section(name, title, tuple(parts))


def _probabilities(task: Task, options: EvaluateOptions, prefix: str) -> Section:
    finding, bins = task.units.finding, task.reliability.bins
    x, y = [b.predicted for b in bins], [b.observed.value for b in bins]
    low, high = [b.observed.low for b in bins], [b.observed.high for b in bins]
    rows = tuple((f"{b.lowest:.3g} to {b.highest:.3g}", b.predicted, b.observed) for b in bins)
    d = task.decision
    at = d.thresholds.tolist()
    lines = [
        Line("these scores", at, d.score.tolist(), d.low.tolist(), d.high.tolist()),
        Line("everybody", at, d.everybody.tolist()),
        Line("nobody", at, [0.0] * len(at)),
    ]
    where = "this table" if options.prevalence is None else "that given"
    top = float(max(d.high.max(), d.prevalence)) * 1.05
    return Section(
        f"{finding}_probabilities",
        f"{prefix}Scores as probabilities",
        (
            estimate_table(
                f"{finding}_calibration",
                "Calibration and probabilistic scores",
                task.probabilities,
                note="Slope 1 and intercept 0 are calibrated; a slope below 1: scores are too extreme. Calibration in "
                "the large below 0: scores are too high.",
            ),
            Figure(
                f"{finding}_reliability",
                "Reliability",
                draw_calibration(
                    [Line("bins of equal count", x, y, low, high)], scores=task.units.scores.tolist(), log=True
                ),
                "Observed share of positives by mean score, as in this table, with clustered Wilson intervals.",
                {"predicted": x, "observed": y, "low": low, "high": high},
            ),
            Table(f"{finding}_bins", "Reliability, bin by bin", ("scores", "mean score", "observed share"), rows),
            Figure(
                f"{finding}_decision",
                "Decision curve",
                draw_lines(
                    lines,
                    x_label="threshold probability",
                    y_label=f"net benefit per {task.units.unit}",
                    y_limits=(-top / 4, top),
                    log_x=True,
                ),
                f"At a prevalence of {d.prevalence:.2%} ({where}). It takes scores for probabilities; of scores that "
                "only rank it says nothing.",
                {"threshold": d.thresholds, "score": d.score, "low": d.low, "high": d.high, "everybody": d.everybody},
            ),
        ),
        warnings=tuple(w for w in task.warnings if w.startswith(f"{task.units.truth.mean():.1%} of these")),
    )


def _subgroups(task: Task, prefix: str) -> Section:
    finding = task.units.finding
    rows = [(group.column, value, estimate) for group in task.subgroups for value, estimate in group.groups]
    forest: list[tuple[str, Estimate] | str] = [("all", task.auc)]
    for group in task.subgroups:
        forest.append(group.column)
        forest += [(value, estimate) for value, estimate in group.groups if not math.isnan(estimate.low)]
    tests = tuple((g.column, g.degrees, _or_none(g.p), _or_none(g.p_holm)) for g in task.subgroups)
    return Section(
        f"{finding}_subgroups",
        f"{prefix}Subgroups",
        (
            Table(f"{finding}_subgroups", "AUC by subgroup", ("column", "value", "AUC"), tuple(rows)),
            Table(
                f"{finding}_interactions",
                "Do the groups differ?",
                ("column", "degrees of freedom", "p", f"p, Holm for {sum(row[2] is not None for row in tests)}"),
                tests,
                "Wald test that the AUCs of all groups of a column are equal (logit scale, clusters kept together). A "
                "large p does not show that they are.",
            ),
            Figure(
                f"{finding}_forest",
                "AUC by subgroup",
                draw_forest(forest, x_label="AUC", reference=task.auc.value),
                "Line: all units.",
            ),
        ),
    )


def _line(label: str, band: Band) -> Line:
    return Line(label, band.x.tolist(), band.y.tolist(), band.low.tolist(), band.high.tolist())


def _or_none(p: float) -> float | None:
    return None if math.isnan(p) else p
