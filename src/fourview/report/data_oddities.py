"""Images that someone should look at: too dark or bright, cut, turned, saturated, with text or a mask off the breast.

What the manifest says is judged for every image; what only pixels say, for the images that were measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.report.picture import shrink

SIDE_PX = 512  # the copy that shapes are measured on is at most this high and wide
VALUES = 2048  # of the breast that are kept per image
FLOOR = 0.1  # of the 99th percentile: darker pixels of the copy count as background
PERCENTILES = (1.0, 99.5)  # of the breast: black and white of a picture
LEAST_GROUP = 8  # images of one data set, vendor and bit depth; fewer say nothing about what is usual
FAR_OFF, LEAST_OFF = 6.0, 0.2  # robust standard deviations, and share of the range
FLAT = 0.1  # of the median, between the 5th and 95th percentile of the breast
SATURATED = 0.01  # of the breast at its largest value
CUT = 0.08  # of the breast's rows reach the edge of the nipple side
TURNED = 0.3  # ... and more of them than reach the chest-wall edge
TINY = 0.2  # of the usual area
TEXT_PX, TEXT_SHARE = 5, 0.02  # area of one mark on the copy: least pixels, largest share
MARKED_PX = 60  # area of all marks on the copy: less is dust
OFF_BREAST = 0.3  # of a mask on the background
ODDITIES = {
    "brightness": "Too dark or too bright",
    "flat": "Hardly any contrast",
    "saturated": "Saturated",
    "cut": "Cut at the nipple side",
    "turned": "Facing the other way in its own crop",
    "direction": "File against the usual direction",
    "tiny": "Tiny crop",
    "whole": "Nothing was cropped",
    "text": "Bright marks beside the breast",
    "mask": "Lesion outlines off the breast, or over most of it",
}

FROM_MANIFEST = frozenset({"direction", "tiny", "whole"})  # known without reading pixels


@dataclass(frozen=True, eq=False)
class Measured:
    """What the pixels of one crop say.

    values      (at most VALUES,) uint16, sorted: pixels of the breast, evenly spread
    saturated   share of the breast at its largest value
    nipple_rows, wall_rows  shares of the breast's rows that reach the nipple-side and the chest-wall edge
    marks       bright components beside the breast;  marked_px  their area on the copy
    masks       lesion -> (share of its mask on background, share of the crop's breast that it covers)
    """

    values: NDArray[np.uint16]
    saturated: float
    nipple_rows: float
    wall_rows: float
    marks: int
    marked_px: int
    masks: dict[str, tuple[float, float]]

    @property
    def level(self) -> float:
        """The median of the breast, as a grey value."""
        return float(np.median(self.values)) if len(self.values) else 0.0


@dataclass(frozen=True)
class Odd:
    """One image that is odd in one way. degree: how much; larger is odder, within a way."""

    image: str
    way: str
    why: str
    degree: float


def measure_crop(pixels: NDArray[np.uint16], masks: dict[str, NDArray[np.bool_]]) -> Measured:
    """The measurements of one crop, (rows, cols), facing right; masks of its lesions, same shape."""
    small = shrink(pixels, rows=SIDE_PX, cols=SIDE_PX)
    breast, beside = _divide(small)
    step = max(1, max(pixels.shape) // 1024)
    sparse = pixels[::step, ::step]
    inside = sparse[_resize(breast, sparse.shape) & (sparse > 0)]
    rows = max(1, int(breast.any(axis=1).sum()))
    marks, marked_px = _find_marks(small, breast, beside)
    return Measured(
        values=np.sort(inside[:: max(1, len(inside) // VALUES)][:VALUES]),
        saturated=float((inside == inside.max()).mean()) if inside.size else 0.0,
        nipple_rows=float(breast[:, -1].sum()) / rows,
        wall_rows=float(breast[:, :2].any(axis=1).sum()) / rows,
        marks=marks,
        marked_px=marked_px,
        masks={name: _place(mask, breast) for name, mask in masks.items()},
    )


def find_odd(images: pl.DataFrame, measured: dict[str, Measured]) -> list[Odd]:
    """Every way in which a prepared image is odd, the oddest of each way first.

    images    prepared rows of a manifest;  measured  by image, of any of them
    """
    found = [*_from_manifest(images), *_from_pixels(measured), *_from_brightness(images, measured)]
    return sorted(found, key=lambda odd: (list(ODDITIES).index(odd.way), -odd.degree, odd.image))


def grey_range(values: Sequence[NDArray[np.uint16]]) -> int:
    """The largest value that images with these values may hold: 255, or more by whole bits."""
    largest = max((int(v[-1]) for v in values if len(v)), default=0)
    return max(255, (1 << largest.bit_length()) - 1)


def groups_of(images: pl.DataFrame) -> dict[str, str]:
    """image -> data set, vendor and bit depth: what grey values are compared within."""
    return {
        row["image"]: f"{row['dataset']}, {row['vendor'] or 'vendor not known'}, {row['bits']} bits"
        for row in images.select("image", "dataset", "vendor", "bits").iter_rows(named=True)
    }


def usual_windows(images: pl.DataFrame, measured: dict[str, Measured]) -> dict[str, tuple[float, float]]:
    """Per measured image the grey values that are black and white in most images of its group."""
    group_of = groups_of(images)
    ends: dict[str, list[tuple[float, float]]] = {}
    for image, found in measured.items():
        if len(found.values):
            low, high = np.percentile(found.values, PERCENTILES)
            ends.setdefault(group_of[image], []).append((float(low), float(high)))
    usual = {group: np.median(np.array(found), axis=0) for group, found in ends.items()}
    return {i: (float(usual[g][0]), float(usual[g][1])) for i in measured if (g := group_of[i]) in usual}


def _divide(small: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The breast, and everything else that is not background."""
    bright = small > FLOOR * float(np.percentile(small, 99))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    opened = cv2.morphologyEx(np.pad(bright.astype(np.uint8), 8), cv2.MORPH_OPEN, kernel)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    if len(stats) < 2:
        return bright, np.zeros_like(bright)
    largest = (labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())).astype(np.uint8)
    breast = cv2.dilate(largest, kernel)[8:-8, 8:-8].astype(bool) & bright
    return breast, bright & ~breast


def _find_marks(small: NDArray[Any], breast: NDArray[np.bool_], beside: NDArray[np.bool_]) -> tuple[int, int]:
    """Components beside the breast that are small and as bright as its brighter half: how many, and their area."""
    if not breast.any() or not beside.any():
        return 0, 0
    usual = float(np.median(small[breast]))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(beside.astype(np.uint8), connectivity=8)
    found = covered = 0
    for number in range(1, count):
        left, top, width, height, area = (int(v) for v in stats[number])
        part = np.s_[top : top + height, left : left + width]
        brightest = float(small[part][labels[part] == number].max())
        if TEXT_PX <= area <= TEXT_SHARE * small.size and brightest >= usual:
            found, covered = found + 1, covered + area
    return found, covered


def _place(mask: NDArray[np.bool_], breast: NDArray[np.bool_]) -> tuple[float, float]:
    whole = _resize(breast, mask.shape)
    size = int(mask.sum())
    on = int((mask & whole).sum())
    return (1 - on / size if size else 1.0), on / max(1, int(whole.sum()))


def _resize(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST).astype(bool)


def _from_manifest(images: pl.DataFrame) -> list[Odd]:
    """Direction and size, of every image."""
    usual = pl.when(pl.col("side") == "L").then(pl.lit("right")).otherwise(pl.lit("left"))
    unit = pl.col("spacing_mm").fill_null(1.0) ** 2
    group = ("dataset", "vendor", "spacing_mm", "source_rows", "source_cols")
    table = images.with_columns(
        (pl.col("side").is_not_null() & (pl.col("faces") != usual)).alias("against"),
        (pl.col("rows") * pl.col("cols") * unit).alias("area"),
        (pl.col("rows") * pl.col("cols") / (pl.col("source_rows") * pl.col("source_cols"))).alias("share"),
    ).with_columns(pl.col("area").median().over(group).alias("usual"), pl.len().over(group).alias("size"))
    found = []
    columns = ("image", "side", "faces", "against", "area", "usual", "size", "share")
    for row in table.select(columns).iter_rows(named=True):
        if row["against"]:
            why = f"a {'left' if row['side'] == 'L' else 'right'} breast that faces {row['faces']} in its file"
            found.append(Odd(row["image"], "direction", why, 0.0))
        if row["size"] >= LEAST_GROUP and row["area"] < TINY * row["usual"]:
            part = row["area"] / row["usual"]
            found.append(Odd(row["image"], "tiny", f"the crop has {part:.0%} of the usual area", 1 - part))
        if row["share"] == 1:
            found.append(Odd(row["image"], "whole", "the crop is the whole image of the file", 0.0))
    return found


def _from_pixels(measured: dict[str, Measured]) -> list[Odd]:
    """What an image shows by itself."""
    found = []
    for image, m in measured.items():
        if m.saturated > SATURATED:
            why = f"{m.saturated:.1%} of the breast's pixels have its largest value"
            found.append(Odd(image, "saturated", why, m.saturated))
        if m.nipple_rows > max(TURNED, m.wall_rows):
            why = f"{m.nipple_rows:.0%} of the breast's rows reach the nipple-side edge, {m.wall_rows:.0%} the other"
            found.append(Odd(image, "turned", why, m.nipple_rows - m.wall_rows))
        elif m.nipple_rows > CUT:
            why = f"{m.nipple_rows:.0%} of the breast's rows reach the nipple-side edge of the image"
            found.append(Odd(image, "cut", why, m.nipple_rows))
        if m.marked_px >= MARKED_PX:
            why = f"bright marks beside the breast: {m.marks}"
            found.append(Odd(image, "text", why, float(m.marked_px)))
        for lesion, (off, covers) in m.masks.items():
            if off > OFF_BREAST or covers > 1 - OFF_BREAST:
                why = f"{lesion}: {off:.0%} of the outline lies on the background, {covers:.0%} of the breast in it"
                found.append(Odd(image, "mask", why, max(off, covers)))
    return found


def _from_brightness(images: pl.DataFrame, measured: dict[str, Measured]) -> list[Odd]:
    """Grey values against those of other images of the same data set, vendor and bit depth."""
    group_of = groups_of(images)
    groups: dict[str, list[str]] = {}
    for image in measured:
        groups.setdefault(group_of[image], []).append(image)
    found = []
    for group, members in groups.items():
        top = grey_range([measured[image].values for image in members])
        for image in members:
            values = measured[image].values
            spread = float(np.subtract(*np.percentile(values, [95, 5]))) if len(values) else 0.0
            if spread <= FLAT * measured[image].level:
                why = f"nine tenths of the breast's pixels lie within {spread:,.0f} grey values of 0 to {top:,}"
                found.append(Odd(image, "flat", why, -spread))
        if len(members) < LEAST_GROUP:
            continue
        levels = np.array([measured[image].level for image in members]) / top
        usual = float(np.median(levels))
        limit = max(LEAST_OFF * max(usual, 0.25), FAR_OFF * 1.4826 * float(np.median(np.abs(levels - usual))))
        for image, level in zip(members, levels, strict=True):
            if abs(level - usual) > limit:
                word = "darker" if level < usual else "brighter"
                why = f"{word} than usual: median {level:.0%} of 0 to {top:,}; {usual:.0%} is usual ({group})"
                found.append(Odd(image, "brightness", why, float(abs(level - usual) / limit)))
    return found
