"""The page of a study of frozen features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Document, Section, Table
from fourview.report.versions import package_versions
from fourview.studies.transfer.cases import Unit
from fourview.studies.transfer.choice import CHOSEN
from fourview.studies.transfer.choice_out import Written
from fourview.studies.transfer.choice_section import choice_section
from fourview.studies.transfer.ladder_section import ladder_section, stage_section
from fourview.studies.transfer.measures import Measures
from fourview.studies.transfer.results import Results, Row
from fourview.studies.transfer.steps import NAMES
from fourview.studies.transfer.study import CONTROLS, Study

_WHO = ("features", "classifier")
_DECISIONS = ("AUC", "balanced accuracy", "sensitivity", "specificity", "in words")
_PROBABILITIES = ("average precision", "Brier score", "calibration error", "sd of AUC over repeats")
_BEST = "The largest of several rows is the largest by luck as well: "
_CHOICE = f"what choosing among them is worth is the row “{CHOSEN}”."
_NO_CHOICE = "choose by something else than this table, or measure the chosen one on other patients."


def describe_study(study: Study, results: Results, written: Written) -> Document:
    """Results, the classifier that was written, the ladder of leaks where a published stage was asked for, controls,
    comparisons, what was chosen.
    """
    plan, labels = study.plan, study.labels
    sections = [_rigorous(study, results)]
    if plan.stage is not None:
        sections = [stage_section(results), *sections, ladder_section(results)]
    sections += [
        _units(results),
        choice_section(study, results.choice, written),
        *([_controls(results)] if results.controls else []),
    ]
    sections += [*([_comparisons(results)] if results.comparisons else []), _chosen(results)]
    return Document(
        kind="transfer",
        title="Frozen features: " + ", ".join(study.sets),
        headline=_headline(results),
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
        if card.known:
            who = "images" if card.phantoms else "women"
            found.append(f"{name}: its network has learned from {card.known} of these {who}: that flatters it.")
        if not card.trained:
            what = "its network is untrained" if card.weights else "its numbers were drawn"
            found.append(f"{name}: {what}; a null and no more.")
    if len(results.rows) > 1:
        found.append(_BEST + (_NO_CHOICE if results.choice is None else _CHOICE))
    return tuple(found)


def _rigorous(study: Study, results: Results) -> Section:
    y = study.cases.y
    note = (
        f"{len(y)} images of {len(np.unique(study.cases.patients))} patients, {int(y.sum())} positive: "
        f"{study.labels.positive}. Decisions at the threshold that the inner folds chose. Intervals count patients, "
        "given the folds' classifiers; means over repeats."
    )
    if results.choice is not None:
        note += f" “{CHOSEN}”: see the section on the classifier for fourview screen."
    return Section("rigorous", "Rigorous", _tabulate(results, "image", note=note))


def _units(results: Results) -> Section:
    breasts = _tabulate(results, "breast", note="A breast's score is the mean of its images'.")
    patients = _tabulate(results, "patient", note="A patient's score is the largest of her breasts'.")
    return Section("units", "Breasts and patients", (*breasts, *patients))


def _tabulate(results: Results, unit: Unit, *, note: str) -> tuple[Table, Table]:
    """Ranks and decisions, with the note; probabilities."""
    own = [(who, measures[unit]) for who, measures in _all_rows(results)]
    decisions = tuple(
        (*who, m.auc, m.balanced_accuracy, m.sensitivity, m.specificity, m.says or None) for who, m in own
    )
    probabilities = tuple(
        (*who, m.average_precision, m.brier, m.ece, None if np.isnan(m.spread) else round(m.spread, 3))
        for who, m in own
    )
    return (
        Table(f"rigorous_{unit}", f"Per {unit}", (*_WHO, *_DECISIONS), decisions, note),
        Table(f"probabilities_{unit}", f"Per {unit}, probabilities", (*_WHO, *_PROBABILITIES), probabilities),
    )


def _all_rows(results: Results) -> list[tuple[tuple[str, str], Mapping[Unit, Measures]]]:
    """(features, classifier) and measures: of the choice by inner folds first, of each row."""
    rows = [((row.features, NAMES[row.method.classifier]), row.measures) for row in results.rows]
    choice = results.choice
    return rows if choice is None else [((CHOSEN, f"one of {len(choice.candidates)}"), choice.measures), *rows]


def _controls(results: Results) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for name, m in results.controls.items():
        if isinstance(m, str):
            rows.append((CONTROLS[name], None, None, f"not done: {m}"))
        else:
            rows.append((CONTROLS[name], m.auc, m.balanced_accuracy, m.says))
    note = (
        "Rigorous, per image. Permuted labels and noise above chance in many such runs would be a fault of the "
        "protocol; in one it can be luck."
    )
    columns = ("control", "AUC", "balanced accuracy", "in words")
    return Section("controls", "Controls", (Table("controls", "Controls", columns, tuple(rows), note),))


def _comparisons(results: Results) -> Section:
    rows = tuple((e.name, e, None if np.isnan(holm) else round(holm, 3)) for e, holm in results.comparisons)
    columns = ("AUC per image", "difference", "p, Holm")
    note = (
        "Mean over the outer folds, while the table above pools them. The less sure of the corrected t test (Nadeau "
        "and Bengio 2003) and of the paired difference clustered by patient; Holm over the rows of this table."
    )
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
        rows.append(
            (row.features, str(row.method), counts, None if overlap is None else round(overlap, 2), chosen, unconverged)
        )
    columns = ("features", "classifier", "kept", "overlap", "chosen most often", "fits not converged")
    note = (
        "Kept: fewest to most over folds. Overlap: features kept by both, of those kept by either, mean over pairs of "
        "folds (1: the same features every time)."
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
    choice = ""
    if len(study.candidates) > 1:
        choice = (
            f" Among {len(study.candidates)} feature sets and classifiers the mean AUC of the inner folds chose one in "
            "each outer fold, whose probabilities and decisions were measured, and by all images the one that was kept."
        )
    return (
        f"Features were frozen. {plan.repeats} times {plan.folds}-fold cross-validation, stratified, all images of a "
        f"patient in one fold. Within the training folds: scaling, {methods}; settings by the mean AUC of {plan.inner} "
        "inner folds by patient, thresholds (largest sensitivity + specificity) and Platt's map from their "
        "out-of-fold scores. 95 % intervals keep patients together and are means over repeats; they count who was "
        "tested and not who was learned from, so in drawn sets of 30 to 108 patients about 90 in 100 of those of the "
        "AUC held what they should; differences by the less sure of the corrected t test of repeated cross-validation "
        "(Nadeau and Bengio 2003) and the paired difference clustered by patient, with Holm's correction." + choice
    )


def _headline(results: Results) -> tuple[Estimate, ...]:
    """The AUC of the choice, else of the first row, and of a few rows more."""
    return tuple(
        replace(measures["image"].auc, name=f"AUC, {features}, {classifier}")
        for (features, classifier), measures in _all_rows(results)[:4]
    )
