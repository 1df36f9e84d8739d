"""What was looked at besides: nothing here was fixed beforehand, and nothing is confirmed by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from benchmarks.mechanism_judge import read_scores, write
from benchmarks.mechanism_pieces import Place, name_run
from benchmarks.mechanism_protocol import ARMS, EXPLORED
from fourview.evaluate import Estimate, ReaderStudy, auc_difference, compare_treatments
from fourview.evaluate.covariance import Measured, measure
from fourview.evaluate.estimate import Z_95
from fourview.evaluate.hybrid import measure_hybrid
from fourview.exam import SetupError
from fourview.phantom import plan_exam
from fourview.phantom.readers import PANEL_14, read_breasts
from fourview.phantom.truth import breast_rows

FINDING = "malignant"
READERS_SEED = 7002  # of the simulated readers


def explore(place: Place, *, trained: bool) -> list[dict[str, Any]]:
    """Rows of {"what", "estimate"}. trained: the exploratory arms were, too"""
    table, seeds = read_scores(place), place.protocol.seeds
    rows = [compare_ensemble(table, arm.name, seeds) for arm in ARMS] if len(seeds) > 1 else []
    rows += ask_readers(place, table)
    if trained:
        rows += compare_wirings(place, table)
    return [{"difficulty": place.difficulty, **row} for row in rows]


def compare_ensemble(table: pl.DataFrame, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """AUC of the mean answer of the seeds minus the mean of their AUCs: for these networks, other breasts."""
    each = np.stack([table[f"{arm}-{seed} {FINDING}"].to_numpy().astype(np.float64) for seed in seeds])
    measured = measure(table[FINDING].to_numpy(), [each.mean(axis=0), *each], cluster=table["patient"].to_numpy())
    found = measured.combine([[1.0, *[-1 / len(seeds)] * len(seeds)]])
    return {"what": f"{arm}: {len(seeds)} networks' mean answer or one network", "estimate": write(_wald(found))}


def compare_wirings(place: Place, table: pl.DataFrame) -> list[dict[str, Any]]:
    """The exploratory arms minus base, of the first seed."""
    others, seed = read_scores(place, "explored"), place.protocol.seeds[0]
    joined = table.join(others, on=["exam", "side"], how="inner", suffix=" again")
    if joined.height != table.height:
        raise SetupError(f"{place.folder}: found {joined.height} breasts in both groups, need {table.height}")
    rows = []
    for arm in EXPLORED:
        difference = auc_difference(
            joined[FINDING].to_numpy(),
            joined[f"{name_run(arm, seed)} {FINDING}"].to_numpy(),
            joined[f"base-{seed} {FINDING}"].to_numpy(),
            cluster=joined["patient"].to_numpy(),
        )
        rows.append({"what": f"{arm.name} minus base (view-wise), seed {seed}", "estimate": write(difference)})
    return rows


def ask_readers(place: Place, table: pl.DataFrame) -> list[dict[str, Any]]:
    """Fourteen simulated readers, each averaged with base (the mean answer of its seeds), minus the readers alone."""
    protocol, population = place.protocol, place.protocol.population(place.difficulty)
    plans = (plan_exam(population, seed=protocol.test.seed, index=index) for index in range(protocol.test.exams))
    breasts = [row for plan in plans for row in breast_rows(population, plan)]
    said = read_breasts(PANEL_14, breasts, rng=np.random.default_rng(READERS_SEED))
    base = pl.mean_horizontal(f"base-{seed} {FINDING}" for seed in protocol.seeds)
    answers = {(exam, side): p for exam, side, p in table.select("exam", "side", base.alias("p")).iter_rows()}
    women = np.array([row["patient"] for row in breasts])
    study = ReaderStudy(
        truth=np.array([row["malignant"] == 1 for row in breasts]),
        readers=said.scores,
        reader_names=said.names,
        models=np.array([[answers[row["exam"], row["side"]] for row in breasts]], np.float64),
        model_names=("base",),
        groups=women,
        cluster=women,
        cluster_is="patient",
    )
    measured = measure_hybrid(study, "base").measured["AUC"]
    readers = len(said.names)
    both = measured.combine(np.eye(2 * readers + 1)[: 2 * readers])
    found = compare_treatments(both).difference.estimate("AUC, hybrid minus reader", measured, is_difference=True)
    return [{"what": f"{readers} simulated readers, averaged with base, minus alone", "estimate": write(found)}]


def _wald(measured: Measured) -> Estimate:
    value, se = float(measured.values[0]), math.sqrt(max(0.0, float(measured.covariance[0, 0])))
    return Estimate(
        "AUC difference",
        value,
        value - Z_95 * se,
        value + Z_95 * se,
        se,
        measured.n,
        measured.positives,
        measured.clusters,
        "breast",
        f"paired, {measured.method}, Wald; these networks",
        measured.warnings,
    )
