"""DICOM files that are fine, odd or broken: what is read, and what is said about the rest."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing
from pydicom.uid import ExplicitVRBigEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from fourview.exam import ExamError, SetupError
from fourview.ingest.dicom import DicomHeader, read_header, read_mammogram
from tests.ingest.synthetic_dicom import breast, code_item, compress_jpeg_lossless, mammogram_dataset, save

SCALED = np.rint(breast().astype(np.float64) * 65535 / 4095)


def _header(folder: Path, pixels: NDArray[Any] | None = None, *, name: str = "a.dcm", **tags: Any) -> DicomHeader:
    return read_header(save(mammogram_dataset(pixels, **tags), folder / name))


def _voi_item(table: list[int], first: int, bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(table), first, bits])
    item.add_new("LUTData", "US", table)
    return item


def test_a_plain_mammogram_is_read_with_every_decision_recorded(tmp_path: Path) -> None:
    header = _header(tmp_path)
    assert (header.name, header.view, header.patient_id) == ("a.dcm", "L-CC", "PID-4711")
    assert (header.left_out, header.problem) == (None, None)
    mammogram = read_mammogram(header)
    np.testing.assert_array_equal(mammogram.pixels, SCALED)
    assert (mammogram.view, mammogram.faces, mammogram.spacing_mm) == ("L-CC", "right", 0.1)
    assert [d.topic for d in mammogram.decisions] == [
        "view", "side", "pixel data", "grey scale", "orientation", "orientation in the pixels", "spacing",
    ]  # fmt: skip
    assert mammogram.warnings == ()


def test_bits_outside_bits_stored_are_removed(tmp_path: Path) -> None:
    high = breast() | np.uint16(0x5000)  # an old overlay lives in the unused high bits
    np.testing.assert_array_equal(read_mammogram(_header(tmp_path, high)).pixels, SCALED)


def test_values_may_sit_in_the_high_bits(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_mammogram(_header(tmp_path, breast() << 4, HighBit=15)).pixels, SCALED)


def test_big_endian_words_are_read(tmp_path: Path) -> None:
    dataset = mammogram_dataset(breast().astype(">u2"))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    path = save(dataset, tmp_path / "a.dcm", implicit_vr=False, little_endian=False)
    np.testing.assert_array_equal(read_mammogram(read_header(path)).pixels, SCALED)


def test_a_compressed_stream_with_values_above_bits_stored_is_refused(tmp_path: Path) -> None:
    dataset = mammogram_dataset(breast() << 4, BitsStored=16, HighBit=15)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.BitsStored, dataset.HighBit = 12, 11
    header = read_header(save(dataset, tmp_path / "a.dcm"))
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: found value 4\d+, but BitsStored is 12"):
        read_mammogram(header)


def test_odd_values_are_not_quoted_in_warnings_or_logs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = mammogram_dataset()
    dataset.add(DataElement("StudyInstanceUID", "UI", "Muster^Erika", validation_mode=0))
    dataset.add(DataElement("PatientBirthDate", "DA", "Muster", validation_mode=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = save(dataset, tmp_path / "a.dcm")
    caplog.clear()
    read_mammogram(read_header(path))  # a warning would be an error here
    assert caplog.records == []


@pytest.mark.parametrize("tag", ["ImagerPixelSpacing", "EstimatedRadiographicMagnificationFactor"])
def test_a_malformed_number_is_refused_without_quoting_it(tmp_path: Path, tag: str) -> None:
    path = save(mammogram_dataset(**{tag: "1.0625"}), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"1.0625", b"Muster"))
    with pytest.raises(ExamError, match=rf"a\.dcm: tag {tag} holds a value that") as caught:
        read_mammogram(read_header(path))
    assert "Muster" not in str(caught.value)


def test_negative_values_are_read(tmp_path: Path) -> None:
    signed = breast().astype(np.int16) - 1000
    header = _header(tmp_path, signed, PixelRepresentation=1)
    np.testing.assert_array_equal(read_mammogram(header).pixels, SCALED)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda s: s.keyword)
def test_an_8_bit_file_is_read_with_a_warning_in_any_syntax(tmp_path: Path, syntax: str) -> None:
    small = (breast() // 16).astype(np.uint8)
    dataset = mammogram_dataset(small, BitsStored=8, HighBit=7)
    dataset.compress(syntax, generate_instance_uid=False)
    mammogram = read_mammogram(read_header(save(dataset, tmp_path / "a.dcm")))
    np.testing.assert_array_equal(mammogram.pixels, small.astype(np.uint16) * 257)
    assert mammogram.warnings == ("only 8 bits per pixel: mammograms have 10 to 16",)


def test_a_white_frame_is_blanked_and_recorded(tmp_path: Path) -> None:
    framed = breast()
    framed[:4] = framed[-4:] = framed[:, -4:] = 4095
    mammogram = read_mammogram(_header(tmp_path, framed))
    np.testing.assert_array_equal(mammogram.pixels, SCALED)
    assert "frame" in {d.topic for d in mammogram.decisions}


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_presentation_applies_the_first_window(tmp_path: Path, function: str) -> None:
    tags: dict[str, Any] = {"WindowCenter": [1800, 900], "WindowWidth": [1500, 100], "VOILUTFunction": function}
    header = _header(tmp_path, **tags)
    mammogram = read_mammogram(header, pixels="presentation")
    shown = apply_windowing(breast(), mammogram_dataset(**tags)) * 65535 / 4095  # pydicom's own output range
    expected = np.where(breast() == 0, 0, np.rint(shown))
    np.testing.assert_array_equal(mammogram.pixels, expected)
    assert mammogram.pixel_mode == "presentation"


def test_presentation_prefers_the_first_voi_lut(tmp_path: Path) -> None:
    table = [int(4095 * (step / 2999) ** 2) for step in range(3000)]
    first, other = _voi_item(table, 500, 12), _voi_item([0] * 3000, 500, 12)
    header = _header(tmp_path, VOILUTSequence=[first, other], WindowCenter=100, WindowWidth=10)
    shown = np.array(table)[np.clip(breast().astype(int) - 500, 0, 2999)]
    np.testing.assert_array_equal(read_mammogram(header, pixels="presentation").pixels, np.rint(shown * 65535 / 4095))


def test_presentation_without_voi_lut_or_window_warns_and_shows_stored_values(tmp_path: Path) -> None:
    mammogram = read_mammogram(_header(tmp_path), pixels="presentation")
    np.testing.assert_array_equal(mammogram.pixels, SCALED)
    assert any("neither VOI LUT nor window" in warning for warning in mammogram.warnings)


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 1000, "WindowWidth": 0},
        {"WindowCenter": 1000, "WindowWidth": 9, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": [Dataset()]},
    ],
)
def test_a_display_transformation_that_cannot_be_applied_is_refused(tmp_path: Path, tags: dict[str, Any]) -> None:
    header = _header(tmp_path, **tags)
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: .*(need|Need)"):
        read_mammogram(header, pixels="presentation")
    assert read_mammogram(header).pixel_mode == "stored"


def test_an_unknown_pixel_mode_is_a_wrong_set_up(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="'file'"):
        read_mammogram(_header(tmp_path), pixels="file")


def test_a_given_pixel_size_is_taken(tmp_path: Path) -> None:
    assert read_mammogram(_header(tmp_path), spacing_mm=0.07).spacing_mm == 0.07


def test_an_image_mirrored_together_with_its_tag_is_the_mirrored_mammogram(tmp_path: Path) -> None:
    mammogram = read_mammogram(_header(tmp_path, breast(faces="left"), PatientOrientation=["P", "R"]))
    assert mammogram.faces == "left"
    np.testing.assert_array_equal(mammogram.pixels[:, ::-1], SCALED)


@pytest.mark.parametrize("faces", ["left", "right"])
def test_pixels_that_contradict_the_orientation_tag_are_refused(tmp_path: Path, faces: str) -> None:
    orientation = ["A", "R"] if faces == "left" else ["P", "R"]
    header = _header(tmp_path, breast(faces=faces), PatientOrientation=orientation)
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: PatientOrientation .* says .*, the pixels show .*; need tags"):
        read_mammogram(header)


def test_a_mirrored_file_without_tags_needs_mirrored_auto(tmp_path: Path) -> None:
    header = _header(tmp_path, breast(faces="left"), PatientOrientation=None)
    with pytest.raises(ExamError, match="--mirrored auto"):
        read_mammogram(header)
    assert read_mammogram(header, mirrored_auto=True).faces == "left"


def test_mirrored_auto_does_not_touch_files_with_tags(tmp_path: Path) -> None:
    header = _header(tmp_path, breast(faces="left"))
    with pytest.raises(ExamError, match="need tags that match"):
        read_mammogram(header, mirrored_auto=True)


@pytest.mark.parametrize(
    ("name", "redacted"),
    [
        ("erika_1.dcm", True),
        ("MUSTER.dcm", True),
        ("x-pid-4711-y.dcm", True),
        ("19600131.dcm", True),
        ("image.dcm", False),
        ("er.dcm", False),
    ],
)
def test_a_file_name_that_holds_the_patient_is_replaced_by_a_hash(tmp_path: Path, name: str, redacted: bool) -> None:
    header = _header(tmp_path, name=name, PatientBirthDate="19600131")
    assert (header.name != name) is redacted
    if redacted:
        assert header.name.startswith("file-")
        assert header.name.endswith(".dcm")
        assert read_mammogram(header).name == header.name


def test_no_error_names_the_patient(tmp_path: Path) -> None:
    header = _header(tmp_path, name="Muster_Erika_PID-4711.dcm", BitsStored=99)
    with pytest.raises(ExamError) as caught:
        read_mammogram(header)
    assert not any(word in str(caught.value).lower() for word in ("muster", "erika", "4711"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\x89PNG\r\n" + bytes(500), "no DICOM file"),
        (bytes(128) + b"DICM", "cut or broken"),
    ],
)
def test_what_is_no_dicom_file_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(content)
    with pytest.raises(ExamError, match=rf"a\.dcm: .*{found}.*need"):
        read_header(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExamError, match=r"a\.dcm: cannot be read"):
        read_header(tmp_path / "a.dcm")


def _cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])


@pytest.mark.parametrize("keep", [0.001, 0.003, 0.006])
def test_a_file_that_ends_within_its_tags_is_refused(tmp_path: Path, keep: float) -> None:
    path = save(mammogram_dataset(), tmp_path / "a.dcm")
    _cut(path, keep)
    with pytest.raises(ExamError, match=r"a\.dcm: .*need"):
        read_header(path)


@pytest.mark.parametrize("syntax", [None, "jpeg", RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.999])
def test_truncated_pixels_are_refused_in_any_syntax(tmp_path: Path, syntax: str | None, keep: float) -> None:
    dataset = mammogram_dataset()
    if syntax == "jpeg":
        compress_jpeg_lossless(dataset, tmp_path)
    elif syntax is not None:
        dataset.compress(syntax, generate_instance_uid=False)
    path = save(dataset, tmp_path / "a.dcm")
    _cut(path, keep)
    header = read_header(path)
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: .*need"):
        read_mammogram(header)


@pytest.mark.parametrize("syntax", ["jpeg", JPEGLSLossless, JPEG2000Lossless])
def test_a_stream_cut_inside_a_whole_file_is_refused(tmp_path: Path, syntax: str) -> None:
    from pydicom.encaps import encapsulate, get_frame

    dataset = mammogram_dataset()
    if syntax == "jpeg":
        compress_jpeg_lossless(dataset, tmp_path)
    else:
        dataset.compress(syntax, generate_instance_uid=False)
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([stream[: len(stream) // 2]])
    dataset["PixelData"].is_undefined_length = True
    header = read_header(save(dataset, tmp_path / "a.dcm"))
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: .*are cut: no end marker"):
        read_mammogram(header)


def test_pixel_data_of_the_wrong_length_are_refused(tmp_path: Path) -> None:
    header = _header(tmp_path, Rows=241)
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: found 86400 bytes of pixel data, need 86760"):
        read_mammogram(header)


def test_an_unknown_transfer_syntax_is_refused_by_name(tmp_path: Path) -> None:
    dataset = mammogram_dataset()
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"
    header = read_header(save(dataset, tmp_path / "a.dcm"))
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: transfer syntax MPEG2 .* cannot be decoded; need"):
        read_mammogram(header)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "found 3 samples per pixel, RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "found 1 samples per pixel, PALETTE COLOR"),
        ({"NumberOfFrames": 2}, "found 2 frames, need one"),
        ({"BitsStored": 20}, "found 20 bits stored"),
        ({"BitsStored": None}, "found None bits stored"),
        ({"HighBit": 3}, "found HighBit 3"),
        ({"Rows": None}, "found None rows"),
        ({"PixelData": None}, "truncated"),
        ({"PatientOrientation": ["A", "L"]}, "upside down"),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, "need square pixels"),
    ],
)
def test_images_that_cannot_be_read_are_refused(tmp_path: Path, tags: dict[str, Any], found: str) -> None:
    path = save(mammogram_dataset(**tags), tmp_path / "a.dcm")
    with pytest.raises(ExamError, match=rf"a\.dcm: .*{found}"):
        read_mammogram(read_header(path))


@pytest.mark.parametrize("value", [0, 700])
def test_an_image_without_anything_on_it_is_refused(tmp_path: Path, value: int) -> None:
    header = _header(tmp_path, np.full((240, 180), value, dtype=np.uint16))
    with pytest.raises(ExamError, match=r"L-CC a\.dcm: all pixels are black"):
        read_mammogram(header)


def test_contradicting_tags_are_a_problem_of_the_header_that_refuses_the_image(tmp_path: Path) -> None:
    header = _header(tmp_path, Laterality="R")
    assert (header.view, header.left_out) == (None, None)
    assert header.problem == "a.dcm: ImageLaterality says L, Laterality says R: need one side in all"
    with pytest.raises(ExamError, match="need one side in all"):
        read_mammogram(header)


def test_a_mammogram_that_belongs_to_no_study_is_a_problem(tmp_path: Path) -> None:
    header = _header(tmp_path, StudyInstanceUID=None)
    assert header.problem == "L-CC a.dcm: no StudyInstanceUID; need both UIDs to know which exam it belongs to"


def test_a_left_out_file_is_not_read(tmp_path: Path) -> None:
    header = _header(tmp_path, ViewCodeSequence=[code_item("399260004", "medio-lateral")], ViewPosition="ML")
    assert header.left_out == "view ML is neither CC nor MLO"
    with pytest.raises(ExamError, match=r"a\.dcm: view ML is neither CC nor MLO"):
        read_mammogram(header)


def test_a_file_that_changed_since_its_header_was_read_is_refused(tmp_path: Path) -> None:
    header = _header(tmp_path)
    other = dataclasses.replace(header, path=save(mammogram_dataset(ImageLaterality="R"), tmp_path / "b.dcm"))
    with pytest.raises(ExamError, match="the file has changed"):
        read_mammogram(other)


def test_implants_and_partial_views_are_warned_about(tmp_path: Path) -> None:
    mammogram = read_mammogram(_header(tmp_path, BreastImplantPresent="YES", PartialView="YES"))
    assert len(mammogram.warnings) == 2
