"""Looking at a store's images: which are read, random ones, outlined ones and odd ones as sections of its report."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from fourview.exam import ExamError
from fourview.report.data_oddities import (
    FROM_MANIFEST,
    ODDITIES,
    Measured,
    Odd,
    find_odd,
    groups_of,
    measure_crop,
    usual_windows,
)
from fourview.report.data_pictures import COLOUR_NOTE, Lens, Shown
from fourview.report.document import Cell, Gallery, Section, Table
from fourview.store.store import Store

MOST_SHOWN = 24  # pictures of a gallery
MOST_ODD = 12  # ... of one way to be odd
MOST_NAMES = 30  # in one cell
_NOTES = {
    "brightness": "Black and white are what is usual in the data set, vendor and bit depth, not the image's own.",
    "flat": "Black and white are what is usual in the data set, vendor and bit depth, not the image's own.",
    "turned": "A breast meets the chest-wall edge, not the other: is the direction in the file what the reader took?",
    "direction": "Rightly so in sets that mirror their files; a few among many others are suspicious.",
    "mask": "An outline that is turned, mirrored or of another image often leaves the breast.",
}


def sample_images(images: pl.DataFrame, most: int, rng: np.random.Generator) -> list[str]:
    """Image names: a random one of each group in turn, until there are `most`."""
    names = rng.permutation(images["image"].to_numpy())
    groups, turn = groups_of(images), dict[str, int]()
    ranked = []
    for name in names:
        rank = turn.get(groups[name], 0)
        turn[groups[name]] = rank + 1
        ranked.append((rank, str(name)))
    return [name for _, name in sorted(ranked, key=lambda pair: pair[0])[:most]]


def look_at(
    store: Store, names: list[str], on_step: Callable[[int, int], None] | None
) -> tuple[dict[str, Measured], dict[str, str]]:
    """Measurements by image, one image in memory at a time, and why others could not be read."""
    found: dict[str, Measured] = {}
    broken: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        try:
            found[name] = measure_crop(store.read_crop(name), store.read_masks(name))
        except ExamError as error:
            broken[name] = str(error)
        if on_step is not None:
            on_step(number, len(names))
    return found, broken


def pictures_section(store: Store, images: pl.DataFrame, rng: np.random.Generator) -> Section:
    """Random images, and random ones with outlines."""
    names = rng.permutation(images["image"].to_numpy()).tolist()
    boxed = images.filter(pl.col("lesions").list.eval(pl.element().struct.field("mask").is_not_null()).list.any())
    outlined = rng.permutation(boxed["image"].to_numpy()).tolist()
    random, lesions = names[:MOST_SHOWN], outlined[:MOST_SHOWN]
    lens = Lens.over(store, images, (*random, *lesions))
    as_file = "Shown as the file holds it, not mirrored; black and white are the image's own 1st and 99.5th percentile."
    galleries = [
        lens.gallery(
            "random",
            "Random images",
            [Shown(image) for image in random],
            note=f"{len(random):,} of {len(images):,} prepared images. {as_file} {COLOUR_NOTE}",
        )
    ]
    if lesions:
        galleries.append(
            lens.gallery(
                "outlines",
                "Lesion outlines",
                [Shown(image) for image in lesions],
                note=f"{len(lesions):,} of {len(boxed):,} images with an outline, at random; beside each its largest "
                f"lesion from near. {COLOUR_NOTE} An outline that is turned or mirrored misses its lesion.",
                detail=True,
            )
        )
    return Section("pictures", "Pictures", tuple(galleries))


def odd_section(store: Store, images: pl.DataFrame, found: dict[str, Measured]) -> Section:
    """What is odd, counted and shown."""
    by_way: dict[str, list[Odd]] = {way: [] for way in ODDITIES}
    for odd in find_odd(images, found):
        by_way[odd.way].append(odd)
    lens = Lens.over(store, images, (odd.image for odds in by_way.values() for odd in odds[:MOST_ODD]))
    windows = usual_windows(images, found)
    galleries: list[Gallery] = []
    rows: list[tuple[Cell, ...]] = []
    for way, title in ODDITIES.items():
        odds = by_way[way]
        among = len(images) if way in FROM_MANIFEST else len(found)
        names = list(dict.fromkeys(odd.image for odd in odds))
        listed = ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
        rows.append((title, len(names), among, listed))
        if odds:
            galleries.append(
                lens.gallery(
                    way,
                    title,
                    [Shown(odd.image, (odd.why,)) for odd in odds[:MOST_ODD]],
                    note=f"{len(odds[:MOST_ODD]):,} of {len(odds):,}. {_NOTES.get(way, '')}".strip(),
                    detail=way == "mask",
                    limits=windows if way in ("brightness", "flat") else None,
                )
            )
    note = "Looked at: what the manifest says of all prepared images, what only pixels show of the sample."
    table = Table("odd", "Odd images", ("what", "images", "looked at", "which"), tuple(rows), note)
    text = "To be looked at, not errors: a large breast is cut rightly, and some machines write text beside it."
    return Section("odd", "Odd images", (table, *galleries), (text,))
