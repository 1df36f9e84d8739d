"""One lesion explained: its map in the pixels of the file, and the tests that the map passed or failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from fourview.exam import Box
from fourview.explain.baseline import blur_inputs
from fourview.explain.cells import Cells
from fourview.explain.lesion_target import LesionTarget
from fourview.explain.located import Localisation, judge_localisation, localise
from fourview.explain.methods import METHODS
from fourview.explain.sanity import (
    Check,
    compare_with_drawn,
    delete_and_insert,
    draw_anew,
    judge_curves,
    map_drawn,
    shows_something,
)
from fourview.explain.source_map import SourceMap
from fourview.networks.lesion import LesionNetwork
from fourview.studies.lesion.answers import answer_crops
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.signs.inputs import OpenedLesion
from fourview.studies.lesion.signs.read import INPUT, LesionLens, LesionMethod
from fourview.studies.lesion.signs.units import unit_weights

Array = NDArray[np.float32]
CHANNELS = 3  # of the last map that are shown below a picture


@dataclass(frozen=True, eq=False)
class ChannelMap:
    """One channel of the gated last map. added: by its mean to the log-odds; values: (side, side) of the crop"""

    channel: int
    added: float
    values: Array


@dataclass(frozen=True, eq=False)
class LesionMap:
    """One lesion image.

    p, log_odds  of malignant;  map  in the pixels of the file, `in_crop` in those of the crop
    channels     the strongest of its first network; none for networks that do not average their last map
    """

    lesion: OpenedLesion
    p: float
    log_odds: float
    map: SourceMap
    in_crop: Array
    checks: tuple[Check, ...]
    localisation: Localisation | None
    channels: tuple[ChannelMap, ...] = ()

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.passed is False)


def explain_lesion(
    lens: LesionLens, lesion: OpenedLesion, method: LesionMethod, *, drawn: int, curves: bool, seed: int
) -> LesionMap:
    """The map of one lesion image and its tests, the mean over its networks. Raises ExamError without a size it needs.

    drawn  networks with weights drawn anew that it is compared with, of each
    """
    crop = lesion.crop
    x, size = lens.stack(crop, lesion.name)
    networks = [lens.networks[n] for n in lesion.networks]
    said = answer_crops(networks, x, size, dihedral=lens.card.ensemble.dihedral)
    found = lens.map(method, x, size, lesion.networks)
    tissue = crop.pixels > 0
    checks = [] if (found > 0).any() else [Check("empty", False, 0.0, 0.0, "shows nothing: nothing raises the score")]
    if drawn:

        def make(own_seed: int) -> Array:
            anew = {n: draw_anew(lens.networks[n], seed=own_seed) for n in lesion.networks}
            chosen = [cast(LesionNetwork, anew.get(n, network)) for n, network in enumerate(lens.networks)]
            return lens.map(method, x, size, lesion.networks, chosen=chosen)

        def shows(other: Array) -> set[str]:
            return {INPUT} if shows_something(other, tissue) else set()

        others = map_drawn(make, shows, [INPUT], count=drawn, seed=seed)[INPUT]
        checks.append(compare_with_drawn(found, others, tissue, signed=is_signed(method)))
    if curves:
        inputs = {INPUT: x}
        baselines = blur_inputs(inputs)
        pairs = [
            delete_and_insert(
                LesionTarget(network, size), INPUT, found, inputs, baselines=baselines, tissue=tissue, seed=seed
            )
            for network in networks
        ]
        checks += judge_curves([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    local = localise(found, crop.mask, tissue)
    if local is not None:
        checks += judge_localisation(local)
    return LesionMap(
        lesion,
        float(said.p[0]),
        float(said.logit[0]),
        place_crop(found, crop),
        found,
        tuple(checks),
        local,
        find_channels(networks[0], lens.cells[lesion.networks[0]], x, size),
    )


def find_channels(
    network: LesionNetwork, cells: Cells, x: torch.Tensor, size: torch.Tensor | None, *, most: int = CHANNELS
) -> tuple[ChannelMap, ...]:
    """The channels of the gated last map whose mean moves the log-odds most; none if the map is not averaged."""
    weights = unit_weights(network)
    if np.isnan(weights).any():
        return ()
    with torch.inference_mode():
        last = network.look(x, size).last[0].cpu().numpy()
    added = weights * last.mean(axis=(1, 2), dtype=np.float64)
    side = x.shape[2], x.shape[3]
    return tuple(
        ChannelMap(int(c), float(added[c]), cells.spread(last[c], side))
        for c in np.argsort(-np.abs(added), kind="stable")[:most]
    )


def is_signed(method: LesionMethod) -> bool:
    """Whether negative values of its maps mean something."""
    return method != "gate" and METHODS[method].signed


def place_crop(values: Array, crop: LesionCrop) -> SourceMap:
    """A map of the crop in the pixels and the direction of the file; what lies beyond the stored breast is left out."""
    rows, cols = crop.frame.source_shape
    side = len(values)
    corners = np.array([[-0.5, -0.5, 1], [side - 0.5, -0.5, 1], [-0.5, side - 0.5, 1], [side - 0.5, side - 0.5, 1]])
    x, y = corners @ crop.to_source.T[:, 0], corners @ crop.to_source.T[:, 1]
    inner = crop.frame.box
    left, right = max(inner.left, round(float(x.min()) + 0.5)), min(inner.right, round(float(x.max()) + 0.5))
    top, bottom = max(inner.top, round(float(y.min()) + 0.5)), min(inner.bottom, round(float(y.max()) + 0.5))
    box = Box(top, max(bottom, top + 1), left, max(right, left + 1))
    way = crop.to_source.copy()
    way[:, 2] -= (box.left, box.top)
    factor = abs(float(way[0, 0]))
    if factor < 1:  # several pixels of the crop become one
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), 0.5 / factor), np.float32)
    placed = cv2.warpAffine(
        values, way, (box.width, box.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return SourceMap((rows, cols), box, np.asarray(placed, np.float32), box)
