"""Maps of one phantom exam in source pixels: a patch network's malignant and benign one, and a blob detector's.

A patch network's maps are those of `fourview screen` with it alone: the images as ingested, cropped as the card says,
one grid of patches per image drawn from screen's seed, the card's stride, means over the patches that cover a pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from benchmarks.phantom_observers import find_blobs
from benchmarks.phantom_views import Seen, erode, turn
from fourview.exam import Box, Exam, Heatmap, SetupError, View
from fourview.phantom import PhantomImage
from fourview.screen import Screener
from fourview.train.initialise import draw_initial
from fourview.weights.card import Card
from fourview.weights.ensemble import resolve_members
from fourview.weights.folder import Weights, build_patch, load_card, load_weights

TRAINED, BLOBS = "patch network", "blob detector"
RANDOM_SEEDS = (0, 1, 2)
SCREEN_SEED = 0  # of the grids, as `screen` has it unless told otherwise
_RIM_MM = 6.0  # of the breast, which the blob detector leaves out, as in the gate


def name_random(seed: int) -> str:
    return f"the same network, weights drawn anew ({seed})"


@dataclass(frozen=True, eq=False)
class PatchObservers:
    """A patch network, and the same one with drawn weights, each as `screen` reads with it alone.

    screeners  by name, TRAINED first
    """

    card: Card
    screeners: Mapping[str, Screener]

    @property
    def engine(self) -> str:
        return self.screeners[TRAINED].engine

    def map_exam(self, exam: Exam) -> dict[str, dict[View, Heatmap]]:
        """Per observer and view the maps of both findings. Raises ExamError if an image cannot be read."""
        prepared = self.screeners[TRAINED].prepare(exam)  # the same for all: they have one card
        return {name: screener.read(exam, prepared).heatmaps for name, screener in self.screeners.items()}


def find_patch_weights(name_or_folder: str) -> Path:
    """The folder with the patch network of weights; of an ensemble, a member's. Raises SetupError unless there is one.

    name_or_folder  as --weights of `fourview screen` takes it
    """
    folders = {
        card.patch_hash: folder
        for folder in reversed(resolve_members(name_or_folder))
        if (card := load_card(folder)).patch is not None
    }
    if len(folders) != 1:
        raise SetupError(f"{name_or_folder}: found {len(folders)} different patch networks in it, need one")
    return next(iter(folders.values()))


@lru_cache(maxsize=1)
def open_observers(folder: Path, device: str) -> PatchObservers:
    """The patch network of a weights folder, and one per RANDOM_SEEDS with drawn weights; loaded once per process."""
    weights = load_weights(folder)
    card = weights.card.model_copy(update={"exam": None, "birads": None})
    if card.patch is None or weights.patch is None:
        raise SetupError(f"{folder}: found no patch network in it, need one")
    networks = {TRAINED: weights.patch}
    for seed in RANDOM_SEEDS:
        networks[name_random(seed)] = build_patch(card.patch)
        draw_initial(networks[name_random(seed)], seed)
    screeners = {
        name: Screener([Weights(card, None, network)], device=device, seed=SCREEN_SEED)
        for name, network in networks.items()
    }
    return PatchObservers(weights.card, screeners)


def map_blobs(seen: Seen, image: PhantomImage) -> Heatmap:
    """The blob detector's answers in the breast but for its rim, source pixels; 0 elsewhere and where it is dark."""
    within = erode(seen.breast, _RIM_MM, seen.pixel_mm)
    within = within if within.any() else seen.breast
    answers = np.where(within, np.maximum(find_blobs(seen), 0), 0).astype(np.float32)
    answers = turn(answers) if image.faces == "left" else answers
    rows, cols = answers.shape
    return Heatmap((rows, cols), Box(0, rows, 0, cols), {"malignant": answers})
