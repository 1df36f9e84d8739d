"""Reading a store: crops, patches, masks; and what happens where something is missing or broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import polars as pl
import pytest

from fourview.datasets.record import Listing, Polygon
from fourview.exam import Box, ExamError, SetupError
from fourview.store.image_file import TILE, About, Outline, encode_image, hash_pixels
from fourview.store.manifest import write_manifest
from fourview.store.masks import CutMask
from fourview.store.prepare import prepare
from fourview.store.store import Store
from tests.store import png_set
from tests.store.png_set import CROP, DATASET, Drawn, draw_breast, four_views, write_set

IMAGE = "e_R-MLO"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    root = write_set(tmp_path / "set", [Drawn("e", "R-MLO", "polygon")])
    prepare(DATASET, root, tmp_path / "store", crop=CROP)
    return Store.open(tmp_path / "store")


@pytest.mark.parametrize(
    "place", [(0, 0, 64, 64), (100, 30, 128, 100), (-20, -30, 60, 70), (200, 120, 256, 256), (999, 999, 4, 4)]
)
def test_a_patch_is_the_crop_there_and_background_outside(store: Store, place: tuple[int, int, int, int]) -> None:
    crop = store.read_crop(IMAGE)
    wide = np.pad(crop, 1100)
    top, left, rows, cols = place
    expected = wide[top + 1100 : top + 1100 + rows, left + 1100 : left + 1100 + cols]
    found = store.read_patch(IMAGE, top, left, rows, cols)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, expected)


def test_masks_can_be_read_for_a_patch_alone(store: Store) -> None:
    whole = store.read_masks(IMAGE)["mass-1"]
    assert 0 < whole.sum() < whole.size
    box = Box(60, 190, 40, 100)
    np.testing.assert_array_equal(store.read_masks(IMAGE, box)["mass-1"], whole[box.slices])


def test_the_hash_in_the_manifest_is_that_of_the_pixels(store: Store) -> None:
    assert store.images["pixels_sha256"].to_list() == [hash_pixels(store.read_crop(IMAGE))]


def test_values_of_8_bit_files_stay_as_they_are(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])
    pixels = draw_breast(right=False, seed=5, bits=8)
    cv2.imwrite(str(root / "e_L-CC.png"), pixels)
    prepare(DATASET, root, tmp_path / "store", crop=CROP)
    store = Store.open(tmp_path / "store")
    (row,) = store.images.to_dicts()
    crop = store.read_crop("e_L-CC")
    assert (crop.dtype, crop.max(), row["bits"]) == (np.uint16, 200, 8)
    np.testing.assert_array_equal(crop, pixels[row["crop_top"] : row["crop_bottom"], : row["crop_right"]])
    assert hash_pixels(crop) == row["pixels_sha256"]


def test_the_muscle_is_cut_like_the_breast(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "R-MLO", "")])
    corner = Polygon(((0.0, 239.0), (120.0, 239.0), (0.0, 180.0)))

    def find(folder: Path) -> Listing:
        return Listing(tuple(replace(record, muscle=corner) for record in png_set.find(folder).records))

    prepare(replace(DATASET, find=find), root, tmp_path / "store", crop=CROP)
    store = Store.open(tmp_path / "store")
    muscle = store.read_muscle(IMAGE)
    assert muscle is not None
    assert muscle.shape == store.read_crop(IMAGE).shape
    assert muscle[30, 5], "at the chest wall, which is at the left of every crop"
    assert not muscle[30, -5:].any()
    assert store.read_masks(IMAGE) == {}


def test_a_set_without_muscles_has_none(store: Store) -> None:
    assert store.read_muscle(IMAGE) is None


def test_two_outlines_of_one_lesion_are_one_mask(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])

    def find(folder: Path) -> Listing:
        (record,) = png_set.find(folder).records
        other = replace(record.lesions[0], region=Box(100, 110, 20, 30))
        return Listing((replace(record, lesions=(*record.lesions, other)),))

    prepare(replace(DATASET, find=find), root, tmp_path / "store", crop=CROP)
    store = Store.open(tmp_path / "store")
    (row,) = store.images.to_dicts()
    (mask,) = store.read_masks("e_L-CC").values()
    for lesion in row["lesions"]:
        assert mask[lesion["top"] : lesion["bottom"], lesion["left"] : lesion["right"]].any()
    assert [lesion["mask"] for lesion in row["lesions"]] == [0, 1]


def test_pixels_lie_in_tiles_that_a_patch_can_be_read_from(store: Store) -> None:
    with h5py.File(store.path / store.images["blob"][0]) as file:
        assert file["pixels"].chunks == (min(TILE, file["pixels"].shape[0]), min(TILE, file["pixels"].shape[1]))


def test_a_broken_tile_is_an_error_and_not_a_grey_patch(store: Store) -> None:
    path = store.path / store.images["blob"][0]
    with h5py.File(path) as file:
        tile = file["pixels"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[tile.byte_offset + tile.size // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ExamError, match="missing or broken"):
        store.read_crop(IMAGE)


def test_a_stored_file_that_is_gone_is_named(store: Store) -> None:
    path = store.path / store.images["blob"][0]
    path.unlink()
    for read in (store.read_crop, store.read_masks, store.read_muscle):
        with pytest.raises(ExamError, match=path.name):
            read(IMAGE)


@pytest.fixture
def four(tmp_path: Path) -> Store:
    """The store of one exam; the left CC image has an outline of the muscle."""
    root = write_set(tmp_path / "set", four_views(1))

    def find(folder: Path) -> Listing:
        first, *others = png_set.find(folder).records
        return Listing((replace(first, muscle=Polygon(((0.0, 0.0), (90.0, 0.0), (0.0, 60.0)))), *others))

    prepare(replace(DATASET, find=find), root, tmp_path / "store", crop=CROP)
    return Store.open(tmp_path / "store")


def read_all(store: Store, image: str) -> list[Callable[[], Any]]:
    return [
        lambda: store.read_crop(image),
        lambda: store.read_patch(image, 0, 0, 8, 8),
        lambda: store.read_masks(image),
        lambda: store.read_masks(image, Box(0, 8, 0, 8)),
        lambda: store.read_muscle(image),
    ]


def test_stored_files_that_were_exchanged_are_refused_however_they_are_read(four: Store) -> None:
    one, other = (four.path / blob for blob in four.images["blob"][:2])
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    for image, path in zip(four.images["image"][:2], (one, other), strict=True):
        for read in read_all(four, image):
            with pytest.raises(ExamError, match=rf"{path.name}: another image's file"):
                read()
    assert four.read_crop(four.images["image"][2]).any()


def test_rows_whose_files_were_exchanged_are_refused_however_they_are_read(four: Store) -> None:
    swapped = four.manifest["blob"].to_list()
    swapped[:2] = swapped[1::-1]
    write_manifest(four.path, four.manifest.with_columns(blob=pl.Series(swapped)))
    store = Store.open(four.path)
    for image in store.images["image"][:2]:
        for read in read_all(store, image):
            with pytest.raises(ExamError, match="its row in the manifest was changed"):
                read()
    assert store.read_crop(store.images["image"][2]).any()


def test_a_changed_word_in_a_stored_file_is_noticed(store: Store) -> None:
    path = store.path / store.images["blob"][0]
    content = path.read_bytes()
    assert content.count(b'"source_rows":300') == 1
    path.write_bytes(content.replace(b'"source_rows":300', b'"source_rows":800'))
    with pytest.raises(ExamError, match="missing or broken"):
        store.read_crop(IMAGE)


def test_an_image_that_was_not_prepared_cannot_be_read(store: Store) -> None:
    with pytest.raises(SetupError, match="no prepared image 'x'"):
        store.read_crop("x")


def test_a_folder_that_is_no_store_or_of_another_version_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no store"):
        Store.open(tmp_path)
    (store.path / "store.json").write_text('{"format": "fourview store 99"}')
    with pytest.raises(SetupError, match="store 99"):
        Store.open(store.path)


def test_the_terms_of_the_set_travel_with_the_store(tmp_path: Path) -> None:
    root = write_set(tmp_path / "set", [Drawn("e", "L-CC")])
    prepare(replace(DATASET, terms="keep to yourself", releases_models=False), root, tmp_path / "store", crop=CROP)
    about = Store.open(tmp_path / "store").about
    assert (about["terms"], about["releases_models"]) == ("keep to yourself", False)


def test_the_bytes_do_not_depend_on_when_python_frees_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(300 * 170, dtype=np.uint16).reshape(300, 170)
    mask = CutMask(Box(3, 20, 5, 30), np.ones((17, 25), bool), 1.0)
    about = About(300, 170, 16, "file", None, "right", Box(0, 300, 0, 170), False, 0, hash_pixels(pixels), "n")
    outlined = replace(about, outlines=(Outline("m", mask.box),))
    expected = encode_image(pixels, outlined, masks=[mask])
    held = []
    create = h5py.Group.create_dataset

    def create_and_hold(*given: Any, **options: Any) -> Any:  # as a profiler does that samples frames (Dask's)
        held.append(create(*given, **options))
        return held[-1]

    monkeypatch.setattr(h5py.Group, "create_dataset", create_and_hold)
    assert encode_image(pixels, outlined, masks=[mask]) == expected
    assert len(held) == 3
