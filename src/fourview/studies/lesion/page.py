"""A lesion run as a document: held-out lesions by view, what the second view adds, the networks, and the recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from fourview.evaluate import rank_in_folds
from fourview.evaluate.question import Question
from fourview.report.document import Cell, Document, Figure, Section, Table, estimate_table
from fourview.report.meaning import in_words
from fourview.report.plots import Line, draw_roc
from fourview.report.training_document import write_setting
from fourview.report.training_pictures import PATCH as PICTURE
from fourview.report.training_pictures import TrainingInput, draw_inputs
from fourview.report.versions import package_versions
from fourview.studies.lesion.lesion_input import PATCH
from fourview.studies.lesion.measures import ANSWERS, UNIT, Worth
from fourview.studies.lesion.outcome import MemberOutcome, Outcome
from fourview.studies.lesion.study import member_area
from fourview.train.stage import Sample

_STOPPED = {"epochs": "all its epochs", "patience": "no gain for as long as the recipe waits"}
_PUBLISHED = (
    "Yi et al. 2017 (arXiv 1705.06362) report an accuracy of .85 and an AUC of .91 for CC and MLO together, on a part "
    "of DDSM that is not public: a comparison, and no target."
)
_POOLED = "Folds are put together: each lesion is judged by networks that have not seen its patient."


def describe_run(outcome: Outcome, samples: Sequence[Sample]) -> Document:
    """The page of a finished run. samples: some training crops as the networks see them"""
    recipe, study = outcome.study.recipe, outcome.study
    headline = [one.area for one in outcome.worth if one.area is not None][:3]
    pictures = tuple(
        TrainingInput(one.name, ("malignant" if one.targets[0] else "benign",), {PICTURE: one.inputs[PATCH]})
        for one in samples
    )
    return Document(
        kind="lesions",
        title=f"Benign or malignant: recipe {recipe.name} on {study.about}",
        headline=tuple(headline),
        sections=(
            _held_out(outcome),
            _networks(outcome),
            Section("inputs", "Inputs", (draw_inputs(pictures, synthetic=study.phantoms),)),
            Section("recipe", "Recipe", (_recipe(outcome),)),
        ),
        warnings=tuple(_warn(outcome)),
        settings=(
            ("data", study.about),
            ("lesions SHA-256 (outlines, pixels, truth)", study.hash),
            ("recipe SHA-256", recipe.hash),
            ("start", f"{study.start.name} {study.start.hash}".strip() or "drawn values"),
        ),
        versions=package_versions(),
    )


def worth_table(name: str, title: str, worth: Sequence[Worth], *, note: str = "") -> Table:
    """A row per kind of answer: lesions, AUC, accuracy at 1/2, and what the validation threshold does."""
    columns = ("", "lesions", "AUC", "accuracy at .5", "accuracy", "sensitivity", "specificity")
    rows: list[tuple[Cell, ...]] = [
        (
            one.name,
            one.lesions,
            one.area,
            one.at_half.get("accuracy"),
            *(one.at_chosen.get(what) for what in ("accuracy", "sensitivity", "specificity")),
        )
        for one in worth
    ]
    return Table(name, title, columns, tuple(rows), note)


def _warn(outcome: Outcome) -> Iterator[str]:
    study = outcome.study
    if study.phantoms:
        yield "Learned and measured on phantoms only: nothing here is about women."
    if len(outcome.folds) < study.folds.count and study.recipe.split == "folds":
        yield f"{len(outcome.folds)} of {study.folds.count} folds: the other lesions were not tested."
    disputed = int(outcome.table["disputed"].sum())
    if disputed:
        yield (
            f"{disputed} lesions are disputed: the set gives the other view of the same number another pathology, so "
            "that each view is a lesion of its own (lesions.csv, column disputed)."
        )


def _held_out(outcome: Outcome) -> Section:
    table = outcome.table
    note = (
        "The last three columns: at the threshold with the largest sensitivity + specificity on the validation lesions "
        "of each fold. Of CC and MLO: the mean, or the one view that a lesion has."
    )
    parts: list[Table | Figure] = [worth_table("held_out", "Held-out lesions", outcome.worth, note=note)]
    if outcome.added:
        parts.append(estimate_table("added", "What the second view adds, lesions with both views", outcome.added))
    parts += _roc(outcome)
    if (disputed := table.filter("disputed")).height:
        rows = tuple(
            (str(one), str(side), "malignant" if yes else "benign")
            for one, side, yes in disputed.select("lesion", "side", "malignant").iter_rows()
        )
        parts.append(Table("disputed", "Lesions whose views disagree", ("lesion", "side", "this view says"), rows))
    patients, paired = table["patient"].n_unique(), _paired(table).height
    text = (
        f"{table.height:,} lesions of {patients:,} patients, {int(table['malignant'].sum()):,} malignant; {paired:,} "
        f"have both views. {_POOLED if outcome.study.recipe.split == 'folds' else 'The test part is the set’s own.'}",
        _PUBLISHED,
    )
    return Section("held_out", "Held-out lesions", tuple(parts), text)


def _paired(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(pl.col("p_cc").is_not_null() & pl.col("p_mlo").is_not_null())


def _roc(outcome: Outcome) -> Iterator[Figure]:
    lines, data = [], {}
    for column, name in ANSWERS.items():
        rows = _paired(outcome.table)
        if 0 < rows["malignant"].sum() < rows.height:
            asked = Question(
                f"AUC, {name}",
                UNIT,
                rows["malignant"].to_numpy(),
                rank_in_folds(rows[column].to_numpy(), rows["fold"].to_numpy()),
                rows["patient"].to_numpy().astype(np.str_),
            )
            roc = asked.roc
            lines.append(Line(f"{name} {asked.area.value:.3f}", roc.x.tolist(), roc.y.tolist()))
            data[name] = {"one_minus_specificity": roc.x.tolist(), "sensitivity": roc.y.tolist()}
    if lines:
        caption = "Lesions with both views, by their ranks within folds; the numbers are areas."
        yield Figure("roc", "ROC curves by view", draw_roc(lines), caption, data)


def _networks(outcome: Outcome) -> Section:
    rows: list[tuple[Cell, ...]] = [_row(outcome, member) for member in outcome.members]
    counted = ("train", "validation", "test")
    columns = ("network", *counted, "epochs", "kept", "it ended after", "validation AUC", "test AUC", "time")
    note = "Lesion images, and AUCs of single images: validation chose the epoch, so it flatters."
    study = outcome.study
    counts = sum(tensor.numel() for name, tensor in outcome.members[0].tensors.items() if not _is_statistic(name))
    facts: tuple[tuple[str, Cell], ...] = (
        ("architecture", study.recipe.network.architecture),
        ("numbers that each network has", counts),
        *(("note", note) for note in study.notes),
        ("threshold for lesions of others", outcome.threshold),
        ("on", outcome.members[0].trained.on),
    )
    return Section(
        "networks",
        "Networks",
        (
            Table("members", "Networks", columns, tuple(rows), note),
            Table("facts", "The run", ("what", "value"), facts),
        ),
        text=("The numbers of every epoch are in history.csv of each network's folder.",),
    )


def _row(outcome: Outcome, member: MemberOutcome) -> tuple[Cell, ...]:
    study, plan, done = outcome.study, member.plan, member.trained
    counts = [len(study.views_of(plan, part)) for part in ("train", "validation", "test")]
    area = member_area(member.answers)
    return (
        plan.name,
        *counts,
        done.history.height,
        done.best_epoch,
        _STOPPED[done.stopped],
        float(done.best.metrics["auc"]),
        None if math.isnan(area) else area,
        in_words(done.seconds),
    )


def _recipe(outcome: Outcome) -> Table:
    rows = tuple((name, write_setting(value)) for name, value in outcome.study.recipe.flat().items())
    return Table("recipe", "All values", ("field", "value"), rows)


def _is_statistic(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))
