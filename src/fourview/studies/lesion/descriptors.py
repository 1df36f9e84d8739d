"""What radiologists' words say of a lesion without its pixels: the bar for networks that see nothing but pixels.

Words are split at "-" into tokens and encoded as zeros and ones, a missing word being a token of its own; density,
subtlety and assessment have one column per value. Nothing is scaled. Logistic regression, C = 0.5. Subtlety and
assessment are judgements of the reader who saw the image, so nothing that is to read pixels may be given them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from fourview.evaluate import Estimate, auc, operate
from fourview.exam import SetupError

Words = Mapping[str, str]  # descriptor -> a set's word, of one lesion in one image
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
DENSITY, SUBTLETY, ASSESSMENT = "density", "subtlety", "assessment"
GRADED = (DENSITY, SUBTLETY, ASSESSMENT)
PENALTY = 0.5  # C, the inverse
HALF = 0.5
MISSING = ""
_PARTS = re.compile(r"-|,\s*")  # CBIS-DDSM and DDSM join tokens by hyphens, EMBED findings by commas


@dataclass(frozen=True)
class Inputs:
    """A row of a table: what the regression is given. title: in words;  names: of descriptors"""

    title: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class WordsWorth:
    """What words are worth on rows that were not learned from; accuracies at 1/2."""

    inputs: Inputs
    auc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate


def split_words(words: Words, names: Sequence[str]) -> frozenset[tuple[str, str]]:
    """(descriptor, token) of one row; a missing descriptor has the token ""."""
    found: set[tuple[str, str]] = set()
    for name in names:
        said = words.get(name, MISSING)
        parts = [said] if name in GRADED else _PARTS.split(said)
        found.update((name, part) for part in parts)
    return frozenset(found)


@dataclass(frozen=True)
class Encoder:
    """Tokens of training rows, in order: the columns. Another token has no column."""

    names: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rows: Sequence[Words], names: Sequence[str]) -> Encoder:
        """The tokens of these rows. Raises SetupError if none of the descriptors is in any row."""
        tokens = frozenset().union(*(split_words(row, names) for row in rows))
        if all(token == MISSING for _, token in tokens):
            raise SetupError(f"descriptors: found none of {', '.join(names)} in {len(rows)} rows; need some")
        return cls(tuple(names), tuple(sorted(tokens)))

    def encode(self, rows: Sequence[Words]) -> Floats:
        """(rows, columns) zeros and ones."""
        place = {token: column for column, token in enumerate(self.columns)}
        values = np.zeros((len(rows), len(self.columns)))
        for row, words in enumerate(rows):
            values[row, [place[token] for token in split_words(words, self.names) if token in place]] = 1
        return values


def predict_words(train: Sequence[Words], y: Places, test: Sequence[Words], names: Sequence[str]) -> Floats:
    """(test rows,) probability of malignant, learned from the training rows alone. y (training rows,) 0 or 1

    Raises SetupError where training rows have one class, or none of the descriptors.
    """
    if not 0 < int(y.sum()) < len(y):
        raise SetupError(f"descriptors: found {int(y.sum())} malignant of {len(y)} training rows; need both classes")
    encoder = Encoder.of(train, names)
    model = LogisticRegression(C=PENALTY, max_iter=1000).fit(encoder.encode(train), y)
    return np.asarray(model.predict_proba(encoder.encode(test))[:, 1], np.float64)


def measure_words(
    inputs: Inputs, y: Places, p: Floats, *, patients: Sequence[str] | None = None, unit: str = "lesion image"
) -> WordsWorth:
    """AUC, accuracy and balanced accuracy of probabilities, with 95 % intervals.

    patients  (rows,) of each row; None: every row counts as a woman of her own, and the intervals say so
    """
    area = auc(y, p, cluster=patients, unit=unit, name=f"AUC, {inputs.title}")
    done = {one.name: one for one in operate(y, p >= HALF, HALF, cluster=patients, unit=unit)}
    return WordsWorth(inputs, area, done["accuracy"], done["balanced accuracy"])
