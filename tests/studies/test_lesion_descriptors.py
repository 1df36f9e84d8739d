"""What words say of lesions without their pixels: the encoding, the eight rows of CBIS-DDSM, the UCI set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.datasets.cbis_tables import read_abnormalities
from fourview.evaluate.resample import cluster_bootstrap, percentile_intervals
from fourview.exam import SetupError
from fourview.studies.lesion.descriptors import Encoder, Inputs, measure_words, predict_words, split_words
from fourview.studies.lesion.descriptors_cbis import KindWorth, list_inputs, rate_tables, say_words
from fourview.studies.lesion.descriptors_uci import FILE, rate_masses, read_masses

BOTH = ("shape", "margins")
GOLDEN: Mapping[str, tuple[tuple[float, float, float], ...]] = {  # AUC, accuracy, balanced accuracy
    "mass": ((0.823, 0.720, 0.743), (0.837, 0.762, 0.773), (0.836, 0.690, 0.734), (0.885, 0.780, 0.796)),
    "calcification": ((0.777, 0.730, 0.671), (0.803, 0.730, 0.712), (0.754, 0.727, 0.655), (0.852, 0.782, 0.742)),
}


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
    for kind in ("mass", "calcification"):
        assert not any("pathology" in inputs.names for inputs in list_inputs(kind))  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("kind", [0, 1])
def test_the_eight_rows_of_the_official_split_are_reproduced(
    rated: tuple[KindWorth, ...], kind: int, place: int
) -> None:
    own = rated[kind]
    assert (own.train, own.test) == ((1318, 378), (1546, 326))[kind]
    row = own.rows[place]
    found = row.auc.value, row.accuracy.value, row.balanced_accuracy.value
    assert found == pytest.approx(GOLDEN[own.kind][place], abs=0.001)
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
    worth = measure_words(Inputs("x", ("x",)), y, p, unit="lesion")
    assert "assumes that units are independent" in worth.auc.method


def test_the_uci_set_is_read_whole_with_its_gaps(shared: Path) -> None:
    masses = read_masses(shared / "data/uci_mammographic_mass")
    assert (len(masses.y), int(masses.y.sum())) == (961, 445)
    gaps = {name: sum(name not in own for own in masses.words) for name in ("assessment", "age", "shape", "margin")}
    assert gaps == {"assessment": 2, "age": 5, "shape": 31, "margin": 48}
    assert sum("density" not in own for own in masses.words) == 76
    assert {own.get("assessment") for own in masses.words} == {None, "0", "2", "3", "4", "5", "6"}


def test_ten_folds_of_the_uci_set_rank_words_as_expected(shared: Path) -> None:
    rows = {row.inputs.title: row for row in rate_masses(read_masses(shared / "data/uci_mammographic_mass"))}
    areas = {title: row.auc.value for title, row in rows.items()}
    assert areas["shape and margin"] == pytest.approx(0.827, abs=0.01)
    assert areas["shape, margin, density of the mass, age"] == pytest.approx(0.861, abs=0.01)
    assert max(areas, key=areas.__getitem__).endswith("age, BI-RADS assessment")
    assert all(row.auc.n == 961 for row in rows.values())


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
