"""Simulated readers: as good, as alike and as silent as those of the public study; the study tool takes their table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError
from fourview.phantom.population import plan_exam
from fourview.phantom.readers import (
    PANEL_14,
    STEPS,
    Panel,
    Reader,
    assess_probability,
    at_mean_auc,
    draw_panel,
    expect_auc,
    read_breasts,
)
from fourview.phantom.recipe import load_recipe
from fourview.phantom.truth import breast_rows, write_truth

DOCS = Path(__file__).parents[2] / "docs" / "phantoms.md"
Breasts = tuple[Mapping[str, Any], ...]


@lru_cache
def study_breasts(seed: int) -> Breasts:
    """720 exams as in the public study: half followed by biopsies, half not."""
    enriched, screening = load_recipe("enriched"), load_recipe("screening")
    rows = [row for i in range(360) for row in breast_rows(enriched, plan_exam(enriched, seed=seed, index=i))]
    index = taken = 0
    while taken < 360:
        plan = plan_exam(screening, seed=seed, index=index)
        index += screening.women.rounds
        if not any(breast.biopsied for breast in plan.breasts.values()):
            taken += 1
            rows += breast_rows(screening, plan, exam=f"without biopsy {index}")
    return tuple(rows)


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    ranks = stats.rankdata(scores)
    positives = truth.sum()
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (~truth).sum()))


def measure(scores: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    areas = [auc(own, truth) for own in scores]
    healthy, ill = (np.corrcoef(scores[:, truth == label]) for label in (False, True))
    pairs = tuple(np.array(list(combinations(range(len(scores)), 2))).T)
    return {
        "mean AUC": float(np.mean(areas)),
        "sd of AUCs": float(np.std(areas)),
        "AUC of the mean": auc(scores.mean(axis=0), truth),
        "correlation, healthy": float(healthy[pairs].mean()),
        "correlation, malignant": float(ill[pairs].mean()),
        "zeros, healthy": float((scores[:, ~truth] == 0).mean()),
        "zeros, malignant": float((scores[:, truth] == 0).mean()),
        "mean, healthy": float(scores[:, ~truth].mean()),
        "mean, malignant": float(scores[:, truth].mean()),
    }


REAL = {  # of the public study, and how far a simulated one of its size may lie off
    "mean AUC": (0.779, 0.05),
    "sd of AUCs": (0.044, 0.015),
    "AUC of the mean": (0.895, 0.05),
    "correlation, healthy": (0.387, 0.10),
    "correlation, malignant": (0.635, 0.16),
    "zeros, healthy": (0.783, 0.02),
    "zeros, malignant": (0.313, 0.09),
    "mean, healthy": (0.026, 0.006),
    "mean, malignant": (0.282, 0.08),
}


def simulate(seed: int, panel: Panel = PANEL_14) -> tuple[np.ndarray, np.ndarray]:
    breasts = study_breasts(seed)
    readings = read_breasts(panel, breasts, rng=np.random.default_rng(seed))
    return readings.scores, np.array([row["malignant"] == 1 for row in readings.rows])


def test_the_numbers_to_match_are_those_of_the_public_study(shared: Path) -> None:
    study = ReaderStudy.read(shared / "data/nyu_reader_study/reader_study_results.csv")
    for what, value in measure(study.readers, study.truth).items():
        assert value == pytest.approx(REAL[what][0], abs=0.0006), what


def test_the_panel_of_14_is_like_the_real_one_in_every_study() -> None:
    for seed in range(3):
        for what, value in measure(*simulate(seed)).items():
            real, tolerance = REAL[what]
            assert value == pytest.approx(real, abs=tolerance), (seed, what)


def test_the_panel_of_14_is_like_the_real_one_on_average() -> None:
    found = [measure(*simulate(seed)) for seed in range(8)]
    for what, (real, tolerance) in REAL.items():
        mean = np.mean([own[what] for own in found])
        assert mean == pytest.approx(real, abs=tolerance / 2), what


def test_expected_areas_are_those_of_endless_breasts() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"exam": n, "side": "L", "patient": n, "malignant": int(n % 4 == 0), "suspicion": rng.random()}
        for n in range(40_000)
    ]
    readings = read_breasts(PANEL_14, rows, rng=rng)
    truth = np.array([row["malignant"] == 1 for row in rows])
    found = [auc(own, truth) for own in readings.scores]
    assert found == pytest.approx(expect_auc(PANEL_14).tolist(), abs=0.012)
    assert expect_auc(PANEL_14).mean() == pytest.approx(0.779, abs=0.002)


@pytest.mark.parametrize("wished", [0.6, 0.778, 0.92])
def test_a_wished_mean_area_is_reached(wished: float) -> None:
    assert expect_auc(at_mean_auc(PANEL_14, wished)).mean() == pytest.approx(wished, abs=1e-6)
    panel = draw_panel(np.random.default_rng(0), readers=5, auc=wished)
    assert len(panel.readers) == 5
    assert expect_auc(panel).mean() == pytest.approx(wished, abs=1e-6)
    scores, truth = simulate(0, panel)
    assert measure(scores, truth)["mean AUC"] == pytest.approx(wished, abs=0.07)


def test_readers_agree_as_far_as_they_share_the_case() -> None:
    def correlation(share: float) -> float:
        panel = Panel(PANEL_14.readers, case_healthy=share, case_malignant=share)
        return measure(*simulate(0, panel))["correlation, malignant"]

    none, some, all_ = (correlation(share) for share in (0.0, 0.5, 1.0))
    assert abs(none) < 0.1
    assert none + 0.2 < some < all_ - 0.1


def test_readers_err_where_nothing_can_be_seen() -> None:
    def gap(planted: float) -> float:
        breasts = study_breasts(0)
        scores = read_breasts(
            Panel(PANEL_14.readers, planted=planted), breasts, rng=np.random.default_rng(5)
        ).scores.mean(axis=0)
        malignant = [
            (row["suspicion"], score) for row, score in zip(breasts, scores, strict=True) if row["malignant"] == 1
        ]
        return float(stats.spearmanr(*zip(*malignant, strict=True)).statistic)

    assert gap(1.0) > 0.75
    assert 0.3 < gap(0.5) < gap(1.0)
    assert abs(gap(0.0)) < 0.35


def test_readers_say_round_numbers() -> None:
    scores, _ = simulate(0)
    assert set(np.unique(scores)) <= {0.0, *STEPS}
    assert len(np.unique(scores)) > 15


def test_the_same_generator_reads_the_same() -> None:
    first, again = (read_breasts(PANEL_14, study_breasts(0), rng=np.random.default_rng(3)).scores for _ in range(2))
    assert (first == again).all()


def test_the_study_tool_takes_the_table(tmp_path: Path) -> None:
    breasts = study_breasts(1)
    readings = read_breasts(PANEL_14, breasts, rng=np.random.default_rng(1))
    path = tmp_path / "study.csv"
    readings.write(path)
    study = ReaderStudy.read(path)
    assert study.reader_names == tuple(f"Reader{n:02d}" for n in range(1, 15))
    assert study.n == 1440
    assert study.model_names == ()
    assert study.positives == sum(row["malignant"] == 1 for row in breasts)
    assert np.allclose(study.readers, readings.scores)
    assert study.keys[0] == f"{breasts[0]['exam']} {breasts[0]['side']}"
    assert ReaderStudy.read(path, cluster="patient").cluster_is == "patient"


def test_the_example_of_the_docs_makes_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("enriched")
    write_truth(tmp_path / "P/truth", recipe, [plan_exam(recipe, seed=0, index=index) for index in range(60)])
    monkeypatch.chdir(tmp_path)
    example = next(block for block in DOCS.read_text().split("```python\n") if "read_breasts" in block).split("```")[0]
    exec(compile(example, "docs/phantoms.md", "exec"), {})
    study = ReaderStudy.read(tmp_path / "study.csv", cluster="patient")
    assert (study.n, len(study.reader_names)) == (120, 14)


def test_probabilities_stand_for_categories() -> None:
    found = [assess_probability(p) for p in (0.0, 0.01, 0.02, 0.03, 0.9, 0.95, 1.0)]
    assert found == ["1", "2", "3", "4", "4", "5", "5"]
    readings = read_breasts(PANEL_14, study_breasts(0)[:10], rng=np.random.default_rng(0))
    assert readings.birads()[3] == [assess_probability(p) for p in readings.scores[3]]


def test_impossible_panels_and_rows_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(SetupError, match="found silent 1, slope 2"):
        Reader(1.0, 1.0, 2.0, -3.0)
    with pytest.raises(SetupError, match="found no reader"):
        Panel(())
    with pytest.raises(SetupError, match=r"found planted 1.5, need 0 to 1"):
        Panel(PANEL_14.readers, planted=1.5)
    with pytest.raises(SetupError, match="found positive_sd 0"):
        Panel(PANEL_14.readers, positive_sd=0)
    with pytest.raises(SetupError, match="found no breasts"):
        read_breasts(PANEL_14, [], rng=rng)
    with pytest.raises(SetupError, match="without suspicion"):
        read_breasts(PANEL_14, [{"exam": 1, "side": "L", "patient": 1, "malignant": 0}], rng=rng)
    with pytest.raises(SetupError, match="wished mean AUC of 1"):
        at_mean_auc(PANEL_14, 1.0)
    with pytest.raises(SetupError, match="found 0 readers"):
        draw_panel(rng, readers=0)
    with pytest.raises(SetupError, match="cannot be written"):
        read_breasts(PANEL_14, study_breasts(0)[:4], rng=rng).write(tmp_path / "no" / "study.csv")
