"""Codes -> grey scale, on arrays small enough to follow by hand; frames blanked and never imagined."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fourview.ingest.grey import GreyTags, blank_frame, scale_grey
from tests.ingest.synthetic_dicom import breast

TISSUE = breast(low=800, high=3000).astype(np.int64)  # 12-bit values on 0


def _codes(values: NDArray[np.int64], tags: GreyTags) -> NDArray[np.uint16]:
    return (values - tags.lowest).astype(np.uint16)


def _scaled(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    return np.rint(values * 65535 / (2**bits - 1)).astype(np.int64)


def _read(values: NDArray[np.int64], tags: GreyTags) -> NDArray[np.uint16]:
    return scale_grey(_codes(values, tags), tags).pixels


@pytest.mark.parametrize("bits", [12, 13, 14, 16])
def test_stored_values_are_scaled_by_the_bits_stored(bits: int) -> None:
    grey = scale_grey(TISSUE.astype(np.uint16), GreyTags(bits))
    np.testing.assert_array_equal(grey.pixels, _scaled(TISSUE, bits))
    assert grey.pixels.dtype == np.uint16
    assert grey.warnings == ()


def test_the_highest_value_becomes_65535() -> None:
    values = np.where(TISSUE > 2900, 4095, TISSUE)
    assert _read(values, GreyTags(12)).max() == 65535


def test_inverted_values_are_turned_over() -> None:
    tags = GreyTags(12, inverted="PhotometricInterpretation MONOCHROME1")
    grey = scale_grey(_codes(4095 - TISSUE, tags), tags)
    np.testing.assert_array_equal(grey.pixels, _scaled(TISSUE, 12))
    assert "inversion" in {d.topic for d in grey.decisions}


def test_an_inverted_16_bit_image_is_inverted_about_its_padding_value() -> None:
    tags = GreyTags(16, inverted="PhotometricInterpretation MONOCHROME1", padding=(3204, 3204))
    np.testing.assert_array_equal(_read(3204 - TISSUE, tags), TISSUE)  # and not 62331 brighter


def test_a_padding_value_that_is_not_the_background_gives_way_to_the_most_frequent_value() -> None:
    tags = GreyTags(16, inverted="PhotometricInterpretation MONOCHROME1", padding=(1500, 1500))
    grey = scale_grey(_codes(3204 - TISSUE, tags), tags)  # 1500 lies within the tissue, the background is 3204
    np.testing.assert_array_equal(grey.pixels, TISSUE)
    assert any("is no background in this image" in warning for warning in grey.warnings)


def test_a_padding_value_that_no_pixel_holds_gives_way_to_the_most_frequent_value() -> None:
    tags = GreyTags(16, inverted="PhotometricInterpretation MONOCHROME1", padding=(60000, 60000))
    grey = scale_grey(_codes(3204 - TISSUE, tags), tags)
    np.testing.assert_array_equal(grey.pixels, TISSUE)
    assert ("padding", "not in the image") in {(d.topic, d.value) for d in grey.decisions}


def test_everything_in_the_padding_range_becomes_0_and_nothing_else_moves() -> None:
    values = TISSUE.copy()
    values[:20] = np.random.default_rng(0).integers(0, 31, values[:20].shape)
    expected = np.where(values <= 30, 0, values)
    np.testing.assert_array_equal(_read(values, GreyTags(12, padding=(0, 30))), _scaled(expected, 12))


def test_a_padding_range_is_not_used_where_the_padding_value_alone_is_the_background() -> None:
    """Else thin tissue at the skin would be erased: GE headers hold limits of 30 and even 490."""
    thin = np.where(TISSUE > 0, TISSUE - 790, 0)  # 10 and up
    assert ((thin > 0) & (thin < 490)).mean() > 0.01
    grey = scale_grey(_codes(thin, GreyTags(12)), GreyTags(12, padding=(0, 490)))
    np.testing.assert_array_equal(grey.pixels, _scaled(thin, 12))
    assert any("limit 490 not used" in d.value for d in grey.decisions)


def test_tissue_that_equals_the_padding_value_leaves_no_hole_in_the_breast() -> None:
    values = np.where(TISSUE == 0, 1500, TISSUE)
    inside = np.argwhere(TISSUE > 0)
    row, col = inside[len(inside) // 2]
    values[row, col] = 1500
    pixels = _read(values, GreyTags(12, padding=(1500, 1500)))
    assert pixels[row, col] == _scaled(np.array(1500), 12)
    assert not pixels[TISSUE == 0].any()


def test_bright_padding_on_the_border_becomes_0() -> None:
    values = TISSUE.copy()
    values[:, -30:] = 4095
    grey = scale_grey(values.astype(np.uint16), GreyTags(12, padding=(4095, 4095)))
    np.testing.assert_array_equal(grey.pixels, _scaled(TISSUE, 12))


@pytest.mark.parametrize("padding", [(500, 500), None])
def test_a_pedestal_is_subtracted_at_the_same_scale(padding: tuple[int, int] | None) -> None:
    grey = scale_grey((TISSUE + 500).astype(np.uint16), GreyTags(12, padding=padding))
    np.testing.assert_array_equal(grey.pixels, _scaled(TISSUE, 12))
    assert "pedestal 500 removed" in {d.value for d in grey.decisions}


@settings(deadline=None, max_examples=40)
@given(pedestal=st.integers(1, 1000), inverted=st.booleans(), signed=st.booleans())
def test_no_pedestal_sign_or_inversion_changes_what_is_read(pedestal: int, inverted: bool, signed: bool) -> None:
    tags = GreyTags(12, signed=signed, inverted="PresentationLUTShape INVERSE" if inverted else "")
    values = TISSUE + pedestal + tags.lowest
    stored = (4095 + 2 * tags.lowest - values) if inverted else values
    np.testing.assert_array_equal(_read(stored, tags), _scaled(TISSUE, 12))


def test_a_frequent_value_that_is_not_the_dark_end_is_no_pedestal() -> None:
    values = TISSUE.copy()
    values[values == 0] = 2000  # a light surround: 2000 is frequent, much tissue is darker
    np.testing.assert_array_equal(_read(values, GreyTags(12)), _scaled(values, 12))


def test_signed_values_without_negatives_are_read_like_unsigned_ones() -> None:
    np.testing.assert_array_equal(_read(TISSUE, GreyTags(14, signed=True)), _scaled(TISSUE, 14))


def test_negative_padding_is_background() -> None:
    values = np.where(TISSUE == 0, -2000, TISSUE)
    np.testing.assert_array_equal(_read(values, GreyTags(13, signed=True, padding=(-2000, -2000))), _scaled(TISSUE, 13))


def test_8_bits_are_read_with_a_warning() -> None:
    values = TISSUE // 16
    grey = scale_grey(values.astype(np.uint16), GreyTags(8))
    np.testing.assert_array_equal(grey.pixels, values * 257)
    assert grey.warnings == ("only 8 bits per pixel: mammograms have 10 to 16",)


def test_a_border_without_a_background_of_0_warns() -> None:
    values = np.random.default_rng(0).integers(1000, 3000, (50, 40))
    assert scale_grey(values.astype(np.uint16), GreyTags(12)).warnings == (
        "no background of exactly 0 on the image border",
    )


def test_display_values_are_inverted_after_the_lookup_and_leave_the_background_at_0() -> None:
    tags = GreyTags(12, inverted="PhotometricInterpretation MONOCHROME1")
    voi = np.linspace(0.1, 0.9, 4096)
    pixels = scale_grey(_codes(4095 - TISSUE, tags), tags, voi=voi, voi_source="window").pixels
    expected = np.where(TISSUE == 0, 0, np.rint((1 - voi[4095 - TISSUE]) * 65535))
    np.testing.assert_array_equal(pixels, expected)


def _framed(width: int, edges: str, value: int = 4095) -> NDArray[np.uint16]:
    image = breast()
    where = {"t": np.s_[:width], "b": np.s_[-width:], "l": np.s_[:, :width], "r": np.s_[:, -width:]}
    for edge in edges:
        image[where[edge]] = value
    return image


@pytest.mark.parametrize("width", [1, 5, 14])
@pytest.mark.parametrize("edges", ["tblr", "tbr", "tbl", "tlr", "blr"])
def test_a_light_frame_is_set_to_0_and_the_rest_stays(edges: str, width: int) -> None:
    image = _framed(width, edges)
    blanked, decisions = blank_frame(image)
    expected = _framed(width, edges, value=0)
    np.testing.assert_array_equal(blanked, expected)
    assert [d.topic for d in decisions] == ["frame"]
    assert (image == _framed(width, edges)).all()  # the caller's array is untouched


@pytest.mark.parametrize(
    "image",
    [breast(), _framed(5, "tb"), _framed(5, "l"), _framed(40, "tblr"), np.full((90, 90), 9)],
    ids=["none", "two edges", "one edge", "too broad", "constant"],
)
def test_what_is_no_frame_comes_back_as_the_same_array(image: NDArray[np.uint16]) -> None:
    blanked, decisions = blank_frame(image)
    assert blanked is image
    assert decisions == ()


def test_no_real_image_has_a_frame(shared: Path) -> None:
    paths = sorted((shared / "data/nyu_sample_exams").glob("*_exam*/*.png")) + sorted(
        (shared / "data/nyu_sample_exams").glob("dmv*/*.png")
    )
    assert len(paths) == 10
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert blank_frame(image)[0] is image, path.name
