"""Weights that were trained on phantoms only read phantoms, and nothing else unless they are told to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pydicom
import pytest
from typer.testing import CliRunner

from fourview.cli import app
from fourview.exam import Exam, ExamError, Mammogram
from fourview.ingest import read_exam
from fourview.ingest.raster import read_png
from fourview.phantom import PhantomExam, draw_exam, write_exam, write_exam_png
from fourview.report.overlay import draw_overlay
from fourview.screen import Screener
from fourview.weights.folder import load_weights, save_weights
from fourview.weights.untrained import write_untrained

SCALE = 0.1
MARK = "not for real images: trained on phantoms only (of_phantoms)"


@pytest.fixture(scope="module")
def drawn() -> PhantomExam:
    return draw_exam(np.random.default_rng(3), scale=SCALE)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained values whose card says that they were trained on phantoms only."""
    folder = tmp_path_factory.mktemp("weights")
    write_untrained(folder / "drawn", heatmaps=False, scale=SCALE)
    loaded = load_weights(folder / "drawn")
    training = loaded.card.training.model_copy(update={"trained": True, "phantoms_only": True})
    card = loaded.card.model_copy(update={"name": "of_phantoms", "training": training})
    assert loaded.exam is not None
    save_weights(folder / "of_phantoms", card, exam=loaded.exam.state_dict())
    return folder / "of_phantoms"


def load(folder: Path, **options: bool) -> Screener:
    return Screener.load(folder, engine="torch", jitter=0, **options)


def without_marks(exam: Exam) -> Exam:
    """The same pixels as a caller hands them over."""
    return Exam.from_arrays(
        {m.view.value: m.pixels for m in exam.mammograms},
        faces={m.view.value: m.faces for m in exam.mammograms},
        spacing_mm=exam.mammograms[0].spacing_mm,
    )


def write_dicom_like(drawn: PhantomExam, folder: Path, **tags: str) -> Path:
    """The phantom's DICOM files with other tags."""
    for path in write_exam(drawn, folder):
        dataset = pydicom.dcmread(path)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    return folder


def strip_text(path: Path) -> None:
    """The picture as any other program saves it: its pixels alone."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), pixels)


def test_a_phantom_is_known_from_its_dicom_tags_its_picture_and_in_memory(drawn: PhantomExam, tmp_path: Path) -> None:
    write_exam(drawn, tmp_path / "dicom")
    write_exam_png(drawn, tmp_path / "png")
    for exam in (read_exam(tmp_path / "dicom"), read_exam(tmp_path / "png"), drawn.to_exam()):
        assert [m.is_phantom for m in exam.mammograms] == [True] * 4


def test_a_copy_under_another_name_is_still_a_phantom(drawn: PhantomExam, tmp_path: Path) -> None:
    path = write_exam_png(drawn, tmp_path)[0]
    shutil.copy(path, tmp_path / "R_MLO_mammogram.png")
    _, decisions = read_png((tmp_path / "R_MLO_mammogram.png").read_bytes(), "x")
    assert "nobody was imaged" in " ".join(decision.value for decision in decisions)


@pytest.mark.parametrize(
    "tags", [{"Manufacturer": "HOLOGIC, Inc."}, {"ManufacturerModelName": "Selenia"}, {"ManufacturerModelName": ""}]
)
def test_one_of_the_two_tags_alone_makes_no_phantom(drawn: PhantomExam, tmp_path: Path, tags: dict[str, str]) -> None:
    exam = read_exam(write_dicom_like(drawn, tmp_path, **tags))
    assert not any(m.is_phantom for m in exam.mammograms)


def test_a_picture_whose_text_was_lost_is_no_phantom(drawn: PhantomExam, tmp_path: Path) -> None:
    for path in write_exam_png(drawn, tmp_path):
        strip_text(path)
    assert not any(m.is_phantom for m in read_exam(tmp_path).mammograms)


def test_an_image_that_is_not_a_phantom_is_refused_by_name_and_reason(drawn: PhantomExam, weights: Path) -> None:
    screener, real = load(weights), without_marks(drawn.to_exam())
    with pytest.raises(ExamError, match=r"L-CC L-CC.*trained on phantoms only.*--allow-phantom-weights"):
        screener.prepare(real)
    allowed = load(weights, allow_phantom_weights=True)
    with pytest.raises(ExamError, match="trained on phantoms only"):
        screener.read(real, allowed.prepare(real))  # prepared by somebody who was allowed to


def test_one_real_image_among_phantoms_is_enough_to_refuse_the_exam(drawn: PhantomExam, weights: Path) -> None:
    phantom = drawn.to_exam()
    other: Mammogram = without_marks(phantom).mammograms[2]
    mixed = Exam("mixed", (*phantom.mammograms[:2], other, phantom.mammograms[3]))
    with pytest.raises(ExamError, match=r"^L-MLO L-MLO: found no mark of a phantom"):
        load(weights).read(mixed)


def test_phantoms_are_read_and_every_reading_says_not_for_real_images(drawn: PhantomExam, weights: Path) -> None:
    exam = drawn.to_exam()
    reading = load(weights).read(exam)
    assert MARK in reading.marks
    allowed = load(weights, allow_phantom_weights=True).read(without_marks(exam))
    assert MARK in allowed.marks
    for image, mammogram in zip(reading.images, exam.mammograms, strict=True):
        caption = draw_overlay(mammogram, image, reading)
        without = draw_overlay(mammogram, image, replace(reading, marks=()))
        assert (caption != without).any()  # it is written into the picture's panel


def test_other_weights_read_whatever_there_is(drawn: PhantomExam, tmp_path: Path) -> None:
    write_untrained(tmp_path / "w", heatmaps=False, scale=SCALE)
    assert MARK not in load(tmp_path / "w").read(without_marks(drawn.to_exam())).marks


def test_a_mixed_folder_gives_readings_of_phantoms_and_a_list_of_the_others(
    drawn: PhantomExam, weights: Path, tmp_path: Path
) -> None:
    write_exam(drawn, tmp_path / "in" / "phantom")
    real = draw_exam(np.random.default_rng(4), scale=SCALE, number=2)
    write_dicom_like(real, tmp_path / "in" / "real", Manufacturer="SIEMENS")
    call = ["screen", str(tmp_path / "in"), "--weights", str(weights), "--engine", "torch", "--jitter", "0"]
    runner = CliRunner()
    refused = runner.invoke(app, [*call, "--out", str(tmp_path / "out")])
    assert refused.exit_code == 1
    rows = pl.read_csv(tmp_path / "out" / "readings.csv")
    read = rows.filter(status="read")
    assert read.height == 2
    assert all("not for real images" in mark for mark in read["marks"])
    assert rows.filter(status="failed").height == 1
    reasons = pl.read_csv(tmp_path / "out" / "failures.csv").filter(kind="exam")["reason"].to_list()
    assert len(reasons) == 1
    assert "trained on phantoms only" in reasons[0]
    allowed = runner.invoke(app, [*call, "--out", str(tmp_path / "all"), "--allow-phantom-weights"])
    assert allowed.exit_code == 0
    rows = pl.read_csv(tmp_path / "all" / "readings.csv")
    assert rows.filter(status="read").height == 4
    assert all("not for real images" in mark for mark in rows["marks"])
    page = next((tmp_path / "all" / "exams").glob("*/exam.html")).read_text()
    assert MARK in page
    assert MARK in (tmp_path / "all" / "index.html").read_text()
