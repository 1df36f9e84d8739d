"""DeLong's variance and paired test against R's pROC 1.18.0: 20 tables with ties, and the real reader study.

goldens/proc.R made the answers; R is needed only to make them again. pROC's intervals are on the Wald scale, ours
are not: variances are compared, and z and p of the paired test.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from fourview.evaluate import RocCurves, auc, auc_difference

GOLDENS = Path(__file__).parent / "goldens"
AREAS = pl.read_csv(GOLDENS / "proc_areas.csv")
DIFFERENCES = pl.read_csv(GOLDENS / "proc_differences.csv")
TABLES = pl.read_csv(GOLDENS / "random_tables.csv")
IS_STUDY = pl.col("source") == "study"
EXACT = 1e-10


def table_of(source: str) -> pl.DataFrame:
    return TABLES.filter(pl.col("table") == int(source.removeprefix("table ")))


def check_area(truth, score, row) -> None:
    curves = RocCurves.measure(truth, score)
    assert curves.areas[0] == pytest.approx(row["auc"], abs=EXACT)
    assert curves.covariance[0, 0] == pytest.approx(row["variance"], rel=EXACT)
    assert auc(truth, score).se ** 2 == pytest.approx(row["variance"], rel=EXACT)


def check_difference(truth, first, second, row) -> None:
    found = auc_difference(truth, first, second)
    assert found.value / found.se == pytest.approx(row["z"], abs=EXACT)
    assert found.p == pytest.approx(row["p"], abs=EXACT)


def test_the_goldens_are_20_tables_with_ties_and_the_seven_models_of_the_study() -> None:
    assert AREAS.filter(~IS_STUDY).height == 40
    assert DIFFERENCES.filter(~IS_STUDY).height == 20
    assert AREAS.filter(IS_STUDY).height == 7
    assert DIFFERENCES.filter(IS_STUDY).height == 21
    tied = TABLES.group_by("table").agg((1 - pl.col("first").n_unique() / pl.len()).alias("share"))["share"]
    assert tied.min() > 0
    assert tied.max() > 0.9
    prevalence = TABLES.group_by("table").agg(pl.col("truth").mean())["truth"]
    assert prevalence.min() < 0.2
    assert prevalence.max() > 0.5


@pytest.mark.parametrize("row", AREAS.filter(~IS_STUDY).to_dicts(), ids=lambda r: f"{r['source']} {r['score']}")
def test_areas_and_variances_are_procs_on_tables_with_ties(row) -> None:
    table = table_of(row["source"])
    check_area(table["truth"].to_numpy(), table[row["score"]].to_numpy(), row)


@pytest.mark.parametrize("row", DIFFERENCES.filter(~IS_STUDY).to_dicts(), ids=lambda r: r["source"])
def test_paired_differences_are_procs_on_tables_with_ties(row) -> None:
    table = table_of(row["source"])
    check_difference(*(table[c].to_numpy() for c in ("truth", row["first"], row["second"])), row)


def test_areas_variances_and_differences_are_procs_on_the_reader_study(shared: Path) -> None:
    study = pl.read_csv(shared / "data/nyu_reader_study/reader_study_results.csv")
    truth = study["label"].to_numpy()
    for row in AREAS.filter(IS_STUDY).iter_rows(named=True):
        check_area(truth, study[row["score"]].to_numpy(), row)
    for row in DIFFERENCES.filter(IS_STUDY).iter_rows(named=True):
        check_difference(truth, study[row["first"]].to_numpy(), study[row["second"]].to_numpy(), row)


def test_all_models_at_once_have_the_covariances_that_procs_tests_imply(shared: Path) -> None:
    study = pl.read_csv(shared / "data/nyu_reader_study/reader_study_results.csv")
    models = AREAS.filter(IS_STUDY)["score"].to_list()
    curves = RocCurves.measure(study["label"].to_numpy(), study.select(models).to_numpy().T)
    for row in DIFFERENCES.filter(IS_STUDY).iter_rows(named=True):
        a, b = models.index(row["first"]), models.index(row["second"])
        variance = curves.covariance[a, a] + curves.covariance[b, b] - 2 * curves.covariance[a, b]
        implied = ((curves.areas[a] - curves.areas[b]) / row["z"]) ** 2
        assert variance == pytest.approx(implied, rel=1e-8)
