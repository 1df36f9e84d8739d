"""Lesions of a store, and the squares that are cut about them."""

from __future__ import annotations

import cv2
import numpy as np
import polars as pl
import pytest

from fourview.datasets.cbis_ddsm import DATASET as CBIS
from fourview.exam import Box, ExamError, SetupError
from fourview.store.prepare import prepare
from fourview.store.prepare_image import CropSettings
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.crops import GreyRange, LesionCrop, Square, cut_lesion, find_grey_range, place_square
from tests.datasets.cbis_miniature import SPOT, Miniature, spot
from tests.studies.lesion_store import draw_lesions


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return draw_lesions(tmp_path_factory.mktemp("lesions"), exams=6)


@pytest.fixture(scope="module")
def cbis(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("cbis")
    small = Miniature(folder / "set")
    small.add(view="CC")
    small.add(view="MLO")
    small.add(patient="P_00002", side="RIGHT", pathology="BENIGN")
    small.add(patient="P_00003", pathology="BENIGN_WITHOUT_CALLBACK")
    small.add("calc", "test", patient="P_00004", words=("PLEOMORPHIC", "CLUSTERED"))
    small.add("calc", "test", patient="P_00001", view="MLO", words=("PLEOMORPHIC", "CLUSTERED"))
    root = small.write_nbia()
    prepare(CBIS, root, folder / "store", crop=CropSettings(10, 10))
    return Store.open(folder / "store")


def in_source(crop: LesionCrop) -> np.ndarray:
    """The crop's mask, drawn into the pixels of the file."""
    rows, cols = crop.frame.source_shape
    return cv2.warpAffine(crop.mask.astype(np.float32), crop.to_source, (cols, rows), flags=cv2.INTER_LINEAR) > 0.5


def test_of_phantoms_the_biopsied_lesions_that_show_are_cases(phantoms: Store) -> None:
    found = find_lesions(phantoms, kinds=("mass", "calcification", "distortion", "asymmetry"))
    assert len(found.views) > 8
    assert {view.malignant for view in found.views} == {True, False}
    assert all(view.words["biopsied"] == "yes" and view.words["visible"] == "yes" for view in found.views)
    assert found.left_out["not biopsied at this exam"] > 0
    masses = find_lesions(phantoms).views
    assert {view.kind for view in masses} == {"mass"}
    assert len(masses) < len(found.views)
    assert len({view.name for view in found.views}) == len(found.views)


def test_both_views_of_a_breast_name_the_same_lesion(cbis: Store) -> None:
    views = {view.image: view for view in find_lesions(cbis).views}
    assert views["P_00001_LEFT_CC"].key == views["P_00001_LEFT_MLO"].key
    assert views["P_00001_LEFT_CC"].key != views["P_00002_RIGHT_CC"].key
    assert views["P_00001_LEFT_CC"].malignant
    assert views["P_00001_LEFT_CC"].official == "train"  # of masses, though calcifications of hers are of the test part
    assert views["P_00001_LEFT_CC"].words["margins"] == "SPICULATED"


def test_a_patient_may_be_in_training_for_one_kind_of_lesion_and_in_test_for_another(cbis: Store) -> None:
    views = find_lesions(cbis, kinds=("mass", "calcification")).views
    own = {(view.kind, view.official) for view in views if view.patient.endswith("P_00001")}
    assert own == {("mass", "train"), ("calcification", "test")}
    assert {view.official for view in views if view.patient.endswith("P_00004")} == {"test"}


def test_lesions_without_callback_are_benign_or_left_out(cbis: Store) -> None:
    kept = find_lesions(cbis)
    assert [view.malignant for view in kept.views if view.image == "P_00003_LEFT_CC"] == [False]
    fewer = find_lesions(cbis, drop_without_callback=True)
    assert len(fewer.views) == len(kept.views) - 1
    assert fewer.left_out["benign without callback"] == 1
    assert fewer.left_out["another kind of lesion"] == 2


def test_rows_without_a_part_are_left_out(cbis: Store) -> None:
    table = cbis.manifest.with_columns(
        part=pl.when(pl.col("image") == "P_00001_LEFT_CC").then(pl.lit("test")).otherwise(None)
    )
    found = find_lesions(cbis, table)
    assert [(view.image, view.part) for view in found.views] == [("P_00001_LEFT_CC", "test")]
    assert found.left_out["of no part of the split"] == 3


def test_a_store_without_such_lesions_is_refused(phantoms: Store) -> None:
    with pytest.raises(SetupError, match="no outlined lesion of other"):
        find_lesions(phantoms, kinds=("other",))


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, "pad50", "whole512"])
def test_a_crop_leads_back_to_the_pixels_of_its_file(cbis: Store, scale: float | str) -> None:
    for view in find_lesions(cbis).views:
        crop = cut_lesion(cbis, view, scale=scale, side_px=248)  # type: ignore[arg-type]
        side = "LEFT" if view.side == "L" else "RIGHT"
        truth, drawn = spot(side), in_source(crop)
        assert (truth & drawn).sum() / (truth | drawn).sum() > 0.9
        if view.side == "R":  # a test that sees a missing mirror
            assert (truth[:, ::-1] & drawn).sum() < 0.5 * truth.sum()


def test_the_lesion_is_bright_in_its_crop_and_the_mask_lies_on_it(cbis: Store) -> None:
    for view in find_lesions(cbis).views:
        crop = cut_lesion(cbis, view, scale=2.0, side_px=64)
        assert crop.pixels.shape == crop.mask.shape == (64, 64)
        assert crop.pixels.dtype == np.float32
        assert crop.pixels.min() >= 0
        assert crop.pixels.max() == 1
        inner = cv2.erode(crop.mask.astype(np.uint8), np.ones((5, 5))) > 0
        assert crop.pixels[inner].min() > crop.pixels[~crop.mask].mean() + 0.2
        height, width = SPOT[0].stop - SPOT[0].start, SPOT[1].stop - SPOT[1].start
        share = height * width / (2 * height) ** 2
        assert crop.mask.mean() == pytest.approx(share, rel=0.1)
        assert crop.spacing_mm is None
        assert crop.diameter_mm is None  # the headers say nothing


def test_millimetres_follow_the_pixel_size_of_the_image(phantoms: Store) -> None:
    for view in find_lesions(phantoms).views:
        crop = cut_lesion(phantoms, view, scale=2.0, side_px=48)
        assert view.spacing_mm is not None
        assert crop.spacing_mm is not None
        assert crop.diameter_mm is not None
        longest = max(view.box.height, view.box.width)
        assert crop.spacing_mm * 48 == pytest.approx(view.spacing_mm * 2 * longest, abs=2 * view.spacing_mm)
        assert crop.diameter_mm <= view.spacing_mm * longest * 1.2
        disc = 4 * crop.mask.sum() / np.pi
        assert crop.diameter_mm == pytest.approx(np.sqrt(disc) * crop.spacing_mm, rel=0.15)


@pytest.mark.parametrize(
    ("box", "scale", "square"),
    [
        (Box(40, 60, 40, 50), 1.0, Square(40, 35, 20)),
        (Box(40, 60, 40, 50), 2.0, Square(30, 25, 40)),
        (Box(0, 20, 90, 100), 2.0, Square(0, 60, 40)),  # shifted into the image
        (Box(40, 60, 40, 50), "pad50", Square(0, -10, 120)),  # wider than the image: centred on it
        (Box(10, 90, 10, 50), 1.5, Square(-10 + 10, -10, 120)),
        (Box(40, 60, 40, 50), "whole512", Square(0, 0, 120)),
        (Box(40, 60, 40, 43), 1.05, Square(39, 30, 22)),  # an even side
    ],
)
def test_squares_lie_about_the_outline_and_inside_the_image(box: Box, scale: float, square: Square) -> None:
    assert place_square(box, (120, 100), scale) == square


def test_beyond_the_image_the_tissue_is_mirrored_and_the_mask_is_not(phantoms: Store) -> None:
    view = max(find_lesions(phantoms).views, key=lambda one: max(one.box.height, one.box.width))
    shape = view.frame.box.height, view.frame.box.width
    scale = 1.4 * max(shape) / max(view.box.height, view.box.width)
    crop = cut_lesion(phantoms, view, scale=scale, side_px=200)
    far = crop.to_stored @ [0, 0, 1]
    assert far.min() < -10
    corners = crop.to_stored[:, :2] @ np.mgrid[:200, :200].reshape(2, -1)[::-1] + crop.to_stored[:, 2:]
    outside = ((corners < 0) | (corners > np.array(shape)[::-1, None] - 1)).any(axis=0).reshape(200, 200)
    assert crop.mask.any()
    assert not (crop.mask & outside).any()
    assert crop.pixels[outside].std() > 0.02  # tissue, not a flat border


def test_greys_run_over_the_breast_alone() -> None:
    pixels = np.zeros((100, 100), np.uint16)
    pixels[:, :50] = np.arange(1000, 6000).reshape(100, 50)
    found = find_grey_range(pixels, name="x")
    assert found.low == pytest.approx(1025, abs=1)
    assert found.high == pytest.approx(5974, abs=1)
    with pytest.raises(ExamError, match="no pixel brighter"):
        find_grey_range(np.zeros((3, 3), np.uint16), name="x")
    with pytest.raises(ExamError, match="one grey value"):
        find_grey_range(np.ones((3, 3), np.uint16), name="x")


def test_a_known_grey_range_spares_reading_the_image(phantoms: Store) -> None:
    view = find_lesions(phantoms).views[0]
    wide = cut_lesion(phantoms, view, grey=GreyRange(0, 2 * 65535))
    assert wide.pixels.max() <= 0.5
    assert cut_lesion(phantoms, view).pixels.max() > wide.pixels.max()
