"""What a run concludes from its networks' answers."""

from __future__ import annotations

import math
from typing import Any, cast

import polars as pl
import pytest

from fourview.store.store import Store
from fourview.studies.lesion.folds import LesionFolds, divide_lesions
from fourview.studies.lesion.outcome import MemberOutcome, Outcome, conclude
from fourview.studies.lesion.start import Start
from fourview.studies.lesion.study import ANSWER_COLUMNS, LesionStudy, MemberPlan
from fourview.train.trained import Trained
from tests.studies.planted_lesions import planted_recipe
from tests.studies.test_lesion_folds import many


def study_of(folds: LesionFolds, *settings: str) -> LesionStudy:
    recipe = planted_recipe(f"split={folds.split}", f"folds={folds.count}", *settings)
    return LesionStudy(recipe, cast(Store, None), folds, "0" * 64, Start(), about="")


def answer(study: LesionStudy, plan: MemberPlan, *, malignant: float, benign: float) -> MemberOutcome:
    """A network that knows the truth, and says these probabilities."""
    rows: list[dict[str, Any]] = []
    for part in ("validation", "test"):
        for view in study.views_of(plan, part):
            p = malignant if view.malignant else benign
            said = {"p": p, "logit": math.log(p / (1 - p))}
            rows.append({"image": view.image, "lesion": view.lesion, "part": part, "malignant": view.malignant, **said})
    table = pl.DataFrame(rows, schema=ANSWER_COLUMNS, orient="row")
    return MemberOutcome(plan, cast(Trained, None), {}, table)


def run(study: LesionStudy, folds: tuple[int, ...], *p: tuple[float, float]) -> Outcome:
    """Each network says its pair of probabilities."""
    plans = study.plan(folds)
    members = [answer(study, plan, malignant=m, benign=b) for plan, (m, b) in zip(plans, p, strict=True)]
    return conclude(study, folds, members)


def test_every_lesion_is_judged_by_the_networks_of_the_fold_that_held_it_out() -> None:
    study = study_of(divide_lesions(many(30), folds=3))
    outcome = run(study, (0, 1, 2), (0.9, 0.1), (0.8, 0.2), (0.7, 0.3))
    assert outcome.table.height == 30
    for fold, p in ((1, 0.9), (2, 0.8), (3, 0.7)):
        own = outcome.table.filter(pl.col("malignant"), pl.col("fold") == fold)
        assert own["p"].to_list() == pytest.approx([p] * own.height)
    assert outcome.area is not None
    assert outcome.area.value == 1
    assert {fold: own["p"] for fold, own in outcome.thresholds.items()} == pytest.approx({1: 0.9, 2: 0.8, 3: 0.7})
    assert outcome.threshold == pytest.approx(0.8)
    assert all(one.at_chosen["accuracy"].value == 1 for one in outcome.worth)


def test_the_official_test_part_is_judged_by_the_networks_of_all_folds() -> None:
    lesions = many(40, official=("train", "train", "train", "test"))
    study = study_of(divide_lesions(lesions, split="official", folds=3))
    outcome = run(study, (0, 1, 2), (0.9, 0.1), (0.8, 0.2), (0.7, 0.6))
    assert outcome.table.height == 10
    assert set(outcome.table["fold"]) == {0}
    assert outcome.table.filter("malignant")["p"].to_list() == pytest.approx([0.8] * 4)
    assert outcome.table.filter(~pl.col("malignant"))["p"].to_list() == pytest.approx([0.3] * 6)
    assert outcome.thresholds[0]["p"] == pytest.approx(0.8)
    assert set(outcome.views["networks"]) == {3}


def test_seeds_and_separate_views_are_averaged() -> None:
    study = study_of(divide_lesions(many(30), folds=3), "ensemble.seeds=2", "ensemble.views=separate")
    outcome = run(study, (0,), (0.9, 0.1), (0.5, 0.1), (0.7, 0.1), (0.6, 0.1))  # CC, MLO of each seed
    own = outcome.table.filter("malignant").row(0, named=True)
    assert (own["p_cc"], own["p_mlo"], own["p"]) == pytest.approx((0.8, 0.55, 0.675))
