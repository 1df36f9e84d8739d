"""The breast on a digitised film: nothing of it is lost, nothing else is left, doubtful films stay as they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fourview.crop import crop_breast
from fourview.datasets.mini_ddsm import find_mini_ddsm, load_mini_ddsm
from fourview.datasets.mini_mias import find_mini_mias, load_mini_mias
from fourview.datasets.reading import load_record
from fourview.datasets.record import ImageRecord
from fourview.datasets.regions import draw_region
from fourview.exam import ExamError
from fourview.film import blank_film, find_breast
from fourview.film import breast as film
from tests.datasets.drawn_film import COLS, LABEL, LETTER, ROWS, SPACING_MM, TISSUE, WHITE, draw_film


def mask_of(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return find_breast(pixels, spacing_mm=SPACING_MM).mask


def far_from(breast: NDArray[np.bool_], mm: float) -> NDArray[np.bool_]:
    distance: NDArray[np.float32] = cv2.distanceTransform((~breast).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance * SPACING_MM > mm)


def is_sound(mask: NDArray[np.bool_], breast: NDArray[np.bool_]) -> bool:
    """Whether the whole breast is kept, and neither what is far from it nor a letter."""
    return bool(mask[breast].all() and not any(mask[out].any() for out in (far_from(breast, 26), LABEL, LETTER)))


@pytest.mark.parametrize("fades_mm", [2, 6, 12, 18])
@pytest.mark.parametrize("background", [0, 4, 10, 25])
def test_the_whole_breast_is_kept_as_it_is_and_all_else_is_0(background: int, fades_mm: float) -> None:
    drawn = draw_film(background=background, fades_mm=fades_mm)
    mask = mask_of(drawn.pixels)
    assert is_sound(mask, drawn.breast)
    pixels, decisions, warnings = blank_film(drawn.pixels, spacing_mm=SPACING_MM)
    np.testing.assert_array_equal(pixels, np.where(mask, drawn.pixels, 0))
    assert pixels.dtype == np.uint8
    assert [decision.topic for decision in decisions] == ["film"]
    assert warnings == ()


def test_the_decision_names_what_was_kept_and_left_out_and_the_grey_levels() -> None:
    drawn = draw_film()
    found = find_breast(drawn.pixels, spacing_mm=SPACING_MM)
    _, [decision], _ = blank_film(drawn.pixels, spacing_mm=SPACING_MM)
    share = f"{found.mask.mean():.1%}"
    assert decision.value == f"{share} of the film kept; set to 0: the background, 3 bright pieces ({found.share:.1%})"
    assert decision.source.startswith("grey levels of the film: background 1")
    assert 10 <= found.background < found.faded < found.tissue < TISSUE
    assert found.faded == pytest.approx(13.5, abs=2)  # bands are 10 and 12


@pytest.mark.parametrize("spacing_mm", [SPACING_MM, SPACING_MM / 2])
def test_the_margin_beyond_the_skin_is_a_few_millimetres(spacing_mm: float) -> None:
    drawn = draw_film(fades_mm=6)
    mask = find_breast(drawn.pixels, spacing_mm=spacing_mm).mask
    level = slice(150, 350)  # rows away from the border, where edges may trail along
    per_mm = SPACING_MM / spacing_mm
    assert not mask[level][far_from(drawn.breast, 8 * per_mm)[level]].any()
    assert mask[level][~far_from(drawn.breast, 3 * per_mm)[level]].all()


def test_a_narrow_part_along_the_chest_wall_and_a_dark_spot_inside_stay() -> None:
    drawn = draw_film()
    image = drawn.pixels.copy()
    narrow, spot = (slice(390, 475), slice(0, 28)), (slice(220, 260), slice(60, 100))
    image[narrow] = TISSUE
    image[spot] = 0
    mask = mask_of(image)
    for part in (narrow, spot, drawn.breast):
        assert mask[part].all()


def test_light_film_above_and_below_the_breast_does_not_hide_its_skin() -> None:
    drawn = draw_film(fades_mm=24)
    image = drawn.pixels.copy()
    image[8:60, :80] = image[440:, :80] = 26  # hardly darker than tissue
    assert mask_of(image)[drawn.breast].all()


def test_padding_of_0_around_the_film_changes_nothing() -> None:
    drawn = draw_film(background=25)
    padded = np.pad(drawn.pixels, ((0, 0), (400, 400)))
    assert (mask_of(padded)[:, 400:-400] ^ mask_of(drawn.pixels)).mean() < 0.01


def test_what_is_thick_but_only_thinly_joined_to_the_breast_is_left_out() -> None:
    drawn = draw_film()
    image = drawn.pixels.copy()
    other, line = (slice(0, 56), slice(0, 64)), (slice(0, ROWS), slice(0, 4))
    image[other] = image[line] = 150
    mask = mask_of(image)
    assert not mask[other].any()
    assert mask[drawn.breast].all()


def test_what_a_letter_encloses_goes_with_it() -> None:
    drawn = draw_film(fades_mm=18)
    image = drawn.pixels.copy()
    letter, within = (slice(300, 320), slice(182, 202)), (slice(304, 316), slice(186, 198))
    enclosed = image[within].copy()
    image[letter] = WHITE
    image[within] = enclosed
    assert mask_of(drawn.pixels)[within].mean() > 0.5
    assert not mask_of(image)[letter].any()


@pytest.mark.parametrize(
    ("turn", "back"),
    [
        (lambda image: image[:, ::-1], lambda mask: mask[:, ::-1]),
        (lambda image: image[::-1], lambda mask: mask[::-1]),
        (lambda image: image.astype(np.uint16) * 257, lambda mask: mask),
        (lambda image: image.astype(np.float32) / 255, lambda mask: mask),
    ],
)
def test_a_turned_or_rescaled_film_gives_the_same_breast(
    turn: Callable[[NDArray[Any]], NDArray[Any]], back: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]
) -> None:
    drawn = draw_film()
    same = mask_of(drawn.pixels) ^ back(mask_of(np.ascontiguousarray(turn(drawn.pixels))))
    assert same.mean() < 0.002


def test_more_pixels_or_an_unknown_pixel_size_change_nothing_but_the_rim() -> None:
    drawn = draw_film()
    usual = mask_of(drawn.pixels)
    assert (usual ^ find_breast(drawn.pixels, spacing_mm=None).mask).mean() < 0.002
    large = cv2.resize(drawn.pixels, (4 * COLS, 4 * ROWS), interpolation=cv2.INTER_CUBIC)
    found = find_breast(large, spacing_mm=SPACING_MM / 4).mask
    assert (usual ^ found[2::4, 2::4]).mean() < 0.01


def test_a_detached_nipple_and_calcium_are_breast_and_a_letter_as_near_is_not() -> None:
    drawn = draw_film(fades_mm=3)
    image = drawn.pixels.copy()
    nipple, calcium, letter = (
        (slice(200, 206), slice(171, 177)),
        (slice(280, 284), slice(176, 180)),
        (slice(300, 312), slice(172, 182)),
    )
    image[nipple], image[calcium], image[letter] = 50, WHITE, 150
    mask = mask_of(image)
    assert mask[nipple].all()
    assert mask[calcium].all()
    assert not mask[letter].any()


def test_a_thin_white_line_along_the_chest_wall_takes_nothing_of_the_breast() -> None:
    drawn = draw_film()
    image = drawn.pixels.copy()
    image[:, :4] = WHITE
    assert mask_of(image)[drawn.breast].all()


def test_a_white_label_that_tape_joins_to_the_breast_goes_and_the_skin_beside_it_stays() -> None:
    drawn = draw_film(fades_mm=18)
    over, tape = (slice(200, 212), slice(188, 202)), (slice(204, 208), slice(160, 190))
    image = drawn.pixels.copy()
    image[tape] = np.maximum(image[tape], 50)
    image[over] = WHITE
    mask = mask_of(image)
    assert not mask[over].any()
    beside = drawn.breast.copy()
    assert beside[over].any()
    beside[196:216, 184:206] = False
    assert mask[beside].all()


def test_a_white_frame_that_jpeg_blurred_is_left_out() -> None:
    drawn = draw_film()
    framed = np.pad(drawn.pixels, 30, constant_values=WHITE)
    ok, data = cv2.imencode(".jpg", framed, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert ok
    mask = mask_of(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))
    assert mask[30:-30, 30:-30][drawn.breast].all()
    for edge in (mask[:29], mask[-29:], mask[:, :29], mask[:, -29:]):
        assert not edge.any()


def test_where_the_dark_end_was_cut_off_the_breast_is_found_before_and_stays_above_0() -> None:
    drawn = draw_film()
    cut = np.maximum(drawn.pixels.astype(np.int64) - 50, 0).astype(np.uint16)
    pixels, _, _ = blank_film(cut, spacing_mm=SPACING_MM, lightness=drawn.pixels.astype(np.float32))
    np.testing.assert_array_equal(pixels > 0, mask_of(drawn.pixels))
    np.testing.assert_array_equal(pixels[pixels > 1], cut[(pixels > 1)])
    assert (pixels[drawn.breast] == np.maximum(cut[drawn.breast], 1)).all()
    assert not is_sound(cut > 0, drawn.breast)  # what would have been kept of `cut` alone


def two_breasts() -> NDArray[np.uint8]:
    half = draw_film().pixels[::2, ::2]
    return np.vstack([half, half, half])


def cross() -> NDArray[np.uint8]:
    image = np.full((ROWS, COLS), 10, np.uint8)
    image[200:300] = image[:, 150:230] = 90
    return image


def nearly_full() -> NDArray[np.uint8]:
    image = np.random.default_rng(0).integers(85, 95, (ROWS, COLS)).astype(np.uint8)
    image[:130, 240:] = 5
    return image


def never_dark() -> NDArray[np.uint8]:
    """A background that is dark far away and never ends at the breast."""
    y, x = np.mgrid[:ROWS, :COLS]
    away = np.maximum(np.hypot((y - 240) / 120, x / 100) - 1, 0)
    return np.where(away > 0, 8 + 22 * np.exp(-0.5 * away), 90).astype(np.uint8)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.full((ROWS, COLS), 40, np.uint8), "one grey level fills the film"),
        (np.random.default_rng(0).integers(80, 100, (ROWS, COLS)).astype(np.uint8), "the breast fills the film"),
        (two_breasts(), "two things look like a breast"),
        (cross(), "more of all four borders"),
        (nearly_full(), "fills 9.*need 3% to 85%"),
        (never_dark(), "has not faded in 20 mm"),
        (np.pad(np.full((20, 200), 90, np.uint8), ((200, 260), (100, 60)), constant_values=10), "is 20 mm thick"),
        (
            np.pad(np.full((120, 120), 90, np.uint8), ((200, 900), (400, 900)), constant_values=10),
            "fills [01].*need 3% to 85%",
        ),
    ],
)
def test_a_film_without_a_plausible_breast_stays_as_it_is_with_a_warning(image: NDArray[np.uint8], said: str) -> None:
    with pytest.raises(ExamError, match=said):
        find_breast(image, spacing_mm=SPACING_MM)
    pixels, [decision], [warning] = blank_film(image, spacing_mm=SPACING_MM)
    assert pixels is image
    assert decision.value == "left as it is"
    assert re.search(said, decision.source)
    assert warning.startswith("the film is left as it is: ")


def nothing_apart(bright: NDArray[np.uint8], *_: object) -> NDArray[np.uint8]:
    return np.zeros_like(bright)


@pytest.mark.parametrize(
    "planted",
    [
        {"FADED": 1.0, "MARGIN_MM": 0.0},  # a threshold so high that it cuts the skin
        {"REACH_MM": 3.0, "MARGIN_MM": 0.0, "MOST_OPEN": 1.0},  # the skin is not followed
        {"MARGIN_MM": 40.0},  # background is kept
        {"not_joined": nothing_apart, "white_labels": nothing_apart},  # labels are kept
    ],
)
def test_planted_faults_are_found_by_the_tests_above(monkeypatch: pytest.MonkeyPatch, planted: dict[str, Any]) -> None:
    drawn = draw_film(fades_mm=18)
    assert is_sound(mask_of(drawn.pixels), drawn.breast)
    for name, value in planted.items():
        monkeypatch.setattr(film, name, value)
    assert not is_sound(mask_of(drawn.pixels), drawn.breast)


def crop_share(record: ImageRecord, pixels_of: Callable[[ImageRecord], Any]) -> float:
    mammogram = pixels_of(record)
    return crop_breast(mammogram).pixels.size / float(mammogram.pixels.size)


@pytest.mark.slow
def test_real_films_of_ddsm_lose_their_background_and_no_pixel_of_an_outline(shared: Path) -> None:
    kept = []
    for record in find_mini_ddsm(shared / "data" / "mini_ddsm_sample").records:
        whole, mammogram = load_record(record, jpeg=True), load_mini_ddsm(record)
        inside = mammogram.pixels > 0
        np.testing.assert_array_equal(mammogram.pixels[inside], whole.pixels[inside])
        for lesion in record.lesions:
            assert lesion.region is not None
            mask = draw_region(lesion.region, whole.pixels.shape)
            np.testing.assert_array_equal(mammogram.pixels[mask], whole.pixels[mask])
        assert mammogram.warnings == ()
        assert mammogram.faces == whole.faces
        crop = crop_breast(mammogram)
        assert crop.warnings == ()
        kept.append(crop.pixels.size / whole.pixels.size)
    assert len(kept) == 40
    assert 0.55 < np.mean(kept) < 0.65
    assert max(kept) < 0.9


@pytest.mark.slow
def test_real_films_of_mini_mias_lose_their_labels_and_no_pixel_of_a_circle(shared: Path) -> None:
    left = []
    for record in find_mini_mias(shared / "data" / "mini_mias").records:
        whole, mammogram = load_record(record), load_mini_mias(record)
        if mammogram.warnings != whole.warnings:
            left.append(record.image)
            continue
        for lesion in record.lesions:
            if lesion.region is not None:
                mask = draw_region(lesion.region, whole.pixels.shape)
                np.testing.assert_array_equal(mammogram.pixels[mask], whole.pixels[mask])
        assert mammogram.faces == whole.faces
        assert crop_breast(mammogram).pixels.size <= crop_breast(whole).pixels.size
    assert left == ["mdb151", "mdb152"]  # one woman, whose breast fills the film
