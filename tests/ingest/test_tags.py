"""Which view, side, direction and pixel size the tags name; what is left out; what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from fourview.exam import ExamError, View
from fourview.ingest.dicom_geometry import read_direction, read_spacing
from fourview.ingest.dicom_kinds import reason_left_out
from fourview.ingest.tags import read_view
from tests.ingest.synthetic_dicom import code_item, mammogram_dataset


def _coded(code: str, *modifiers: Dataset, **tags: Any) -> Dataset:
    item = code_item(code, "")
    item.ViewModifierCodeSequence = list(modifiers)
    return mammogram_dataset(ViewCodeSequence=[item], **tags)


@pytest.mark.parametrize(
    ("code", "view"), [("399162004", "L-CC"), ("R-10242", "L-CC"), ("399368009", "L-MLO"), ("R-10226", "L-MLO")]
)
def test_a_view_code_names_the_view(code: str, view: str) -> None:
    found = read_view(_coded(code, ViewPosition=None))
    assert (found.view, found.left_out) == (view, None)
    assert found.decisions[0].source == f"ViewCodeSequence {code}"


def test_an_empty_view_code_sequence_leaves_it_to_the_plain_tag() -> None:
    found = read_view(mammogram_dataset(ViewCodeSequence=[], ViewPosition="MLO"))
    assert found.view == "L-MLO"
    assert found.decisions[0].source == "ViewPosition"


@pytest.mark.parametrize("word", ["ML", "LM", "LMO", "XCCL", "XCCM", "SIO", "FB", "AT", "CV", "SPECIMEN"])
def test_another_projection_is_left_out_by_name(word: str) -> None:
    found = read_view(mammogram_dataset(ViewPosition=word))
    assert (found.view, found.left_out) == (None, f"view {word} is neither CC nor MLO")


@pytest.mark.parametrize(
    ("code", "word"),
    [("399260004", "ML"), ("R-10230", "LMO"), ("399192008", "XCCL"), ("Y-X1771", "XCCM"), ("399188001", "SIO")],
)
def test_the_code_of_another_projection_is_left_out_by_name(code: str, word: str) -> None:
    assert read_view(_coded(code, ViewPosition=None)).left_out == f"view {word} is neither CC nor MLO"


def test_an_unknown_view_code_is_left_out_by_its_meaning() -> None:
    dataset = mammogram_dataset(ViewCodeSequence=[code_item("1", "Axillary tail")])
    assert read_view(dataset).left_out == "view AXILLARY TAIL is neither CC nor MLO"


@pytest.mark.parametrize("meaning", ["Spot Compression", "Magnification", "Implant Displaced", "Rolled Lateral"])
def test_a_modified_view_is_left_out_by_its_modifier(meaning: str) -> None:
    found = read_view(_coded("R-10242", code_item("R-102D7", meaning, "SRT")))
    assert (found.view, found.left_out) == (None, f"CC {meaning.lower()}: no plain CC or MLO view")


def test_a_modifier_beside_the_view_code_counts_too() -> None:
    dataset = mammogram_dataset(ViewModifierCodeSequence=[code_item("399161006", "Cleavage")])
    assert read_view(dataset).left_out == "CC cleavage: no plain CC or MLO view"


def test_a_magnified_view_is_left_out() -> None:
    dataset = mammogram_dataset(EstimatedRadiographicMagnificationFactor="1.8")
    assert read_view(dataset).left_out == "magnified 1.8 times: no contact view"


def test_no_view_is_left_out() -> None:
    assert "names no view" in (read_view(mammogram_dataset(ViewPosition=None)).left_out or "")


def test_a_code_that_contradicts_the_plain_view_is_refused() -> None:
    with pytest.raises(ExamError, match="ViewCodeSequence says MLO, ViewPosition says CC"):
        read_view(_coded("R-10226", ViewPosition="CC"))


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ImageLaterality": "R"}, "R-CC"),
        ({"ImageLaterality": None, "Laterality": "R"}, "R-CC"),
        ({"ImageLaterality": "L", "Laterality": "L"}, "L-CC"),
    ],
)
def test_either_laterality_names_the_side(tags: dict[str, Any], view: str) -> None:
    assert read_view(mammogram_dataset(**tags)).view == view


def test_the_side_may_come_from_the_anatomic_region() -> None:
    region = code_item("T-04000", "Breast", "SRT")
    region.AnatomicRegionModifierSequence = [code_item("G-A100", "Right", "SRT")]
    assert read_view(mammogram_dataset(ImageLaterality=None, AnatomicRegionSequence=[region])).view == "R-CC"
    with pytest.raises(ExamError, match="ImageLaterality says L, AnatomicRegionModifierSequence says R"):
        read_view(mammogram_dataset(AnatomicRegionSequence=[region]))


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"ImageLaterality": None}, "no side"),
        ({"ImageLaterality": ""}, "no side"),
        ({"Laterality": "R"}, "ImageLaterality says L, Laterality says R"),
        ({"ImageLaterality": "U"}, "found laterality 'U', need L or R"),
    ],
)
def test_a_side_that_is_absent_or_contradicted_is_refused(tags: dict[str, Any], found: str) -> None:
    with pytest.raises(ExamError, match=found):
        read_view(mammogram_dataset(**tags))


def test_an_image_of_both_breasts_is_left_out() -> None:
    assert read_view(mammogram_dataset(ImageLaterality="B")).left_out == "shows both breasts (laterality B): need one"


SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2.1"}, "For Processing"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "For Processing"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.3"}, "a tomosynthesis volume"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.13.1.4"}, "tomosynthesis projections"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "TOMO_PROJ"]}, "a tomosynthesis image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "VOLUME"]}, "a tomosynthesis image"),
        ({"ImageType": ["DERIVED", "PRIMARY", "TOMO", "GENERATED_2D"]}, "a synthesised two-dimensional image"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "STEREO_MINUS"]}, "a stereotactic image"),
        ({"SOPClassUID": SECONDARY_CAPTURE}, "a screen or secondary capture"),
        ({"SOPClassUID": SECONDARY_CAPTURE, "ConversionType": "WSD"}, "a screen or secondary capture"),
        ({"SOPClassUID": f"{SECONDARY_CAPTURE}.4"}, "a screen or secondary capture"),
        ({"Modality": "US"}, "modality US"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.50", "Modality": "SR"}, "modality SR"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "Modality": None}, "Grayscale Softcopy Presentation State"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": None}, "Computed Radiography Image Storage"),
        ({"SOPClassUID": None, "Modality": None}, "an object without SOP class and modality"),
        ({"QualityControlImage": "YES"}, "a quality control image"),
    ],
)
def test_other_objects_are_left_out_with_the_reason(tags: dict[str, Any], reason: str) -> None:
    assert (reason_left_out(mammogram_dataset(**tags)) or "").startswith(reason)


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"Modality": None},  # public sets remove it
        {"PresentationIntentType": None},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"},  # computed radiography that says MG
        {"SOPClassUID": SECONDARY_CAPTURE, "Modality": "RG", "ConversionType": "DF"},
    ],
)
def test_mammograms_and_digitised_films_are_taken(tags: dict[str, Any]) -> None:
    assert reason_left_out(mammogram_dataset(**tags)) is None


@pytest.mark.parametrize(
    ("view", "orientation", "faces"),
    [
        (View.L_CC, ["A", "R"], "right"),
        (View.R_CC, ["P", "L"], "left"),
        (View.L_CC, ["P", "R"], "left"),  # mirrored: only the rows run the other way
        (View.R_CC, ["A", "L"], "right"),
        (View.L_CC, ["A", "F"], "right"),
        (View.L_MLO, ["A", "FR"], "right"),
        (View.R_MLO, ["P", "FL"], "left"),
        (View.R_MLO, ["P", "L"], "left"),
        (View.L_MLO, ["A", "F"], "right"),
    ],
)
def test_patient_orientation_names_the_direction(view: View, orientation: list[str], faces: str) -> None:
    found = read_direction(mammogram_dataset(PatientOrientation=orientation), view)
    assert (found.direction, found.source) == (faces, "PatientOrientation " + "\\".join(orientation))


@pytest.mark.parametrize(
    ("view", "orientation", "problem"),
    [
        (View.L_CC, ["A", "L"], "upside down"),
        (View.R_CC, ["P", "R"], "upside down"),
        (View.L_MLO, ["A", "H"], "upside down"),
        (View.R_MLO, ["P", "HR"], "upside down"),
        (View.R_MLO, ["P", "H"], "upside down"),
        (View.L_CC, ["P", "L"], "upside down"),  # turned by 180 degrees
        (View.L_CC, ["R", "A"], "neither to anterior nor to posterior"),
        (View.L_CC, ["A", "P"], "columns towards P"),
    ],
)
def test_an_image_on_its_head_or_side_is_refused(view: View, orientation: list[str], problem: str) -> None:
    with pytest.raises(ExamError, match=problem):
        read_direction(mammogram_dataset(PatientOrientation=orientation), view)


def test_patient_orientation_wins_over_the_flip_tag_and_both_are_recorded() -> None:
    found = read_direction(mammogram_dataset(FieldOfViewHorizontalFlip="YES"), View.L_CC)
    assert (found.direction, found.source) == ("right", "PatientOrientation A\\R")
    assert [(d.topic, d.value) for d in found.decisions] == [("FieldOfViewHorizontalFlip", "YES")]


@pytest.mark.parametrize(("flip", "faces"), [("YES", "left"), ("NO", "right"), (None, None)])
def test_without_patient_orientation_the_flip_tag_decides(flip: str | None, faces: str | None) -> None:
    tags = {} if flip is None else {"FieldOfViewHorizontalFlip": flip}
    dataset = mammogram_dataset(PatientOrientation=None, **tags)
    assert read_direction(dataset, View.L_CC).direction == faces


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({}, 0.1),
        ({"EstimatedRadiographicMagnificationFactor": "1.0625"}, 0.1 / 1.0625),
        ({"EstimatedRadiographicMagnificationFactor": "0.10256"}, 0.1),
        ({"PixelSpacing": [0.5, 0.5]}, 0.1),
        ({"ImagerPixelSpacing": None, "PixelSpacing": [0.07, 0.07]}, 0.07),
        ({"ImagerPixelSpacing": None, "NominalScannedPixelSpacing": [0.05, 0.05]}, 0.05),
        ({"ImagerPixelSpacing": None}, None),
    ],
)
def test_pixel_size_at_the_breast(tags: dict[str, Any], spacing: float | None) -> None:
    found, decisions = read_spacing(mammogram_dataset(**tags))
    assert found == (None if spacing is None else pytest.approx(spacing))
    assert len(decisions) == 1


def test_a_given_pixel_size_wins_and_the_file_is_quoted() -> None:
    found, decisions = read_spacing(mammogram_dataset(), override_mm=0.07)
    assert found == 0.07
    assert decisions[0].source == "option spacing_mm (the file says 0.1 mm)"


@pytest.mark.parametrize(
    "tags", [{"ImagerPixelSpacing": [0.1, 0.2]}, {"PixelAspectRatio": [1, 2]}, {"ImagerPixelSpacing": [0, 0]}]
)
def test_pixels_that_are_not_square_are_refused(tags: dict[str, Any]) -> None:
    with pytest.raises(ExamError, match="need square pixels"):
        read_spacing(mammogram_dataset(**tags))
