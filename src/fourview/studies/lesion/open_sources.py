"""What a user points at -> what is to be read: a store, or files and their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fourview.exam import SetupError
from fourview.store.store import ABOUT_FILE, Store
from fourview.studies.lesion.boxes import load_boxes
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.folds import hash_lesions
from fourview.studies.lesion.lesion_weights import LesionCard
from fourview.studies.lesion.read_sources import Sources, list_files, list_stored


def open_sources(
    inputs: Sequence[Path],
    boxes: Path | None,
    card: LesionCard,
    *,
    spacing_mm: float | None,
    mirrored: Literal["no", "auto"],
) -> Sources:
    """Raises SetupError: boxes that are missing or wrong, several stores, options that a store does not take."""
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


def has_learned(inputs: Sequence[Path], card: LesionCard) -> bool:
    """Whether the networks learned from the lesions of this store."""
    if not _is_store(inputs[0]):
        return False
    store = Store.open(inputs[0])
    try:
        return hash_lesions(find_lesions(store, kinds=card.kinds).views, store) == card.data_sha256
    except SetupError:  # no lesion whose truth is known
        return False


def _is_store(path: Path) -> bool:
    return (path / ABOUT_FILE).is_file()
