"""All randomness of a reading: where patches and windows lie. Drawn first, applied later, in upstream's order."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fourview.exam import ExamError
from fourview.heatmap import PatchGrid, draw_grid
from fourview.prepare import Prepared
from fourview.weights.card import Geometry, PatchNetwork
from fourview.window import JitterNoise, Placement, draw_jitter, place_window

Pick = Literal["all", "random"]


@dataclass
class Streams:
    """The two random streams of one network: patch grids (Python's, as upstream) and windows (NumPy's, as upstream)."""

    grids: random.Random = field(default_factory=random.Random)
    windows: np.random.RandomState = field(default_factory=np.random.RandomState)

    def restart(self, seed: int) -> None:
        self.grids.seed(seed)
        self.windows.seed(seed)


def draw_grids(images: Sequence[Prepared], patch: PatchNetwork, streams: Streams) -> list[PatchGrid]:
    """The patches of each image, image by image. Raises ExamError if a crop is smaller than a patch."""
    grids = []
    for image in images:
        shape = image.crop.pixels.shape
        try:
            grids.append(draw_grid(shape, side_px=patch.side_px, stride_px=patch.stride_px, rng=streams.grids))
        except ExamError as error:
            view, name = image.mammogram.view, image.mammogram.name
            raise ExamError(f"{view} {name}: the breast is smaller than a patch: {error}") from error
    return grids


def draw_windows(
    images: Sequence[Prepared], geometry: Geometry, streams: Streams, *, jitter: int, pick: Pick
) -> list[dict[int, Placement]]:
    """Per window, where it lies in each image that it picks (by the image's place in `images`).

    jitter  jittered windows; 0 = one exact window
    pick    images of a view that has several: "all", or "random": one drawn per window
    Per window and view the order of draws is: image (only if picked at random), location, size.
    """
    noise = JitterNoise(geometry.location_noise_px, geometry.size_noise_px) if jitter else JitterNoise()
    windows = []
    for _ in range(max(1, jitter)):
        placements = {}
        for place in _pick_images(images, streams, draws=jitter > 0, pick=pick):
            image = images[place]
            angle = image.mammogram.view.angle
            placements[place] = place_window(
                image.crop.pixels.shape,
                angle=angle,
                window=geometry.window_px(angle),
                centre=image.best_centre,
                noise=noise,
                jitter=draw_jitter(streams.windows, noise),
            )
        windows.append(placements)
    return windows


def _pick_images(images: Sequence[Prepared], streams: Streams, *, draws: bool, pick: Pick) -> Iterator[int]:
    """View by view. Upstream draws the image before its window, so this is lazy."""
    for _, group in itertools.groupby(range(len(images)), key=lambda place: images[place].mammogram.view):
        places = list(group)
        if pick == "all":
            yield from places
        else:
            yield places[streams.windows.randint(0, len(places)) if draws else 0]
