"""What a user points at -> what is to be read: a store, or files and their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fourview.exam import SetupError
from fourview.store.store import ABOUT_FILE, Store
from fourview.studies.lesion.boxes import load_boxes
from fourview.studies.lesion.folds import digest_images
from fourview.studies.lesion.lesion_weights import LesionCard
from fourview.studies.lesion.read_sources import Sources, list_files, list_stored


def open_sources(
    inputs: Sequence[Path],
    boxes: Path | None,
    card: LesionCard,
    *,
    spacing_mm: float | None,
    mirrored: Literal["no", "auto"],
    others: Sequence[LesionCard] = (),
) -> Sources:
    """What these weights are to read. others: that read the same images beside them

    Raises SetupError: boxes that are missing or wrong, several stores, options that a store does not take, weights that
    learned from images of other kinds or cut otherwise.
    """
    for other in others:
        if (found := _tell_input(other)) != (need := _tell_input(card)):
            raise SetupError(f"{other.name}: found networks for {found}; need, beside {card.name}, {need}")
    rows = None if boxes is None else load_boxes(boxes)
    if _is_store(inputs[0]):
        if len(inputs) > 1:
            raise SetupError(f"found {len(inputs)} inputs, the first a store; need that one alone")
        if spacing_mm is not None or mirrored != "no":
            raise SetupError("--spacing-mm, --mirrored: found them with a store, which knows both; need files")
        return list_stored(Store.open(inputs[0]), rows, kinds=card.kinds)
    if rows is None:
        raise SetupError("found files and no --boxes; need a table of lesions (only stores have outlines of their own)")
    return list_files(inputs, rows, card.images, spacing_mm=spacing_mm, mirrored=mirrored)


def has_learned(inputs: Sequence[Path], cards: Sequence[LesionCard]) -> bool:
    """Whether some of the networks learned from images of this store; of files nobody can tell."""
    if not _is_store(inputs[0]):
        return False
    store = Store.open(inputs[0])
    learned = {name for card in cards for name in card.learned}
    return not digest_images(store.images["image"].to_list(), store).isdisjoint(learned)


def _is_store(path: Path) -> bool:
    return (path / ABOUT_FILE).is_file()


def _tell_input(card: LesionCard) -> str:
    """In words, what an image and its lesions must be like to be read."""
    images = card.images
    film = ", films" if images.film else ""
    return (
        f"{', '.join(card.kinds)}, {images.pixel_mode} pixels{film}, breasts cropped by {images.crop_iterations} "
        f"iterations with {images.crop_buffer_px} pixels"
    )
