"""Features of a network for photographs.

The choices, which the paper does not tell: the breast's crop, shrunk to a square of 224 pixels (448 as an option);
greys from the 1st percentile of the breast (0) to the 99th (1), background 0; the same in all three channels; then
ImageNet's mean and deviation of each channel, as in the network's training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.engine import Engine, ReadColumn
from fourview.exam import SetupError
from fourview.networks.resnet import ResNet
from fourview.prepare import Prepared
from fourview.studies.transfer.greys import find_grey_range, scale_greys, shrink_to_square
from fourview.weights.imagenet import Backbone

Array = NDArray[np.float32]
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, from 0 to 1
SMALLEST = 32


class Pooled(nn.Module):
    """(batch, 3, rows, cols) -> (batch, features): a network without its last layer."""

    def __init__(self, network: Backbone) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.pooled(x)


@dataclass(frozen=True, eq=False)
class ImageNetFeatures:
    """Reads one image. Made by `open_imagenet_features`."""

    read: ReadColumn
    size: int
    dimension: int

    def __call__(self, image: Prepared) -> Array:
        """(dimension,) float32 of one image. Raises ExamError for one without a breast."""
        return np.asarray(self.read(show_photograph(image.crop.pixels, self.size)[None])[0])


def open_imagenet_features(network: Backbone, engine: Engine, *, size: int) -> ImageNetFeatures:
    """What reads images with this network. size: side of the square, pixels. Raises SetupError for too small a one."""
    if size < SMALLEST:
        raise SetupError(f"--size {size}: need {SMALLEST} pixels or more")
    dimension = network.features if isinstance(network, ResNet) else 512
    return ImageNetFeatures(engine.load_column(Pooled(network), (3, size, size)), size, dimension)


def show_photograph(pixels: NDArray[np.uint8] | NDArray[np.uint16], size: int) -> Array:
    """(3, size, size) float32: a crop with a background of 0 as a network for photographs wants it."""
    low, high = find_grey_range(pixels)
    grey = scale_greys(shrink_to_square(pixels, size), low, high)
    channels = [(grey - mean) / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    return np.stack(channels).astype(np.float32)
