"""The breast on a digitised film, and all else of the scan set to 0: background, labels, tape, edges of the film.

The background of a film is grey, so that "brighter than 0" is the whole scan. What this rests on: a breast is the
largest thick thing on the film; its skin fades into the background within 2 cm; labels stand apart from it, or are
whiter. Own method; its limits were set on 40 films of DDSM at half size (8-bit JPEG) and the development part of
mini-MIAS (242 films).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Decision, ExamError
from fourview.film.pieces import (
    Mask,
    above,
    distance_to,
    inverse,
    near_tissue,
    not_joined,
    white_frame,
    white_labels,
    widen,
)

WORKING_SIDE = 512  # outlines need no more pixels than this: about 0.5 mm each
FILM_MM = 240.0  # long side of a film whose pixel size is unknown (films are 180 x 240 or 240 x 300 mm)
THICK_MM = 20.0  # a breast has a core this thick; labels are thinner, and so are edges of the film, counted twice
REACH_MM = 20.0  # tissue's skin fades within: 2 to 15 mm were measured
MARGIN_MM = 5.0  # kept beyond the level at which the skin has faded
FADED = 0.15  # of the way from background to tissue, as square roots of grey
BAND, BAND_MM = 0.3, 10.0  # a column's background: of the way to tissue, at most; seen for, at least
BLUR_MM = 1.0  # around labels
SMALLEST, LARGEST = 0.03, 0.85  # of the film
RIVAL = 0.25  # of the breast's area: a second thick thing is perhaps another breast
DARK_BACKGROUND = 0.5  # of the median grey of tissue, at most, has the background
MOST_BORDER = 0.05  # of all four borders, at most; one is free of tissue as a rule
MOST_OPEN = 0.25  # of the outline, at most, has not faded at REACH_MM


@dataclass(frozen=True, eq=False)
class FilmBreast:
    """Where the breast lies on a film.

    mask    (rows, cols) bool, source pixels: the breast, its skin and a margin
    background, faded, tissue  grey levels: of the film's background, below which skin has faded, above which nothing
            is background
    pieces  how many bright things were left outside;  share  of the film that they fill
    """

    mask: NDArray[np.bool_]
    background: float
    faded: float
    tissue: float
    pieces: int
    share: float


def blank_film(
    pixels: NDArray[Any], *, spacing_mm: float | None, lightness: NDArray[np.float32] | None = None
) -> tuple[NDArray[Any], tuple[Decision, ...], tuple[str, ...]]:
    """The film with everything but its breast set to 0, what was decided, and warnings.

    pixels     (rows, cols), breast bright. Those of the breast stay as they are. Where no plausible breast is found,
               the same array comes back, with a warning.
    lightness  (rows, cols) the film as it was scanned, where `pixels` have its dark end cut off: the breast is looked
               for there, and its pixels that were cut off become 1. None: `pixels` are as scanned
    """
    try:
        breast = find_breast(pixels if lightness is None else lightness, spacing_mm=spacing_mm)
    except ExamError as error:
        return pixels, (Decision("film", "left as it is", str(error)),), (f"the film is left as it is: {error}",)
    bright = f", {breast.pieces} bright pieces ({breast.share:.1%})" if breast.pieces else ""
    value = f"{breast.mask.mean():.1%} of the film kept; set to 0: the background{bright}"
    levels = f"background {breast.background:.4g}, skin faded {breast.faded:.4g}, tissue {breast.tissue:.4g}"
    kept = pixels if lightness is None else np.maximum(pixels, 1)
    return (
        np.where(breast.mask, kept, pixels.dtype.type(0)),
        (Decision("film", value, f"grey levels of the film: {levels}"),),
        (),
    )


def find_breast(pixels: NDArray[Any], *, spacing_mm: float | None) -> FilmBreast:
    """The breast of a film, its skin never cut: what is doubtful belongs to it.

    pixels      (rows, cols), any real type, breast brighter than the background
    spacing_mm  of the pixels; None: the long side is taken for that of a film

    Raises ExamError, saying why, if what is found is no plausible breast.
    """
    whole, brightest = _grey(pixels)
    film_mm = FILM_MM if spacing_mm is None else spacing_mm * max(pixels.shape)
    px = max(whole.shape) / film_mm  # working pixels per mm
    box = _film_box(whole)
    grey = np.ascontiguousarray(whole[box])
    tissue = 0.8 * _otsu(grey)  # as in ingest.orientation: keeps the thin rim of the breast
    bright, frame = above(grey, tissue), white_frame(grey, least=round(THICK_MM / 2 * px))
    if bright.all() or np.median(grey[bright == 0]) ** 2 > DARK_BACKGROUND * np.median(grey[bright > 0]) ** 2:
        raise ExamError("the breast fills the film: no dark background found, need one")
    bright &= 1 - frame
    core, rivals = _core(bright, radius=THICK_MM / 2 * px)
    _check(core)
    nipples = near_tissue(not_joined(bright, core), grey, core, tissue=tissue, px=px)
    apart = not_joined(bright, core) & (1 - nipples) | rivals | white_labels(grey, core, px)
    barrier = widen(apart, BLUR_MM * px) & (1 - core) | frame
    background = _background(grey, core, tissue=tissue, px=px)
    faded = background + FADED * (tissue - background)
    region = _follow_skin(core | nipples, above(grey, faded) & (1 - barrier), px=px)
    region = widen(region, MARGIN_MM * px)
    region = _without_holes(region) & (1 - barrier) | core
    region &= 1 - not_joined(region, core | nipples)  # background behind a label
    framed = np.zeros_like(whole)
    framed[box] = region
    mask = cv2.resize(framed, pixels.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    return FilmBreast(
        mask,
        background=float((np.median(background) / 255) ** 2 * brightest),
        faded=float((np.median(faded) / 255) ** 2 * brightest),
        tissue=(tissue / 255) ** 2 * brightest,
        pieces=cv2.connectedComponents(apart | frame, connectivity=8)[0] - 1,
        share=float((apart | frame).mean()),
    )


def _grey(pixels: NDArray[Any]) -> tuple[Mask, float]:
    """The film at working size, as square roots of its grey, and the grey that 255 stands for.

    The square root brings thin fat and dense tissue together, so that Otsu parts tissue from background.
    """
    scale = min(1.0, WORKING_SIDE / max(pixels.shape))
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.medianBlur(cv2.resize(pixels.astype(np.float32), size, interpolation=cv2.INTER_AREA), 3)
    brightest = float(np.percentile(small, 99.5))
    if small.min() >= brightest:
        raise ExamError("one grey level fills the film, need a breast on a background")
    return np.rint(255 * np.sqrt(np.clip(small / brightest, 0, 1))).astype(np.uint8), brightest


def _film_box(grey: Mask) -> tuple[slice, slice]:
    """The film without padding: rows and columns of 0 around it."""
    rows, cols = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)


def _otsu(grey: Mask) -> float:
    """Otsu's threshold, in the middle of the gap where no grey level lies between tissue and background."""
    level, _ = cv2.threshold(grey, 0, 255, cv2.THRESH_OTSU)
    lighter = grey[grey > level]
    return (level + float(lighter.min())) / 2 if lighter.size else level


def _core(bright: Mask, *, radius: float) -> tuple[Mask, Mask]:
    """The largest bright thing that holds a disc of that radius, and the others that do.

    The film is taken to go on, mirrored, beyond its border: a breast that is cut off there stays as thick as it looks,
    an edge of the film is twice as thick as it is.
    """
    pad = round(radius) + 2
    padded = np.asarray(cv2.copyMakeBorder(bright, pad, pad, pad, pad, cv2.BORDER_REFLECT), np.uint8)
    opened = widen(inverse(widen(inverse(padded), radius)), radius)
    thick = np.ascontiguousarray(opened[pad:-pad, pad:-pad])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(thick, connectivity=4)
    if count < 2:
        raise ExamError(f"nothing bright is {THICK_MM:g} mm thick, need a breast")
    areas = stats[1:, cv2.CC_STAT_AREA]
    first, *others = np.sort(areas)[::-1]
    if others and others[0] > RIVAL * first:
        raise ExamError(f"two things look like a breast, the second {others[0] / first:.0%} as large as the first")
    core = (labels == 1 + areas.argmax()).astype(np.uint8)
    return core, thick & (1 - core)


def _background(grey: Mask, core: Mask, *, tissue: float, px: float) -> NDArray[np.float32]:
    """The grey level of the film's background in each column, (cols,) float32.

    By column, because scanners leave bands in it, and films are lighter beside the chest wall. Columns that show
    little of it take the level of the whole film.
    """
    dark = grey <= tissue
    far = dark & (distance_to(core) > REACH_MM * px)
    seen = far.sum(axis=0) > BAND_MM * px
    levels = np.array([np.median(grey[far[:, col], col]) if seen[col] else 0 for col in range(grey.shape[1])])
    enough = seen.sum() > BAND_MM * px
    level = float(np.median(levels[seen]) if enough else np.percentile(grey[dark], 25))
    levels = np.where(seen, levels, level)
    return np.asarray(np.minimum(levels, level + BAND * (tissue - level)), np.float32)


def _follow_skin(core: Mask, lighter: Mask, *, px: float) -> Mask:
    """The core and what of `lighter` is joined to it, REACH_MM far at most.

    Raises ExamError where much of the outline ends only because it is that far away.
    """
    lighter = lighter | core
    kernels = [cv2.getStructuringElement(shape, (3, 3)) for shape in (cv2.MORPH_CROSS, cv2.MORPH_RECT)]
    region = core
    for step in range(round(REACH_MM * px)):
        widened = np.asarray(cv2.dilate(region, kernels[step % 2]), np.uint8)  # in turns: an octagon, nearly a disc
        region = widened & lighter
    around = np.asarray(cv2.dilate(region, kernels[1]), np.uint8) & inverse(region)
    share = (around & lighter).sum() / max(1, around.sum())
    if share > MOST_OPEN:
        raise ExamError(f"{share:.0%} of the outline found has not faded in {REACH_MM:g} mm, need a dark background")
    return np.asarray(region, np.uint8)


def _without_holes(region: Mask) -> Mask:
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(np.zeros_like(region), contours, -1, 1, cv2.FILLED), np.uint8)


def _check(core: Mask) -> None:
    """Raises ExamError if a core of that size and place is no plausible breast."""
    share = float(core.mean())
    if not SMALLEST <= share <= LARGEST:
        raise ExamError(f"what was found fills {share:.1%} of the film, need {SMALLEST:.0%} to {LARGEST:.0%}")
    touched = min(float(edge.mean()) for edge in (core[0], core[-1], core[:, 0], core[:, -1]))
    if touched > MOST_BORDER:
        raise ExamError(f"what was found fills {touched:.0%} and more of all four borders, need background at one")
