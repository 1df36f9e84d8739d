"""A whole evaluation: on the real reader study, and on a drawn table with every kind of column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fourview.evaluate.evaluation import EvaluateOptions, Evaluation, Other, evaluate_readings
from fourview.evaluate.operating import Rule
from fourview.evaluate.population import Population
from fourview.exam import SetupError

STUDY = "data/nyu_reader_study/reader_study_results.csv"


def evaluate_study(path: Path, score: str, **options: object) -> Evaluation:
    return evaluate_readings(path, path, EvaluateOptions(score=score, **options))  # type: ignore[arg-type]


def draw(folder: Path, *, n: int = 300, seed: int = 0) -> tuple[Path, Path]:
    """A screening table of n exams (two per woman) with benign and malignant truths, subgroups, visibility."""
    rng = np.random.default_rng(seed)
    exams = np.repeat(np.arange(n), 2)
    malignant, benign = rng.random(2 * n) < 0.15, rng.random(2 * n) < 0.2
    p = 1 / (1 + np.exp(-rng.normal(np.stack([malignant, benign]) * 1.6 - 2)))
    common = {"exam": [f"e{k}" for k in exams], "side": ["L", "R"] * n}
    readings = pl.DataFrame(
        {
            **common,
            "patient_key": [f"p{k // 2}" for k in exams],
            "p_malignant": p[0],
            "p_benign": p[1],
            "model": "drawn",
            "weights_hash": "w1",
        }
    )
    truth = pl.DataFrame(
        {
            **common,
            "malignant": malignant.astype(int),
            "benign": benign.astype(int),
            "visible": (rng.random(2 * n) < 0.6).astype(int),
            "density": rng.choice(list("ABCD"), n).repeat(2),
            "vendor": rng.choice(["x", "y"], n).repeat(2),
        }
    )
    readings.write_csv(folder / "readings.csv")
    truth.write_csv(folder / "truth.csv")
    return folder / "readings.csv", folder / "truth.csv"


def test_the_reader_studys_models_have_their_known_numbers(shared: Path) -> None:
    (gmic,) = evaluate_study(shared / STUDY, "AI_GMIC_top5_POM").tasks
    assert gmic.auc.value == pytest.approx(0.8812, abs=5e-5)
    assert (gmic.ranking[1].low, gmic.ranking[1].high) == pytest.approx((0.839, 0.923), abs=5e-4)  # DeLong
    assert gmic.ranking[2].value == pytest.approx(0.407, abs=5e-4)
    assert (gmic.auc.n, gmic.auc.positives, gmic.auc.clusters) == (1440, 61, 720)
    assert not gmic.sides.warning if gmic.sides else False
    (dmv,) = evaluate_study(shared / STUDY, "AI_DMVCNN_POM", prevalence=0.005).tasks
    found = {e.name: e.value for e in dmv.ranking}
    assert found["average precision"] == pytest.approx(0.167, abs=5e-4)
    assert 0.01 < found["average precision at a prevalence of 0.005"] < 0.03
    assert dmv.trapezoid == pytest.approx(0.158, abs=5e-4)


def test_exchanged_sides_are_the_first_warning(shared: Path, tmp_path: Path) -> None:
    study = pl.read_csv(shared / STUDY)
    study.with_columns(side=pl.col("side").replace({"L": "R", "R": "L"})).write_csv(tmp_path / "swapped.csv")
    options = EvaluateOptions(score="AI_GMIC_top5_POM")
    (task,) = evaluate_readings(tmp_path / "swapped.csv", shared / STUDY, options).tasks
    assert task.auc.value == pytest.approx(0.507, abs=5e-4)
    assert task.sides is not None
    assert task.sides.exam_auc.value == pytest.approx(0.839, abs=5e-4)
    assert "side agreement is below chance" in task.warnings[0]
    assert "Left and right may be exchanged" in task.warnings[0]


def test_an_enriched_table_without_a_prevalence_is_warned_about(shared: Path) -> None:
    (task,) = evaluate_study(shared / STUDY, "AI_DMVCNN_POM").tasks
    assert any("4.2% of these breasts are positive" in w and "--prevalence" in w for w in task.warnings)
    (task,) = evaluate_study(shared / STUDY, "AI_DMVCNN_POM", prevalence=0.005).tasks
    assert not any("--prevalence" in w for w in task.warnings)


def test_a_drawn_table_is_evaluated_in_every_respect(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    other, _ = draw_other(tmp_path)
    options = EvaluateOptions(
        findings=("malignant", "benign"),
        by=("density", "vendor"),
        prevalence=0.01,
        others=(Other(other),),
        choose=(Rule.parse("recall:specificity=0.9"),),
    )
    found = evaluate_readings(readings, truth, options)
    assert [task.units.finding for task in found.tasks] == ["malignant", "benign"]
    malignant = found.tasks[0]
    assert malignant.units.cluster == "patient"
    assert malignant.auc.clusters == 150
    assert [s.column for s in malignant.subgroups] == ["density", "vendor"]
    assert malignant.comparisons[0].areas[0].p is not None
    # The whole table, the biopsied breasts, visible and occult cancers.
    assert len(malignant.populations) == 4
    assert found.lock is not None
    assert len(found.lock.thresholds) == 2
    assert found.lock.weights_hash == "w1"


def draw_other(folder: Path) -> tuple[Path, Path]:
    """Other scores of the same units."""
    table = pl.read_csv(folder / "readings.csv")
    rng = np.random.default_rng(9)
    noise = pl.Series(rng.random(table.height) * 0.3)
    other = table.with_columns(p_malignant=pl.col("p_malignant") * 0.7 + noise, weights_hash=pl.lit("w2"))
    other.write_csv(folder / "other.csv")
    return folder / "other.csv", folder / "truth.csv"


def test_locked_thresholds_of_both_models_are_compared(tmp_path: Path) -> None:
    (tmp_path / "development").mkdir()
    locks = []
    for name, maker in (("readings", draw), ("other", draw_other)):
        readings, truth = maker(tmp_path / "development")
        options = EvaluateOptions(choose=(Rule.parse("recall:specificity=0.9"),))
        lock = evaluate_readings(readings, truth, options).lock
        assert lock is not None
        locks.append(tmp_path / f"{name}.json")
        locks[-1].write_text(lock.model_dump_json())
    readings, truth = draw(tmp_path, seed=1)
    other, _ = draw_other(tmp_path)
    options = EvaluateOptions(threshold_from=locks[0], others=(Other(other, threshold_from=locks[1]),))
    (task,) = evaluate_readings(readings, truth, options).tasks
    (locked, estimates), (sensitivity, specificity) = task.operated[0], task.comparisons[0].shares
    assert locked.rule.name == "recall"
    assert 0.85 < estimates[1].value < 0.95
    assert sensitivity.name.startswith("sensitivity at recall minus")
    assert sensitivity.n == task.units.positives
    assert "clustered McNemar" in specificity.method


def test_failed_exams_bound_the_auc(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    full = evaluate_readings(readings, truth, EvaluateOptions()).tasks[0]
    assert full.bounds is None
    table = pl.read_csv(readings).with_columns(status=pl.lit("read"))
    gone = pl.col("exam").is_in(["e0", "e1", "e2", "e3"])
    failed = table.filter(gone).unique("exam").with_columns(status=pl.lit("failed"), side=None, p_malignant=None)
    pl.concat([table.filter(~gone), failed.select(table.columns)], how="vertical_relaxed").write_csv(readings)
    (task,) = evaluate_readings(readings, truth, EvaluateOptions()).tasks
    assert sum(task.units.unread) == 8
    assert task.bounds is not None
    assert task.bounds[0] < full.auc.value < task.bounds[1]


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    with pytest.raises(SetupError, match="no column age for subgroups; there are"):
        evaluate_readings(readings, truth, EvaluateOptions(by=("age",)))
    with pytest.raises(SetupError, match="prevalence: found 5"):
        EvaluateOptions(prevalence=5)
    with pytest.raises(SetupError, match="need one finding"):
        EvaluateOptions(score="x", findings=("malignant", "benign"))
    table = pl.read_csv(truth)
    table.with_columns(malignant=pl.lit(0)).write_csv(truth)
    with pytest.raises(SetupError, match=r"found 0 positives among 600 breasts .*; need both classes"):
        evaluate_readings(readings, truth, EvaluateOptions())
    with pytest.raises(SetupError, match="found 0 positives among"):
        evaluate_readings(readings, truth, EvaluateOptions(population=Population("biopsied")))


def test_an_empty_biopsied_column_stops_nobody_who_did_not_ask(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    table = pl.read_csv(truth).drop("benign").with_columns(biopsied=pl.lit(0), malignant=pl.col("malignant"))
    table.write_csv(truth)
    (task,) = evaluate_readings(readings, truth, EvaluateOptions()).tasks
    assert task.populations


def test_two_runs_of_the_same_file_name_are_told_apart_and_bring_their_marks(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pl.read_csv(readings).with_columns(marks=pl.lit(f"untrained {name}")).write_csv(
            tmp_path / name / "readings.csv"
        )
    others = tuple(Other(tmp_path / name / "readings.csv") for name in ("one", "two"))
    (task,) = evaluate_readings(readings, truth, EvaluateOptions(others=others)).tasks
    assert [c.other for c in task.comparisons] == ["one/readings.csv", "two/readings.csv"]
    assert any(w.startswith("two/readings.csv: marked readings: untrained two") for w in task.warnings)


def test_thresholds_of_others_alone_and_columns_of_single_women_are_refused() -> None:
    with pytest.raises(SetupError, match="need --threshold-from"):
        EvaluateOptions(others=(Other(Path("x.csv"), threshold_from=Path("lock.json")),))
    with pytest.raises(SetupError, match="names single women"):
        EvaluateOptions(by=("patient_id",))


def test_other_readings_of_other_units_are_refused_unless_inner(tmp_path: Path) -> None:
    readings, truth = draw(tmp_path)
    table = pl.read_csv(readings)
    table.head(400).write_csv(tmp_path / "short.csv")
    with pytest.raises(SetupError, match=r"200 breasts of .*truth.csv have no row in .*short.csv"):
        evaluate_readings(readings, truth, EvaluateOptions(others=(Other(tmp_path / "short.csv"),)))
    options = EvaluateOptions(others=(Other(tmp_path / "short.csv"),), inner=True)
    (task,) = evaluate_readings(readings, truth, options).tasks
    assert task.comparisons[0].n == 400
    assert task.comparisons[0].areas[0].value == 0
