"""Grey scale: stored codes of a DICOM image -> breast bright on a background of exactly 0; frames blanked.

Everything that the tags ask for (inversion, padding, pedestal, scaling) acts on one pixel at a time. So it is
decided on the histogram of codes and applied as one table lookup.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Decision

WHITE = 65535
BACKGROUND_SHARE = 0.05  # of the pixels, at least, hold a background level that no tag names
PADDING_SHARE = 0.001  # ... that PixelPaddingValue names
DARKER_SHARE = 0.01  # of the pixels, at most, are darker than the background
BORDER_SHARE = 0.05  # of the border pixels, at least, hold a padding value that is the background
PADDED_BORDER_SHARE = 0.2  # ... or a padding value that is brighter than other pixels
EXACT_PADDING_SHARE = 0.5  # of the values within the padding range: then the padding value alone is the background
BESIDE_BORDER_SHARE = 0.15  # ... and of the border pixels within the range at most this share holds other values
LARGEST_HOLE = 1e-4  # of the pixels: a smaller island of the padding value inside the breast is tissue
FRAME_SHARE = 0.08  # of a side: the broadest frame


@dataclass(frozen=True)
class GreyTags:
    """What the tags say about the stored values.

    bits      BitsStored, 8 to 16
    signed    PixelRepresentation 1: values lie in -2**(bits-1) .. 2**(bits-1)-1, else in 0 .. 2**bits-1
    inverted  the tag that says that low values are bright; "" if none does
    padding   (first, last) value that stands for "no image here"; None without the tag
    """

    bits: int
    signed: bool = False
    inverted: str = ""
    padding: tuple[int, int] | None = None

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def values(self) -> NDArray[np.int64]:
        """The value of every code: code 0 is the lowest value. (2**bits,) int64."""
        return np.arange(1 << self.bits, dtype=np.int64) + self.lowest


@dataclass(frozen=True, eq=False)
class Grey:
    """Pixels on the common scale, (rows, cols) uint16, and how they came about."""

    pixels: NDArray[np.uint16]
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Background:
    """Which codes are background, and the brightness that is subtracted from all others (0: none)."""

    codes: NDArray[np.bool_]
    pedestal: int
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()


def scale_grey(
    codes: NDArray[np.uint16], tags: GreyTags, *, voi: NDArray[np.float64] | None = None, voi_source: str = ""
) -> Grey:
    """Pixels in 0..65535: breast bright, background exactly 0.

    codes       (rows, cols) uint16, value minus the lowest value that `tags` allow
    voi         None: stored values, v * 65535 / (2**bits - 1). Else (2**bits,) the display value of every
                code in [0, 1], before inversion (mode "presentation")
    voi_source  the tag that `voi` comes from

    A background above 0 (the padding value, or else the most frequent value, where it is the dark end) is a
    pedestal: it is subtracted from all stored values and the scale factor stays.
    """
    counts = np.bincount(codes.ravel(), minlength=1 << tags.bits)
    edges = np.concatenate([codes[0], codes[-1], codes[1:-1, 0], codes[1:-1, -1]])
    border = np.bincount(edges, minlength=1 << tags.bits)
    tags, narrowed = _narrow_padding(tags, counts, border)
    brightness = _brightness(tags, counts)
    background = _find_background(tags, brightness, counts, border)
    if voi is None:
        factor = WHITE / ((1 << tags.bits) - 1)
        table = np.maximum(brightness - background.pedestal, 0) * factor
        scale = Decision("grey scale", f"stored values * 65535 / {(1 << tags.bits) - 1}", f"BitsStored {tags.bits}")
    else:
        table = (1 - voi if tags.inverted else voi) * WHITE
        scale = Decision("grey scale", "display values * 65535", voi_source)
    lookup = np.clip(np.rint(table), 0, WHITE).astype(np.uint16)
    tissue = lookup.copy()
    lookup[background.codes | (brightness <= 0)] = 0
    pixels = _fill_holes(lookup[codes], tissue[codes]) if (tissue != lookup).any() else lookup[codes]
    inversion = (Decision("inversion", "low values are bright", tags.inverted),) if tags.inverted else ()
    warnings = list(background.warnings)
    if tags.bits <= 8:
        warnings.append(f"only {tags.bits} bits per pixel: mammograms have 10 to 16")
    if border[lookup == 0].sum() < 0.01 * border.sum():
        warnings.append("no background of exactly 0 on the image border")
    return Grey(pixels, (scale, *inversion, *narrowed, *background.decisions), tuple(warnings))


def _narrow_padding(
    tags: GreyTags, counts: NDArray[np.int64], border: NDArray[np.int64]
) -> tuple[GreyTags, tuple[Decision, ...]]:
    """The padding value alone where it fills the background by itself: the rest of its range is then thin tissue."""
    if tags.padding is None or tags.padding[0] == tags.padding[1]:
        return tags, ()
    within = _padding_codes(tags)
    beside = within & (tags.values != tags.padding[0])
    beyond = int(counts[beside].sum())
    alone = beyond <= (1 - EXACT_PADDING_SHARE) * counts[within].sum()
    alone = alone and border[beside].sum() <= BESIDE_BORDER_SHARE * border[within].sum()
    if beyond == 0 or not alone:
        return tags, ()
    value = (
        f"limit {tags.padding[1]} not used: {beyond / counts.sum():.1%} of the pixels lie in the range beside the value"
    )
    source = f"PixelPaddingValue {tags.padding[0]} alone is the background"
    return replace(tags, padding=(tags.padding[0], tags.padding[0])), (Decision("padding", value, source),)


def _fill_holes(pixels: NDArray[np.uint16], tissue: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Small islands of background inside the breast get their tissue values back: erosion would widen each."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((pixels == 0).astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] <= LARGEST_HOLE * pixels.size
    small[0] = False
    return np.where(small[labels], tissue, pixels)


def _brightness(tags: GreyTags, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How bright each code is, 0 = black, before any pedestal is removed. (2**bits,) int64."""
    values = tags.values
    if tags.inverted:
        return (1 << tags.bits) - 1 + tags.lowest - values
    present = values[(counts > 0) & ~_padding_codes(tags)]
    bottom = tags.lowest if present.size and present.min() < 0 else 0
    return np.maximum(values - bottom, 0)


def _padding_codes(tags: GreyTags) -> NDArray[np.bool_]:
    if tags.padding is None:
        return np.zeros(1 << tags.bits, dtype=bool)
    first, last = min(tags.padding), max(tags.padding)
    return (tags.values >= first) & (tags.values <= last)


def _find_background(
    tags: GreyTags, brightness: NDArray[np.int64], counts: NDArray[np.int64], border: NDArray[np.int64]
) -> _Background:
    total = int(counts.sum())
    padding = _padding_codes(tags)
    used, decisions, warnings = _judge_padding(tags, padding, brightness, counts, border)
    background = padding if used else np.zeros_like(padding)

    def darker_share(level: int) -> float:
        return float(counts[(brightness < level) & ~background].sum()) / total

    if used and brightness[padding].min() > 0:
        level = int(brightness[padding].max())
        on_border = border[padding].sum() >= BORDER_SHARE * border.sum()
        held = counts[padding].sum() >= PADDING_SHARE * total
        floor = DARKER_SHARE if tags.inverted else 0.0  # with darker tissue beside it, it is a mask and no pedestal
        if on_border and held and darker_share(level) <= floor:
            removed = Decision("background", f"pedestal {level} removed", decisions[-1].source)
            return _Background(background | (brightness <= level), level, (*decisions, removed), warnings)
    rest = np.where(background, 0, counts)
    most = int(rest.argmax())
    level = int(brightness[most])
    padded_share = float(counts[background].sum()) / total  # padding became 0: it is darker than any pedestal
    share = float(rest[most]) / total
    if level > 0 and share >= BACKGROUND_SHARE and darker_share(level) + padded_share <= DARKER_SHARE:
        source = f"the most frequent value {tags.values[most]}, {share:.0%} of the pixels, is the dark end"
        removed = Decision("background", f"pedestal {level} removed", source)
        return _Background(background | (brightness <= level), level, (*decisions, removed), warnings)
    return _Background(background, 0, decisions, warnings)


def _judge_padding(
    tags: GreyTags,
    padding: NDArray[np.bool_],
    brightness: NDArray[np.int64],
    counts: NDArray[np.int64],
    border: NDArray[np.int64],
) -> tuple[bool, tuple[Decision, ...], tuple[str, ...]]:
    """Whether the padding value stands for background in this image: some files hold it inside the breast."""
    if tags.padding is None:
        return False, (), ()
    first, last = tags.padding
    source = f"PixelPaddingValue {first}" + ("" if first == last else f", PixelPaddingRangeLimit {last}")
    held = padding & (counts > 0)
    if not held.any():
        return False, (Decision("padding", "not in the image", source),), ()
    darker = counts[(brightness < brightness[held].min()) & ~padding].sum() / counts.sum()
    on_border = border[padding].sum() / border.sum()
    if darker <= DARKER_SHARE or on_border >= PADDED_BORDER_SHARE:
        return (
            True,
            (Decision("padding", f"{counts[held].sum() / counts.sum():.1%} of the pixels set to 0", source),),
            (),
        )
    warning = f"{source} is no background in this image ({darker:.0%} of the pixels are darker); not used"
    return False, (Decision("padding", "not used", source),), (warning,)


def blank_frame(pixels: NDArray[Any]) -> tuple[NDArray[Any], tuple[Decision, ...]]:
    """The image without the light frame that some systems and exports draw around it.

    pixels  (rows, cols). An edge is framed where its outermost rows or columns, at most 8 % of the side, hold
            one value above 0 along their whole length. With three or four framed edges they are set to 0 in a
            copy; else the same array comes back untouched. Rows are looked at first, columns between them.
    """
    rows, cols = pixels.shape
    top, bottom = _framed(pixels), _framed(pixels[::-1])
    between = pixels[top : rows - bottom]
    left, right = _framed(between.T), _framed(between.T[::-1])
    if sum(width > 0 for width in (top, bottom, left, right)) < 3:
        return pixels, ()
    blanked = np.zeros_like(pixels)
    inside = slice(top, rows - bottom), slice(left, cols - right)
    blanked[inside] = pixels[inside]
    widths = f"top {top}, bottom {bottom}, left {left}, right {right} pixels"
    return blanked, (Decision("frame", f"{widths} set to 0", "constant rows and columns along the image border"),)


def _framed(lines: NDArray[Any]) -> int:
    """How many of the first lines are constant and above 0; 0 if more than a frame can have."""
    most = int(FRAME_SHARE * len(lines))
    for number, line in enumerate(lines[: most + 1]):
        if line[0] == 0 or (line != line[0]).any():
            return number
    return 0
