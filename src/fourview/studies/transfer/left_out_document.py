"""The page of leave-one-set-out: each set by a classifier of the others, beside the number within it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Document, Figure, Section, Table
from fourview.report.plots import draw_forest
from fourview.report.versions import package_versions
from fourview.store.sets import PHANTOM
from fourview.studies.transfer.left_out_sets import LeftOut, SetsStudy
from fourview.studies.transfer.measures import Measures

_METRICS = ("AUC", "balanced accuracy", "sensitivity", "specificity", "calibration error", "in words")


def describe_sets(study: SetsStudy, results: tuple[LeftOut, ...]) -> Document:
    """Across and within, per image, breast and patient; how alike the sets are."""
    plan, labels, card = study.plan, study.labels, study.features.card
    return Document(
        kind="several sets",
        title=f"Leave one set out: {card.extractor}, {', '.join(study.names)}",
        headline=tuple(replace(r.across["image"].auc, name=f"AUC, {r.name}, trained on the others") for r in results),
        sections=(_areas(study, results), _decisions(results), _units(results), _likeness(study, results)),
        warnings=_warnings(study, results),
        methods=(
            f"Features were frozen. A classifier ({plan.method}) was tuned and fitted on all data sets but one, its "
            "threshold (largest sensitivity + specificity) and Platt's map taken from inner folds by patient of these, "
            f"and measured on the one left out; mean of {plan.repeats} repeats with other inner folds. Beside it "
            f"{plan.folds}-fold nested cross-validation within the set. 95 % intervals keep patients together.",
        ),
        settings=(
            ("labels", f"{labels.name}; a positive is {labels.positive}"),
            ("left out", "; ".join(f"{n} images: {why}" for why, n in labels.left_out) or "none"),
            ("folds", f"{plan.folds} within a set, {plan.inner} inner, {plan.repeats} repeats, seed {plan.seed}"),
            ("features", f"{card.extractor}, weights {card.weights or 'none'} {card.weights_hash}".strip()),
        ),
        versions=package_versions(),
    )


def tabulate_set_scores(study: SetsStudy, results: tuple[LeftOut, ...]) -> pl.DataFrame:
    """One row per image: its set, truth, and the mean score of the classifiers that were trained on the other sets."""
    score = np.empty(len(study.values))
    for place, result in enumerate(results):
        score[study.set_of == place] = result.scores
    images = study.features.rows.select("image", "exam", "dataset", "side", "view")
    return images.with_columns(pl.Series("truth", study.cases.y), pl.Series("score_across", score))


def _areas(study: SetsStudy, results: tuple[LeftOut, ...]) -> Section:
    forest: list[tuple[str, Estimate] | str] = []
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        forest += [r.name, ("trained on the other sets", r.across["image"].auc)]
        inside: Cell = f"not done: {r.within}" if isinstance(r.within, str) else r.within["image"].auc
        if isinstance(inside, Estimate):
            forest.append(("within, rigorous", inside))
        rows.append((r.name, r.across["image"].auc, inside, r.difference))
    figure = Figure(
        "sets",
        "AUC per image, set by set",
        draw_forest(forest, x_label="AUC", reference=0.5),
        "95 % intervals over the patients of the set that is measured.",
        {r.name: {"across": r.across["image"].auc.value} for r in results},
    )
    table = Table(
        "areas",
        "AUC per image",
        ("set", "trained on the other sets", "within the set", "difference"),
        tuple(rows),
        "Difference: across minus within, paired, over the patients tested: the luck of those trained on is not in its "
        "interval. A difference of 0 says that the set's own images teach no more than "
        "those of others, which may be more of them.",
    )
    counts = np.bincount(study.set_of)
    text = tuple(
        f"{name}: {counts[place]} images of {len(np.unique(study.cases.patients[study.set_of == place]))} patients, "
        f"{int(study.cases.y[study.set_of == place].sum())} images positive."
        for place, name in enumerate(study.names)
    )
    return Section("areas", "Across sets and within", (figure, table), text)


def _decisions(results: tuple[LeftOut, ...]) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for r in results:
        rows.append((r.name, "the other sets", *_tell(r.across["image"])))
        if not isinstance(r.within, str):
            rows.append((r.name, "the set itself", *_tell(r.within["image"])))
    note = "Thresholds and probabilities come from the sets that were trained on, never from the one that is measured."
    columns = ("set", "trained on", *_METRICS)
    return Section("decisions", "Decisions", (Table("decisions", "Per image", columns, tuple(rows), note),))


def _units(results: tuple[LeftOut, ...]) -> Section:
    rows = tuple(
        (r.name, unit, m.auc, m.balanced_accuracy) for r in results for unit, m in r.across.items() if unit != "image"
    )
    table = Table("units", "Trained on the other sets", ("set", "unit", "AUC", "balanced accuracy"), rows)
    return Section("units", "Breasts and patients", (table,))


def _tell(m: Measures) -> tuple[Cell, ...]:
    return m.auc, m.balanced_accuracy, m.sensitivity, m.specificity, m.ece, m.says


def _likeness(study: SetsStudy, results: tuple[LeftOut, ...]) -> Section:
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (r.name, r.likeness if isinstance(r.likeness, Estimate) else f"not done: {r.likeness}") for r in results
    )
    note = "0.5: a classifier on the features cannot tell the set's images from the others'. See `fourview shift`."
    table = Table("likeness", "How unlike the others", ("set", "AUC of telling it from the others"), rows, note)
    return Section("likeness", "How alike the sets are", (table,))


def _warnings(study: SetsStudy, results: tuple[LeftOut, ...]) -> tuple[str, ...]:
    found = []
    sources: dict[str, str] = {}
    for name in study.names:
        own = study.features.rows.filter(pl.col("dataset") == name)
        sources[name] = " and ".join(sorted({text for text in own["label_source"].to_list() if text})) or "not said"
    if len(set(sources.values())) > 1:
        said = "; ".join(f"{name}: {source}" for name, source in sources.items())
        found.append(f"A positive is not the same in every set (truth by: {said}).")
    if study.shared:
        found.append(
            f"{study.shared} patient ids are in more than one set. They are taken for different women, as ids are per "
            "data set; if they are the same, give their sets one name."
        )
    phantom = study.features.rows["dataset"] == PHANTOM
    if phantom.any():
        found.append("One of the sets is of phantoms: nothing about it holds for real images.")
    found += study.features.card.model_copy(update={"phantoms": False}).warnings
    for r in results:
        if r.difference is not None and r.difference.high < 0:
            found.append(f"{r.name}: what was learned elsewhere does worse here than what was learned here.")
    return tuple(found)
