"""How often the intervals hold the truth: the stored simulation, its place in the docs, and a few cells run again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks import coverage
from benchmarks.coverage import DEFAULT, LEVELS, METRICS, POSITIVES, STORED, STRUCTURES, Cell
from scipy import stats
from scipy.special import expit, logit

from fourview.evaluate import auc
from fourview.evaluate.table import FEW

DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"


@pytest.fixture(scope="module")
def stored() -> pl.DataFrame:
    return pl.read_csv(STORED)


@pytest.fixture(scope="module")
def default(stored: pl.DataFrame) -> pl.DataFrame:
    return stored.filter((pl.col("metric") == "AUC") & (pl.col("method") == DEFAULT))


def test_all_45_cells_are_stored_with_2000_studies_each(default: pl.DataFrame) -> None:
    cells = set(default.select("structure", "positives", "level").rows())
    assert cells == {(s, m, level) for s in STRUCTURES for m in POSITIVES for level in LEVELS}
    assert len(cells) == default.height == 45
    assert default["studies"].min() >= 2000


def test_the_default_covers_93_to_97_percent_from_60_positives_up_to_an_auc_of_090(
    stored: pl.DataFrame, default: pl.DataFrame
) -> None:
    required = default.filter((pl.col("positives") >= 60) & (pl.col("level") <= 0.90))
    assert required.height == 12
    assert required["coverage"].is_between(0.93, 0.97).all()
    assert coverage.failures(stored).is_empty()


def test_a_table_that_covers_too_little_is_found(stored: pl.DataFrame) -> None:
    spoiled = stored.with_columns(
        pl.when((pl.col("positives") == 60) & (pl.col("level") == 0.9))
        .then(0.92)
        .otherwise("coverage")
        .alias("coverage")
    )
    assert coverage.failures(spoiled).height == len(STRUCTURES)


def test_the_warning_stands_wherever_fewer_than_60_women_have_positives(default: pl.DataFrame) -> None:
    women = pl.col("positives") / pl.when(pl.col("structure") == "bilateral").then(2).otherwise(1)
    few = default.filter(women < FEW)
    assert (few["warned"] == 1).all()
    assert (default.filter(women >= FEW)["warned"] == 0).all()
    assert default.filter(pl.col("coverage") < 0.93)["warned"].min() == 1  # where it fails, it says so


def test_degrees_of_freedom_and_warning_count_the_women_who_have_a_cancer() -> None:
    rng = np.random.default_rng(0)
    exam = np.arange(400) // 2
    truth = (np.arange(400) < 60).astype(int)  # 60 positive breasts of 30 women
    score = rng.standard_normal(400) + truth
    found = auc(truth, score, cluster=exam)
    assert found.method.endswith("t with 29 degrees of freedom")
    assert "only 30 clusters with positives" in found.warnings[0]
    half = stats.t.ppf(0.975, 29) * found.se / (found.value * (1 - found.value))
    assert (found.low, found.high) == pytest.approx(tuple(expit(logit(found.value) + np.array([-half, half]))))
    apart = auc(truth, score)
    assert "t with 59 degrees of freedom, assumes that units are independent" in apart.method
    assert apart.warnings == ()


@pytest.mark.parametrize(
    ("truth", "score", "cluster"),
    [
        ([1, 1, 0, 0], [2, 2, 2, 2], None),  # all tied
        ([1, 0, 0, 0], [2, 1, 3, 0], None),  # one positive
        ([1, 1, 0, 0], [2, 0, 1, 1], ["a", "a", "b", "c"]),  # all positives of one woman
    ],
)
def test_without_a_variance_no_interval_is_given(truth, score, cluster) -> None:
    found = auc(truth, score, cluster=cluster)
    assert 0 < found.value < 1
    assert np.isnan([found.low, found.high]).all()
    assert found.warnings[-1] == "there is no variance to go by: no interval can be given"


def test_assuming_independence_fails_for_bilateral_cancers(stored: pl.DataFrame) -> None:
    bilateral = stored.filter((pl.col("structure") == "bilateral") & (pl.col("positives") >= 60))
    assert bilateral.filter(pl.col("method") == "DeLong")["coverage"].max() < 0.92
    assert bilateral.filter((pl.col("method") == DEFAULT) & (pl.col("metric") == "AUC"))["coverage"].min() > 0.92


def test_every_interval_misses_on_one_side_or_the_other_or_is_not_given(stored: pl.DataFrame) -> None:
    total = stored["coverage"] + stored["above_truth"] + stored["below_truth"] + stored["no_interval"]
    assert total.to_list() == pytest.approx([1.0] * stored.height)


def test_the_tables_in_the_docs_are_the_stored_ones(stored: pl.DataFrame) -> None:
    text = DOCS.read_text()
    for metric in METRICS:
        assert coverage.default_table(stored, metric) in text
    assert coverage.methods_table(stored) in text


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("positives", "level"), [(10, 0.95), (60, 0.80), (60, 0.90), (200, 0.90)])
def test_a_cell_run_again_covers_what_the_stored_one_did(structure, positives, level, stored: pl.DataFrame) -> None:
    again = coverage.measure([Cell("AUC", structure, positives, level)], studies=500, seed=1)
    before = stored.join(
        again.select("metric", "structure", "positives", "level", "method"), on=[*again.columns[:4], "method"]
    )
    assert again["method"].to_list() == before["method"].to_list()
    # Four standard errors of the difference between 500 and 2,000 studies at a coverage of 0.8 to 0.95.
    for one, other in zip(again["coverage"], before["coverage"], strict=True):
        assert one == pytest.approx(other, abs=0.09 if other < 0.9 else 0.05)
    main = again.filter(pl.col("method") == DEFAULT)["coverage"].item()
    assert main > (0.9 if positives >= 60 else 0.85)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS[1:])
def test_the_other_intervals_cover_from_60_positives(metric) -> None:
    cells = [Cell(metric, structure, 60, 0.90) for structure in ("unilateral", "bilateral")]
    again = coverage.measure(cells, studies=500, seed=1)
    assert again["coverage"].is_between(0.91, 0.99).all()
