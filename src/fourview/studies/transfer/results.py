"""Every number of a study, from its pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from fourview.evaluate import Estimate
from fourview.studies.transfer.candidates import Candidate
from fourview.studies.transfer.cases import UNITS, Cases, Unit
from fourview.studies.transfer.choice import CHOSEN, Choice, make_choice
from fourview.studies.transfer.compare import adjust_holm, choose_pairs, compare_areas
from fourview.studies.transfer.measures import Measures, mark, measure
from fourview.studies.transfer.nested import Repeat, UnitScores
from fourview.studies.transfer.pieces import Altered, Piece, read_repeat, read_scored
from fourview.studies.transfer.stages import Stage, climb, open_one
from fourview.studies.transfer.steps import Method
from fourview.studies.transfer.study import Study


@dataclass(frozen=True, eq=False)
class Row:
    """A feature set under a classifier, rigorously. repeats: what was said, for comparisons and for scores.csv."""

    features: str
    method: Method
    measures: Mapping[Unit, Measures]
    repeats: tuple[Repeat, ...]


@dataclass(frozen=True, eq=False)
class StageRow:
    """A stage. cv: (mean, sd) over repeats and folds of the unshuffled cross-validation, or None."""

    features: str
    method: Method
    stage: Stage
    measures: Measures
    kept: float
    synthetic_share: float
    cv: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Results:
    """All numbers. ladder, noise_ladder: the steps of `climb`; alone: of `open_one`; controls: measures, or why not.

    choice  among what `screen` could read, by inner folds; None where there are not two of these
    """

    rows: tuple[Row, ...]
    stages: tuple[StageRow, ...] = ()
    ladder: tuple[StageRow, ...] = ()
    noise_ladder: tuple[StageRow, ...] = ()
    alone: tuple[StageRow, ...] = ()
    controls: Mapping[str, Measures | str] = field(default_factory=dict)
    comparisons: tuple[tuple[Estimate, float], ...] = ()
    choice: Choice | None = None


def gather(study: Study, pieces: Mapping[str, Piece]) -> Results:
    """Every number of the study from its pieces."""
    plan, repeats = study.plan, range(study.plan.repeats)
    rows = []
    for name in study.sets:
        for method in plan.methods:
            own = [pieces[study.task(name, method, r).key] for r in repeats]
            measures = {unit: measure([read_scored(piece, unit) for piece in own], unit=unit) for unit in UNITS}
            rows.append(Row(name, method, measures, tuple(read_repeat(piece) for piece in own)))
    controls: dict[str, Measures | str] = {}
    for control in study.controls:
        own = [pieces[study.control(control, r).key] for r in repeats]
        problems = [piece["problem"] for piece in own if "problem" in piece]
        controls[control] = problems[0] if problems else measure([read_scored(piece) for piece in own])

    def stage_row(name: str, method: Method, stage: Stage, altered: Altered = "") -> StageRow:
        own = [pieces[study.task(name, method, r, stage=stage, altered=altered).key] for r in repeats]
        return _stage_row(name, method, stage, own)

    compared, choice = _compare(study.cases, rows), _choose(study, rows, pieces)
    if plan.stage is None:
        return Results(tuple(rows), controls=controls, comparisons=compared, choice=choice)
    smote, (name, method) = plan.stage.smote, study.leading
    asked = tuple(stage_row(n, m, plan.stage) for n in study.sets for m in plan.methods)
    ladder = tuple(stage_row(name, method, stage) for stage in climb(smote=smote))
    noise = tuple(stage_row(name, method, stage, "noise") for stage in climb(smote=smote))
    alone = tuple(stage_row(name, method, stage) for stage in open_one(smote=smote))
    return Results(tuple(rows), asked, ladder, noise, alone, controls, compared, choice)


def _choose(study: Study, rows: Sequence[Row], pieces: Mapping[str, Piece]) -> Choice | None:
    candidates = study.candidates
    if len(candidates) < 2:
        return None
    said = {Candidate(row.features, row.method): row.repeats for row in rows}
    whole = [pieces[study.whole(candidate).key]["inner_auc"] for candidate in candidates]
    return make_choice(study.cases, candidates, [said[candidate] for candidate in candidates], whole)


def _stage_row(name: str, method: Method, stage: Stage, pieces: Sequence[Piece]) -> StageRow:
    folds = [value for piece in pieces for value in piece["cv"]]
    cv = (float(np.mean(folds)), float(np.std(folds, ddof=1))) if len(folds) > 1 else None
    synthetic = float(np.mean([piece["synthetic"] / len(piece["truth"]["y"]) for piece in pieces]))
    measures = measure([read_scored(piece) for piece in pieces])
    marked = mark(measures, stage.banner, unit="image" if synthetic == 0 else "test row")
    return StageRow(name, method, stage, marked, float(np.mean([piece["kept"] for piece in pieces])), synthetic, cv)


def _compare(cases: Cases, rows: Sequence[Row]) -> tuple[tuple[Estimate, float], ...]:
    """Differences of AUC per image with Holm's p."""
    names = [f"{row.features}, {row.method.classifier}" for row in rows]
    said = [[repeat.units["image"] for repeat in row.repeats] for row in rows]
    found = [
        compare_areas(cases.y, cases.patients, said[a], said[b], name=f"{names[a]} minus {names[b]}", unit="image")
        for a, b in choose_pairs(names)
    ]
    return tuple(zip(found, adjust_holm([e.p for e in found if e.p is not None]), strict=True))


def tabulate_scores(study: Study, results: Results) -> pl.DataFrame:
    """One row per image and row of the results: truth, and the means over repeats of score and probability.

    The choice by inner folds stands below, its score being the probability.
    """
    images = study.first.rows.select("image", "exam", "side", "view")
    tables = []
    said_by: list[tuple[str, str, list[UnitScores]]] = [
        (row.features, row.method.classifier, [r.units["image"] for r in row.repeats]) for row in results.rows
    ]
    if results.choice is not None:
        said_by.append((CHOSEN, "", [units["image"] for units in results.choice.repeats]))
    for features, classifier, said in said_by:
        tables.append(
            images.with_columns(
                pl.lit(features).alias("features"),
                pl.lit(classifier).alias("classifier"),
                pl.Series("truth", study.cases.y),
                pl.Series("score", np.mean([s.score for s in said], axis=0)),
                pl.Series("probability", np.mean([s.probability for s in said], axis=0)),
                pl.Series("called_share", np.mean([s.called for s in said], axis=0)),
            )
        )
    return pl.concat(tables)
