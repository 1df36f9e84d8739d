"""Features of the patch network over a whole breast: mean and maximum of each, over patches beside each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.engine import Engine, ReadColumn
from fourview.exam import SetupError
from fourview.heatmap import PatchGrid, find_empty
from fourview.networks.densenet import DenseNet
from fourview.prepare import Prepared
from fourview.weights.folder import Weights
from fourview.window import standardise_whole

Array = NDArray[np.float32]
_AT_ONCE = 4


class PooledPatches(nn.Module):
    """(batch, 1, side, side) -> (batch, features): the patch network without its last layer."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.pooled(x)


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Reads one image. Made by `open_patch_features`.

    features  of one patch;  side_px  of a patch, working pixels
    """

    read: ReadColumn
    features: int
    side_px: int
    std_floor: float

    @property
    def dimension(self) -> int:
        """The mean and the maximum of each feature."""
        return 2 * self.features

    def __call__(self, image: Prepared) -> Array:
        """(2 x features,) float32: the means, then the maxima, over patches that show some breast.

        Patches lie side by side from the upper chest-wall corner on; the last ones reach into more background.
        """
        pixels = image.crop.pixels
        tops, lefts = (tuple(range(0, length, self.side_px)) for length in pixels.shape)
        grid = PatchGrid(tops, lefts, self.side_px)
        below, beside = (-length % self.side_px for length in pixels.shape)
        shown = standardise_whole(pixels, std_floor=self.std_floor)
        darkest = float(shown.flat[int(pixels.argmin())])  # the background, which is exactly 0 in a crop
        wide = np.pad(shown, ((0, below), (0, beside)), constant_values=darkest)
        empty = find_empty(np.pad(pixels, ((0, below), (0, beside))), grid)
        corners = [corner for corner, blank in zip(grid.corners(), empty, strict=True) if not blank]
        found = [
            self.read(np.stack([self._cut(wide, *corner) for corner in corners[start : start + _AT_ONCE]]))
            for start in range(0, len(corners), _AT_ONCE)
        ]
        answers = np.concatenate(found)
        mean = answers.mean(axis=0, dtype=np.float64).astype(np.float32)
        return np.concatenate([mean, answers.max(axis=0)])

    def _cut(self, shown: Array, top: int, left: int) -> Array:
        return shown[None, top : top + self.side_px, left : left + self.side_px]


def open_patch_features(weights: Weights, engine: Engine) -> PatchFeatures:
    """What reads images with these weights. Raises SetupError without a patch network in them."""
    card, network = weights.card, weights.patch
    if network is None or card.patch is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights with a patch network")
    side = card.patch.side_px
    read = engine.load_column(PooledPatches(network), (1, side, side))
    return PatchFeatures(read, network.classifier.in_features, side, card.geometry.std_floor)
