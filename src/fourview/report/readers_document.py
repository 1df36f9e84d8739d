"""A reader study -> the document of its report."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from fourview.evaluate.hybrid_results import HybridResult
from fourview.evaluate.reader_analysis import StudyResults
from fourview.evaluate.reader_results import ScoreAlone
from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.readers_figures import (
    draw_against_forest,
    draw_each_reader,
    draw_precision_recall_curves,
    draw_reader_lines,
    draw_readers_forest,
    draw_roc_curves,
    draw_sweep,
)
from fourview.report.readers_methods import (
    COMPUTED,
    answer_checklist,
    describe_methods,
    describe_warnings,
    list_settings,
)
from fourview.report.versions import package_versions

FEW_MODELS = 3  # whose differences stand in the headline; of more, picking would be a choice by result
METRIC_COLUMNS = ("AUC", "average precision", "PR area (trapezoid)")
VERDICTS = {
    "superior": "superior",
    "non-inferior": "non-inferior",
    "inferior": "inferior by more than the margin",
    "not shown": "non-inferiority not shown",
}


def describe_reader_study(results: StudyResults, *, extra: Sequence[Section] = ()) -> Document:
    """The report of `fourview readers`. extra  sections made elsewhere: errors and disagreement."""
    sections = [_readers(results), _scores(results)]
    headline = [results.readers.mean_auc, results.readers.mean_average_precision]
    if results.models:
        sections += [_against(results), _averages(results), *_per_model(results)]
    if 0 < len(results.models) <= FEW_MODELS:
        for model, against, average in zip(results.models, results.against, results.hybrids, strict=True):
            headline += [model.auc, against.auc, average.minus_readers[0], average.minus_model[0]]
    study = results.study
    return Document(
        kind="reader study",
        title=f"{len(study.readers)} readers, {study.n:,} breasts, {study.positives:,} malignant",
        headline=tuple(headline),
        sections=(*sections, *extra),
        warnings=tuple(dict.fromkeys(describe_warnings(results))),
        methods=tuple(describe_methods(results)),
        checklist=answer_checklist(results),
        settings=tuple(list_settings(results)),
        versions=package_versions(),
    )


def _readers(results: StudyResults) -> Section:
    readers = results.readers
    each = Table("readers", "Each reader", ("reader", *METRIC_COLUMNS), tuple(_row(own) for own in readers.readers))
    values = {
        "AUC": (readers.mean_auc, [r.auc.value for r in readers.readers]),
        "average precision": (readers.mean_average_precision, [r.average_precision.value for r in readers.readers]),
        "PR area (trapezoid)": (None, [r.pr_area for r in readers.readers]),
    }
    spread = Table(
        "readers_spread",
        "Over readers",
        ("", "mean", "population sd", "lowest", "highest"),
        tuple(
            (name, float(np.mean(own)) if mean is None else mean, float(np.std(own)), min(own), max(own))
            for name, (mean, own) in values.items()
        ),
        "The mean is what one reader reaches on average.",
    )
    together = Table(
        "readers_together",
        "All readers as one",
        ("", *METRIC_COLUMNS),
        (_row(readers.together),),
        f"Another thing than the mean over readers: the probabilities of all {len(readers.readers)} readers averaged "
        "into one score per breast, a panel that no single reader is.",
    )
    parts = [each, spread, together]
    points = [(own.name, own.point.sensitivity, own.point.specificity) for own in readers.readers if own.point]
    if points:
        title = f"Readers at a probability of {results.declared.threshold:g} or more"
        parts.append(Table("readers_points", title, ("reader", "sensitivity", "specificity"), tuple(points)))
    return Section("readers", "Readers", (*parts, draw_each_reader(results)))


def _row(score: ScoreAlone) -> tuple[Cell, ...]:
    return (score.name, score.auc, score.average_precision, score.pr_area)


def _scores(results: StudyResults) -> Section:
    parts: list[Table | Figure] = []
    if results.models:
        rows = tuple((m.name, m.auc, m.auc_delong, m.average_precision, m.pr_area) for m in results.models)
        columns = ("model", "AUC", "AUC, DeLong's interval", *METRIC_COLUMNS[1:])
        note = "DeLong's interval takes the two breasts of a woman as independent."
        parts.append(Table("models", "Each model", columns, rows, note))
    parts += [draw_readers_forest(results), draw_roc_curves(results), draw_precision_recall_curves(results)]
    title = "Models beside readers" if results.models else "Readers beside each other"
    return Section("models", title, tuple(parts))


def _against(results: StudyResults) -> Section:
    rows = tuple((a.name, a.auc, a.detail.df, VERDICTS[a.verdict], a.average_precision) for a in results.against)
    columns = ("model", "AUC minus readers' mean", "df", "by the margin", "average precision minus readers' mean")
    note = (
        f"Margin of non-inferiority: {results.declared.margin:g} in AUC. The verdict follows from the 95 % interval "
        "of the AUC only; average precision may say something else."
    )
    table = Table("models_minus_readers", "Model minus readers", columns, rows, note)
    parts = (table, draw_against_forest(results))
    return Section("models_minus_readers", "Models against readers", parts, text=(_describe_ties(results),))


def _averages(results: StudyResults) -> Section:
    fixed = results.declared.weight
    weight = "weights chosen on the other half" if fixed is None else f"weight of the reader {fixed:g}"
    areas, differences, precisions = [], [], []
    for result in results.hybrids:
        model, chosen = result.hybrid.model, () if fixed is not None else (_weights(result),)
        spread = float(np.std([e.value for e in result.readers]))
        areas.append((model, *chosen, result.mean_auc, spread, f"{result.better} of {len(result.readers)}"))
        differences.append((model, result.minus_readers[0], result.by_ties, result.minus_model[0]))
        precisions.append((model, result.mean_average_precision, result.minus_readers[1], result.minus_model[1]))
    text = [COMPUTED, f"{_describe_ties(results)} See the column of ties."]
    if fixed is None:
        text.append(
            "Two weights: each was chosen on one half of the exams and used in the other. Numbers are means of both "
            "halves, those of readers and models too, so they differ a little from the tables above."
        )
    parts: list[Table | Figure] = [
        Table(
            "averages_auc",
            f"Computed averages, {weight}: AUC",
            (
                "model",
                *(("weights of the reader",) if fixed is None else ()),
                "mean over readers",
                "sd",
                "readers raised",
            ),
            tuple(areas),
            "sd: population standard deviation over readers. Readers raised: whose AUC is larger averaged than alone.",
        ),
        Table(
            "averages_auc_differences",
            "Computed averages: differences of AUC",
            ("model", "minus readers", "by ties alone", "minus model"),
            tuple(differences),
            "By ties alone: what the readers' mean AUC gains if the model does no more than order breasts that a "
            "reader rated alike (on all breasts).",
        ),
        Table(
            "averages_average_precision",
            f"Computed averages, {weight}: average precision",
            ("model", "mean over readers", "minus readers", "minus model"),
            tuple(precisions),
        ),
    ]
    if fixed is None:
        parts += [draw_sweep(results, "AUC"), draw_sweep(results, "average precision")]
    return Section("averages", "Computed averages of reader and model", tuple(parts), text=tuple(text))


def _describe_ties(results: StudyResults) -> str:
    readers = results.study.readers
    distinct = np.median([len(np.unique(own)) for own in readers])
    lowest = np.mean([np.mean(own == own.min()) for own in readers])
    return (
        f"Readers used few different probabilities (in the median {distinct:.0f}) and gave {lowest:.0%} of the breasts "
        "their lowest one. Two breasts rated alike count one half in the AUC. A model's score has fewer ties, so "
        "part of a difference to readers comes from finer numbers and not from better judgement."
    )


def _weights(result: HybridResult) -> str:
    return " and ".join(f"{weight:g}" for weight in result.hybrid.weights)


def _per_model(results: StudyResults) -> Iterator[Section]:
    names = _unique_names(results.study.model_names)
    for k, (name, result) in enumerate(zip(names, results.hybrids, strict=True)):
        model, mrmc = result.hybrid.model, result.mrmc
        rows = tuple(
            (reader, alone, averaged, difference)
            for reader, alone, averaged, difference in zip(
                results.study.reader_names,
                result.alone,
                result.readers,
                result.differences,
                strict=True,
            )
        )
        each = Table(
            f"average_{name}_readers",
            f"Each reader, weight {_weights(result)}: AUC",
            ("reader", "alone", "averaged", "difference"),
            rows,
            "Intervals and p values of one reader hold for her or him and other cases.",
        )
        variants = Table(
            f"average_{name}_variants",
            "The difference of means if it shall hold for",
            ("", "averaged minus alone"),
            tuple(
                (holds, variant)
                for holds, variant in zip(
                    ("other readers and cases", "these readers, other cases", "other readers, these cases"),
                    result.variants,
                    strict=True,
                )
            ),
        )
        detail: Sequence[tuple[str, Cell]] = (
            ("mean AUC of readers alone", mrmc.means[0]),
            ("mean AUC of averages", mrmc.means[1]),
            ("F", mrmc.f),
            ("degrees of freedom (numerator 1), Hillis", mrmc.difference.df),
            ("p", mrmc.difference.p),
            ("MS(T)", mrmc.ms_t),
            ("MS(TR)", mrmc.ms_tr),
            ("Var(error)", mrmc.variance),
            ("Cov1: same reader, other treatment", mrmc.cov1),
            ("Cov2: other reader, same treatment", mrmc.cov2),
            ("Cov3: both differ", mrmc.cov3),
            ("Var(TR)", mrmc.variance_tr),
        )
        tables = (
            each,
            variants,
            Table(f"average_{name}_mrmc", "Obuchowski-Rockette analysis, as declared", ("", "value"), tuple(detail)),
        )
        figure = draw_reader_lines(results, k, f"average_{name}")
        yield Section(f"average_{name}", f"Computed average with {model}", (figure, *tables))


def _unique_names(models: Sequence[str]) -> list[str]:
    """One name per model for tables and files: letters, digits and _."""
    names: list[str] = []
    for k, model in enumerate(models, start=1):
        name = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_") or "model"
        names.append(name if name not in names else f"{name}_{k}")
    return names
