"""What came of a run: its networks, the held-out lesions with their probabilities, and the chosen thresholds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from torch import Tensor

from fourview.evaluate import Estimate
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.ensemble import ViewAnswer, tabulate_lesions
from fourview.studies.lesion.measures import Worth, choose_thresholds, compare_views, measure_lesions
from fourview.studies.lesion.pairs import LesionPair, pair_views
from fourview.studies.lesion.study import LesionStudy, MemberPlan
from fourview.train.trained import Trained

OF_TEST_PART = 0  # the fold, in tables, of lesions of the set's own test part


@dataclass(frozen=True, eq=False)
class MemberOutcome:
    """One trained network. answers: study.ANSWER_COLUMNS"""

    plan: MemberPlan
    trained: Trained
    tensors: Mapping[str, Tensor]
    answers: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Outcome:
    """A finished run.

    folds       that were run, from 0;  members  of all of them
    table       held-out lesions (ensemble.LESION_COLUMNS);  views  their images
    thresholds  fold, as the table has it -> what its validation lesions chose
    """

    study: LesionStudy
    folds: tuple[int, ...]
    members: tuple[MemberOutcome, ...]
    table: pl.DataFrame
    views: pl.DataFrame
    thresholds: Mapping[int, Mapping[str, float]]

    @cached_property
    def worth(self) -> tuple[Worth, ...]:
        return measure_lesions(self.table, self.thresholds)

    @cached_property
    def added(self) -> tuple[Estimate, ...]:
        """What the second view adds."""
        return compare_views(self.table)

    @property
    def area(self) -> Estimate | None:
        """AUC of all held-out lesions, by the views that they have."""
        return next(one.area for one in self.worth if one.name == "CC and MLO")

    @property
    def threshold(self) -> float:
        """The mean of those that were chosen, for lesions of others."""
        found = [own["p"] for own in self.thresholds.values() if "p" in own]
        return float(np.mean(found)) if found else 0.5


def conclude(study: LesionStudy, folds: Sequence[int], members: Sequence[MemberOutcome]) -> Outcome:
    """Probabilities of the held-out lesions, by the networks that have not seen them."""
    mean = study.recipe.ensemble.mean
    views = {(view.image, view.lesion): view for view in study.folds.views}
    tables, chosen = [], {}
    if study.recipe.split == "official":
        pairs, said = _collect(members, "test", views)
        tables.append(tabulate_lesions(pairs, said, mean=mean, fold_of=dict.fromkeys(said, OF_TEST_PART)))
    for fold in folds:
        own = [member for member in members if member.plan.fold == fold]
        pairs, said = _collect(own, "validation", views)
        validation = tabulate_lesions(pairs, said, mean=mean, fold_of=dict.fromkeys(said, fold + 1))
        chosen[fold + 1] = choose_thresholds(validation)
        if study.recipe.split == "folds":
            pairs, said = _collect(own, "test", views)
            tables.append(tabulate_lesions(pairs, said, mean=mean, fold_of=dict.fromkeys(said, fold + 1)))
    if study.recipe.split == "official":
        chosen = {OF_TEST_PART: _mean_thresholds(list(chosen.values()))}
    table = pl.concat(tables).sort("patient", "exam", "side", "lesion")
    return Outcome(study, tuple(folds), tuple(members), table, _tabulate_views(members, views), chosen)


def _collect(
    members: Iterable[MemberOutcome], part: str, views: Mapping[tuple[str, str], LesionView]
) -> tuple[tuple[LesionPair, ...], dict[str, list[ViewAnswer]]]:
    """The lesions of a part, and what each network said of each of their views."""
    answers: dict[str, list[ViewAnswer]] = defaultdict(list)
    seen: dict[str, LesionView] = {}
    for member in members:
        for row in member.answers.filter(part=part).iter_rows(named=True):
            view = views[row["image"], row["lesion"]]
            seen[view.name] = view
            answers[view.name].append(ViewAnswer(row["p"], row["logit"]))
    return pair_views(tuple(seen.values())), answers


def _tabulate_views(members: Sequence[MemberOutcome], views: Mapping[tuple[str, str], LesionView]) -> pl.DataFrame:
    """A row per held-out lesion and image: truth, and the mean over its networks."""
    answers = pl.concat([member.answers for member in members]).filter(part="test")
    means = answers.group_by("image", "lesion", "malignant", maintain_order=True).agg(
        pl.col("p").mean(), pl.col("logit").mean(), networks=pl.len()
    )
    own = [views[image, lesion] for image, lesion in means.select("image", "lesion").iter_rows()]
    return means.with_columns(
        patient=pl.Series([view.patient for view in own], dtype=pl.String),
        exam=pl.Series([view.exam for view in own], dtype=pl.String),
        side=pl.Series([view.side for view in own], dtype=pl.String),
        angle=pl.Series([view.angle for view in own], dtype=pl.String),
        kind=pl.Series([view.kind for view in own], dtype=pl.String),
    ).sort("image", "lesion")


def _mean_thresholds(chosen: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = {name for own in chosen for name in own}
    return {name: float(np.mean([own[name] for own in chosen if name in own])) for name in sorted(names)}
