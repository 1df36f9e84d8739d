"""What words say of lesions without their pixels: the encoding, the eight rows of CBIS-DDSM, the UCI set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.lesion_words import EXPECTED, expect_uci
from typer.testing import CliRunner

from fourview.cli import app
from fourview.datasets.cbis_tables import read_abnormalities
from fourview.evaluate import auc
from fourview.evaluate.resample import cluster_bootstrap, percentile_intervals
from fourview.exam import SetupError
from fourview.studies.lesion.descriptors.cbis import DESCRIBED, KindWorth, rate_tables, say_words
from fourview.studies.lesion.descriptors.uci import FILE, WordsWorth, rate_masses, read_masses
from fourview.studies.lesion.descriptors.words import (
    ASSESSMENT,
    Encoder,
    Inputs,
    bound_words,
    list_inputs,
    measure_words,
    predict_words,
    split_words,
)
from fourview.studies.transfer.folds import draw_folds, walk_folds

BOTH = ("shape", "margins")


@pytest.fixture(scope="module")
def tables(shared: Path) -> Path:
    folder = shared / "data/cbis_ddsm_labels"
    if not folder.is_dir():
        pytest.skip("no tables of CBIS-DDSM among the shared data")
    return folder


@pytest.fixture(scope="module")
def rated(tables: Path) -> tuple[KindWorth, ...]:
    return rate_tables(tables)


def test_words_are_split_and_a_missing_one_is_a_token_of_its_own() -> None:
    row = {"shape": "IRREGULAR-ARCHITECTURAL_DISTORTION", "subtlety": "3", "pathology": "MALIGNANT"}
    assert split_words(row, (*BOTH, "subtlety")) == {
        ("shape", "IRREGULAR"),
        ("shape", "ARCHITECTURAL_DISTORTION"),
        ("margins", ""),
        ("subtlety", "3"),
    }


def test_tokens_become_zeros_and_ones_and_unknown_ones_nothing() -> None:
    train = [{"shape": "ROUND-OVAL"}, {"shape": "IRREGULAR", "margins": "SPICULATED"}]
    encoder = Encoder.of(train, BOTH)
    assert [token for _, token in encoder.columns] == ["", "SPICULATED", "IRREGULAR", "OVAL", "ROUND"]
    assert encoder.encode([*train, {"shape": "LYMPH_NODE-OVAL"}]).tolist() == [
        [1, 0, 0, 1, 1],
        [0, 1, 1, 0, 0],
        [1, 0, 0, 1, 0],
    ]
    with pytest.raises(SetupError, match="found none of shape, margins in 1 rows"):
        Encoder.of([{"pathology": "BENIGN"}], BOTH)


def test_words_are_learned_from_training_rows_alone() -> None:
    train = [{"shape": "ROUND"}] * 10 + [{"shape": "IRREGULAR"}] * 10
    y = np.repeat([0, 1], 10)
    p = predict_words(train, y, [{"shape": "IRREGULAR"}, {"shape": "ROUND"}], ("shape",))
    assert p[0] > 0.75
    assert p[1] < 0.25
    with pytest.raises(SetupError, match="found 0 malignant of 10 training rows"):
        predict_words(train[:10], y[:10], train, ("shape",))


def test_pathology_is_never_among_the_inputs() -> None:
    for described in DESCRIBED.values():
        inputs = list_inputs(described, ("density", "subtlety"), assessed=True)
        assert len(inputs) == 4
        assert not any("pathology" in own.names for own in inputs)


def test_inputs_are_those_that_a_set_has() -> None:
    assert list_inputs((), ("density",), assessed=False) == ()
    assert [own.names for own in list_inputs((), (), assessed=True)] == [(ASSESSMENT,)]
    assert [own.names for own in list_inputs(("class",), (), assessed=False)] == [("class",)]


def test_no_reading_of_the_words_exceeds_their_bound() -> None:
    words = [{"shape": "ROUND"}] * 4 + [{"shape": "OVAL"}] * 4 + [{}] * 2
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 1])
    # the shares of malignant are 1/4, 3/4 and 1: of 6 x 4 pairs 16 are ranked right, 1 wrong and 7 tie
    right, ties = (3 * 3 + 1 * 0 + 2 * 4), (1 * 3 + 3 * 1)
    assert bound_words(words, y, ("shape",)) == pytest.approx((right + ties / 2) / 24)
    rng = np.random.default_rng(0)
    for _ in range(50):
        score = dict(zip(("ROUND", "OVAL", ""), rng.random(3), strict=True))
        p = np.array([score[own.get("shape", "")] for own in words])
        worth = measure_words(Inputs("shape", ("shape",)), words, y, p)
        assert worth.auc.value <= worth.most + 1e-12


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", [0, 1])
def test_the_eight_rows_of_the_official_split_are_reproduced(
    rated: tuple[KindWorth, ...], kind: int, place: int
) -> None:
    own = rated[kind]
    assert (own.train, own.test) == ((1318, 378), (1546, 326))[kind]
    row = own.rows[place]
    assert row.auc.value <= row.most < 1
    found = row.auc.value, row.accuracy.value, row.balanced_accuracy.value
    assert found == pytest.approx(EXPECTED[own.kind][place], abs=0.001)
    assert row.auc.clusters == (201, 151)[kind]
    assert row.auc.low < row.auc.value < row.auc.high


def test_the_interval_of_the_first_row_is_that_of_patients_drawn_again(
    tables: Path, rated: tuple[KindWorth, ...]
) -> None:
    rows = [row for row in read_abnormalities(tables)[0] if row.kind == "mass"]
    parts = {part: [row for row in rows if row.split == part] for part in ("train", "test")}
    y = {part: np.array([row.pathology == "malignant" for row in own]).astype(np.int64) for part, own in parts.items()}
    words = {part: [say_words(row) for row in own] for part, own in parts.items()}
    p = predict_words(words["train"], y["train"], words["test"], BOTH)
    patients = np.unique([row.patient for row in parts["test"]], return_inverse=True)[1].astype(np.int64)
    yes = y["test"] == 1
    above = (p[yes][:, None] > p[~yes]) + 0.5 * (p[yes][:, None] == p[~yes])

    def area(times: np.ndarray) -> float:
        return float(times[yes] @ above @ times[~yes] / (times[yes].sum() * times[~yes].sum()))

    draws = cluster_bootstrap(yes, patients, area, resamples=1000)
    low, high, _ = percentile_intervals(draws)
    assert (float(low[0]), float(high[0])) == pytest.approx((0.765, 0.873), abs=0.006)
    ours = rated[0].rows[0].auc
    assert (ours.low, ours.high) == pytest.approx((0.765, 0.873), abs=0.007)


def test_without_patients_the_interval_says_so() -> None:
    y, p = np.repeat([0, 1], 50), np.linspace(0, 1, 100)
    worth = measure_words(Inputs("x", ("x",)), [{}] * 100, y, p, unit="lesion")
    assert "assumes that units are independent" in worth.auc.method


def test_the_uci_set_is_read_whole_with_its_gaps(shared: Path) -> None:
    masses = read_masses(shared / "data/uci_mammographic_mass")
    assert (len(masses.y), int(masses.y.sum())) == (961, 445)
    gaps = {name: sum(name not in own for own in masses.words) for name in ("assessment", "age", "shape", "margin")}
    assert gaps == {"assessment": 2, "age": 5, "shape": 31, "margin": 48}
    assert sum("density" not in own for own in masses.words) == 76
    assert {own.get("assessment") for own in masses.words} == {None, "0", "2", "3", "4", "5", "6"}


@pytest.fixture(scope="module")
def uci(shared: Path) -> tuple[WordsWorth, ...]:
    return rate_masses(read_masses(shared / "data/uci_mammographic_mass"))


def test_ten_folds_of_the_uci_set_find_what_scikit_learn_finds_on_its_own(
    uci: tuple[WordsWorth, ...], shared: Path
) -> None:
    """Against one-hot columns and stratified folds that share no code with ours."""
    expected = expect_uci(shared / "data/uci_mammographic_mass", shuffles=3)
    for row, (area, accuracy, balanced) in zip(uci, expected, strict=True):
        found = row.auc.value, row.accuracy.value, row.balanced_accuracy.value
        assert found == pytest.approx((area, accuracy, balanced), abs=0.007), row.inputs.title
        assert row.auc.n == 961
        assert row.auc.value <= row.most


def test_without_ranks_in_folds_words_that_tie_lose(uci: tuple[WordsWorth, ...], shared: Path) -> None:
    """The AUC over all folds at once takes the same words in two folds for different, in the wrong order."""
    masses = read_masses(shared / "data/uci_mammographic_mass")
    own = np.arange(len(masses.y))
    folds = draw_folds(masses.y, own, folds=10, seed=0)
    for row in (uci[0], uci[3]):
        p = np.empty(len(own))
        for train, test in walk_folds(folds, own):
            learned, seen = ([masses.words[place] for place in places] for places in (train, test))
            p[test] = predict_words(learned, masses.y[train], seen, row.inputs.names)
        assert auc(masses.y, p).value < row.auc.value - 0.01


def test_a_row_that_is_none_of_the_uci_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need the file of the UCI set"):
        read_masses(tmp_path)
    (tmp_path / FILE).write_text("5,67,3,5,3,1\n5,67,9,5,3,1\n")
    with pytest.raises(SetupError, match=r"row 2: found shape '9'; need one of 1, 2, 3, 4 or \?"):
        read_masses(tmp_path)
    (tmp_path / FILE).write_text("5,67,3,5,3\n")
    with pytest.raises(SetupError, match="need assessment, age, shape"):
        read_masses(tmp_path)


def test_the_page_of_tables_has_every_row(tables: Path, shared: Path, tmp_path: Path) -> None:
    for folder, rows in ((tables, 8), (shared / "data/uci_mammographic_mass", 5)):
        out = tmp_path / str(rows)
        result = CliRunner().invoke(app, ["lesion", "words", str(folder), "--out", str(out)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        found = json.loads((out / "results.json").read_text())
        assert found["kind"] == "lesion baselines"
        assert (out / "report.html").read_text().count("BI-RADS assessment</") >= 2
        assert pl.read_csv(out / "estimates.csv").height >= 3 * rows


def test_a_folder_without_such_tables_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["lesion", "words", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, SetupError)
    assert "four tables of CBIS-DDSM" in str(result.exception)
