"""Patches: their mix, what they show, and that each depends on its key alone."""

from __future__ import annotations

import pickle
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from multiprocessing import get_context

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from fourview.exam import Box, Frame, SetupError, View
from fourview.store.store import Store
from fourview.train.crop_pixels import CropPixels
from fourview.train.crops import read_crop, reading_card
from fourview.train.lesion_classes import Role
from fourview.train.patch_cut import PatchCut
from fourview.train.patch_index import LesionRegion, PatchImage, PatchPool, count_cases, index_part
from fourview.train.patch_sampling import DrawnPatch, PatchSource, draw_patch, plan_epoch, share_out
from fourview.train.recipe import CLASSES, Recipe
from fourview.train.recipe_parts import PatchSampling
from fourview.train.stage import open_stream
from fourview.window import standardise_whole
from tests.train.planted_set import LEVELS, on_planted

LESIONS = {"malignant": (52000.0, 61000.0), "benign": (38000.0, 46000.0), "distractor": (22000.0, 31000.0)}


def sampling_of(recipe: Recipe, **changes: object) -> PatchSampling:
    assert recipe.patches is not None
    return recipe.patches.model_copy(update=changes)


def open_source(store: Store, recipe: Recipe, *, whole: bool = True, most_bytes: int = 10**9) -> PatchSource:
    table = store.images.with_columns(part=pl.lit("train"))
    pool = index_part(store, table, "train", recipe=recipe, card=reading_card(recipe))
    pixels = CropPixels(store, spacing_mm=recipe.input.spacing_mm, whole=whole, most_bytes=most_bytes)
    assert recipe.patch is not None
    return PatchSource(pool, sampling_of(recipe), recipe.patch.side_px, pixels)


def draw(source: PatchSource, kind: str, number: int) -> DrawnPatch:
    case = number % len(source.pool.cases[kind])
    return draw_patch(source, kind, case=case, rng=open_stream(0, 1, number))


def count_wrong(source: PatchSource, patches: int = 40) -> int:
    """How many patches do not show what their class says, by their grey levels."""
    images = {image.image: image for image in source.pool.images}
    wrong = 0
    for kind in CLASSES:
        for number in range(patches):
            patch = draw(source, kind, number)
            image = images[patch.image]
            grey = patch.pixels * image.deviation + image.mean
            shows = {name for name, (low, high) in LESIONS.items() if ((grey > low) & (grey < high)).sum() > 20}
            if "malignant" in shows:  # its edge passes through all lower levels
                shows &= {"malignant"}
            if "benign" in shows:
                shows -= {"distractor"}
            wrong += shows != ({kind} if kind in LESIONS else set())
    return wrong


def with_regions(pool: PatchPool, regions: dict[str, tuple[LesionRegion, ...]]) -> PatchPool:
    images = tuple(replace(image, regions=regions[image.image]) for image in pool.images)
    return PatchPool(images, pool.cases)


@pytest.fixture(scope="module")
def source(planted: Store, patch_recipe: Recipe) -> PatchSource:
    """Of the planted set, for a network of 32 pixels."""
    return open_source(planted, on_planted(patch_recipe))


def test_counts_follow_the_shares_to_the_last_patch() -> None:
    mix = {"malignant": 0.2, "benign": 0.35, "outside": 0.05, "negative": 0.4}
    assert share_out(10000, mix) == {"malignant": 2000, "benign": 3500, "outside": 500, "negative": 4000}
    assert share_out(7, mix) == {"malignant": 1, "benign": 3, "outside": 0, "negative": 3}  # 1.4 2.45 0.35 2.8
    assert share_out(3, {"a": 0.5, "b": 0.5}) == {"a": 2, "b": 1}
    assert all(sum(share_out(total, mix).values()) == total for total in range(40))


def test_an_epoch_has_the_mix_and_takes_each_lesion_equally_often(source: PatchSource) -> None:
    plan = plan_epoch(source.pool, source.sampling, 1001, rng=open_stream(0, 1, 0))
    assert Counter(kind for kind, _ in plan) == share_out(1001, source.sampling.mix.model_dump())
    for kind, cases in source.pool.cases.items():
        counts = Counter(case for name, case in plan if name == kind)
        assert counts.keys() == set(range(len(cases)))
        assert max(counts.values()) - min(counts.values()) <= 1
    again = plan_epoch(source.pool, source.sampling, 1001, rng=open_stream(0, 1, 0))
    assert plan == again
    assert plan != plan_epoch(source.pool, source.sampling, 1001, rng=open_stream(0, 1, 1))


def many_cases() -> PatchPool:
    """500 places of each class, without their images."""
    return PatchPool((), {name: np.zeros((500, 2), np.int64) for name in CLASSES})


def test_fewer_patches_than_lesions_take_others_in_every_epoch(patch_recipe: Recipe) -> None:
    epochs = [plan_epoch(many_cases(), sampling_of(patch_recipe), 100, rng=open_stream(0, 1, n)) for n in range(60)]
    drawn = [[case for kind, case in plan if kind == "malignant"] for plan in epochs]
    assert all(len(set(cases)) == len(cases) == 20 for cases in drawn)
    assert len({case for cases in drawn for case in cases}) > 430  # of 500: 20 of them in each of 60 epochs


def test_patches_of_a_visit_lie_within_512_visits(patch_recipe: Recipe) -> None:
    sampling = sampling_of(patch_recipe, per_visit=8)
    plan = plan_epoch(many_cases(), sampling, 8000, rng=open_stream(0, 1, 0))
    assert Counter(kind for kind, _ in plan) == share_out(8000, sampling.mix.model_dump())
    places: dict[tuple[str, int], list[int]] = {}
    for place, patch in enumerate(plan):
        places.setdefault(patch, []).append(place)
    assert all(len(found) == 8 for found in places.values())
    assert max(found[-1] - found[0] for found in places.values()) < 512 * 8
    assert sum(first == second for first, second in pairwise(plan)) < 50  # shuffled


def test_patches_show_what_their_class_says(source: PatchSource) -> None:
    assert count_wrong(source) == 0


def test_that_check_sees_swapped_classes_and_masks_that_were_shifted_mirrored_or_forgotten(source: PatchSource) -> None:
    pool = source.pool
    faults = {
        "shifted": {i.image: tuple(_moved(r, 12) for r in i.regions) for i in pool.images},
        "mirrored": {i.image: tuple(_mirrored(r, i) for r in i.regions) for i in pool.images},
        "forgotten": {i.image: tuple(r for r in i.regions if r.role != "never") for i in pool.images},
    }
    for name, regions in faults.items():
        assert count_wrong(replace(source, pool=with_regions(pool, regions))) > 5, name
    other: dict[str, Role] = {"malignant": "benign", "benign": "malignant", "never": "never"}
    roles = {i.image: tuple(replace(r, role=other[r.role]) for r in i.regions) for i in pool.images}
    swapped = with_regions(pool, roles)
    cases = {name: pool.cases[other.get(name, name)] for name in CLASSES}
    assert count_wrong(replace(source, pool=replace(swapped, cases=cases))) > 50


def test_that_check_sees_crops_that_are_mirrored_and_not_their_masks(source: PatchSource, planted: Store) -> None:
    mirrored = _MirroredPixels(planted, spacing_mm=0.4, whole=True, most_bytes=10**9)
    assert count_wrong(replace(source, pixels=mirrored)) > 20


class _MirroredPixels(CropPixels):
    def read(self, image: PatchImage, box: Box) -> NDArray[np.uint16]:
        width = image.shape[1]
        return super().read(image, Box(box.top, box.bottom, width - box.right, width - box.left))[:, ::-1]


def _moved(region: LesionRegion, cols: int) -> LesionRegion:
    box = region.box
    return replace(region, box=Box(box.top, box.bottom, box.left + cols, box.right + cols))


def _mirrored(region: LesionRegion, image: PatchImage) -> LesionRegion:
    box, width = region.box, image.shape[1]
    bits = np.packbits(region.inside[:, ::-1]).tobytes()
    return LesionRegion(region.role, Box(box.top, box.bottom, width - box.right, width - box.left), bits)


@pytest.mark.parametrize(("distractors", "shown"), [("benign", {"benign"}), ("negative", {"outside", "negative"})])
def test_distractors_are_what_the_recipe_says(
    planted: Store, patch_recipe: Recipe, distractors: str, shown: set[str]
) -> None:
    source = open_source(planted, on_planted(patch_recipe, f"patches.distractors={distractors}"))
    images = {image.image: image for image in source.pool.images}
    found = set()
    for kind in CLASSES:
        for number in range(60):
            patch = draw(source, kind, number)
            image = images[patch.image]
            grey = patch.pixels * image.deviation + image.mean
            flat = (abs(grey - LEVELS["distractor"]) < 50).sum() > 60  # no edge is as flat
            found |= {kind} if flat else set()
    assert found == shown


def test_a_patch_is_the_same_whatever_was_drawn_before_and_wherever(source: PatchSource) -> None:
    alone = [draw(source, kind, 3).pixels.tobytes() for kind in CLASSES]
    for number in range(6):
        draw(source, "negative", number)
    assert [draw(source, kind, 3).pixels.tobytes() for kind in reversed(CLASSES)] == alone[::-1]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        assert [process.submit(_draw_bytes, source, kind).result() for kind in CLASSES] == alone


def _draw_bytes(source: PatchSource, kind: str) -> bytes:
    return draw(source, kind, 3).pixels.tobytes()


def test_nothing_that_was_read_goes_to_another_process(source: PatchSource) -> None:
    draw(source, "malignant", 0)
    assert len(source.pixels._kept) > 0
    assert len(pickle.dumps(source)) < 100_000
    assert len(pickle.loads(pickle.dumps(source)).pixels._kept) == 0


def test_boxes_read_from_tiles_give_the_same_patches_as_whole_crops(planted: Store, patch_recipe: Recipe) -> None:
    recipe = on_planted(patch_recipe, "input.resample=never")
    tiles, whole = (open_source(planted, recipe, whole=flag) for flag in (False, True))
    for kind in CLASSES:
        for number in range(4):
            np.testing.assert_array_equal(draw(tiles, kind, number).pixels, draw(whole, kind, number).pixels)
    assert len(tiles.pixels._kept) == 0


def test_a_patch_that_is_not_turned_or_resized_is_what_heatmaps_are_made_from(
    planted: Store, patch_recipe: Recipe
) -> None:
    recipe = on_planted(patch_recipe, "patches.side_px=[32, 32]", "patches.rotation_deg=0.0", "patches.mirrored=0.0")
    source = open_source(planted, recipe)
    rows = {row["image"]: row for row in planted.images.iter_rows(named=True)}
    for kind in CLASSES:
        patch = draw(source, kind, 1)
        crop = read_crop(planted, rows[patch.image], reading_card(recipe)).crop
        top, left = patch.cut.top, patch.cut.left
        expected = standardise_whole(crop.pixels)[top : top + 32, left : left + 32]
        np.testing.assert_allclose(patch.pixels, expected, atol=1e-6)


def test_sides_angles_and_places_vary_as_the_recipe_says(source: PatchSource) -> None:
    cuts = [draw(source, "negative", number).cut for number in range(200)]
    assert {cut.side_px for cut in cuts} == set(range(24, 41))
    angles = np.array([cut.angle_deg for cut in cuts])
    assert -30 <= angles.min() < -25
    assert 25 < angles.max() <= 30
    assert 70 < sum(cut.mirrored for cut in cuts) < 130
    assert len({(cut.top, cut.left) for cut in cuts}) > 150


def test_a_lesion_lies_anywhere_in_its_patches(source: PatchSource) -> None:
    cuts = [draw(source, "malignant", 2 * number).cut for number in range(100)]
    middle = np.array([(cut.top + cut.side_px / 2, cut.left + cut.side_px / 2) for cut in cuts])
    assert (middle.std(axis=0) > 6).all()  # working pixels; the lesion is 20 x 28


def test_dark_patches_are_few_and_none_is_on_a_lesion(planted: Store, patch_recipe: Recipe) -> None:
    recipe = on_planted(patch_recipe, "patches.dark_share=0.5", "patches.rotation_deg=0.0")
    source = open_source(planted, recipe)

    def dark(kind: str) -> float:
        images = {image.image: image for image in source.pool.images}
        patches = [draw(source, kind, number) for number in range(150)]
        black = [np.isclose(p.pixels * images[p.image].deviation + images[p.image].mean, 0, atol=1) for p in patches]
        return float(np.mean([share.mean() > 0.52 for share in black]))

    assert dark("malignant") == 0
    assert 0 < dark("negative") <= 0.1


def one_image(recipe: Recipe, *regions: LesionRegion) -> PatchSource:
    """A grey crop of 200 x 150 with regions, of which the first is the one case of its class; patches of 40 pixels."""
    frame = Frame((200, 150), (200, 150), Box(0, 200, 0, 150), mirrored=False)
    image = PatchImage("x", View.L_CC, None, frame, 0.0, 1.0, regions)
    cases = {name: np.zeros((0, 2), np.int64) for name in CLASSES} | {regions[0].role: np.zeros((1, 2), np.int64)}
    sampling = sampling_of(recipe, side_px=(40, 40), rotation_deg=0.0, mirrored=0.0)
    return PatchSource(PatchPool((image,), cases), sampling, 40, _Grey())


class _Grey(CropPixels):
    def __init__(self) -> None:
        pass

    def read(self, image: PatchImage, box: Box) -> NDArray[np.uint16]:
        return np.full((box.height, box.width), 7, np.uint16)


def region(role: Role, top: int, left: int, *, side: int) -> LesionRegion:
    mask = np.ones((side, side), bool)
    return LesionRegion(role, Box(top, top + side, left, left + side), np.packbits(mask).tobytes())


def test_a_lesion_of_one_pixel_gets_patches_with_it_in_the_middle(patch_recipe: Recipe) -> None:
    source = one_image(patch_recipe, region("malignant", 70, 55, side=1))
    for number in range(5):
        assert draw(source, "malignant", number).cut == PatchCut(50, 35, 40)


def test_a_benign_patch_touches_no_malignant_lesion_but_not_the_reverse(patch_recipe: Recipe) -> None:
    benign, malignant = region("benign", 60, 60, side=20), region("malignant", 60, 90, side=20)
    source = one_image(patch_recipe, benign, malignant)
    for number in range(30):
        assert draw(source, "benign", number).cut.left + 40 <= 90
    source = one_image(patch_recipe, malignant, benign)
    assert any(draw(source, "malignant", number).cut.left < 80 for number in range(30))


def test_a_lesion_that_cannot_be_shown_alone_is_an_error_that_says_so(patch_recipe: Recipe) -> None:
    source = one_image(patch_recipe, region("benign", 60, 60, side=20), region("never", 50, 50, side=40))
    with pytest.raises(SetupError, match="no patch of the class benign"):
        draw(source, "benign", 0)


def test_another_lesion_is_taken_where_one_gives_no_patch(source: PatchSource) -> None:
    pool = source.pool
    hidden, shown = (int(place) for place in pool.cases["malignant"][:, 0])
    regions = {image.image: image.regions for image in pool.images}
    image = pool.images[hidden]
    rows, cols = image.shape
    everywhere = LesionRegion("never", Box(0, rows, 0, cols), np.packbits(np.ones((rows, cols), bool)).tobytes())
    regions[image.image] = (*image.regions, everywhere)
    blocked = replace(source, pool=with_regions(pool, regions))
    assert {draw(blocked, "malignant", 0).image for _ in range(3)} == {pool.images[shown].image}


def test_the_index_counts_what_the_manifest_promises(source: PatchSource, planted: Store, patch_recipe: Recipe) -> None:
    promised = count_cases(planted.images.to_dicts(), recipe=on_planted(patch_recipe))
    assert promised == {"malignant": 2, "benign": 2, "outside": 3, "negative": 2}
    assert {name: len(cases) for name, cases in source.pool.cases.items()} == promised
    images = {image.image for image in source.pool.images}
    assert images == {"e0_L-CC", "e1_R-CC", "e2_R-MLO", "e3_L-CC", "e3_R-MLO"}  # not e0_R-CC


def test_crops_smaller_than_the_smallest_patch_are_named(planted: Store, patch_recipe: Recipe) -> None:
    with pytest.raises(SetupError, match=r"5 of 5 images of train are smaller .*e0_L-CC with \d+x\d+ pixels; need 300"):
        open_source(planted, on_planted(patch_recipe, "patches.side_px=[300, 400]"))


def test_a_class_without_a_place_is_refused(planted: Store, patch_recipe: Recipe) -> None:
    rows = planted.images.filter(pl.col("exam") != "e3").with_columns(part=pl.lit("train"))
    recipe = on_planted(patch_recipe)
    with pytest.raises(SetupError, match="no place for patches of the class negative"):
        index_part(planted, rows, "train", recipe=recipe, card=reading_card(recipe))


def test_patches_are_the_same_however_few_crops_are_kept(planted: Store, patch_recipe: Recipe) -> None:
    one, all_of_them = (open_source(planted, on_planted(patch_recipe), most_bytes=most) for most in (1, 10**9))
    for number in range(4):
        for kind in CLASSES:
            np.testing.assert_array_equal(draw(one, kind, number).pixels, draw(all_of_them, kind, number).pixels)


@pytest.mark.parametrize("jobs", [1, 2])
def test_looking_at_the_images_says_how_far_it_is_and_can_be_stopped(
    planted: Store, patch_recipe: Recipe, jobs: int
) -> None:
    table = planted.images.with_columns(part=pl.lit("train"))
    told = []

    def on_image(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_part(
            planted,
            table,
            "train",
            recipe=on_planted(patch_recipe),
            card=reading_card(patch_recipe),
            jobs=jobs,
            on_image=on_image,
        )
    assert told == [(1, 5), (2, 5), (3, 5)]
