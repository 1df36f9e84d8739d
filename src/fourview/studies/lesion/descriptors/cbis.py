"""The words of CBIS-DDSM's tables alone, from the official training part to the official test part, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fourview.datasets.cbis_tables import Abnormality, read_abnormalities
from fourview.datasets.record import LesionKind
from fourview.exam import SetupError
from fourview.studies.lesion.descriptors.words import (
    DENSITY,
    SUBTLETY,
    Words,
    WordsWorth,
    list_inputs,
    measure_words,
    predict_words,
)

DESCRIBED: Mapping[LesionKind, tuple[str, str]] = {
    "mass": ("shape", "margins"),
    "calcification": ("type", "distribution"),
}


@dataclass(frozen=True, eq=False)
class KindWorth:
    """Of one kind of lesion: rows learned from and tested on, and what each set of words is worth."""

    kind: LesionKind
    train: int
    test: int
    rows: tuple[WordsWorth, ...]


def rate_tables(root: Path) -> tuple[KindWorth, ...]:
    """Masses, then calcifications, of the four tables in a folder; benign without callback is benign.

    A row is an abnormality in a view; intervals keep a patient's rows together. Raises SetupError: tables that are
    missing, or rows that contradict themselves.
    """
    rows, problems = read_abnormalities(root)
    if problems:
        raise SetupError(f"{problems[0][0]}: {problems[0][1]} ({len(problems)} such rows)")
    return tuple(_rate_kind(rows, kind) for kind in DESCRIBED)


def say_words(row: Abnormality) -> Words:
    """The row's descriptors, with the density of the breast where it is known."""
    return {**row.descriptors, **({DENSITY: row.density} if row.density else {})}


def _rate_kind(rows: Sequence[Abnormality], kind: LesionKind) -> KindWorth:
    train, test = ([row for row in rows if row.kind == kind and row.split == part] for part in ("train", "test"))
    learned, seen = [say_words(row) for row in train], [say_words(row) for row in test]
    truths = [np.array([row.pathology == "malignant" for row in own]).astype(np.int64) for own in (train, test)]
    patients = [row.patient for row in test]
    found = []
    for inputs in list_inputs(DESCRIBED[kind], (DENSITY, SUBTLETY), assessed=True):
        p = predict_words(learned, truths[0], seen, inputs.names)
        found.append(measure_words(inputs, seen, truths[1], p, patients=patients))
    return KindWorth(kind, len(train), len(test), tuple(found))
