"""`fourview calibrate` and `fourview screen --calibration`, as a user types them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fourview.calibration import Platt, SiteCalibration, load_calibration
from fourview.cli import main
from fourview.exam import Score
from fourview.weights.folder import load_card
from fourview.whole_files import write_whole

Fourview = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fourview(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fourview:
    """`fourview ARGS` in this process: (exit status, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fourview", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capfd.readouterr()
        return exit_info.value.code or 0, captured.out, captured.err  # type: ignore[return-value]

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One synthetic exam (exams/) and untrained weights (weights/)."""
    folder = tmp_path_factory.mktemp("made")
    for arguments in (
        ("phantom", "--out", folder / "exams"),
        ("weights", "untrained", "--out", folder / "weights", "--no-heatmaps"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["fourview", *map(str, arguments)])
            with pytest.raises(SystemExit) as exit_info:
                main()
        assert exit_info.value.code in (0, None)
    return folder


def write_tables(folder: Path, *, weights_hash: str = "feed" * 4, seed: int = 0, first: int = 0) -> tuple[Path, Path]:
    """readings.csv and truth.csv of 400 women whose scores are too extreme and too high."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(-2, 1.3, 400)[:, None] + rng.normal(0, 0.6, (400, 2))
    score = 1 / (1 + np.exp(-(risk + 1) / 0.6))
    keys = {
        "exam": [f"exam{first + n}" for n in range(400) for _ in "LR"],
        "patient_key": [f"woman{first + n}" for n in range(400) for _ in "LR"],
        "side": ["L", "R"] * 400,
    }
    folder.mkdir(exist_ok=True)
    p = {"p_benign": 0.5 * score.ravel() + 0.1, "p_malignant": score.ravel()}
    pl.DataFrame({**keys, **p, "model": "drawn", "weights_hash": weights_hash}).write_csv(folder / "readings.csv")
    yes = (rng.random((400, 2)) < 1 / (1 + np.exp(-risk))).astype(int).ravel()
    benign = (rng.random((400, 2)) < 1 / (1 + np.exp(-risk))).astype(int).ravel()
    del keys["patient_key"]
    pl.DataFrame({**keys, "malignant": yes, "benign": benign}).write_csv(folder / "truth.csv")
    return folder / "readings.csv", folder / "truth.csv"


def test_calibrate_writes_the_map_and_a_report_with_every_number(fourview: Fourview, tmp_path: Path) -> None:
    readings, truth = write_tables(tmp_path / "a")
    out = tmp_path / "out"
    status, shown, err = fourview(
        "calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--out", out,
        "--operating-point", "recall:specificity=0.9",
    )  # fmt: skip
    assert status == 0, err
    calibration = load_calibration(out)
    fitted = calibration.findings["malignant"]
    assert (calibration.weights_hash, calibration.model, fitted.cluster) == ("feed" * 4, "drawn", "patient")
    assert (fitted.prevalence, fitted.n, fitted.clusters) == (0.01, 800, 400)
    assert isinstance(fitted.map, Platt)
    assert 0.4 < fitted.map.slope < 0.8
    (point,) = calibration.operating_points
    assert (point.name, point.chosen) == ("recall", "specificity at least 0.9")
    assert {p.name for p in out.iterdir()} == {
        "calibration.json", "estimates.csv", "plots", "report.html", "results.json",
    }  # fmt: skip
    assert "Output:" in shown
    assert "not a medical device" in shown
    results = (out / "results.json").read_text()
    assert calibration.calibration_hash in results
    assert all(json.dumps(e.value) in results for e in (*fitted.before, *fitted.after))
    assert "positives weigh" in (out / "report.html").read_text()  # the table is enriched, and the page says so


def test_both_findings_and_a_test_table_are_measured(fourview: Fourview, tmp_path: Path) -> None:
    readings, truth = write_tables(tmp_path / "a")
    other, other_truth = write_tables(tmp_path / "b", seed=1, first=400)
    out = tmp_path / "out"
    status, _, err = fourview(
        "calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--prevalence-benign", 0.03, "--finding", "both",
        "--method", "isotonic", "--test", other, "--test-truth", other_truth, "--operating-point", "r:sensitivity=0.9",
        "--out", out,
    )  # fmt: skip
    assert status == 0, err
    calibration = load_calibration(out)
    assert {name: fitted.prevalence for name, fitted in calibration.findings.items()} == {
        "malignant": 0.01, "benign": 0.03,
    }  # fmt: skip
    assert [point.finding for point in calibration.operating_points] == ["malignant", "benign"]
    assert (out / "plots/test_benign_prevalence_reliability.svg").is_file()
    status, _, err = fourview(
        "calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--test", readings, "--test-truth", truth,
        "--out", tmp_path / "same",
    )  # fmt: skip
    assert status == 2
    assert "400 exams that are in the table of the fit too" in err
    assert not (tmp_path / "same").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "found no --prevalence"),
        (["--prevalence", "0.01", "--finding", "benign"], "found no --prevalence-benign"),
        (["--prevalence", "0.01", "--prevalence-benign", "0.1"], "need --finding both"),
        (["--prevalence", "1.5"], "need a share between 0 and 1"),
        (["--prevalence", "0.01", "--test", "x.csv"], "need both or none"),
        (["--prevalence", "0.01", "--operating-point", "recall"], "specificity=0.9"),
        (["--prevalence", "0.01", "--score", "views"], "views"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    fourview: Fourview, tmp_path: Path, options: list[str], message: str
) -> None:
    readings, truth = write_tables(tmp_path / "a")
    status, _, err = fourview("calibrate", readings, "--truth", truth, "--out", tmp_path / "out", *options)
    assert status == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_screen_adds_calibrated_numbers_for_the_prevalence_of_the_site(
    fourview: Fourview, made: Path, tmp_path: Path
) -> None:
    card = load_card(made / "weights")
    readings, truth = write_tables(tmp_path / "a", weights_hash=card.weights_hash)
    assert fourview("calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--out", tmp_path / "c")[0] == 0
    screen = ("screen", made / "exams", "--weights", made / "weights", "--jitter", 0)
    site = ("--calibration", tmp_path / "c", "--prevalence", 0.005)
    status, shown, err = fourview(*screen, *site, "--out", tmp_path / "out")
    assert status == 0, err
    assert "calibrated for: a prevalence of 0.5 % (malignant)" in " ".join(shown.split())
    table = pl.read_csv(tmp_path / "out/readings.csv")
    by_hand = SiteCalibration(load_calibration(tmp_path / "c"), {"malignant": 0.005})
    for raw, calibrated in zip(table["p_malignant"], table["p_malignant_calibrated"], strict=True):
        assert by_hand.calibrate(Score(benign=0, malignant=raw)) == {"malignant": pytest.approx(calibrated)}
    (page,) = (tmp_path / "out/exams").glob("*/exam.html")
    assert "calibrated for a prevalence of 0.5 %" in page.read_text()

    status, _, err = fourview(*screen, "--out", tmp_path / "out", "--resume")
    assert status == 2
    assert "prevalence_malignant was 0.005, is None" in err


def test_screen_takes_the_calibration_of_the_card_if_a_prevalence_is_given(
    fourview: Fourview, made: Path, tmp_path: Path
) -> None:
    card = load_card(made / "weights")
    readings, truth = write_tables(tmp_path / "a", weights_hash=card.weights_hash)
    assert fourview("calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--out", tmp_path / "c")[0] == 0
    own = tmp_path / "weights"
    own.mkdir()
    for file in (made / "weights").iterdir():
        write_whole(own / file.name, file.read_bytes())
    with_calibration = card.model_copy(update={"calibration": load_calibration(tmp_path / "c")})
    write_whole(own / "card.json", with_calibration.model_dump_json())
    screen = ("screen", made / "exams", "--weights", own, "--jitter", 0, "--files", "readings")
    assert fourview(*screen, "--out", tmp_path / "raw")[0] == 0
    assert "p_malignant_calibrated" not in pl.read_csv(tmp_path / "raw/readings.csv").columns
    assert fourview(*screen, "--prevalence", 0.005, "--out", tmp_path / "site")[0] == 0
    assert "p_malignant_calibrated" in pl.read_csv(tmp_path / "site/readings.csv").columns


@pytest.mark.slow
def test_screen_refuses_a_calibration_or_a_prevalence_alone_and_one_of_other_weights(
    fourview: Fourview, made: Path, tmp_path: Path
) -> None:
    readings, truth = write_tables(tmp_path / "a")
    assert fourview("calibrate", readings, "--truth", truth, "--prevalence", 0.01, "--out", tmp_path / "c")[0] == 0
    screen = ("screen", made / "exams", "--weights", made / "weights", "--jitter", 0, "--out", tmp_path / "out")
    for options, message in (
        (["--calibration", tmp_path / "c"], "found no --prevalence"),
        (["--prevalence", 0.005], "the card of these weights has none"),
        (["--prevalence", 0.005, "--ensemble", made / "weights"], "an ensemble has none of its own"),
        (["--calibration", tmp_path / "c", "--prevalence", 0.005], "was fitted on readings of drawn"),
        (["--calibration", tmp_path / "c", "--prevalence-benign", 0.02], "the calibration is of malignant"),
        (["--calibration", tmp_path, "--prevalence", 0.005], "cannot be read"),
    ):
        status, _, err = fourview(*screen, *options)
        assert status == 2
        assert message in err
    assert not (tmp_path / "out").exists()
