"""The figures of a reader study."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fourview.evaluate import Estimate
from fourview.evaluate.covariance import Metric
from fourview.evaluate.hybrid import Sweep
from fourview.evaluate.reader_analysis import StudyResults
from fourview.evaluate.reader_curves import (
    GRID,
    CurvesOfReaders,
    Floats,
    average_precision_recall,
    average_roc,
    precision_recall_points,
    roc_points,
)
from fourview.report.document import Figure
from fourview.report.plots import Line, Points, draw_forest, draw_lines, draw_precision_recall, draw_roc

Curve = tuple[Floats, Floats]
WEIGHT_OF_MODEL = "weight of the model in the average (0: reader alone, 1: model alone)"


def draw_roc_curves(results: StudyResults) -> Figure:
    """The readers' mean ROC curve with the range of their curves, the average of all readers, and the models."""
    study = results.study
    readers = average_roc(study.truth, study.readers)
    curves = _together_and_models(results, roc_points)
    return Figure(
        "roc",
        "ROC curves",
        draw_roc([_range_of_readers(results, readers), *_lines(curves)]),
        f"Mean over readers: sensitivity averaged at the same specificity; the area under it is their mean AUC. Band: "
        f"from the lowest to the highest reader. {_who(results)}",
        {"mean_over_readers": _range_data(readers)} | _data(curves, "one_minus_specificity", "sensitivity"),
    )


def draw_precision_recall_curves(results: StudyResults) -> Figure:
    """The same scores' precision by recall."""
    study = results.study
    readers = average_precision_recall(study.truth, study.readers)
    curves = _together_and_models(results, precision_recall_points)
    share = float(study.truth.mean())
    return Figure(
        "precision_recall",
        "Precision-recall curves",
        draw_precision_recall([_range_of_readers(results, readers), *_lines(curves)], prevalence=share),
        "Mean over readers: precision averaged at the same recall. Band: from the lowest to the highest reader. "
        "Steps, one per distinct score: the area under them is the average precision. Precision depends on the share "
        f"of positives: {share:.1%} of these breasts.",
        {"mean_over_readers": _range_data(readers), "share_of_positives": share} | _data(curves, "recall", "precision"),
    )


def draw_each_reader(results: StudyResults) -> Figure:
    """Every reader's ROC curve, and where a threshold was given, her or his point on it."""
    study, at = results.study, results.declared.threshold
    curves = {name: roc_points(study.truth, own) for name, own in zip(study.reader_names, study.readers, strict=True)}
    together = _together_and_models(results, roc_points, models=False)
    points = []
    if at is None:
        caption = "Readers gave probabilities, not decisions: they have curves and no points."
    else:
        own = [reader.point for reader in results.readers.readers if reader.point is not None]
        x, y = [1 - point.specificity.value for point in own], [point.sensitivity.value for point in own]
        points = [Points(f"probability of {at:g} or more", x, y)]
        caption = f"Points: what calling every breast with a probability of {at:g} or more would have done."
    return Figure(
        "roc_each_reader",
        "ROC curve of each reader",
        draw_roc([_join(f"each of {len(curves)} readers", list(curves.values())), *_lines(together)], points=points),
        f"{caption} Straight pieces at the upper right: breasts that a reader rated alike.",
        _data(curves, "one_minus_specificity", "sensitivity"),
    )


def draw_readers_forest(results: StudyResults) -> Figure:
    """AUC of every reader, their mean, the average of all readers, and the models."""
    readers = results.readers
    rows: list[str | tuple[str, Estimate]] = [
        "Readers",
        *((reader.name, reader.auc) for reader in readers.readers),
        ("mean over readers", readers.mean_auc),
        "All readers as one, and models",
        (readers.together.name, readers.together.auc),
        *((model.name, model.auc) for model in results.models),
    ]
    return Figure(
        "forest",
        "AUC of readers and models",
        draw_forest(rows, x_label="AUC", reference=readers.mean_auc.value),
        "The vertical line is the mean over readers. Its interval is wide because it holds for other readers and "
        "cases.",
    )


def draw_against_forest(results: StudyResults) -> Figure:
    """Models minus readers, and computed averages minus readers."""
    rows: list[str | tuple[str, Estimate]] = ["Model minus readers"]
    rows += [(against.name, against.auc) for against in results.against]
    rows += ["Computed average minus readers"]
    rows += [(result.hybrid.model, result.minus_readers[0]) for result in results.hybrids]
    rows += ["Computed average minus model"]
    rows += [(result.hybrid.model, result.minus_model[0]) for result in results.hybrids]
    return Figure(
        "differences",
        "Differences of AUC over readers",
        draw_forest(rows, x_label="difference of AUC", reference=0.0),
        f"Above 0 the first is better. The margin of non-inferiority of models is {results.declared.margin:g}.",
    )


def draw_reader_lines(results: StudyResults, k: int, name: str) -> Figure:
    """Every reader's AUC alone, averaged with the k-th model, and the model's: one line per reader."""
    sweep = results.sweeps[k]["AUC"]
    model = results.study.model_names[k]
    x, each = _by_model_weight(sweep)
    marks = [] if results.declared.weight is None else [(1 - results.declared.weight, "computed average")]
    return Figure(
        name,
        f"Each reader, averaged with {model}",
        draw_lines(
            [
                _join("each reader", [(x, y) for y in each]),
                Line("mean over readers", x.tolist(), each.mean(0).tolist()),
            ],
            x_label=WEIGHT_OF_MODEL,
            y_label="AUC",
            x_limits=(0, 1),
            marks=marks,
        ),
        "All lines end at the model's own AUC. "
        + (
            "On all breasts: their highest places flatter. A jump at the left: the model orders breasts that the "
            "reader rated alike."
            if results.declared.weight is None
            else "The lines only join what was computed: reader, average, model."
        ),
        {
            "weight_of_model": x.tolist(),
            "auc": {reader: y.tolist() for reader, y in zip(results.study.reader_names, each, strict=True)},
        },
    )


def draw_sweep(results: StudyResults, metric: Metric) -> Figure:
    """The mean over readers by the model's weight, a line per model."""
    lines, data = [], {}
    for model, sweeps in zip(results.study.model_names, results.sweeps, strict=True):
        x, each = _by_model_weight(sweeps[metric])
        mean = each.mean(0)
        lines.append(Line(model, x.tolist(), mean.tolist()))
        data[model] = {"weight_of_model": x.tolist(), "mean": mean.tolist(), "sd": each.std(0).tolist()}
    return Figure(
        f"sweep_{metric.replace(' ', '_').lower()}",
        f"Mean {metric} over readers, by the model's weight",
        draw_lines(lines, x_label=WEIGHT_OF_MODEL, y_label=f"mean {metric}", x_limits=(0, 1)),
        "On all breasts, to show the shape. The highest place was chosen by looking and flatters; the tables have "
        "weights that were chosen on one half of the exams and measured on the other.",
        data,
    )


def _who(results: StudyResults) -> str:
    return (
        f"{results.readers.together.name.capitalize()}: their {len(results.study.readers)} probabilities averaged into "
        "one score, which no single reader is."
    )


def _together_and_models(
    results: StudyResults, points: Callable[[ArrayLike, ArrayLike], Curve], *, models: bool = True
) -> dict[str, Curve]:
    """By name, the curve of the average of all readers, and of each model."""
    study = results.study
    curves = {results.readers.together.name: points(study.truth, study.readers.mean(axis=0))}
    names = study.model_names if models else ()
    return curves | {name: points(study.truth, study.model(name)) for name in names}


def _lines(curves: Mapping[str, Curve]) -> list[Line]:
    return [Line(name, x.tolist(), y.tolist()) for name, (x, y) in curves.items()]


def _data(curves: Mapping[str, Curve], x_name: str, y_name: str) -> dict[str, Any]:
    return {name: {x_name: x.tolist(), y_name: y.tolist()} for name, (x, y) in curves.items()}


def _range_of_readers(results: StudyResults, curves: CurvesOfReaders) -> Line:
    label = f"mean over {len(results.study.readers)} readers"
    return Line(label, GRID.tolist(), curves.mean.tolist(), curves.low.tolist(), curves.high.tolist())


def _range_data(curves: CurvesOfReaders) -> dict[str, Any]:
    return {
        "x": GRID.tolist(),
        "mean": curves.mean.tolist(),
        "lowest": curves.low.tolist(),
        "highest": curves.high.tolist(),
    }


def _join(label: str, curves: Sequence[Curve]) -> Line:
    """Several curves as one line with gaps, so that they share a colour and a place in the legend."""
    x: list[float] = []
    y: list[float] = []
    for own_x, own_y in curves:
        x += [*own_x.tolist(), math.nan]
        y += [*own_y.tolist(), math.nan]
    return Line(label, x[:-1], y[:-1])


def _by_model_weight(sweep: Sweep) -> Curve:
    """(weights,) of the model, ascending, and (readers, weights) the metric."""
    order = np.argsort([1 - weight for weight in sweep.weights])
    return np.array([1 - sweep.weights[k] for k in order]), sweep.values[order].T
