"""The UCI set Mammographic Mass: 961 masses in words and the patient's age, without images; by ten folds.

Elter, Schulz-Wendtland and Wittenberg 2007 (Medical Physics 34:4164). The file names no patients, so every mass counts
as one of her own: folds and intervals take it on trust that no woman is in it twice.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fourview.exam import SetupError
from fourview.studies.lesion.descriptors.words import (
    ASSESSMENT,
    DENSITY,
    Inputs,
    Places,
    Words,
    WordsWorth,
    measure_words,
    predict_words,
)
from fourview.studies.transfer.folds import draw_folds, walk_folds

FILE = "mammographic_masses.data"
FOLDS = 10
_SHAPES = {"1": "round", "2": "oval", "3": "lobular", "4": "irregular"}
_MARGINS = {"1": "circumscribed", "2": "microlobulated", "3": "obscured", "4": "ill defined", "5": "spiculated"}
_DENSITIES = {"1": "high", "2": "iso", "3": "low", "4": "fat containing"}
_ASSESSMENTS = {**{word: word for word in "0123456"}, "55": "5"}  # one cell has it twice
_UNKNOWN = "?"
_DESCRIBED = ("shape", "margin", DENSITY, "age")
INPUTS = (
    Inputs("shape and margin", _DESCRIBED[:2]),
    Inputs("shape, margin, density of the mass", _DESCRIBED[:3]),
    Inputs("shape, margin, density of the mass, age", _DESCRIBED),
    Inputs("BI-RADS assessment", (ASSESSMENT,)),
    Inputs("all of these, BI-RADS assessment", (*_DESCRIBED, ASSESSMENT)),
)


@dataclass(frozen=True, eq=False)
class Masses:
    """words: of each mass;  y  (masses,) 1 for malignant"""

    words: tuple[Words, ...]
    y: Places


def read_masses(root: Path) -> Masses:
    """The masses of a folder's mammographic_masses.data. Age is a band of ten years, so that all is encoded alike.

    Raises SetupError: no such file, or a row that is none of this set.
    """
    path = root / FILE
    try:
        rows = list(csv.reader(path.read_text(encoding="ascii").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path}: cannot be read ({error}); need the file of the UCI set Mammographic Mass") from error
    words = tuple(_read_row(row, f"{FILE}, row {number}") for number, row in enumerate(rows, 1))
    return Masses(words, np.array([int(row[5]) for row in rows], np.int64))


def rate_masses(masses: Masses, *, seed: int = 0) -> tuple[WordsWorth, ...]:
    """What each set of words is worth, every mass by a regression of the nine other folds; AUC of ranks in folds."""
    own = np.arange(len(masses.y))
    folds = draw_folds(masses.y, own, folds=FOLDS, seed=seed)
    found = []
    for inputs in INPUTS:
        p = np.empty(len(masses.y))
        for train, test in walk_folds(folds, own):
            learned, seen = ([masses.words[place] for place in places] for places in (train, test))
            p[test] = predict_words(learned, masses.y[train], seen, inputs.names)
        found.append(measure_words(inputs, masses.words, masses.y, p, folds=folds, unit="lesion"))
    return tuple(found)


def _read_row(row: list[str], place: str) -> Words:
    if len(row) != 6 or row[5] not in ("0", "1"):
        raise SetupError(f"{place}: found {','.join(row)!r}; need assessment, age, shape, margin, density, 0 or 1")
    found = {}
    for name, cell, known in (
        (ASSESSMENT, row[0], _ASSESSMENTS),
        ("shape", row[2], _SHAPES),
        ("margin", row[3], _MARGINS),
        (DENSITY, row[4], _DENSITIES),
    ):
        if cell == _UNKNOWN:
            continue
        if cell not in known:
            raise SetupError(f"{place}: found {name} {cell!r}; need one of {', '.join(known)} or {_UNKNOWN}")
        found[name] = known[cell]
    if row[1] != _UNKNOWN:
        if not row[1].isdecimal():
            raise SetupError(f"{place}: found age {row[1]!r}; need years or {_UNKNOWN}")
        decade = int(row[1]) // 10 * 10
        found["age"] = f"{decade} to {decade + 9}"
    return found
