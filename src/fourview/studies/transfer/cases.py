"""Cases: the truth of each image, whose it is and of which breast; and what is counted: images, breasts, patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.labels import Labels

Unit = Literal["image", "breast", "patient"]
UNITS: tuple[Unit, ...] = ("image", "breast", "patient")
Floats = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cases:
    """y (images,) 0 or 1; patients (images,) and breasts (images,) numbers from 0, a breast being of one patient."""

    y: Places
    patients: Places
    breasts: Places

    def __post_init__(self) -> None:
        if not self.y.shape == self.patients.shape == self.breasts.shape:
            raise SetupError(f"cases: found {len(self.y)} truths, {len(self.patients)} patients; need one per image")

    def take(self, rows: Places) -> Cases:
        """Some images, in this order. rows: (some,) places"""
        numbers = (np.unique(part[rows], return_inverse=True)[1] for part in (self.patients, self.breasts))
        return Cases(self.y[rows], *(part.astype(np.int64) for part in numbers))

    @property
    def positive_patients(self) -> int:
        return len(np.unique(self.patients[self.y == 1]))

    @property
    def negative_patients(self) -> int:
        return len(np.unique(self.patients[self.y == 0]))

    @cached_property
    def _first_of_breast(self) -> Places:
        return np.unique(self.breasts, return_index=True)[1].astype(np.int64)

    def truth(self, unit: Unit) -> Places:
        """(units,) 1 where any image of the unit is positive."""
        if unit == "image":
            return self.y
        numbers = self.breasts if unit == "breast" else self.patients
        return (np.bincount(numbers, self.y) > 0).astype(np.int64)

    def clusters(self, unit: Unit) -> Places:
        """(units,) the patient of each."""
        if unit == "image":
            return self.patients
        owners = self.patients[self._first_of_breast]
        return owners if unit == "breast" else np.arange(int(self.patients.max()) + 1)

    def combine(self, scores: Floats, unit: Unit) -> Floats:
        """(units,) of scores (images,): a breast's is the mean of its images', a patient's the largest of her breasts'.

        As Wu et al. 2019 read breasts; the maximum over breasts is how a woman is recalled.
        """
        if unit == "image":
            return scores
        breasts = np.asarray(np.bincount(self.breasts, scores) / np.bincount(self.breasts), np.float64)
        if unit == "breast":
            return breasts
        largest = np.full(int(self.patients.max()) + 1, -np.inf)
        np.maximum.at(largest, self.clusters("breast"), breasts)
        return largest


def make_cases(features: FeatureSet, labels: Labels) -> Cases:
    """The images that have a label. Raises SetupError if one of them names no patient or no side."""
    keep = np.flatnonzero(labels.keep)
    rows = features.rows[keep]
    for name, why in (("patient", "folds and intervals keep patients together"), ("side", "breasts are counted")):
        missing = rows[name].is_null() | (rows[name] == "")
        if missing.any():
            raise SetupError(f"found {int(missing.sum())} images without a {name}; need it: {why}")
    patients = _number(rows["patient"].to_list())
    keys = zip(rows["patient"].to_list(), rows["exam"].to_list(), rows["side"].to_list(), strict=True)
    breasts = _number([f"{patient}\n{exam or ''}\n{side}" for patient, exam, side in keys])
    return Cases(labels.y[keep], patients, breasts)


def _number(names: Sequence[str]) -> Places:
    return np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)
