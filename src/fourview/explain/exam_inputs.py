"""An exam as its network sees it: the windows that `screen` would cut without jitter, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.draws import Streams, draw_grids, draw_windows
from fourview.engine import Engine
from fourview.exam import FINDINGS, SetupError, View
from fourview.explain.source_map import SourceMap, place_in_crop, place_in_source
from fourview.heatmap import slide_patches, spread_over_pixels
from fourview.prepare import Prepared
from fourview.weights.folder import Weights
from fourview.window import Placement, cut_input, cut_window

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ExamImage:
    """One image as an exam network sees it.

    key     "L-CC"; the second image of a view is "L-CC_2"
    window  (channels, rows, cols) float32: the standardised image, then its heatmaps, if the network sees any
    tissue  (rows, cols) bool of the window: not background
    """

    key: str
    prepared: Prepared
    placement: Placement
    window: Array
    tissue: NDArray[np.bool_]

    @property
    def view(self) -> View:
        return self.prepared.mammogram.view

    def place(self, values: Array) -> SourceMap:
        """A map of the window in the pixels of the file."""
        crop, seen = place_in_crop(values, self.placement, self.prepared.crop.pixels.shape)
        return place_in_source(crop, seen, self.prepared.crop.frame)

    def cut(self, crop: NDArray[np.float32]) -> Array:
        """A map of the crop as one of the window."""
        return cut_window(crop, self.placement, (self.window.shape[1], self.window.shape[2]))


def cut_exam(
    images: Sequence[Prepared], keys: Sequence[str], weights: Weights, engine: Engine, *, seed: int = 0
) -> tuple[ExamImage, ...]:
    """Each image's window, exact and without jitter, as `screen --jitter 0` cuts it.

    images  of `Screener.prepare`, one member's;  keys  what each is called (report.reading_json.image_keys)
    engine  runs the patch network, where the exam network sees heatmaps
    seed    of the patch grids, as in `screen`
    """
    card = weights.card
    streams = Streams()
    streams.restart(seed)
    maps = _make_heatmaps(images, weights, engine, streams)
    (placements,) = draw_windows(images, card.geometry, streams, jitter=0, pick="all")
    found = []
    for place, (key, image) in enumerate(zip(keys, images, strict=True)):
        window_px = card.geometry.window_px(image.mammogram.view.angle)
        pixels = image.crop.pixels.astype(np.float32)
        planes = [pixels, *(maps[place] if maps else ())]
        window = cut_input(planes, placements[place], window_px, std_floor=card.geometry.std_floor)
        tissue = cut_window((pixels > 0).astype(np.float32), placements[place], window_px) > 0.5
        found.append(ExamImage(key, image, placements[place], window, tissue))
    return tuple(found)


def stack_inputs(images: Sequence[ExamImage], device: torch.device) -> dict[str, Tensor]:
    """(1, channels, rows, cols) per image."""
    return {image.key: torch.from_numpy(image.window[None]).to(device) for image in images}


def view_names(images: Sequence[ExamImage]) -> Mapping[str, View]:
    return {image.key: image.view for image in images}


def _make_heatmaps(
    images: Sequence[Prepared], weights: Weights, engine: Engine, streams: Streams
) -> list[tuple[Array, ...]]:
    """Per image the benign and the malignant heatmap of its crop; none for a network that sees the image alone."""
    card = weights.card
    if card.exam is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights of an exam network")
    if not card.exam.heatmaps or card.patch is None or weights.patch is None:
        return []
    grids = draw_grids(images, card.patch, streams)
    read = engine.load_patches(weights.patch, side_px=card.patch.side_px)
    crops = [image.crop.pixels for image in images]
    answers = slide_patches(crops, grids, read, std_floor=card.geometry.std_floor)
    engine.release()
    order = [card.patch.classes.index(finding) for finding in FINDINGS]
    return [
        tuple(
            spread_over_pixels(p[:, place], grid, crop.shape, spreading=card.patch.spreading)  # benign, malignant
            for place in order
        )
        for grid, crop, p in zip(grids, crops, answers, strict=True)
    ]
