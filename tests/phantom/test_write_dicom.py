"""Written phantoms are valid DICOM, hold exactly the drawn pixels, and appear whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from fourview.exam import SetupError
from fourview.phantom import PhantomExam, draw_exam, write_exam


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return draw_exam(np.random.default_rng(1), scale=0.1)


def test_dciodvfy_finds_no_error_in_any_view(exam: PhantomExam, tmp_path: Path) -> None:
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy is not on PATH: install dicom3tools to check the conformance of the phantom")
    for path in write_exam(exam, tmp_path):
        done = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert "MammographyImageForPresentation" in said
        assert [line for line in said if line.startswith("Error")] == []
        assert done.returncode == 0


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_pixels_come_back_exactly_in_every_transfer_syntax(exam: PhantomExam, tmp_path: Path, syntax: UID) -> None:
    for path, image in zip(write_exam(exam, tmp_path, transfer_syntax=syntax), exam.images, strict=True):
        dataset = dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        np.testing.assert_array_equal(dataset.pixel_array, image.pixels)


def test_tags_say_what_the_pixels_show(exam: PhantomExam, tmp_path: Path) -> None:
    found = []
    for path in write_exam(exam, tmp_path):
        ds = dcmread(path, stop_before_pixels=True)
        found.append((path.name, ds.ImageLaterality, ds.ViewPosition, list(ds.PatientOrientation)))
        assert ds.PatientName == "PHANTOM^0001"
        assert [float(v) for v in ds.ImagerPixelSpacing] == [0.7, 0.7]
        assert ds.BurnedInAnnotation == "NO"
        assert len(ds.ViewCodeSequence[0].ViewModifierCodeSequence) == 0
    assert found == [
        ("1_L_CC.dcm", "L", "CC", ["A", "R"]),
        ("1_R_CC.dcm", "R", "CC", ["P", "L"]),
        ("1_L_MLO.dcm", "L", "MLO", ["A", "FR"]),
        ("1_R_MLO.dcm", "R", "MLO", ["P", "FL"]),
    ]


def test_the_four_files_are_one_study_of_four_objects(exam: PhantomExam, tmp_path: Path) -> None:
    datasets = [dcmread(path, stop_before_pixels=True) for path in write_exam(exam, tmp_path)]
    assert {ds.StudyInstanceUID for ds in datasets} == {exam.study_uid}
    assert len({ds.SeriesInstanceUID for ds in datasets}) == 1
    assert len({ds.SOPInstanceUID for ds in datasets}) == 4
    assert len({ds.PatientID for ds in datasets}) == 1


def test_the_same_exam_gives_the_same_bytes_and_leaves_nothing_else_behind(exam: PhantomExam, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_exam(exam, tmp_path / "new" / "folder")]
    again = write_exam(draw_exam(np.random.default_rng(1), scale=0.1), tmp_path / "new" / "folder")
    assert [path.read_bytes() for path in again] == first
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted(again)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, ExplicitVRBigEndian], ids=lambda syntax: syntax.name)
def test_lossy_and_big_endian_syntaxes_are_refused(exam: PhantomExam, tmp_path: Path, syntax: UID) -> None:
    with pytest.raises(SetupError, match="need an uncompressed little-endian one"):
        write_exam(exam, tmp_path, transfer_syntax=syntax)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_wrong_set_up(exam: PhantomExam, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(SetupError, match=r"cannot write 1_L_CC\.dcm"):
        write_exam(exam, tmp_path / "taken")
