"""Answers about views -> answers about lesions: the mean over networks, then over the views that a lesion has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.pairs import LesionPair

Mean = Literal["probability", "logit"]
LESION_COLUMNS: dict[str, Any] = {
    "patient": pl.String,
    "exam": pl.String,
    "side": pl.String,
    "lesion": pl.String,
    "kind": pl.String,
    "malignant": pl.Boolean,
    "fold": pl.Int64,  # from 1, that was held out; 0: the set's own test part
    "disputed": pl.Boolean,
    "p_cc": pl.Float64,
    "p_mlo": pl.Float64,
    "p": pl.Float64,
}


@dataclass(frozen=True)
class ViewAnswer:
    """One network's answer about one view."""

    p: float
    logit: float


def mean_answers(answers: Sequence[ViewAnswer], mean: Mean) -> float:
    """The mean of probabilities, or the probability of the mean logit; NaN of none."""
    if not answers:
        return float("nan")
    if mean == "probability":
        return float(np.mean([one.p for one in answers]))
    return float(1 / (1 + np.exp(-np.mean([one.logit for one in answers]))))


def join_views(pair: LesionPair, answers: Mapping[str, Sequence[ViewAnswer]], mean: Mean) -> tuple[float, float, float]:
    """Probabilities that a lesion is malignant by its CC views, its MLO views, and both.

    answers  name of a view -> what each network said of it;  mean  of what. A missing angle is NaN, and the other one
             alone is then the answer; angles count alike, whatever the number of their images.
    """
    of_angle = {
        angle: [_merge(answers[view.name]) for view in pair.views if view.angle == angle] for angle in ("CC", "MLO")
    }
    each = [_merge(said) for said in of_angle.values() if said]
    cc, mlo = (mean_answers([_merge(said)] if said else [], mean) for said in of_angle.values())
    return cc, mlo, mean_answers(each, mean)


def tabulate_lesions(
    pairs: Sequence[LesionPair],
    answers: Mapping[str, Sequence[ViewAnswer]],
    *,
    mean: Mean,
    fold_of: Mapping[str, int],
) -> pl.DataFrame:
    """A row per lesion (LESION_COLUMNS). fold_of: name of a view -> the table's number of the fold that held it out"""
    rows = []
    for pair in pairs:
        cc, mlo, both = join_views(pair, answers, mean)
        first: LesionView = pair.views[0]
        rows.append(
            {
                "patient": pair.key.patient,
                "exam": pair.key.exam,
                "side": pair.key.side,
                "lesion": pair.key.lesion,
                "kind": first.kind,
                "malignant": pair.malignant,
                "fold": fold_of[first.name],
                "disputed": pair.disputed,
                "p_cc": None if np.isnan(cc) else cc,
                "p_mlo": None if np.isnan(mlo) else mlo,
                "p": both,
            }
        )
    return pl.DataFrame(rows, schema=LESION_COLUMNS, orient="row")


def _merge(answers: Sequence[ViewAnswer]) -> ViewAnswer:
    """One answer of several."""
    return ViewAnswer(float(np.mean([one.p for one in answers])), float(np.mean([one.logit for one in answers])))
