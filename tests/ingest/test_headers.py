"""Nine real headers with real pixels: which are read and how, in every lossless transfer syntax."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from fourview.exam import ExamError
from fourview.ingest.dicom import read_header, read_mammogram
from tests.ingest.synthetic_dicom import compress_jpeg_lossless, save

READ = {  # header -> view, faces, spacing, pixels of the same view
    "ge_essential_ads5310_L_CC": ("L-CC", "right", 0.09409090909091, "dmv_cnn_partial/1_L_CC.png"),
    "ge_essential_ads5310_R_CC": ("R-CC", "left", 0.09409090909091, "dmv_cnn_partial/1_R_CC.png"),
    "ge_essential_ads5340_L_CC": ("L-CC", "right", 0.09409090909091, "dmv_cnn_partial/1_L_CC.png"),
    "ge_essential_ads5340_R_MLO": ("R-MLO", "left", 0.09409090909091, "gmic_exam0/0_R-MLO.png"),
    "rsna_hologic_dimensions_L_CC": ("L-CC", "right", None, "dmv_cnn_partial/1_L_CC.png"),
    "rsna_hologic_dimensions_R_CC": ("R-CC", "left", None, "dmv_cnn_partial/1_R_CC.png"),
    "rsna_hologic_dimensions_R_MLO": ("R-MLO", "left", None, "gmic_exam0/0_R-MLO.png"),
}
LEFT_OUT = {
    "ge_essential_ads5310_R_XCCL": "view XCCL is neither CC nor MLO",
    "hologic_dsm_L_spot": "a stereotactic image: no screening view",
}
SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
]


def _header(shared: Path, name: str) -> Dataset:
    tags = json.loads((shared / f"data/mg_dicom/headers_json/{name}.json").read_text())
    tags.pop("_transfer_syntax")
    dataset = Dataset.from_json(tags)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID, dataset.StudyInstanceUID = generate_uid(), generate_uid()
    return dataset


def _tissue(shared: Path, name: str, every: int) -> NDArray[np.int64]:
    """Real 12-bit values, every n-th row and column."""
    image = cv2.imread(str(shared / "data/nyu_sample_exams" / name), cv2.IMREAD_UNCHANGED).astype(np.float64)
    factor = 1 if name.startswith("gmic") else 4095 / 65535
    return np.rint(image * factor).astype(np.int64)[::every, ::every]


def _stored_and_expected(dataset: Dataset, tissue: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What the system would have stored, and what must be read: written out here without the reader's rules."""
    if dataset.PhotometricInterpretation == "MONOCHROME2":  # GE: 12 bits; background 0, so its range limit is not used
        return tissue, np.rint(tissue * 65535 / 4095).astype(np.int64)
    background = dataset.PixelPaddingValue  # Hologic: 16 bits, the background is the highest value
    shown = np.rint(tissue * (background - 1000) / 4095).astype(np.int64)
    return background - shown, shown


def _fill(dataset: Dataset, stored: NDArray[np.int64]) -> Dataset:
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _save_in(dataset: Dataset, syntax: str, folder: Path) -> Path:
    if syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = syntax
        return save(dataset, folder / "image.dcm", implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)
    if syntax == JPEGLosslessSV1:
        compress_jpeg_lossless(dataset, folder)
    elif syntax != ExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    return save(dataset, folder / "image.dcm")


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("name", READ)
def test_every_screening_header_reads_the_same_pixels_in_every_syntax(
    shared: Path, tmp_path: Path, name: str, syntax: str
) -> None:
    view, faces, spacing, image = READ[name]
    dataset = _header(shared, name)
    stored, expected = _stored_and_expected(dataset, _tissue(shared, image, every=5))
    path = _save_in(_fill(dataset, stored), syntax, tmp_path)

    header = read_header(path)
    assert (header.view, header.left_out, header.problem) == (view, None, None)
    mammogram = read_mammogram(header)

    np.testing.assert_array_equal(mammogram.pixels, expected)
    assert (mammogram.view, mammogram.faces, mammogram.pixel_mode) == (view, faces, "stored")
    assert mammogram.spacing_mm == pytest.approx(spacing) if spacing else mammogram.spacing_mm is None
    assert mammogram.warnings == ()
    assert {"view", "side", "orientation", "pixel data", "grey scale", "spacing"} <= {
        d.topic for d in mammogram.decisions
    }
    assert (
        syntax in {"1.2.840.10008.1.2.1"}
        or next(d.value for d in mammogram.decisions if d.topic == "pixel data") != "Explicit VR Little Endian"
    )


@pytest.mark.parametrize("name", READ)
def test_presentation_mode_keeps_the_direction_and_a_background_of_exactly_0(
    shared: Path, tmp_path: Path, name: str
) -> None:
    dataset = _header(shared, name)
    stored, expected = _stored_and_expected(dataset, _tissue(shared, READ[name][3], every=5))
    path = save(_fill(dataset, stored), tmp_path / "image.dcm")

    mammogram = read_mammogram(read_header(path), pixels="presentation")

    assert mammogram.pixel_mode == "presentation"
    assert mammogram.faces == READ[name][1]
    assert (mammogram.pixels[expected == 0] == 0).all()
    source = next(d.source for d in mammogram.decisions if d.topic == "grey scale")
    assert source == ("VOILUTSequence item 1 NORMAL" if name.startswith("ge") else "window 1802.31 / 1091.97 SIGMOID")
    order = np.argsort(expected.ravel(), kind="stable")  # brighter tissue is never shown darker
    assert (np.diff(mammogram.pixels.ravel()[order].astype(np.int64))[expected.ravel()[order][:-1] > 0] >= 0).all()


@pytest.mark.parametrize("name", LEFT_OUT)
def test_other_headers_are_left_out_with_the_reason(shared: Path, tmp_path: Path, name: str) -> None:
    dataset = _header(shared, name)
    path = save(_fill(dataset, np.full((50, 40), 7)), tmp_path / "image.dcm")
    header = read_header(path)
    assert (header.view, header.left_out) == (None, LEFT_OUT[name])
    with pytest.raises(ExamError, match=r"image\.dcm: .*need a CC or MLO mammogram"):
        read_mammogram(header)


def test_the_stereotactic_scout_is_a_spot_view_even_without_its_image_type(shared: Path, tmp_path: Path) -> None:
    dataset = _header(shared, "hologic_dsm_L_spot")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    header = read_header(save(_fill(dataset, np.full((50, 40), 7)), tmp_path / "image.dcm"))
    assert header.left_out == "CC spot compression: no plain CC or MLO view"


def test_monochrome1_beside_an_inverse_presentation_shape_is_one_inversion(shared: Path, tmp_path: Path) -> None:
    dataset = _header(shared, "hologic_dsm_L_spot")
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    del dataset.ViewCodeSequence[0].ViewModifierCodeSequence
    tissue = _tissue(shared, "dmv_cnn_partial/1_L_CC.png", every=5)
    mammogram = read_mammogram(read_header(save(_fill(dataset, 16383 - tissue), tmp_path / "image.dcm")))
    np.testing.assert_array_equal(mammogram.pixels, np.rint(tissue * 65535 / 16383))
    assert mammogram.spacing_mm == 0.1  # its magnification factor 0.10256 is no magnification
    assert "implausible" in next(d.source for d in mammogram.decisions if d.topic == "spacing")


def test_a_whole_real_image_reads_as_its_png(shared: Path, tmp_path: Path) -> None:
    name = "dmv_cnn_partial/1_R_CC.png"
    dataset = _header(shared, "ge_essential_ads5310_R_CC")
    path = save(_fill(dataset, _tissue(shared, name, every=1)), tmp_path / "image.dcm")
    png = cv2.imread(str(shared / "data/nyu_sample_exams" / name), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(read_mammogram(read_header(path)).pixels, png)


def test_a_digitised_film_in_jpeg_2000_is_read_with_warnings(shared: Path) -> None:
    header = read_header(shared / "data/mg_dicom/nema_wg04/MG1_J2KI.dcm")
    assert header.name.startswith("file-")
    assert header.name.endswith(".dcm")  # the file name holds a part of the patient's name
    mammogram = read_mammogram(header)
    assert (mammogram.view, mammogram.faces, mammogram.pixels.shape) == ("L-MLO", "right", (4664, 3064))
    assert mammogram.pixels.max() == 65535
    assert any("digitised film" in warning for warning in mammogram.warnings)
    assert any("lossy" in warning for warning in mammogram.warnings)


def test_twelve_bit_jpeg_extended_is_refused_by_name(shared: Path) -> None:
    header = read_header(shared / "data/mg_dicom/nema_wg04/MG1_JPLY.dcm")
    with pytest.raises(ExamError, match=r"L-MLO file-.*12-bit .*JPEG Extended.* cannot be decoded; need"):
        read_mammogram(header)
