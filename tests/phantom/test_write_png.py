"""Pictures hold what a reader of the DICOM files gets, and masks that lie on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fourview.datasets.mask_files import read_mask
from fourview.datasets.record import MaskFile
from fourview.exam import SetupError, Side
from fourview.ingest.raster import read_png
from fourview.phantom import PhantomExam, PhantomFinding, draw_exam
from fourview.phantom.acquisition import read_stored
from fourview.phantom.profiles import PROFILES
from fourview.phantom.write_png import list_pictures, write_exam_png

FINDINGS = (
    PhantomFinding(Side.LEFT, "mass", malignant=True, radius_mm=9),
    PhantomFinding(Side.LEFT, "calcifications", malignant=False, depth=0.4),
    PhantomFinding(Side.RIGHT, "mass", malignant=False, radius_mm=8),
)


def draw(name: str) -> PhantomExam:
    return draw_exam(np.random.default_rng(5), scale=0.15, findings=FINDINGS, profile=name)


@pytest.mark.parametrize("name", PROFILES)
def test_a_picture_holds_what_the_exam_in_memory_holds(name: str, tmp_path: Path) -> None:
    exam = draw(name)
    for path, image, mammogram in zip(
        write_exam_png(exam, tmp_path), exam.images, exam.to_exam().mammograms, strict=True
    ):
        pixels, _ = read_png(path.read_bytes(), path.name)
        assert pixels.dtype == (np.uint8 if name == "film" else np.uint16)
        np.testing.assert_array_equal(pixels, read_stored(image.pixels, PROFILES[name]))
        np.testing.assert_array_equal(pixels, mammogram.pixels)


@pytest.mark.parametrize("name", ["plain", "senographe", "film"])
def test_each_finding_has_a_one_bit_mask_in_each_view_of_its_breast(name: str, tmp_path: Path) -> None:
    exam = draw(name)
    write_exam_png(exam, tmp_path)
    named = set()
    for picture, image in zip(list_pictures(exam), exam.images, strict=True):
        assert (picture.view, picture.faces, picture.spacing_mm) == (image.view, image.faces, image.spacing_mm)
        assert picture.profile == name
        assert [finding for finding, _ in picture.findings] == list(image.findings)
        named.add(picture.file)
        for mask, (_, file) in zip(image.masks, picture.findings, strict=True):
            named.add(file)
            assert (tmp_path / file).read_bytes()[24] == 1  # bits per pixel
            np.testing.assert_array_equal(read_mask(MaskFile(tmp_path / file), image.pixels.shape), mask)
    assert named == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert len(named) == 4 + 6


def test_the_same_exam_gives_the_same_bytes(tmp_path: Path) -> None:
    write_exam_png(draw("plain"), tmp_path / "a")
    write_exam_png(draw("plain"), tmp_path / "b")
    first, again = ({p.name: p.read_bytes() for p in (tmp_path / part).rglob("*.png")} for part in "ab")
    assert first == again


def test_a_folder_that_cannot_be_written_is_a_wrong_set_up(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(SetupError, match=r"cannot write 1_L_CC_finding_1\.png"):
        write_exam_png(draw("plain"), tmp_path / "taken")
