"""An image as a patch network alone judges it: its highest patches, which make its score, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.draws import Streams, draw_grids
from fourview.engine import Engine
from fourview.exam import Box, ExamError, Finding, SetupError, View
from fourview.explain.source_map import SourceMap, place_in_source
from fourview.explain.split import split_network
from fourview.explain.target import Tensors
from fourview.heatmap import find_empty, slide_patches
from fourview.networks.densenet import DenseNet
from fourview.prepare import Prepared
from fourview.weights.folder import Weights
from fourview.window import standardise_whole

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PatchTarget:
    """The mean over patches of the log-odds of a finding: every patch is an input of its own."""

    network: DenseNet
    place: int  # of the finding among the classes
    finding: Finding

    @property
    def words(self) -> str:
        return f"log-odds of {self.finding}, mean over the highest patches"

    def last_map(self, name: str, x: Tensor) -> Tensor:
        return split_network(self.network).last_map(x)

    def read(self, maps: Tensors) -> Tensor:
        read = split_network(self.network).read_map
        logits = torch.stack([read(found) for found in maps.values()])  # (patches, batch, classes)
        others = [place for place in range(logits.shape[2]) if place != self.place]
        return (logits[..., self.place] - torch.logsumexp(logits[..., others], dim=2)).mean(dim=0)


@dataclass(frozen=True, eq=False)
class PatchImage:
    """One image and its highest patches.

    key      "L-CC";  corners  patch's name -> (top, left) in the crop;  pixels  of the crop, standardised as a whole
    tissue   (rows, cols) bool of the crop: not background
    p        of the finding, per patch, highest first
    """

    key: str
    prepared: Prepared
    side_px: int
    corners: Mapping[str, tuple[int, int]]
    pixels: Array
    tissue: NDArray[np.bool_]
    p: tuple[float, ...]

    @property
    def view(self) -> View:
        return self.prepared.mammogram.view

    def cut(self, crop: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
        """The patches of a map of the crop."""
        side = self.side_px
        return {name: crop[top : top + side, left : left + side] for name, (top, left) in self.corners.items()}

    def place_in_crop(self, maps: Mapping[str, Array]) -> tuple[Array, Box]:
        """The sum of the patches' maps in the crop, and the box of all patches."""
        crop = np.zeros(self.pixels.shape, np.float32)
        for name, (top, left) in self.corners.items():
            crop[top : top + self.side_px, left : left + self.side_px] += maps[name]
        tops, lefts = zip(*self.corners.values(), strict=True)
        return crop, Box(min(tops), max(tops) + self.side_px, min(lefts), max(lefts) + self.side_px)

    def place(self, maps: Mapping[str, Array]) -> SourceMap:
        """The sum of the patches' maps in the pixels of the file."""
        crop, seen = self.place_in_crop(maps)
        return place_in_source(crop, seen, self.prepared.crop.frame)


def find_patches(
    images: Sequence[Prepared],
    keys: Sequence[str],
    weights: Weights,
    engine: Engine,
    *,
    finding: Finding,
    most: int,
    seed: int = 0,
) -> tuple[PatchImage, ...]:
    """Of each image, the patches with breast that say the most of a finding, at most `most`.

    As `screen` slides them; seed  of the grids. Raises ExamError where a crop is smaller than a patch, or has none.
    """
    card = weights.card
    if card.patch is None or weights.patch is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights of a patch network")
    streams = Streams()
    streams.restart(seed)
    grids = draw_grids(images, card.patch, streams)
    read = engine.load_patches(weights.patch, side_px=card.patch.side_px)
    crops = [image.crop.pixels for image in images]
    answers = slide_patches(crops, grids, read, std_floor=card.geometry.std_floor)
    engine.release()
    found = []
    for key, image, grid, crop, said in zip(keys, images, grids, crops, answers, strict=True):
        p = np.where(find_empty(crop, grid), -1.0, said[:, card.patch.classes.index(finding)])
        order = [int(place) for place in np.argsort(-p, kind="stable")[:most] if p[place] >= 0]
        if not order:
            raise ExamError(f"{key}: found no patch with breast in it; need one")
        corners = list(grid.corners())
        found.append(
            PatchImage(
                key,
                image,
                card.patch.side_px,
                {f"patch {number}": corners[place] for number, place in enumerate(order, 1)},
                standardise_whole(crop, std_floor=card.geometry.std_floor),
                crop > 0,
                tuple(float(p[place]) for place in order),
            )
        )
    return tuple(found)


def stack_patches(image: PatchImage, device: torch.device) -> dict[str, Tensor]:
    """(1, 1, side, side) per patch."""
    cut = image.cut(image.pixels)
    return {
        name: torch.from_numpy(np.ascontiguousarray(patch, np.float32)[None, None]).to(device)
        for name, patch in cut.items()
    }
