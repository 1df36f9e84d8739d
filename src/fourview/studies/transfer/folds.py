"""Folds: patients kept together, both classes in each; and what no training set may share with its test set."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from fourview.exam import SetupError

Places = NDArray[np.int64]
_TRIES = 20


def draw_folds(y: Places, patients: Places, *, folds: int, seed: int) -> Places:
    """(images,) the fold of each, from 0: all images of a patient in one, the classes spread evenly.

    The same for the same y, patients and seed, whatever the features. Raises SetupError if fewer patients than folds
    have a positive image (or a negative one), or if no draw of some puts both classes into every fold.
    """
    if folds < 2:
        raise SetupError(f"found {folds} folds; need at least 2")
    for value, what in ((1, "positive"), (0, "negative")):
        owners = len(np.unique(patients[y == value]))
        if owners < folds:
            raise SetupError(f"found {owners} patients with a {what} image for {folds} folds; need one per fold")
    for attempt in range(_TRIES):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=(seed * _TRIES + attempt) % 2**32)
        numbers = np.full(len(y), -1, np.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # classes smaller than the folds: counted above, by patients
            for fold, (_, test) in enumerate(splitter.split(y, y, patients)):
                numbers[test] = fold
        counts = np.stack([np.bincount(numbers[y == value], minlength=folds) for value in (0, 1)])
        if counts.min() > 0:
            check_folds(numbers, y, patients)
            return numbers
    raise SetupError(f"found no way in {_TRIES} draws to put both classes into {folds} folds; need fewer folds")


def check_folds(numbers: Places, y: Places, patients: Places) -> None:
    """Nothing, if every image is in a fold, no patient in two, and both classes in each. Raises SetupError."""
    if len(numbers) != len(y) or numbers.min() < 0:
        raise SetupError(f"folds: found {int((numbers >= 0).sum())} of {len(y)} images in a fold; need all of them")
    pairs = np.unique(np.stack([patients, numbers]), axis=1)
    if twice := pairs.shape[1] - len(np.unique(patients)):
        raise SetupError(f"folds: found {twice} patients in two folds; need each in one")
    for fold in np.unique(numbers):
        positives, n = int(y[numbers == fold].sum()), int((numbers == fold).sum())
        if not 0 < positives < n:
            raise SetupError(f"folds: found {positives} positives among {n} images of fold {fold}; need both classes")


def walk_folds(numbers: Places, patients: Places) -> Iterator[tuple[Places, Places]]:
    """(training rows, test rows) fold by fold, each checked."""
    for fold in range(int(numbers.max()) + 1):
        train, test = np.flatnonzero(numbers != fold), np.flatnonzero(numbers == fold)
        check_split(train, test, patients, images=len(numbers))
        yield train, test


def check_split(train: Places, test: Places, patients: Places, *, images: int) -> None:
    """Nothing, if training and test share no row and no patient, and the test rows are images.

    patients  (rows,) of all rows, synthetic ones behind the images;  images  how many rows are images

    Raises SetupError: a synthetic row in the test set, a row or a patient on both sides.
    """
    if synthetic := int((test >= images).sum()):
        raise SetupError(f"folds: found {synthetic} synthetic rows among {len(test)} test rows; need images alone")
    if both := len(np.intersect1d(train, test)):
        raise SetupError(f"folds: found {both} rows in training and test; need each in one")
    if both := len(np.intersect1d(patients[train], patients[test])):
        raise SetupError(f"folds: found {both} patients in training and test; need each in one")
