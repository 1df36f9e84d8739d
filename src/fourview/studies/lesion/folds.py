"""Which lesions train, choose the epoch and are tested: folds of patients, or the set's own test part beside them.

The same lesions, split, number of folds and seed give the same folds: networks and hand-crafted features are compared
on them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.store.store import Store
from fourview.studies.lesion.cases import Lesions, LesionView
from fourview.studies.transfer.folds import draw_folds

SplitKind = Literal["folds", "official"]
OFFICIAL_TEST = -1  # in LesionFolds.fold


@dataclass(frozen=True, eq=False)
class LesionFolds:
    """Lesions in folds.

    fold   (views,) from 0; OFFICIAL_TEST: of the set's test part, which every fold's networks are tested on
    count  of the folds
    notes  what was left out, and why
    """

    views: tuple[LesionView, ...]
    fold: NDArray[np.int64]
    count: int
    split: SplitKind
    notes: tuple[str, ...]

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """(views,)"""
        return np.array([view.malignant for view in self.views])

    def parts(self, fold: int) -> NDArray[np.str_]:
        """(views,) "train", "validation" or "test", when this fold is held out.

        Of "folds": this one is test, the next one validation, the others train. Of "official": the set's test part is
        test, this one is validation.
        """
        validation = (fold + 1) % self.count if self.split == "folds" else fold
        test = fold if self.split == "folds" else OFFICIAL_TEST
        return np.where(self.fold == test, "test", np.where(self.fold == validation, "validation", "train"))

    def hash(self, store: Store) -> str:
        """hash_lesions of all of them, whatever their folds."""
        return hash_lesions(self.views, store)


def hash_lesions(views: Sequence[LesionView], store: Store) -> str:
    """SHA-256 of images, outlines, pixels and truth: 64 hex digits."""
    pixels = dict(store.images.select("image", "pixels_sha256").iter_rows())
    said = [
        [view.name, view.patient, view.malignant, [view.box.top, view.box.left], pixels[view.image]] for view in views
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def divide_lesions(lesions: Lesions, *, split: SplitKind = "folds", folds: int = 5, seed: int = 0) -> LesionFolds:
    """The lesions in folds by patient, malignant and benign ones spread evenly.

    split  "official": the set's test part is set aside, and the folds are of its training part; patients whom the set
           puts into both (CBIS-DDSM: by kind of lesion) have no part there and are left out

    Raises SetupError: too few patients of a class, a set without official parts.
    """
    notes = list(lesions.notes)
    views = lesions.views
    if split == "official":
        views, more = _keep_official(views)
        notes += more
    of_test = np.array([split == "official" and view.official == "test" for view in views])
    _check_test(views, of_test, split)
    y = np.array([view.malignant for view in views]).astype(np.int64)
    patients = np.unique([view.patient for view in views], return_inverse=True)[1].astype(np.int64)
    fold = np.full(len(views), OFFICIAL_TEST, np.int64)
    learned = np.flatnonzero(~of_test)
    fold[learned] = draw_folds(y[learned], patients[learned], folds=folds, seed=seed)
    if split == "folds" and folds < 3:
        raise SetupError(f"found {folds} folds; need 3 or more: one to test, one to choose the epoch, others to train")
    return LesionFolds(tuple(views), fold, folds, split, tuple(notes))


def _keep_official(views: Sequence[LesionView]) -> tuple[tuple[LesionView, ...], list[str]]:
    kept = tuple(view for view in views if view.official)
    if not kept:
        raise SetupError("split official: the set came without parts; need the split folds (--set split=folds)")
    count = len(views) - len(kept)
    patients = len({view.patient for view in views} - {view.patient for view in kept})
    said = f"left out: {count} lesion images of {patients} patients whom the set gives no part, or both"
    return kept, [said] if count else []


def _check_test(views: Sequence[LesionView], of_test: NDArray[np.bool_], split: SplitKind) -> None:
    if split != "official":
        return
    if not 0 < sum(view.malignant for view, own in zip(views, of_test, strict=True) if own) < of_test.sum():
        raise SetupError("split official: found no malignant or no benign lesion in the set's test part; need both")
    train = {view.patient for view, own in zip(views, of_test, strict=True) if not own}
    both = train & {view.patient for view, own in zip(views, of_test, strict=True) if own}
    if both:
        raise SetupError(f"split official: {len(both)} patients are in training and test; need each in one")


def walk_parts(folds: LesionFolds) -> Iterator[tuple[int, NDArray[np.str_]]]:
    """(fold, the part of each view) for every fold."""
    for number in range(folds.count):
        yield number, folds.parts(number)
