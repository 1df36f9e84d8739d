"""The map of images: features that a screen run kept, one map per angle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fourview.evaluate.embedding import principal_components
from fourview.exam import Exam, SetupError, View
from fourview.report.document import Figure, Table
from fourview.report.embedding_section import embedding_section, load_run_features
from fourview.report.exam_folder import load_features, write_exam_folder
from fourview.screen import Screener
from fourview.weights.folder import load_weights
from fourview.weights.untrained import write_untrained
from tests.report.runs import black_exam, write_run
from tests.test_screen import SCALE, draw_exam

EXAMS = ["a" * 16, "b" * 16, "c" * 16]


def _run(tmp_path: Path, *, length: int = 5) -> Path:
    rng = np.random.default_rng(0)
    features = {(exam, view.value): rng.normal(size=length).astype(np.float32) for exam in EXAMS for view in View}
    return write_run(tmp_path / "run", {exam: black_exam() for exam in EXAMS}, {}, features=features)


def test_each_angle_has_its_own_map_of_its_own_images(tmp_path: Path) -> None:
    run = _run(tmp_path)
    section = embedding_section(run, positives=[f"{EXAMS[1]} R"])
    cc, mlo, table = section.parts
    assert isinstance(cc, Figure)
    assert isinstance(mlo, Figure)
    assert isinstance(table, Table)
    assert cc.data["image"] == ["L-CC", "R-CC"] * 3
    assert mlo.data["image"] == ["L-MLO", "R-MLO"] * 3
    assert cc.data["positive"] == mlo.data["positive"] == [False, False, False, True, False, False]
    features = load_run_features(run)
    expected = principal_components(features.matrix[[0, 1, 4, 5, 8, 9]])
    np.testing.assert_allclose(np.array([cc.data["x"], cc.data["y"]]).T, expected.places)
    assert table.rows[0] == ("CC", 6, 1, 5, *(expected.shares or ()))
    assert section.warnings[0].startswith("UNTRAINED")


def test_colours_are_the_readings_of_the_breasts(tmp_path: Path) -> None:
    features = load_run_features(_run(tmp_path))
    assert np.ptp(features.malignant) == 0  # the fake reader sees the same grey everywhere
    assert features.malignant[0] == pytest.approx(9000 / 65535 / 2)


def test_runs_without_features_or_of_different_weights_are_refused(tmp_path: Path) -> None:
    bare = write_run(tmp_path / "bare", {EXAMS[0]: black_exam()}, {})
    with pytest.raises(SetupError, match=r"no features\.npz"):
        embedding_section(bare)
    run = _run(tmp_path)
    np.savez(run / "exams" / EXAMS[0] / "features.npz", **{"L-CC": np.zeros(3, np.float32)})
    with pytest.raises(SetupError, match="8 images of 5"):
        embedding_section(run)
    (run / "exams" / EXAMS[0] / "features.npz").write_bytes(b"cut")
    with pytest.raises(SetupError, match=r"features\.npz: damaged"):
        embedding_section(run)
    few = write_run(
        tmp_path / "few", {EXAMS[0]: black_exam()}, {}, features={(EXAMS[0], "L-CC"): np.zeros(3, np.float32)}
    )
    with pytest.raises(SetupError, match="found 1 images with features"):
        embedding_section(few)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("untrained")
    write_untrained(out / "image", wiring="image-wise", heatmaps=False, scale=SCALE)
    write_untrained(out / "exam", wiring="view-wise", heatmaps=False, scale=SCALE, seed=3)
    return {folder.name: folder for folder in out.iterdir()}


def test_the_heads_say_of_the_kept_features_what_the_reading_says(weights: dict[str, Path], tmp_path: Path) -> None:
    exam = draw_exam()
    reading = Screener.load(weights["image"], engine="torch", jitter=0).read(exam)
    network = load_weights(weights["image"]).exam
    assert network is not None
    write_exam_folder(tmp_path / "x", exam, reading, settings={})
    kept = load_features(tmp_path / "x")
    for head in network.heads:
        (view,) = head.views
        assert kept[view].dtype == np.float32
        with torch.inference_mode():
            said = network.read_head(head, {view: torch.from_numpy(kept[view])[None]})[0, :, 1].exp().tolist()
        assert said == pytest.approx([h.p for h in reading.heads if h.head == head.name], abs=1e-6)


def test_features_are_the_mean_over_windows_and_members_stand_side_by_side(weights: dict[str, Path]) -> None:
    exam = draw_exam()
    both = Screener.load([weights["image"], weights["exam"]], jitter=3).read(exam)
    alone = [Screener.load(weights[name], engine="torch", jitter=3).read(exam) for name in ("image", "exam")]
    for joined, first, second in zip(both.images, *(reading.images for reading in alone), strict=True):
        assert joined.features is not None
        assert first.features is not None
        assert second.features is not None
        expected = np.concatenate([first.features, second.features])  # up to 60, so rounding is relative
        np.testing.assert_allclose(joined.features, expected, rtol=2e-6, atol=1e-5)
        assert not np.allclose(first.features, second.features)
    exact = Screener.load(weights["image"], engine="torch", jitter=0).read(exam).images[0].features
    assert exact is not None
    assert not np.allclose(exact, alone[0].images[0].features)


def test_an_image_that_no_window_showed_has_no_features(weights: dict[str, Path]) -> None:
    one = draw_exam()
    again = replace(one.mammograms[0], name="again")
    exam = Exam("twice", (*one.mammograms, again))
    reading = Screener.load(weights["image"], engine="torch", jitter=1, pick="random").read(exam)
    of_view = [image.features is not None for image in reading.images if image.view is View.L_CC]
    assert sorted(of_view) == [False, True]
