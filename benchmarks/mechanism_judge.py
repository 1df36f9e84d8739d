"""What the test breasts say: AUCs of the arms, differences of the contrasts, and what nobody can beat.

A difference of two arms is measured on the same breasts. Its interval holds for other breasts and other seeds: the
variance is that between the seeds' differences over their number, plus the covariance of two seeds' differences over
breasts (Obuchowski and Rockette 1995, degrees of freedom of Hillis 2007: seeds stand where readers stand).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.mechanism_pieces import Place, name_run
from benchmarks.mechanism_protocol import ARMS, CONTRASTS, Arm, Contrast
from fourview.evaluate import Estimate, auc, auc_difference, average_over_readers, compare_treatments
from fourview.evaluate.covariance import measure
from fourview.exam import FINDINGS, Finding, SetupError
from fourview.phantom import Recipe as Population
from fourview.phantom import plan_exam
from fourview.phantom.ceiling import rate_exam
from fourview.phantom.recipe_card import find_card

Floats = NDArray[np.float64]
Verdict = Literal["confirmed", "not shown", "reversed"]
_BY_NAME = {arm.name: arm for arm in ARMS}


def read_scores(place: Place, group: str = "arms") -> pl.DataFrame:
    """One row per test breast, see mechanism_reading. Raises SetupError if exams are missing or twice there."""
    table = pl.concat([pl.read_parquet(place.scores(group, block)) for block in range(place.blocks)])
    exams = table["exam"].n_unique()
    if exams != place.protocol.test.exams or table.height != 2 * exams:
        raise SetupError(f"{place.folder}: found {table.height} breasts of {exams} exams; need each test exam once")
    return table


def judge(place: Place) -> dict[str, Any]:
    """All rows of one difficulty. The first finding of a contrast, malignant, is what was fixed beforehand."""
    table, population = read_scores(place), place.protocol.population(place.difficulty)
    seeds = place.protocol.seeds
    return {
        "difficulty": place.difficulty,
        "arms": [measure_arm(table, arm, seeds, finding) for finding in FINDINGS[::-1] for arm in ARMS],
        "contrasts": [
            compare_arms(table, contrast, seeds, finding, population=population)
            for finding in FINDINGS[::-1]
            for contrast in CONTRASTS
        ],
        "ceilings": find_ceilings(place, table),
    }


def measure_arm(table: pl.DataFrame, arm: Arm, seeds: Sequence[int], finding: Finding) -> dict[str, Any]:
    """The mean AUC of an arm over its seeds; with one seed, that one's."""
    scores = _scores(table, arm.name, seeds, finding)
    truth, women = table[finding].to_numpy(), table["patient"].to_numpy()
    name = f"AUC {arm.name} {finding}"
    each = [auc(truth, one, cluster=women, name=name) for one in scores]
    found = each[0]
    if len(seeds) > 1:
        measured = measure(truth, scores, cluster=women)
        mean = average_over_readers(measured.values, measured.covariance)
        found = _in_seeds(mean.estimate(name, measured, is_difference=False))
    return {"arm": arm.name, "finding": finding, "estimate": write(found), "seeds": [one.value for one in each]}


def compare_arms(
    table: pl.DataFrame, contrast: Contrast, seeds: Sequence[int], finding: Finding, *, population: Population
) -> dict[str, Any]:
    """First arm minus second: of each seed, and of the mean over seeds with an interval for other seeds and breasts."""
    first, second = (_scores(table, name, seeds, finding) for name in (contrast.first, contrast.second))
    truth, women = table[finding].to_numpy(), table["patient"].to_numpy()
    name = f"AUC {finding}, {contrast.first} minus {contrast.second}"
    each = [auc_difference(truth, a, b, cluster=women, name=name) for a, b in zip(first, second, strict=True)]
    found = each[0]
    if len(seeds) > 1:
        measured = measure(truth, np.concatenate([second, first]), cluster=women)
        found = _in_seeds(compare_treatments(measured).difference.estimate(name, measured, is_difference=True))
    return {
        "contrast": contrast.name,
        "finding": finding,
        "first": contrast.first,
        "second": contrast.second,
        "estimate": write(found),
        "seeds": [write(one) for one in each],
        "verdict": decide(found),
        "drivers": {driver: find_value(population, driver) for driver in contrast.drivers},
        "why": contrast.why,
    }


def decide(difference: Estimate) -> Verdict:
    """Against the direction that was fixed beforehand: the first arm is better."""
    if difference.low > 0:
        return "confirmed"
    return "reversed" if difference.high < 0 else "not shown"


def find_ceilings(place: Place, table: pl.DataFrame) -> dict[str, Any]:
    """Per finding: the exact ceiling of the population, and what its observer reaches on these very breasts."""
    population, draw = place.protocol.population(place.difficulty), place.protocol.test
    plans = [plan_exam(population, seed=draw.seed, index=index) for index in range(draw.exams)]
    card = find_card(population)
    keys = list(table.select("exam", "side").iter_rows())
    women = table["patient"].to_numpy()
    ceilings: dict[str, Any] = {}
    for finding in FINDINGS[::-1]:
        planted, labels = {}, {}
        for plan in plans:
            rated = rate_exam(population, plan, finding)
            for side, breast in plan.breasts.items():
                planted[plan.name, side.value] = rated[side]
                labels[plan.name, side.value] = int(getattr(breast, finding))
        if [labels.get(key) for key in keys] != table[finding].to_list():
            raise SetupError(f"{place.folder}: found other labels than were planned; need what was drawn")
        reached = auc([labels[key] for key in keys], [planted[key] for key in keys], cluster=women)
        ceilings[finding] = {"exact": card["ceilings"][f"breast {finding} vs rest"], "here": write(reached)}
    return ceilings


def find_value(population: Population, driver: str) -> float:
    """A field of the population's recipe; "level" is what its difficulty sets."""
    value: Any = population
    for part in driver.split("."):
        value = getattr(value, part)
    return float(value)


def write(estimate: Estimate) -> dict[str, Any]:
    """As JSON: what is no number is None."""
    values = asdict(estimate)
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _scores(table: pl.DataFrame, arm: str, seeds: Sequence[int], finding: Finding) -> Floats:
    """(seeds, breasts)"""
    columns = [table[f"{name_run(_BY_NAME[arm], seed)} {finding}"] for seed in seeds]
    return np.stack([column.to_numpy().astype(np.float64) for column in columns])


def _in_seeds(estimate: Estimate) -> Estimate:
    """Seeds are not readers, whatever the method calls them."""
    return replace(estimate, method=estimate.method.replace("random readers", "random seeds"))
