"""Figure 2's panel of one image: the view, the crop, what the network reads, and both heatmaps of a patch network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.draws import Streams, draw_grids
from fourview.engine import Engine
from fourview.exam import FINDINGS, Finding, Heatmap, SetupError
from fourview.heatmap import slide_patches, spread_over_pixels
from fourview.prepare import Prepared
from fourview.report.meaning import RESEARCH_ONLY
from fourview.report.overlay import blend_heatmap
from fourview.report.picture import BACKGROUND, FAINT, Picture, area_means, write_text
from fourview.store.store import Store
from fourview.train.crops import read_crop
from fourview.weights.folder import Weights

HEIGHT = 420  # rows of each part
_WIDTH = 380  # columns of each part, at most
_HEAD, _FOOT, _GAP, _SIZE_PX = 26, 22, 8, 12
_SHOWN = (1.0, 99.5)  # percentiles that are black and white
Row = Mapping[str, Any]  # of the manifest


@dataclass(frozen=True, eq=False)
class Panel:
    """Of one image.

    view, crop  (rows, cols): as in the file, as the store cut it;  seen  (rows, cols): one channel of the input
    heatmaps    both findings over `mapped`, the crop that the patch network read; None: there is no patch network
    notes       below it: that nobody was imaged, whose the heatmaps are
    """

    view: NDArray[Any]
    crop: NDArray[Any]
    seen: NDArray[Any]
    mapped: NDArray[Any] | None = None
    heatmaps: Mapping[Finding, NDArray[np.float32]] | None = None
    notes: tuple[str, ...] = ()


def read_view(store: Store, row: Row) -> NDArray[np.uint16]:
    """(rows, cols): the image as its file has it, but 0 outside the crop, which a store does not keep."""
    crop = store.read_crop(row["image"])
    whole = np.zeros((row["source_rows"], row["source_cols"]), np.uint16)
    box = slice(row["crop_top"], row["crop_bottom"]), slice(row["crop_left"], row["crop_right"])
    whole[box] = crop[:, ::-1] if row["mirrored"] else crop
    return whole


def check_patch(weights: Weights, *, synthetic: bool) -> None:
    """Nothing, if these weights can make the panel's heatmaps. synthetic: the images are phantoms

    Raises SetupError: no patch network, or one that has seen nothing but phantoms, for real images.
    """
    card = weights.card
    if weights.patch is None or card.patch is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights with a patch network, which makes heatmaps")
    if card.training.phantoms_only and not synthetic:
        raise SetupError(f"{card.name}: trained on phantoms only: not for real images; need other weights for --patch")


def map_findings(weights: Weights, engine: Engine, image: Prepared) -> dict[Finding, NDArray[np.float32]]:
    """finding -> (rows, cols) from 0 to 1 of a crop as the weights' card asks; the grid is the same in every run.

    Raises ExamError for a crop smaller than a patch.
    """
    card = weights.card
    if weights.patch is None or card.patch is None:
        raise ValueError("check_patch was not asked")
    streams = Streams()
    streams.restart(0)
    grids = draw_grids([image], card.patch, streams)
    read = engine.load_patches(weights.patch, side_px=card.patch.side_px)
    p = slide_patches([image.crop.pixels], grids, read, std_floor=card.geometry.std_floor)[0]
    engine.release()
    places = {finding: card.patch.classes.index(finding) for finding in FINDINGS}
    shape, spreading = image.crop.pixels.shape, card.patch.spreading
    return {name: spread_over_pixels(p[:, k], grids[0], shape, spreading=spreading) for name, k in places.items()}


def open_panel(
    store: Store, row: Row, seen: NDArray[Any], *, patch: Weights | None, engine: Engine, synthetic: bool
) -> Panel:
    """The panel of a stored image. row: of the manifest;  seen: one channel of what the network reads

    patch  of check_patch; None: no heatmaps. Raises ExamError as map_findings does.
    """
    view, crop = read_view(store, row), store.read_crop(row["image"])
    notes: tuple[str, ...] = ("Synthetic: nobody was imaged.",) if synthetic else ()
    if patch is None:
        return Panel(view, crop, seen, notes=notes)
    prepared = read_crop(store, row, patch.card)
    training = patch.card.training
    doubt = " (untrained)" if training.trained is False else ""
    notes += (f"Heatmaps of {patch.card.name}{doubt}.",)
    return Panel(view, crop, seen, prepared.crop.pixels, map_findings(patch, engine, prepared), notes)


def draw_panel(panel: Panel) -> Picture:
    """RGB, the parts side by side under their names; heatmaps in their colours over the crop, on a fixed scale."""
    parts = [("view", _paint(panel.view)), ("crop", _paint(panel.crop)), ("network input", _paint(panel.seen))]
    if panel.heatmaps is not None and panel.mapped is not None:
        under = np.asarray(_paint(panel.mapped) * 0.7, np.uint8)
        none = np.zeros(panel.mapped.shape, np.float32)
        for finding in FINDINGS:
            maps = {name: panel.heatmaps[finding] if name == finding else none for name in FINDINGS}
            heatmap = Heatmap.from_arrays(malignant=maps["malignant"], benign=maps["benign"])
            parts.append((f"heatmap, {finding}", blend_heatmap(under, heatmap)))
    return _join(parts, note=" ".join((*panel.notes, f"{RESEARCH_ONLY}.")))


def _join(parts: Sequence[tuple[str, Picture]], *, note: str) -> Picture:
    cols = sum(picture.shape[1] for _, picture in parts) + _GAP * (len(parts) + 1)
    rows = max(picture.shape[0] for _, picture in parts)
    canvas = np.empty((_HEAD + rows + _FOOT, cols, 3), np.uint8)
    canvas[:] = BACKGROUND
    left = _GAP
    for name, picture in parts:
        write_text(canvas, name, row=_HEAD - 9, col=left, size_px=_SIZE_PX)
        canvas[_HEAD : _HEAD + picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    write_text(canvas, note, row=canvas.shape[0] - 7, col=_GAP, size_px=10, colour=FAINT)
    return canvas


def _paint(pixels: NDArray[Any]) -> Picture:
    """In grey, HEIGHT rows or at most _WIDTH columns; black and white by what is not background."""
    image = np.asarray(pixels, np.float32)
    factor = min(HEIGHT / image.shape[0], _WIDTH / image.shape[1])
    shape = max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
    small = area_means(image, shape)  # of an image that is smaller it repeats pixels
    lit = image[image > image.min()]
    low, high = np.percentile(lit, _SHOWN) if lit.size else (0.0, 1.0)
    grey = np.clip((small - low) / max(float(high - low), 1e-6), 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
