"""Written phantoms are valid DICOM, are read back as they were drawn, and appear whole."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGBaseline8Bit,
)

from fourview.exam import VIEWS, SetupError
from fourview.ingest.dicom import read_header, read_mammogram
from fourview.phantom import PhantomExam, draw_exam, write_exam
from fourview.phantom.acquisition import read_stored
from fourview.phantom.compress import SYNTAXES
from fourview.phantom.profiles import PROFILES

DIGITAL = [name for name, profile in PROFILES.items() if not profile.film]
STORED = [(name, mirrored) for name in DIGITAL for mirrored in (False, True)[: 1 + (PROFILES[name].mirrored_share > 0)]]
# dciodvfy knows the view positions of general radiography only; CC and MLO are the words of mammography
WARNINGS = {
    f"Warning - Unrecognized defined term <{word}> for value 1 of attribute <View Position>" for word in ("CC", "MLO")
}


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return draw_exam(np.random.default_rng(1), scale=0.1)


def in_profile(name: str, *, mirrored: bool = False) -> PhantomExam:
    """An exam of this profile that is stored mirrored, or is not."""
    for seed in range(100):
        drawn = draw_exam(np.random.default_rng(seed), scale=0.1, profile=name)
        if drawn.images[0].acquired.setup.mirrored is mirrored:
            return drawn
    raise AssertionError(f"{name}: no exam with mirrored={mirrored}")


def validate(path: Path) -> list[str]:
    """The warnings and errors of dciodvfy; skips the test where it is not installed."""
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("dciodvfy is not on PATH: install dicom3tools to check the conformance of the phantom")
    done = subprocess.run([validator, str(path)], capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    assert "MammographyImageForPresentation" in said
    assert done.returncode == 0
    return [line for line in said if line.startswith(("Error", "Warning"))]


@pytest.mark.parametrize("name", DIGITAL)
def test_dciodvfy_finds_no_error_in_any_profile(name: str, tmp_path: Path) -> None:
    for path in write_exam(in_profile(name), tmp_path):
        assert set(validate(path)) <= WARNINGS


@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("name", "mirrored"), STORED)
def test_dciodvfy_finds_no_error_in_any_profile_and_transfer_syntax(
    name: str, syntax: str, mirrored: bool, tmp_path: Path
) -> None:
    for path in write_exam(in_profile(name, mirrored=mirrored), tmp_path, transfer_syntax=SYNTAXES[syntax]):
        if SYNTAXES[syntax] == DeflatedExplicitVRLittleEndian:  # dciodvfy cannot inflate
            inflated = dcmread(path)
            inflated.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            inflated.save_as(path, enforce_file_format=True)
        assert set(validate(path)) <= WARNINGS


def assert_read_alike(pixels: NDArray[np.uint16], drawn: NDArray[np.uint16]) -> None:
    """The same pixels but for islands of air within letters, which a reader takes for holes in tissue and fills."""
    other = pixels != drawn
    assert other.mean() < 1e-3
    assert not drawn[other].any()
    assert pixels[other].max(initial=0) < 0.01 * 65535


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("name", DIGITAL)
def test_every_profile_is_read_back_as_it_was_drawn_in_every_transfer_syntax(
    name: str, syntax: str, tmp_path: Path
) -> None:
    drawn = in_profile(name, mirrored=PROFILES[name].mirrored_share > 0)
    in_memory = drawn.to_exam().mammograms
    for number, path in enumerate(write_exam(drawn, tmp_path, transfer_syntax=SYNTAXES[syntax])):
        image = drawn.images[number]
        dataset = dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == SYNTAXES[syntax]
        np.testing.assert_array_equal(dataset.pixel_array, image.pixels)
        read = read_mammogram(read_header(path))
        assert (read.view, read.faces) == (VIEWS[number], image.faces)
        assert read.spacing_mm == pytest.approx(image.spacing_mm, rel=1e-4)
        assert read.warnings == ()
        assert_read_alike(read.pixels, read_stored(image.pixels, PROFILES[name]))
        assert_read_alike(read.pixels, in_memory[number].pixels)


@pytest.mark.parametrize("name", DIGITAL)
def test_display_values_are_bright_where_stored_ones_are_on_a_background_of_zero(name: str, tmp_path: Path) -> None:
    drawn = in_profile(name)
    for path, image in zip(write_exam(drawn, tmp_path), drawn.images, strict=True):
        stored = read_stored(image.pixels, PROFILES[name])
        shown = read_mammogram(read_header(path), pixels="presentation").pixels
        assert (shown[stored == 0] > 0).mean() < 1e-3
        order = np.argsort(stored[stored > 0], kind="stable")
        assert (np.diff(shown[stored > 0][order].astype(int)) >= 0).all()
        assert len(np.unique(shown)) > 100


@pytest.mark.parametrize("name", DIGITAL)
def test_tags_tell_the_truth_about_the_profile(name: str, tmp_path: Path) -> None:
    profile = PROFILES[name]
    drawn = in_profile(name, mirrored=profile.mirrored_share > 0)
    for path, image in zip(write_exam(drawn, tmp_path), drawn.images, strict=True):
        ds = dcmread(path)
        assert (ds.Manufacturer, ds.ManufacturerModelName) == ("fourview", f"phantom ({name})")
        assert "ynthetic" in ds.StudyDescription
        assert "no person was imaged" in ds.PatientComments
        assert (ds.BitsStored, ds.HighBit, ds.BitsAllocated) == (profile.bits, profile.bits - 1, 16)
        assert ds.PhotometricInterpretation == profile.photometric
        assert ds.PresentationLUTShape == ("INVERSE" if profile.photometric == "MONOCHROME1" else "IDENTITY")
        assert [float(v) for v in ds.ImagerPixelSpacing] == pytest.approx([10 * profile.pixel_mm] * 2)
        field = [round(n * 10 * profile.pixel_mm) for n in (ds.Rows, ds.Columns)]
        assert [int(v) for v in ds.FieldOfViewDimensions] == field
        assert ds.FieldOfViewHorizontalFlip == ("YES" if profile.mirrored_share else "NO")
        assert ds.PatientOrientation[0] == ("A" if image.faces == "right" else "P")
        assert (image.faces == image.view.usual_direction) == (ds.FieldOfViewHorizontalFlip == "NO")
        assert ("PixelPaddingValue" in ds) == profile.padding
        if profile.padding:
            limit = ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue)
            low, high = sorted((ds.PixelPaddingValue, limit))
            air = read_stored(image.pixels, profile) == 0
            np.testing.assert_array_equal((image.pixels >= low) & (image.pixels <= high), air)
        assert ("VOILUTSequence" in ds) == (profile.table is not None)
        assert ds.VOILUTFunction == profile.window_function
        assert np.size(ds.WindowCenter) == np.size(ds.WindowWidth) == len(profile.windows)


def test_a_film_is_no_dicom_object(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="found a film, which is no DICOM mammogram; need another profile, or PNG"):
        write_exam(draw_exam(np.random.default_rng(1), scale=0.2, profile="film"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_same_woman_on_another_unit_is_another_study() -> None:
    exams = [draw_exam(np.random.default_rng(1), scale=0.1, profile=name) for name in DIGITAL]
    assert len({exam.study_uid for exam in exams}) == len(DIGITAL)


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


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_compressed_bytes_are_the_same_each_time(exam: PhantomExam, syntax: str, tmp_path: Path) -> None:
    first, again = (write_exam(exam, tmp_path / part, transfer_syntax=SYNTAXES[syntax]) for part in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, ExplicitVRBigEndian, HTJ2KLossless], ids=lambda uid: uid.name)
def test_syntaxes_that_are_not_written_are_refused(exam: PhantomExam, tmp_path: Path, syntax: UID) -> None:
    with pytest.raises(SetupError, match="need an uncompressed little-endian one"):
        write_exam(exam, tmp_path, transfer_syntax=syntax)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_wrong_set_up(exam: PhantomExam, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    with pytest.raises(SetupError, match=r"cannot write 1_L_CC\.dcm"):
        write_exam(exam, tmp_path / "taken")
