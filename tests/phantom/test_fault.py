"""Each planted fault changes what its name says in one file, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1, RLELossless

from fourview.exam import VIEWS, SetupError, View
from fourview.phantom import FAULTS, Fault, PhantomExam, draw_exam, plant, write_exam


@pytest.fixture(scope="module")
def exam() -> PhantomExam:
    return draw_exam(np.random.default_rng(1), scale=0.1)


# fault -> (side, view, orientation, pixels) of a planted L-MLO, in terms of the true (L, MLO, A\FR, p)
EXPECTED: dict[Fault, tuple[str, str, list[str], str]] = {
    "side tag swapped": ("R", "MLO", ["A", "FR"], "same"),
    "pixels mirrored": ("L", "MLO", ["A", "FR"], "mirrored"),
    "side tag swapped and pixels mirrored": ("R", "MLO", ["A", "FR"], "mirrored"),
    "rotated 180 degrees": ("L", "MLO", ["A", "FR"], "rotated"),
    "flipped top to bottom": ("L", "MLO", ["A", "FR"], "flipped"),
    "orientation tag contradicts pixels": ("L", "MLO", ["P", "FR"], "same"),
    "view mislabelled": ("L", "CC", ["A", "FR"], "same"),
    "pixels and orientation tag mirrored": ("L", "MLO", ["P", "FR"], "mirrored"),
    "side tag, orientation tag and pixels mirrored": ("R", "MLO", ["P", "FL"], "mirrored"),
}


def test_every_fault_has_an_expected_change() -> None:
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_changes_what_its_name_says(exam: PhantomExam, tmp_path: Path, fault: Fault) -> None:
    before = {path.name: path.read_bytes() for path in write_exam(exam, tmp_path)}
    path = plant(tmp_path, fault, View.L_MLO)
    assert path.name == "1_L_MLO.dcm"
    changed = {p.name for p in tmp_path.iterdir() if before.get(p.name) != p.read_bytes()}
    assert changed == {"1_L_MLO.dcm"}
    ds = dcmread(path)
    true = exam.images[VIEWS.index(View.L_MLO)].pixels
    pixels = {"same": true, "mirrored": true[:, ::-1], "rotated": true[::-1, ::-1], "flipped": true[::-1]}
    side, view, orientation, turned = EXPECTED[fault]
    assert (ds.ImageLaterality, ds.ViewPosition, list(ds.PatientOrientation)) == (side, view, orientation)
    code = {"CC": "399162004", "MLO": "399368009"}[view]
    assert ds.ViewCodeSequence[0].CodeValue == code
    np.testing.assert_array_equal(ds.pixel_array, pixels[turned])
    assert ds.SOPInstanceUID == exam.uid("L-MLO")


def test_a_compressed_file_takes_a_fault_too(exam: PhantomExam, tmp_path: Path) -> None:
    write_exam(exam, tmp_path, transfer_syntax=RLELossless)
    ds = dcmread(plant(tmp_path, "pixels mirrored", View.R_CC))
    np.testing.assert_array_equal(ds.pixel_array, exam.images[1].pixels[:, ::-1])


@pytest.mark.parametrize("name", ["dimensions", "senographe"])
def test_a_fault_leaves_grey_scale_and_padding_of_another_unit_alone(name: str, tmp_path: Path) -> None:
    drawn = draw_exam(np.random.default_rng(3), scale=0.1, profile=name)
    paths = write_exam(drawn, tmp_path, transfer_syntax=JPEGLosslessSV1)
    before = dcmread(paths[0])
    after = dcmread(plant(tmp_path, "pixels mirrored", View.L_CC))
    np.testing.assert_array_equal(after.pixel_array, drawn.images[0].pixels[:, ::-1])
    changed = [element.tag for element in before if element.keyword != "PixelData" and element != after[element.tag]]
    assert changed == []


def test_an_unknown_fault_and_a_missing_view_are_refused(exam: PhantomExam, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="found 0 files of L-CC, need 1"):
        plant(tmp_path, "pixels mirrored", View.L_CC)
    with pytest.raises(SetupError, match="found 'coffee', need one of: side tag swapped"):
        plant(tmp_path, "coffee", View.L_CC)
