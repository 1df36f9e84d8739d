"""An exam of a store -> the windows that the network is trained on: what `screen` would feed it, with noise.

For one sample the order of draws is: the image of each view and its window, view by view; then the noise of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import ExamError, SetupError, View
from fourview.heatmap import PatchGrid, spread_over_pixels
from fourview.store.heatmaps import PatchAnswers, StoredHeatmaps
from fourview.store.store import Store
from fourview.train.crops import read_crop
from fourview.train.exam_cases import ExamCase
from fourview.train.kept import Kept
from fourview.train.recipe import Recipe
from fourview.train.stage import VALIDATION, Key, open_stream
from fourview.weights.card import Card, Spreading
from fourview.window import JitterNoise, cut_input, draw_jitter, place_window

SAMPLE = 22  # what the random stream of a sample is for, see stage.open_stream
CHANNELS = ("benign", "malignant")  # of the heatmaps, behind the image: the order that `screen` uses
_COLUMNS = ["image", "view", "spacing_mm", "pixel_mode", "faces", "mirrored", "blob", "pixels_sha256"]
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Seen:
    """One image as it is before a window is laid. pixels: of its crop; answers: of the patch network, if it is asked"""

    pixels: NDArray[Any]
    centre: tuple[int, int]
    answers: PatchAnswers | None

    @property
    def bytes(self) -> int:
        return self.pixels.nbytes + (0 if self.answers is None else self.answers.p.nbytes)


@dataclass(frozen=True, eq=False)
class ExamSamples:
    """Reads the samples of the exam stages. It pickles, without the pixels that it keeps.

    rows      image -> what its row of the manifest says
    card      of the network: geometry and input
    heatmaps  None: the network reads images only;  spreading: how they become maps
    """

    recipe: Recipe
    store: Store
    rows: Mapping[str, Mapping[str, Any]]
    card: Card
    heatmaps: StoredHeatmaps | None
    spreading: Spreading | None
    kept: Kept[_Seen] = field(repr=False)

    def read(self, case: ExamCase, key: Key) -> dict[str, Array]:
        """View -> (channels, rows, cols), the network's input.

        In training one of the images of a view is drawn, its window jittered, and Gaussian noise added to all channels,
        as the recipe says. Validation sees the exact window of the first image. Raises ExamError for broken files.
        """
        sampling = self.recipe.exams
        if sampling is None:
            raise ValueError("the recipe has no section exams")
        learning = key.epoch != VALIDATION
        rng = open_stream(self.recipe.seed, SAMPLE, key.epoch, key.place)
        windows_rng = np.random.RandomState(rng.integers(2**32))  # what window.draw_jitter draws from
        found = {}
        for view, images in case.images.items():
            image = images[int(rng.integers(len(images))) if learning else 0]
            found[view] = self._cut(image, windows_rng, jittered=learning and sampling.windows)
        if learning and sampling.noise:
            noise = np.float32(sampling.noise)
            return {view: add_noise(window, noise, rng) for view, window in found.items()}
        return found

    def _cut(self, image: str, rng: np.random.RandomState, *, jittered: bool) -> Array:
        seen = self.kept.get(image, lambda: self._see(image), size=lambda one: one.bytes)
        geometry, angle = self.card.geometry, View(self.rows[image]["view"]).angle
        noise = JitterNoise(geometry.location_noise_px, geometry.size_noise_px) if jittered else JitterNoise()
        placement = place_window(
            (seen.pixels.shape[0], seen.pixels.shape[1]),
            angle=angle,
            window=geometry.window_px(angle),
            centre=seen.centre,
            noise=noise,
            jitter=draw_jitter(rng, noise),
        )
        planes = [seen.pixels.astype(np.float32), *_spread_maps(seen.answers, self.spreading)]
        return cut_input(planes, placement, geometry.window_px(angle), std_floor=geometry.std_floor)

    def _see(self, image: str) -> _Seen:
        row = self.rows[image]
        prepared = read_crop(self.store, row, self.card)
        pixels = np.array(prepared.crop.pixels)  # a copy, so that the rest of the stored image need not stay
        if self.heatmaps is None:
            return _Seen(pixels, prepared.best_centre, None)
        answers = self.heatmaps.read(row["blob"], pixels_sha256=row["pixels_sha256"])
        if answers.shape != pixels.shape:
            raise ExamError(
                f"{image}: found heatmaps of {answers.shape} pixels, need {pixels.shape}: "
                "the crop is another one; fill the store with heatmaps again"
            )
        return _Seen(pixels, prepared.best_centre, answers)


def open_samples(
    recipe: Recipe, store: Store, table: pl.DataFrame, *, card: Card, patch: Card | None, cases: Sequence[ExamCase]
) -> tuple[ExamSamples, dict[str, str]]:
    """What reads the samples of these exams; and exam -> why it cannot be read, of those without heatmaps.

    patch  of the network whose heatmaps are in the store; None: none are read
    Raises SetupError if the store was not filled with these heatmaps, or they are of other crops.
    """
    images = {image: case.exam for case in cases for several in case.images.values() for image in several}
    rows = {row["image"]: row for row in table.select(_COLUMNS).iter_rows(named=True) if row["image"] in images}
    small = replace(store, manifest=store.manifest.clear())  # worker processes get no table of a million rows
    kept: Kept[_Seen] = Kept(recipe.loop.kept_mb * 10**6)
    if patch is None:
        return ExamSamples(recipe, small, rows, card, None, None, kept), {}
    if patch.cropping != card.cropping:
        found = {name: value for name, value in patch.cropping.items() if card.cropping[name] != value}
        raise SetupError(
            f"{patch.name}: a patch network for crops with {_say(found)}; need {_say(card.cropping, only=found)}, as "
            f"the recipe {recipe.name} says in its input and geometry"
        )
    heatmaps = StoredHeatmaps(store.path, patch.patch_hash)
    missing = heatmaps.find_missing(row["blob"] for row in rows.values())
    problems = {images[image]: missing[row["blob"]] for image, row in rows.items() if row["blob"] in missing}
    if untried := sum(problem is None for problem in problems.values()):
        raise SetupError(
            f"{store.path}: found {untried} of {len(cases)} exams without heatmaps of {patch.name} "
            f"({patch.patch_hash}); need all: fourview heatmaps STORE with the weights of --patch"
        )
    spreading = None if patch.patch is None else patch.patch.spreading
    return ExamSamples(recipe, small, rows, card, heatmaps, spreading, kept), {
        exam: why for exam, why in problems.items() if why
    }


def _spread_maps(answers: PatchAnswers | None, spreading: Spreading | None) -> list[Array]:
    if answers is None:
        return []
    grid = PatchGrid(answers.rows, answers.cols, answers.side_px)
    places = [answers.classes.index(finding) for finding in CHANNELS]
    return [spread_over_pixels(answers.p[:, place], grid, answers.shape, spreading=spreading) for place in places]


def add_noise(window: Array, deviation: np.float32, rng: np.random.Generator) -> Array:
    """The window with Gaussian noise on all its channels, heatmaps too, as upstream's loader has it.

    OpenCV draws a window in a quarter of numpy's time, which was half of what preparing a sample took.
    """
    cv2.setRNGSeed(int(rng.integers(2**31)))
    noise = np.empty_like(window)
    cv2.randn(noise.reshape(-1), np.zeros(1), np.full(1, float(deviation)))
    noise += window
    return noise


def _say(values: Mapping[str, Any], *, only: Mapping[str, Any] | None = None) -> str:
    return ", ".join(f"{name} {values[name]}" for name in (only or values))
