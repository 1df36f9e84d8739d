"""One exam's folder: exact heatmaps in source geometry, whole or absent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.exam import FINDINGS, Exam, Reading, SetupError, View
from fourview.report import exam_folder
from fourview.report.exam_folder import load_heatmaps, load_thumbnails, write_exam_folder
from fourview.report.reading_json import load_reading
from tests.fake_screener import FakeScreener, small_exam


def _write(tmp_path: Path, exam: Exam | None = None) -> tuple[Path, Exam, Reading]:
    exam = exam or small_exam()
    reading = FakeScreener(needs_all=False).read(exam)
    folder = tmp_path / "exams" / exam.exam_id
    write_exam_folder(folder, exam, reading, settings={"seed": 0})
    return folder, exam, reading


def test_heatmap_pngs_have_the_size_of_the_source_and_16_bits(tmp_path: Path) -> None:
    folder, exam, reading = _write(tmp_path)
    for mammogram, image in zip(exam.mammograms, reading.images, strict=True):
        assert image.heatmap is not None
        for finding in FINDINGS:
            png = cv2.imread(str(folder / f"heatmap_{finding}_{mammogram.view}.png"), cv2.IMREAD_UNCHANGED)
            assert png.dtype == np.uint16
            assert png.shape == mammogram.pixels.shape
            np.testing.assert_allclose(png / 65535, image.heatmap[finding], atol=0.5 / 65535 + 1e-9)


def test_heatmap_arrays_come_back_exactly(tmp_path: Path) -> None:
    folder, _, reading = _write(tmp_path)
    loaded = load_heatmaps(folder)
    assert list(loaded) == ["L-CC", "R-CC", "L-MLO", "R-MLO"]
    for image in reading.images:
        assert image.heatmap is not None
        for finding in FINDINGS:
            np.testing.assert_array_equal(loaded[image.view.value][finding], image.heatmap[finding])
            assert loaded[image.view.value][finding].dtype == np.float32


def test_the_second_image_of_a_view_has_files_of_its_own(tmp_path: Path) -> None:
    one = small_exam(views=(View.L_CC,))
    darker = replace(one.mammograms[0], name="second", pixels=one.mammograms[0].pixels // 2)
    folder, _, _ = _write(tmp_path, Exam("twice", (*one.mammograms, darker)))
    assert {p.name for p in folder.iterdir()} == {
        "exam.html", "reading.json", "heatmaps.npz",
        "heatmap_benign_L-CC.png", "heatmap_malignant_L-CC.png", "overlay_L-CC.png", "thumbnail_L-CC.png",
        "heatmap_benign_L-CC_2.png", "heatmap_malignant_L-CC_2.png", "overlay_L-CC_2.png", "thumbnail_L-CC_2.png",
    }  # fmt: skip
    assert [i.name for i in load_reading(folder).reading.images] == ["L-CC", "second"]


def test_a_model_without_heatmaps_leaves_no_heatmap_files(tmp_path: Path) -> None:
    exam = small_exam()
    reading = FakeScreener(heatmaps=False).read(exam)
    write_exam_folder(tmp_path / "x", exam, reading, settings={})
    assert not list((tmp_path / "x").glob("heatmap*"))
    assert load_heatmaps(tmp_path / "x") == {}
    assert len(load_thumbnails(tmp_path / "x")) == 4


def test_an_interruption_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(exam_folder, "reading_to_json", interrupted)  # the last file of the folder
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path)
    assert list((tmp_path / "exams").iterdir()) == []


def test_damaged_arrays_and_thumbnails_are_refused_by_name(tmp_path: Path) -> None:
    folder, _, _ = _write(tmp_path)
    (folder / "heatmaps.npz").write_bytes(b"PK\x03\x04 cut short")
    (folder / "thumbnail_L-CC.png").write_bytes(b"not a png")
    with pytest.raises(SetupError, match=r"heatmaps\.npz: damaged"):
        load_heatmaps(folder)
    with pytest.raises(SetupError, match=r"thumbnail_L-CC\.png: damaged"):
        load_thumbnails(folder)
