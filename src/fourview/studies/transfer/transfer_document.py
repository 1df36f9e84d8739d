"""The page of a study of frozen features."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Document, Section, Table
from fourview.report.versions import package_versions
from fourview.studies.transfer.ladder_section import ladder_section, stage_section
from fourview.studies.transfer.measures import Measures
from fourview.studies.transfer.results import Results, Row
from fourview.studies.transfer.steps import NAMES
from fourview.studies.transfer.study import CONTROLS, Study

_METRICS = (
    "AUC",
    "average precision",
    "balanced accuracy",
    "sensitivity",
    "specificity",
    "Brier score",
    "calibration error",
    "in words",
)
_BEST = (
    "The best of several rows is best by luck as well: choose by something else than this table, or measure the chosen "
    "one on other patients."
)


def describe_study(study: Study, results: Results) -> Document:
    """Results, the ladder of leaks where a published stage was asked for, controls, comparisons, what was chosen."""
    plan, labels = study.plan, study.labels
    sections = [_rigorous(study, results)]
    if plan.stage is not None:
        sections = [stage_section(results), *sections, ladder_section(results)]
    sections += [_units(results), *([_controls(results)] if results.controls else [])]
    sections += [*([_comparisons(results)] if results.comparisons else []), _chosen(results)]
    return Document(
        kind="transfer",
        title="Frozen features: " + ", ".join(study.sets),
        headline=tuple(_name(row, row.measures["image"].auc) for row in results.rows[:4]),
        sections=tuple(sections),
        warnings=_warnings(study, results),
        methods=(_methods(study),),
        settings=(
            ("labels", f"{labels.name}; a positive is {labels.positive}"),
            ("left out", "; ".join(f"{n} images: {why}" for why, n in labels.left_out) or "none"),
            ("protocol", "rigorous" if plan.stage is None else plan.stage.name),
            ("folds", f"{plan.folds} outer, {plan.inner} inner, {plan.repeats} repeats, seed {plan.seed}"),
            *((f"features {name}", digest) for name, digest in study.settings["features"].items()),
        ),
        versions=package_versions(),
    )


def _warnings(study: Study, results: Results) -> tuple[str, ...]:
    found = []
    if study.plan.stage is not None and study.plan.stage.leaks:
        found.append(f"{study.plan.stage.banner}. The numbers of {study.plan.stage.name} need no signal at all.")
        found += list(study.plan.stage.leaks)
    if any(card.phantoms for card in study.cards.values()):
        found.append("These images are phantoms: nothing here holds for real ones.")
    for name, card in study.cards.items():
        if card.phantom_weights:
            found.append(f"{name}: its network saw nothing but phantoms.")
        if not card.trained:
            found.append(f"{name}: its network is untrained; a null and no more.")
    if len(results.rows) > 1:
        found.append(_BEST)
    return tuple(found)


def _rigorous(study: Study, results: Results) -> Section:
    rows = tuple((*_who(row), *_tell(row.measures["image"])) for row in results.rows)
    y = study.cases.y
    note = (
        f"{len(y)} images of {len(np.unique(study.cases.patients))} patients, {int(y.sum())} positive: "
        f"{study.labels.positive}. Decisions at the threshold that the inner folds chose. Intervals count patients, "
        "given the folds' classifiers; means over repeats."
    )
    table = Table("rigorous", "Per image", ("features", "classifier", *_METRICS), rows, note)
    return Section("rigorous", "Rigorous", (table,))


def _units(results: Results) -> Section:
    rows = tuple(
        (*_who(row), unit, *_tell(measures))
        for row in results.rows
        for unit, measures in row.measures.items()
        if unit != "image"
    )
    note = "A breast's score is the mean of its images', a patient's the largest of her breasts'."
    columns = ("features", "classifier", "unit", *_METRICS)
    table = Table("units", "Per breast and per patient", columns, rows, note)
    return Section("units", "Breasts and patients", (table,))


def _who(row: Row) -> tuple[str, str]:
    return row.features, NAMES[row.method.classifier]


def _tell(m: Measures) -> tuple[Cell, ...]:
    """In the order of _METRICS."""
    numbers = m.auc, m.average_precision, m.balanced_accuracy, m.sensitivity, m.specificity, m.brier, m.ece
    return (*numbers, m.says)


def _controls(results: Results) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for name, m in results.controls.items():
        if isinstance(m, str):
            rows.append((CONTROLS[name], None, None, f"not done: {m}"))
        else:
            rows.append((CONTROLS[name], m.auc, m.balanced_accuracy, m.says))
    note = "Rigorous, per image. Permuted labels and noise above chance would be a fault of the protocol."
    columns = ("control", "AUC", "balanced accuracy", "in words")
    return Section("controls", "Controls", (Table("controls", "Controls", columns, tuple(rows), note),))


def _comparisons(results: Results) -> Section:
    rows = tuple((e.name, e, "none" if e.p is None else e.p, holm) for e, holm in results.comparisons)
    columns = ("AUC per image", "difference", "p", "p, Holm")
    note = "Mean over the outer folds; corrected t test (Nadeau and Bengio 2003); Holm over the rows of this table."
    return Section("comparisons", "Comparisons", (Table("comparisons", "Differences", columns, rows, note),))


def _chosen(results: Results) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for row in results.rows:
        counts, overlap = _selection(row)
        settings = Counter(setting for repeat in row.repeats for setting in repeat.settings)
        often, times = settings.most_common(1)[0]
        chosen = f"C {often.value:g}" + (f", penalty {often.share:g}" if often.share else "")
        chosen += f", gamma {often.gamma:g}" if often.gamma else ""
        folds = sum(settings.values())
        unconverged = sum(repeat.unconverged for repeat in row.repeats)
        chosen += f" ({times} of {folds} folds)"
        spread = row.measures["image"].spread
        rows.append((row.features, str(row.method), counts, overlap, chosen, spread, unconverged))
    columns = ("features", "classifier", "kept", "overlap", "chosen most often", "sd of AUC", "fits not converged")
    note = (
        "Kept: fewest to most over folds. Overlap: features kept by both, of those kept by either, mean over pairs of "
        "folds (1: the same features every time). sd of the AUC: over repeats."
    )
    return Section("chosen", "What the folds chose", (Table("chosen", "Settings", columns, tuple(rows), note),))


def _selection(row: Row) -> tuple[str, float | None]:
    kept = [set(places.tolist()) for repeat in row.repeats for places in repeat.kept if places is not None]
    if not kept:
        return "all", None
    pairs = [(a, b) for place, a in enumerate(kept) for b in kept[:place]]
    overlap = float(np.mean([len(a & b) / len(a | b) for a, b in pairs])) if pairs else None
    sizes = [len(places) for places in kept]
    return f"{min(sizes)} to {max(sizes)}", overlap


def _methods(study: Study) -> str:
    plan = study.plan
    methods = "; ".join(str(method) for method in plan.methods)
    return (
        f"Features were frozen. {plan.repeats} times {plan.folds}-fold cross-validation, stratified, all images of a "
        f"patient in one fold. Within the training folds: scaling, {methods}; settings by the mean AUC of {plan.inner} "
        "inner folds by patient, thresholds (largest sensitivity + specificity) and Platt's map from their "
        "out-of-fold scores. 95 % intervals keep patients together and are means over repeats; differences by the "
        "corrected t test of repeated cross-validation (Nadeau and Bengio 2003) with Holm's correction."
    )


def _name(row: Row, estimate: Estimate) -> Estimate:
    return replace(estimate, name=f"AUC, {row.features}, {NAMES[row.method.classifier]}")
