"""What a network reads of a lesion, and what training does to it."""

from __future__ import annotations

import math
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from fourview.exam import ExamError
from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView, find_lesions
from fourview.studies.lesion.crops import Scale, cut_lesion, read_grey_range
from fourview.studies.lesion.lesion_input import (
    DRAW,
    LOG_DIAMETER,
    MASK,
    PATCH,
    ReadLesion,
    Surroundings,
    augment,
    log_diameter,
    read_surroundings,
    standardise,
)
from fourview.studies.lesion.recipe_parts import Augmentation, Crop
from fourview.train.kept import Kept
from tests.train.planted_set import make_store

STILL = Augmentation(mirrored=0, flipped=0, rotation_deg=0, shift=0, scale=(1.0, 1.0), gamma=(1.0, 1.0), offset=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("planted")
    return make_store(folder / "store", folder / "pictures")


def reader(store: Store, *, with_mask: bool = False, with_size: bool = False, scale: Scale = 2.0) -> ReadLesion:
    views = find_lesions(store).views
    greys = {view.image: read_grey_range(store, view.image) for view in views}
    return ReadLesion(store, Crop(scale=scale, side_px=48), Augmentation(), greys, with_mask, with_size, Kept(10**7))


def lesion(store: Store, name: str = "e2_R-MLO", which: str = "benign") -> LesionView:
    return next(one for one in find_lesions(store).views if (one.image, one.lesion) == (name, which))


def surroundings(store: Store, side_px: int = 48) -> Surroundings:
    view = lesion(store)
    return read_surroundings(store, view, scale=2.0, side_px=side_px, grey=read_grey_range(store, view.image))


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, "pad50"])
@pytest.mark.parametrize(("name", "side_px"), [("e0_L-CC", 48), ("e2_R-MLO", 48), ("e2_R-MLO", 320)])
def test_what_is_kept_for_training_holds_the_crop_that_is_read_later(
    store: Store, scale: Scale, name: str, side_px: int
) -> None:
    """Also of a crop with more pixels than the image has there, to its rim."""
    view = lesion(store, name, "malignant")
    grey = read_grey_range(store, view.image)
    pixels, mask = read_surroundings(store, view, scale=scale, side_px=side_px, grey=grey).crop()
    crop = cut_lesion(store, view, scale=scale, side_px=side_px)
    np.testing.assert_allclose(pixels, crop.pixels, atol=2e-5)
    assert (mask == crop.mask).mean() > 0.99


def test_a_crop_that_is_not_changed_is_the_crop(store: Store) -> None:
    seen = surroundings(store)
    greys, mask = augment(seen, STILL, np.random.default_rng(0))
    pixels, plain = seen.crop()
    np.testing.assert_allclose(greys, pixels, atol=1e-6)
    assert (mask == plain).all()


@pytest.mark.parametrize(
    ("change", "turned"),
    [
        ({"mirrored": 1.0}, lambda image: image[:, ::-1]),
        ({"flipped": 1.0}, lambda image: image[::-1]),
        ({"mirrored": 1.0, "flipped": 1.0}, lambda image: image[::-1, ::-1]),
        ({"gamma": (1.2, 1.2)}, lambda image: image**1.2),
    ],
)
def test_a_crop_is_changed_as_the_settings_say(store: Store, change: dict[str, object], turned: object) -> None:
    seen = surroundings(store)
    greys, _ = augment(seen, STILL.model_copy(update=change), np.random.default_rng(0))
    np.testing.assert_allclose(greys, turned(seen.crop()[0]), atol=2e-6)  # type: ignore[operator]


def test_a_turned_or_shifted_crop_shows_tissue_where_the_crop_ended(store: Store) -> None:
    seen = surroundings(store)
    shifted = STILL.model_copy(update={"shift": 0.25})
    greys, mask = augment(seen, shifted, np.random.default_rng(5))
    found = cv2.matchTemplate((seen.greys / 65535).astype(np.float32), greys, cv2.TM_SQDIFF_NORMED)
    _, _, place, _ = cv2.minMaxLoc(found)
    assert found.min() < 0.03  # between two pixels of noise: a part of the surroundings ...
    assert max(abs(place[0] - seen.margin), abs(place[1] - seen.margin)) >= 2  # ... and not the middle
    assert found[seen.margin, seen.margin] > 3 * found.min()
    assert mask.any()


def test_the_mask_goes_where_the_lesion_goes(store: Store) -> None:
    seen = surroundings(store)
    wild = Augmentation(gamma=(1.0, 1.0))
    for seed in range(12):
        greys, mask = augment(seen, wild, np.random.default_rng(seed))
        bright = greys > 0.42  # half-way from tissue to the fainter lesion of the image
        assert (mask & bright).sum() > 0.8 * mask.sum()
        assert (np.roll(mask, 6, axis=1) & bright).sum() < 0.75 * mask.sum()  # a test that sees a shift


def test_inputs_have_mean_0_and_deviation_1_and_what_the_network_asks_for(store: Store) -> None:
    view = lesion(store)
    plain = reader(store)(view, None)
    assert set(plain) == {PATCH}
    assert plain[PATCH].shape == (1, 48, 48)
    assert plain[PATCH].mean() == pytest.approx(0, abs=1e-5)
    assert plain[PATCH].std() == pytest.approx(1, abs=1e-4)
    more = reader(store, with_mask=True, with_size=True)(view, np.random.default_rng(0))
    assert set(more) == {PATCH, MASK, LOG_DIAMETER, DRAW}
    area = 40 * 12 + 12 * 44  # of the planted L, pixels of 0.2 mm
    assert float(more[LOG_DIAMETER][0]) == pytest.approx(math.log(0.2 * 2 * math.sqrt(area / math.pi)), abs=0.01)
    assert 0 <= more[DRAW][0] < 2**24


def test_the_same_draws_give_the_same_input_and_others_another(store: Store) -> None:
    read, view = reader(store), lesion(store)
    first, again, other = (read(view, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first[PATCH] != other[PATCH]).any()


def test_a_reader_pickles_without_what_it_kept(store: Store) -> None:
    read = reader(store)
    read(lesion(store), None)
    assert len(read.kept) == 1
    copied = pickle.loads(pickle.dumps(read))
    assert len(copied.kept) == 0
    np.testing.assert_array_equal(copied(lesion(store), None)[PATCH], read(lesion(store), None)[PATCH])


def test_a_size_in_mm_needs_a_pixel_size(store: Store) -> None:
    view = lesion(store)
    object.__setattr__(view, "spacing_mm", None)
    with pytest.raises(ExamError, match="found no pixel size"):
        log_diameter(10, view)


def test_a_crop_of_one_grey_becomes_0() -> None:
    assert not standardise(np.full((4, 4), 0.3, np.float32)).any()


def test_the_whole_breast_can_be_the_crop(store: Store, tmp_path: Path) -> None:
    view = lesion(store)
    seen = read_surroundings(store, view, scale="whole512", side_px=512, grey=read_grey_range(store, view.image))
    assert seen.margin == 0
    assert seen.greys.shape == (512, 512)
    turned, _ = augment(seen, Augmentation(), np.random.default_rng(0))
    assert turned.shape == (512, 512)
