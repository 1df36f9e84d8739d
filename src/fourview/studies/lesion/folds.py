"""Which lesions train, choose the epoch and are tested: folds of patients, or the set's own test part beside them.

The same lesions, split, number of folds and seed give the same folds: networks and hand-crafted features are compared
on them.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.cases import Lesions, LesionView
from fourview.studies.transfer.folds import draw_folds

SplitKind = Literal["folds", "official"]
OFFICIAL_TEST = -1  # in LesionFolds.fold
_DIGITS = 16
PATIENT = "patient "  # begins what a card calls a woman


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


def digest_images(images: Collection[str], store: Store) -> frozenset[str]:
    """What a card calls these images, and the women they are of.

    The first 16 hex digits of their pixels' SHA-256; and, behind PATIENT, as many of the patient's name's. Pixels are
    those of the stored crop, which another way of preparing the set changes; names are not. Phantoms' names come again
    with every seed, so they have none.
    """
    rows = store.images.filter(pl.col("image").is_in(list(images)))
    women = rows.filter(pl.col("dataset") != PHANTOM)["patient"].drop_nulls().unique()
    said = (f"{PATIENT}{hashlib.sha256(woman.encode()).hexdigest()[:_DIGITS]}" for woman in women)
    return frozenset((*(digest[:_DIGITS] for digest in rows["pixels_sha256"]), *said))


def hash_lesions(views: Sequence[LesionView], store: Store) -> str:
    """SHA-256 of images, boxes of outlines, pixel sizes, pixels and truth: 64 hex digits."""
    pixels = dict(store.images.select("image", "pixels_sha256").iter_rows())
    said = [
        [view.name, view.patient, view.angle, view.malignant, astuple(view.box), view.spacing_mm, pixels[view.image]]
        for view in views
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def divide_lesions(lesions: Lesions, *, split: SplitKind = "folds", folds: int = 5, seed: int = 0) -> LesionFolds:
    """The lesions in folds by patient, malignant and benign ones spread evenly.

    split  "official": the set's test part is set aside, and the folds are of its training part; patients with lesions
           in both (CBIS-DDSM: of two kinds, if both are studied) or without a part are left out

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
    parts: dict[str, set[bool]] = defaultdict(set)
    for view in views:
        if view.official:
            parts[view.patient].add(view.official == "test")
    if not parts:
        raise SetupError("split official: the set came without parts; need the split folds (--set split=folds)")
    both = {patient for patient, found in parts.items() if len(found) > 1}
    notes = []
    for of, left in (
        ("whom the set gives no part", [view for view in views if not view.official]),
        ("whom the set has in training and test", [view for view in views if view.official and view.patient in both]),
    ):
        if left:
            patients = len({view.patient for view in left})
            notes.append(f"left out: {len(left)} lesion images of {patients} patients {of}")
    return tuple(view for view in views if view.official and view.patient not in both), notes


def _check_test(views: Sequence[LesionView], of_test: NDArray[np.bool_], split: SplitKind) -> None:
    if split != "official":
        return
    if not 0 < sum(view.malignant for view, own in zip(views, of_test, strict=True) if own) < of_test.sum():
        raise SetupError("split official: found no malignant or no benign lesion in the set's test part; need both")
