"""Small pictures of a store's images, lesions outlined, and the galleries that hold them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import ExamError
from fourview.report.data_counts import label_of
from fourview.report.data_oddities import PERCENTILES
from fourview.report.document import Gallery, GalleryItem
from fourview.report.picture import Colour, Picture, encode_small, shrink
from fourview.store.store import Store

_ROWS, _COLS = 360, 300
# Okabe and Ito's vermilion, sky blue and yellow: three that colour-blind readers tell apart, on grey
COLOURS: Mapping[str, Colour] = {"malignant": (230, 100, 20), "benign": (86, 180, 233), "unknown": (240, 228, 66)}
MUSCLE, MUSCLE_COLOUR = "pectoral muscle", (0, 190, 140)
COLOUR_NOTE = "Outlines: red malignant, blue benign, yellow not known, green pectoral muscle."
SMALLEST_PX = 7  # of the picture: an outline that is smaller stands in a ring
DETAIL = 2.5  # sides of the detail, of the lesion's box
LEAST_DETAIL_PX = 256
_LONGEST = 200  # letters of a line


@dataclass(frozen=True)
class Shown:
    """One image to show. why: lines that come first."""

    image: str
    why: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Lens:
    """A store and the rows of its prepared images, for looking at them by name."""

    store: Store
    rows: Mapping[str, Mapping[str, Any]]

    @classmethod
    def over(cls, store: Store, images: pl.DataFrame, wanted: Iterable[str]) -> Lens:
        """Only the wanted images' rows are held as values."""
        names = list(dict.fromkeys(wanted))
        table = images.filter(pl.col("image").is_in(names)).with_columns(label_of().alias("label"))
        return cls(store, {row["image"]: row for row in table.iter_rows(named=True)})

    def pair(self, title: str, images: tuple[str, str], why: tuple[str, ...]) -> GalleryItem:
        """Two images side by side, as their files hold them."""
        items = [self.item(Shown(image)) for image in images]
        lines = (*why, *(f"{item.title}: {'; '.join(item.lines)}" for item in items))
        pictures = tuple((f"{item.title}, {text}", content) for item in items for text, content in item.images)
        return GalleryItem(_cut(title), tuple(map(_cut, lines)), images=pictures)

    def item(self, shown: Shown, *, detail: bool = False, limits: tuple[float, float] | None = None) -> GalleryItem:
        """The image as its file holds it (not mirrored), and with `detail` its largest lesion from near.

        limits  grey values that are black and white; None: the 1st and 99.5th percentile of the image
        """
        row = self.rows[shown.image]
        try:
            pixels, lesions = self.store.read_crop(shown.image), self.store.read_masks(shown.image)
            muscle = self.store.read_muscle(shown.image)
        except (ExamError, OSError) as error:
            lines = (*shown.why, f"cannot be read from the store: {error}", *describe_image(row))
            return GalleryItem(_cut(shown.image), tuple(map(_cut, lines)))
        pathology = {lesion["lesion"]: lesion["pathology"] for lesion in row["lesions"]}
        colours = {name: COLOURS.get(pathology.get(name) or "", COLOURS["unknown"]) for name in lesions}
        masks = lesions if muscle is None else {MUSCLE: muscle, **lesions}
        colours = {MUSCLE: MUSCLE_COLOUR, **colours}
        whole = draw_small(pixels, masks, colours, mirrored=row["mirrored"], limits=limits)
        pictures = [(f"{row['view'] or 'image'}, whole crop", whole)]
        if detail and lesions:
            name = max(lesions, key=lambda key: int(lesions[key].sum()))
            near = _around(lesions[name])
            cut = {key: mask[near] for key, mask in masks.items()}
            small = draw_small(pixels[near], cut, colours, mirrored=row["mirrored"], limits=None)
            pictures.append((f"{row['view'] or 'image'}, around lesion {_cut(name)}", small))
        return GalleryItem(
            _cut(shown.image), tuple(map(_cut, (*shown.why, *describe_image(row)))), images=tuple(pictures)
        )

    def gallery(
        self,
        name: str,
        title: str,
        shown: Sequence[Shown],
        *,
        note: str,
        detail: bool = False,
        limits: Mapping[str, tuple[float, float]] | None = None,
    ) -> Gallery:
        """A picture of each. limits: by image, where it is not to have its own window."""
        items = [self.item(one, detail=detail, limits=(limits or {}).get(one.image)) for one in shown]
        return Gallery(name, title, tuple(items), note)


def describe_image(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What the manifest says about an image, in a few lines."""
    lesions = [f"{lesion['kind']} ({lesion['pathology']})" for lesion in row["lesions"]]
    size = f"{row['source_rows']}\u00a0×\u00a0{row['source_cols']}\u00a0px"
    spacing = "pixel size not known" if row["spacing_mm"] is None else f"{row['spacing_mm']:.4g}\u00a0mm"
    source = {"unknown": "source not known", "birads": "BI-RADS"}.get(row["label_source"], row["label_source"])
    facts = [
        f"{row['view'] or row['angle']}, label of the {row['label_unit']}: {row['label']} ({source})",
        *([f"lesions: {', '.join(lesions)}"] if lesions else []),
        ", ".join(text for text in (row["dataset"], row["vendor"], size, spacing) if text),
    ]
    return tuple(facts)


def draw_small(
    pixels: NDArray[np.uint16],
    masks: Mapping[str, NDArray[np.bool_]],
    colours: Mapping[str, Colour],
    *,
    mirrored: bool,
    limits: tuple[float, float] | None = None,
) -> bytes:
    """A crop in grey with its lesions outlined, as a small JPEG (encode_small).

    pixels    (rows, cols) and masks of the same shape, both in the crop frame
    mirrored  the crop is a mirror image of the file: outlines are drawn in the crop, then all of it is turned back
    """
    small = shrink(pixels, rows=_ROWS, cols=_COLS).astype(np.float32)
    breast = small[small > 0]
    low, high = limits or (tuple(np.percentile(breast, PERCENTILES)) if breast.size else (0.0, 1.0))
    grey = (np.clip((small - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    picture: Picture = np.repeat(grey[..., None], 3, axis=2)
    for name, mask in masks.items():
        _outline(picture, mask, colours[name])
    if mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
    return encode_small(picture, rows=_ROWS, cols=_COLS)


def _outline(picture: Picture, mask: NDArray[np.bool_], colour: Colour) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return
    scale = np.array([picture.shape[1] / mask.shape[1], picture.shape[0] / mask.shape[0]])
    places = [(contour[:, 0, :] + 0.5) * scale - 0.5 for contour in contours]
    lines = [np.round(place).astype(np.int32) for place in places]
    cv2.polylines(picture, lines, True, (0, 0, 0), 4, cv2.LINE_AA)  # seen on bright tissue too
    cv2.polylines(picture, lines, True, colour, 2, cv2.LINE_AA)
    every = np.concatenate(places)
    low, high = every.min(axis=0), every.max(axis=0)
    if float((high - low).max()) < SMALLEST_PX:
        middle = np.round((low + high) / 2).astype(int)
        cv2.circle(picture, (int(middle[0]), int(middle[1])), SMALLEST_PX, colour, 2, cv2.LINE_AA)


def _around(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The place of a lesion with its surroundings, inside the image."""
    found = []
    for axis in (1, 0):
        taken = np.flatnonzero(mask.any(axis=axis))
        length, middle = mask.shape[1 - axis], (int(taken[0]) + int(taken[-1])) // 2
        found.append((length, middle, int(taken[-1]) - int(taken[0]) + 1))
    side = max(LEAST_DETAIL_PX, math.ceil(DETAIL * max(size for _, _, size in found)))
    rows, cols = (slice(max(0, middle - side // 2), min(length, middle + side // 2)) for length, middle, _ in found)
    return rows, cols


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
