"""Features of the columns of an exam network: averaged, position by position, or after the first layer of a head.

Left and right views share a column, so there are two: CC and MLO. Method: the low-resource paper shrank every image to
a square of about 224 pixels and took the last map of one view's network as it was (4 x 4 x 256 = 4096 numbers); what
the network was made for is the average of that map, at the size of the mammogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.draws import Streams, draw_grids, draw_windows
from fourview.engine import Engine, ReadColumn, ReadPatches
from fourview.exam import SetupError, View
from fourview.heatmap import slide_patches, spread_over_pixels
from fourview.networks.exam import READS_SINGLE_VIEWS, WiredNetwork
from fourview.networks.resnet22 import STAGE_STRIDES, ResNet22
from fourview.prepare import Prepared
from fourview.studies.transfer.extractors import Layer, Trunk
from fourview.studies.transfer.greys import shrink_to_square
from fourview.weights.card import Card
from fourview.weights.folder import Weights
from fourview.window import cut_input, standardise

Array = NDArray[np.float32]
FLAT_SIDE = 4  # positions of the map along one side
ALL_VIEWS = tuple(View)


class FlatMap(nn.Module):
    """(batch, channels, rows, cols) -> (batch, features x map rows x map cols): the last map of a column."""

    def __init__(self, column: ResNet22) -> None:
        super().__init__()
        self.column = column

    def forward(self, x: Tensor) -> Tensor:
        return self.column.feature_map(x).flatten(1)


def measure_map(size: int) -> int:
    """How many positions the last map of a column has along a side of `size` pixels; 0: the image is too small."""
    side = (size - 7) // 2 + 1
    side = (side - 3) // 2 + 1
    for stride in STAGE_STRIDES:
        side = -(-side // stride)
    return max(side, 0)


def check_size(size: int) -> None:
    """Raises SetupError unless a square of so many pixels gives a 4 x 4 map."""
    if (found := measure_map(size)) != FLAT_SIDE:
        fits = [side for side in range(1, 2 * 266) if measure_map(side) == FLAT_SIDE]
        raise SetupError(
            f"--size {size}: found a map of {found} x {found}, need 4 x 4: squares of {fits[0]} to {fits[-1]} pixels"
        )


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """Reads one image. Made by `open_view_features`, which checks.

    views  the views whose networks are asked, their answers averaged; None: the image's own view's
    size   of the square that the crop is shrunk to; None: the window of the image's view, at its own size
    """

    weights: Weights
    columns: nn.ModuleDict
    engine: Engine
    layer: Layer
    views: tuple[View, ...] | None
    size: int | None
    patches: ReadPatches | None
    _readers: dict[tuple[str, tuple[int, ...]], ReadColumn] = field(default_factory=dict)

    @property
    def dimension(self) -> int:
        """How many numbers an image gives."""
        last = next(iter(self.columns.values())).get_submodule("final_bn")
        features = int(last.num_features) if isinstance(last, nn.BatchNorm2d) else 0
        return features * FLAT_SIDE**2 if self.layer == "flat" else features

    def __call__(self, image: Prepared) -> Array:
        """(dimension,) float32 of one image, cropped as the card asks. Raises ExamError."""
        shown = self._show(image)[None]
        found: dict[str, Array] = {}
        vectors = []
        for view in self.views or (image.mammogram.view,):
            if view.angle not in found:
                found[view.angle] = self._read(view.angle, shown)
            vectors.append(self._hidden(view, found[view.angle]) if self.layer == "fc1" else found[view.angle])
        self.engine.release()
        return np.asarray(np.concatenate(vectors).mean(axis=0, dtype=np.float64), np.float32)

    def _read(self, angle: str, shown: Array) -> Array:
        key = angle, shown.shape[1:]
        if key not in self._readers:
            column = self.columns[angle.lower()]
            network: nn.Module = FlatMap(column) if self.layer == "flat" and isinstance(column, ResNet22) else column
            channels, rows, cols = shown.shape[1:]
            self._readers[key] = self.engine.load_column(network, (channels, rows, cols))
        return self._readers[key](shown)

    def _hidden(self, view: View, features: Array) -> Array:
        if self.weights.exam is None:
            raise ValueError("no heads")
        with torch.inference_mode():
            layers = self.weights.exam.head_layers[view.value]
            hidden: Callable[[Tensor], Tensor] = layers.hidden  # type: ignore[assignment]  # torch types it a Tensor
            return np.asarray(hidden(torch.from_numpy(features)).numpy())

    def _show(self, image: Prepared) -> Array:
        """(channels, rows, cols): what the columns see."""
        geometry = self.weights.card.geometry
        planes = [image.crop.pixels.astype(np.float32), *self._map_findings(image)]
        if self.size is None:
            placement = draw_windows([image], geometry, Streams(), jitter=0, pick="all")[0][0]
            window = geometry.window_px(image.mammogram.view.angle)
            return cut_input(planes, placement, window, std_floor=geometry.std_floor)
        squares = [shrink_to_square(plane, self.size) for plane in planes]
        return np.stack([standardise(squares[0], std_floor=geometry.std_floor), *squares[1:]])

    def _map_findings(self, image: Prepared) -> list[Array]:
        """The benign and the malignant heatmap, where the columns see them; the grid is the same for every run."""
        card = self.weights.card
        if self.patches is None or card.patch is None:
            return []
        streams = Streams()
        streams.restart(0)
        crop = image.crop.pixels
        grids = draw_grids([image], card.patch, streams)
        p = slide_patches([crop], grids, self.patches, std_floor=card.geometry.std_floor)[0]
        order = [card.patch.classes.index(finding) for finding in ("benign", "malignant")]
        spreading = card.patch.spreading
        return [spread_over_pixels(p[:, place], grids[0], crop.shape, spreading=spreading) for place in order]


def open_view_features(
    weights: Weights, engine: Engine, *, trunk: Trunk, layer: Layer, view: View, size: int | None
) -> ViewFeatures:
    """What reads images with these weights.

    trunk  "one": `view`'s network for all;  size  for the layer "flat" alone

    Raises SetupError: no exam network in the weights, no column of a view that is needed, no head per view for "fc1",
    or a size whose map is not 4 x 4.
    """
    card, network = weights.card, weights.exam or weights.birads
    if network is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights of an exam network")
    asked = {"one": (view,), "avg": ALL_VIEWS, "matched": ALL_VIEWS}[trunk]
    if lacking := sorted({v.angle for v in asked if v.angle.lower() not in network.columns}):
        there = ", ".join(name.upper() for name in network.columns)
        raise SetupError(f"{card.name}: found a network for {there} images only; need one for {', '.join(lacking)}")
    if layer == "fc1":
        _check_heads(card, weights.exam, asked)
    if layer == "flat":
        check_size(size or 0)
    patches = None
    if network_sees_heatmaps(card) and weights.patch is not None and card.patch is not None:
        patches = engine.load_patches(weights.patch, side_px=card.patch.side_px)
    return ViewFeatures(
        weights,
        network.columns,
        engine,
        layer,
        None if trunk == "matched" else asked,
        size if layer == "flat" else None,
        patches,
    )


def network_sees_heatmaps(card: Card) -> bool:
    """Whether the columns see heatmaps beside the image."""
    return any(network is not None and network.heatmaps for network in (card.exam, card.birads))


def _check_heads(card: Card, network: WiredNetwork | None, views: tuple[View, ...]) -> None:
    if network is None or network.wiring not in READS_SINGLE_VIEWS:
        raise SetupError(
            f"{card.name}: {card.kind}; need image-wise or single-image weights: others have no layer of one view's "
            "features (take the averaged map instead)"
        )
    if lacking := [view for view in views if view not in network.head_layers]:
        raise SetupError(f"{card.name}: found no head for {', '.join(lacking)}; need it")
