"""Which lesions learn and which are held out where nothing chooses an epoch: fold by fold, those of the networks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fourview.studies.lesion.folds import OFFICIAL_TEST, LesionFolds

Places = NDArray[np.int64]


def walk_held_out(folds: LesionFolds) -> list[tuple[int, Places, Places]]:
    """(fold, training views, held-out views): every fold once; of "official", the set's test part, learned from all of
    the rest."""
    numbers = [OFFICIAL_TEST] if folds.split == "official" else range(folds.count)
    return [
        (max(number, 0), np.flatnonzero(folds.fold != number), np.flatnonzero(folds.fold == number))
        for number in numbers
    ]


def find_held_out(folds: LesionFolds) -> NDArray[np.bool_]:
    """(views,) whether a view is held out at all: of "official", the set's test part alone."""
    return folds.fold == OFFICIAL_TEST if folds.split == "official" else np.ones(len(folds.views), bool)


def number_folds(folds: LesionFolds) -> Places:
    """(views,) as tables of lesions count them: from 1; 0 is the set's own test part."""
    return np.where(folds.fold == OFFICIAL_TEST, 0, folds.fold + 1)
