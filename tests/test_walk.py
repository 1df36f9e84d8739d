"""One walk, DICOM to report: what Python returns, what the command line writes and what was drawn agree."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless
from typer.testing import CliRunner

import fourview
from fourview.cli import app
from fourview.phantom import draw_exam, write_exam
from fourview.weights.untrained import write_untrained

SCALE = 0.125


def test_a_zipped_dicom_exam_becomes_the_same_reading_in_python_and_on_disk(tmp_path: Path) -> None:
    drawn = draw_exam(np.random.default_rng(5), scale=SCALE)
    files = write_exam(drawn, tmp_path / "dicom", transfer_syntax=JPEG2000Lossless)
    with zipfile.ZipFile(tmp_path / "exam.zip", "w") as bundle:
        for file in files:
            bundle.write(file, f"some/folder/{file.name}")
    write_untrained(tmp_path / "weights", wiring="view-wise", heatmaps=True, scale=SCALE)

    exam = fourview.read_exam(tmp_path / "exam.zip")
    for view, images in exam.views.items():
        (source,) = (image for image in drawn.to_exam().mammograms if image.view is view)
        np.testing.assert_array_equal(images[0].pixels, source.pixels)
        assert images[0].faces == source.faces
    reading = fourview.Screener.load(tmp_path / "weights", jitter=3).read(exam)

    out = tmp_path / "out"
    command = ["screen", str(tmp_path / "exam.zip"), "--weights", str(tmp_path / "weights"), "--out", str(out)]
    done = CliRunner().invoke(app, [*command, "--jitter", "3"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "the numbers mean nothing" in done.output

    with (out / "readings.csv").open() as file:
        rows = {row["side"]: row for row in csv.DictReader(file)}
    for side, score in reading.breasts.items():
        assert float(rows[side]["p_malignant"]) == pytest.approx(score.malignant, abs=1e-9)
        assert float(rows[side]["p_benign"]) == pytest.approx(score.benign, abs=1e-9)
        assert rows[side]["exam"] == exam.exam_id
    (folder,) = (out / "exams").iterdir()
    record = json.loads((folder / "reading.json").read_text())
    assert {image["view"] for image in record["images"]} == set(fourview.View)
    for view, heatmap in reading.heatmaps.items():
        stored = cv2.imread(str(folder / f"heatmap_malignant_{view}.png"), cv2.IMREAD_UNCHANGED)
        assert stored.shape == exam.views[view][0].pixels.shape
        np.testing.assert_allclose(stored / 65535, heatmap.malignant, atol=1e-5)
        overlay = cv2.imread(str(folder / f"overlay_{view}.png"))
        assert overlay.shape[0] <= 1600


def test_the_numbers_follow_the_breast_when_an_exam_is_mirrored_as_a_whole(tmp_path: Path) -> None:
    """Left and right exchanged in tags and pixels alike is the mirrored woman: the two readings change places."""
    write_untrained(tmp_path / "weights", wiring="image-wise", heatmaps=False, scale=SCALE)
    screener = fourview.Screener.load(tmp_path / "weights", jitter=0)
    exam = draw_exam(np.random.default_rng(7), scale=SCALE, one_sided=fourview.Side.LEFT).to_exam()
    arrays = {m.view.value: m.pixels for m in exam.mammograms}
    swapped = {("R" if view[0] == "L" else "L") + view[1:]: pixels[:, ::-1].copy() for view, pixels in arrays.items()}
    spacing = exam.mammograms[0].spacing_mm
    plain = screener.read(fourview.Exam.from_arrays(arrays, spacing_mm=spacing))
    other = screener.read(fourview.Exam.from_arrays(swapped, spacing_mm=spacing))
    windows = {i.view: i.frame.box.width for i in plain.images}
    for image in other.images:
        opposite = fourview.View(("R" if image.view.side == "L" else "L") + image.view.value[1:])
        assert image.frame.box.width == windows[opposite]
        assert image.frame.mirrored != next(i for i in plain.images if i.view is opposite).frame.mirrored
