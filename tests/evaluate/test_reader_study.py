"""Reading a study's table, what is refused, and the numbers of the real study."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fourview.evaluate import auc, average_precision
from fourview.evaluate.declaration import Declaration
from fourview.evaluate.hybrid_results import compare_hybrid
from fourview.evaluate.reader_analysis import analyse_readers
from fourview.evaluate.reader_curves import (
    GRID,
    average_precision_recall,
    average_roc,
    operating_point,
    precision_recall_points,
    roc_points,
)
from fourview.evaluate.reader_results import (
    compare_modalities,
    compare_with_readers,
    describe_readers,
    describe_score,
    judge_margin,
)
from fourview.evaluate.reader_study import ReaderStudy
from fourview.exam import SetupError

DMV, GMIC = "AI_DMVCNN_POM", "AI_GMIC_top5_POM"


def table(exams: int = 12, **columns) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 2 * exams
    truth = np.zeros(n, int)
    truth[:exams:2] = 1
    own = {
        "exam": np.repeat([f"e{k}" for k in range(exams)], 2),
        "side": np.tile(["L", "R"], exams),
        "malignant": truth,
        "Reader A": np.round(np.clip(0.4 * truth + 0.5 * rng.random(n), 0, 1), 2),
        "reader_b": np.round(np.clip(0.3 * truth + 0.6 * rng.random(n), 0, 1), 2),
        "net": np.clip(0.3 * truth + 0.6 * rng.random(n), 0, 1),
        "site": np.repeat("north", n),
    }
    return pl.DataFrame(own | columns)


def write(folder: Path, frame: pl.DataFrame) -> Path:
    path = folder / "study.csv"
    frame.write_csv(path)
    return path


def test_a_table_is_read_by_its_column_names(tmp_path: Path) -> None:
    frame = table(other_net=np.linspace(0, 1, 24))
    study = ReaderStudy.read(write(tmp_path, frame))
    assert study.reader_names == ("Reader A", "reader_b")
    assert study.model_names == ("net", "other_net")
    assert study.ignored == ("site",)
    assert (study.n, study.positives) == (24, 6)
    np.testing.assert_allclose(study.readers[1], frame["reader_b"])
    np.testing.assert_allclose(study.model("net"), frame["net"])
    assert study.cluster is not None
    assert study.cluster.tolist() == frame["exam"].to_list()


def test_models_are_chosen_and_the_others_named_as_unused(tmp_path: Path) -> None:
    frame = table(other_net=np.linspace(0, 1, 24), age=np.arange(40, 64))
    study = ReaderStudy.read(write(tmp_path, frame), models=["other_net"])
    assert study.model_names == ("other_net",)
    assert study.ignored == ("net", "site", "age")


def test_other_names_of_the_case_columns_are_known(tmp_path: Path) -> None:
    frame = table().rename({"exam": "case_ID", "malignant": "label"})
    assert ReaderStudy.read(write(tmp_path, frame)).n == 24


def test_patients_can_be_kept_together(tmp_path: Path) -> None:
    patient = np.repeat([f"p{k}" for k in range(6)], 4)
    path = write(tmp_path, table(patient_id=patient))
    study = ReaderStudy.read(path, cluster="patient")
    assert study.cluster is not None
    assert study.cluster.tolist() == study.groups.tolist() == patient.tolist()
    assert ReaderStudy.read(path).ignored == ("site", "patient_id")
    assert ReaderStudy.read(path, cluster="none").cluster is None


def edited(column: str, value: object, row: int = 3) -> pl.DataFrame:
    frame = table().with_columns(pl.all().cast(pl.String))
    return frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, pl.String)).otherwise(pl.col(column)).alias(column)
    )


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (table().drop("side"), "need side"),
        (table().drop("malignant"), "need malignant"),
        (table().drop("reader_b"), "found 1 columns whose name begins with 'Reader'"),
        (edited("malignant", None), r"malignant: found '' \(line 5\); need it for every breast"),
        (edited("malignant", "unknown"), r"found 'unknown' \(line 5\); need 0 or 1 for every breast"),
        (edited("malignant", "2"), r"malignant: found '2' \(line 5\)"),
        (edited("side", "both"), r"side: found 'both' \(line 5\); need L or R"),
        (edited("side", "L"), r"more than one row for a breast: 'e1' \(line 4\), 'e1' \(line 5\)"),
        (edited("Reader A", "nan"), r"Reader A: found 'nan' \(line 5\)"),
        (edited("Reader A", None), r"Reader A: found '' \(line 5\); need a probability for every breast"),
        (edited("Reader A", "likely"), r"Reader A: found 'likely' \(line 5\) that are no numbers"),
        (edited("Reader A", "-0.1"), r"Reader A: found '-0.1' \(line 5\) outside of \[0, 1\]"),
        (edited("reader_b", "37"), "divide them by 100"),
        (edited("net", "1.5"), "if it is no model, name the models with --model"),
        (table(malignant=np.zeros(24, int)), "found 0 malignant of 24 breasts; need both classes"),
    ],
)
def test_bad_tables_are_refused_with_file_lines_and_need(tmp_path: Path, frame: pl.DataFrame, message: str) -> None:
    path = write(tmp_path, frame)
    with pytest.raises(SetupError, match=message) as error:
        ReaderStudy.read(path)
    assert str(path) in str(error.value)


def test_a_model_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    with pytest.raises(SetupError, match=re.escape("model nte: found the columns net, site; need one of them")):
        ReaderStudy.read(path, models=["nte"])
    with pytest.raises(SetupError, match="need patient"):
        ReaderStudy.read(path, cluster="patient")
    with pytest.raises(SetupError, match="model 'nte': found net"):
        ReaderStudy.read(path).model("nte")


def test_a_study_of_arrays_checks_itself(tmp_path: Path) -> None:
    study = ReaderStudy.read(write(tmp_path, table()))
    for change, message in (
        ({"readers": study.readers[:, :5]}, "readers: found shape"),
        ({"readers": study.readers * 100}, "outside of"),
        ({"models": study.models * np.nan}, "outside of"),
        ({"groups": study.groups[:3]}, "groups: found shape"),
        ({"cluster": None}, "found clusters that are called 'exam'"),
        ({"truth": np.ones(24, bool)}, "need both classes"),
        ({"readers": study.readers[:1], "reader_names": ("Reader A",)}, "found 1 readers"),
    ):
        with pytest.raises(SetupError, match=message):
            replace(study, **change)


@pytest.fixture(scope="module")
def study(shared: Path) -> ReaderStudy:
    return ReaderStudy.read(shared / "data/nyu_reader_study/reader_study_results.csv")


def test_readers_of_the_real_study_have_the_known_numbers(study: ReaderStudy) -> None:
    found = describe_readers(study)
    areas = [.726, .783, .809, .859, .705, .736, .772, .761, .792, .753, .788, .804, .860, .756]  # fmt: skip
    precisions = [.261, .317, .374, .453, .294, .304, .320, .329, .345, .287, .317, .328, .364, .244]  # fmt: skip
    assert [reader.auc.value for reader in found.readers] == pytest.approx(areas, abs=5e-4)
    assert [reader.average_precision.value for reader in found.readers] == pytest.approx(precisions, abs=5e-4)
    pr_areas = [reader.pr_area for reader in found.readers]
    assert (np.mean(pr_areas), min(pr_areas), max(pr_areas)) == pytest.approx((0.358, 0.259, 0.478), abs=6e-4)
    assert found.mean_auc.value == pytest.approx(0.7788, abs=5e-5)
    assert found.mean_average_precision.value == pytest.approx(0.3241, abs=5e-5)
    assert np.std([reader.auc.value for reader in found.readers]) == pytest.approx(0.0436, abs=5e-5)
    assert np.std([reader.average_precision.value for reader in found.readers]) == pytest.approx(0.0496, abs=5e-5)
    assert found.together.auc.value == pytest.approx(0.895, abs=5e-4)
    assert found.together.average_precision.value == pytest.approx(0.515, abs=5e-4)
    assert found.mean_auc.low < min(areas) + 0.03  # it holds for other readers and cases: wider than one reader's
    assert found.mean_auc.p is None


def test_models_of_the_real_study_have_the_known_numbers(study: ReaderStudy) -> None:
    gmic = describe_score(study, GMIC, study.model(GMIC))
    assert gmic.auc.value == gmic.auc_delong.value == pytest.approx(0.8812, abs=5e-5)
    wald = gmic.auc_delong.value + np.array([-1.959964, 1.959964]) * gmic.auc_delong.se
    assert wald == pytest.approx([0.839, 0.923], abs=6e-4)
    assert gmic.average_precision.value == pytest.approx(0.407, abs=5e-4)
    assert describe_score(study, DMV, study.model(DMV)).pr_area == pytest.approx(0.158, abs=5e-4)


def test_models_against_random_readers_have_the_known_differences(study: ReaderStudy) -> None:
    dmv, gmic = compare_with_readers(study, DMV), compare_with_readers(study, GMIC)
    assert (dmv.auc.value, dmv.auc.low, dmv.auc.high) == pytest.approx((0.0, -0.066, 0.066), abs=5e-4)
    assert (gmic.auc.value, gmic.auc.low, gmic.auc.high) == pytest.approx((0.102, 0.057, 0.148), abs=5e-4)
    assert (dmv.verdict, gmic.verdict) == ("not shown", "superior")
    assert dmv.average_precision.high < 0  # though its AUC is the readers'
    assert compare_with_readers(study, DMV, declared=Declaration(margin=0.07)).verdict == "non-inferior"


def test_computed_averages_of_the_real_study_have_the_known_differences(study: ReaderStudy) -> None:
    found = compare_hybrid(study, DMV)
    assert found.mean_auc.value == pytest.approx(0.8515, abs=5e-5)
    assert found.mean_average_precision.value == pytest.approx(0.353, abs=5e-4)
    assert found.better == 14
    model, readers = found.minus_model[0], found.minus_readers[0]
    assert (model.value, model.low, model.high) == pytest.approx((0.0728, 0.0310, 0.1146), abs=5e-5)
    assert (readers.value, readers.low, readers.high) == pytest.approx((0.0727, 0.0396, 0.1058), abs=5e-5)
    assert (found.mrmc.f, found.mrmc.difference.df) == pytest.approx((18.74, 246.8), abs=0.05)
    assert readers.p is not None
    assert readers.p < 1e-4
    values = [difference.value for difference in found.differences]
    assert np.mean(values) == pytest.approx(readers.value)
    expected = auc(study.truth, 0.5 * (study.readers[0] + study.model(DMV)), cluster=study.cluster)
    assert found.readers[0].low == pytest.approx(expected.low)
    assert found.readers[0].high == pytest.approx(expected.high)


def test_delongs_covariance_gives_the_other_implementations_f(study: ReaderStudy) -> None:
    found = compare_hybrid(study, DMV, declared=Declaration(covariance="delong"))
    assert (found.mrmc.f, found.mrmc.difference.df) == pytest.approx((18.81, 244.9), abs=0.05)
    model = found.minus_model[0]
    assert (model.low, model.high) == pytest.approx((0.0312, 0.1143), abs=5e-5)


def test_fixing_readers_or_cases_leaves_the_difference_and_narrows_its_interval(study: ReaderStudy) -> None:
    both, readers, cases = compare_hybrid(study, DMV).variants
    assert both.value == readers.value == cases.value
    assert readers.high - readers.low < both.high - both.low
    assert cases.high - cases.low < both.high - both.low


def test_modalities_are_compared_as_averages_are(study: ReaderStudy) -> None:
    second = 0.5 * study.readers + 0.5 * study.model(DMV)
    found = compare_modalities(study, second)
    assert found.f == pytest.approx(compare_hybrid(study, DMV).mrmc.f)
    with pytest.raises(SetupError, match="second treatment"):
        compare_modalities(study, second[:3])


def test_verdicts_follow_from_the_interval(study: ReaderStudy) -> None:
    estimate = compare_with_readers(study, DMV).auc
    for low, high, verdict in (
        (0.01, 0.2, "superior"),
        (-0.04, 0.2, "non-inferior"),
        (-0.04, -0.01, "non-inferior"),
        (-0.05, 0.2, "not shown"),
        (-0.2, -0.06, "inferior"),
        (float("nan"), float("nan"), "not shown"),
    ):
        assert judge_margin(replace(estimate, low=low, high=high), margin=0.05) == verdict


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"margin": 0.0}, "margin: found 0"),
        ({"weight": 1.2}, "weight of the reader: found 1.2"),
        ({"threshold": 2.0}, "threshold: found 2"),
        ({"readers_are": "fixed", "cases_are": "fixed"}, "need one of them random"),
    ],
)
def test_what_cannot_be_declared_is_refused(given, message) -> None:
    with pytest.raises(SetupError, match=message):
        Declaration(**given)


def test_everything_is_analysed_as_declared(tmp_path: Path) -> None:
    study = ReaderStudy.read(write(tmp_path, table(40)))
    fixed = analyse_readers(study)
    assert fixed.sweeps[0]["AUC"].weights == (0.0, 0.5, 1.0)
    swept = analyse_readers(study, declared=Declaration(weight=None, threshold=0.3))
    assert len(swept.sweeps[0]["AUC"].weights) == 21
    assert len(swept.hybrids[0].hybrid.weights) == 2
    assert swept.readers.readers[0].point is not None
    assert fixed.readers.readers[0].point is None
    other = analyse_readers(study, declared=Declaration(covariance="jackknife", readers_are="fixed"))
    assert "jackknife" in other.against[0].auc.method
    assert "fixed readers" in other.against[0].auc.method


def test_areas_under_the_drawn_curves_are_the_metrics(tmp_path: Path) -> None:
    study = ReaderStudy.read(write(tmp_path, table()))
    scores = study.readers[0]
    x, y = roc_points(study.truth, scores)
    assert np.trapezoid(y, x) == pytest.approx(auc(study.truth, scores).value)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    recall, precision = precision_recall_points(study.truth, scores)
    assert np.trapezoid(precision, recall) == pytest.approx(average_precision(study.truth, scores).value)


def test_areas_under_the_readers_mean_curves_are_their_mean_metrics(study: ReaderStudy) -> None:
    mean = average_roc(study.truth, study.readers)
    assert np.trapezoid(mean.mean, GRID) == pytest.approx(0.7788, abs=2e-3)
    assert (mean.low <= mean.mean).all()
    assert (mean.mean <= mean.high).all()
    precision = average_precision_recall(study.truth, study.readers)
    assert np.trapezoid(precision.mean, GRID) == pytest.approx(0.3241, abs=2e-3)


def test_a_point_is_what_calling_at_the_threshold_does() -> None:
    truth, scores = [1, 1, 1, 0, 0, 0, 0], [0.9, 0.2, 0.1, 0.2, 0.1, 0.0, 0.0]
    point = operating_point(truth, scores, threshold=0.2, cluster=[0, 1, 2, 2, 3, 4, 5])
    assert (point.sensitivity.value, point.specificity.value) == (2 / 3, 3 / 4)
    assert (point.sensitivity.n, point.specificity.n) == (3, 4)
    assert "clustered" in point.sensitivity.method
