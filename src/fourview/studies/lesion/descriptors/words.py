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

from fourview.evaluate import Estimate, RocCurves, auc, operate, rank_in_folds
from fourview.exam import SetupError
from fourview.studies.lesion.measures import HALF

Words = Mapping[str, str]  # descriptor -> a set's word, of one lesion in one image
Floats = NDArray[np.float64]
Places = NDArray[np.int64]
DENSITY, SUBTLETY, ASSESSMENT = "density", "subtlety", "assessment"
GRADED = (DENSITY, SUBTLETY, ASSESSMENT)
PENALTY = 0.5  # C, the inverse
MISSING = ""
_PARTS = re.compile(r"-|,\s*")  # CBIS-DDSM and DDSM join tokens by hyphens, EMBED findings by commas


@dataclass(frozen=True)
class Inputs:
    """A row of a table: what the regression is given. title: in words;  names: of descriptors"""

    title: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class WordsWorth:
    """What words are worth on rows that were not learned from; accuracies at 1/2.

    most  the AUC that no reading of these words alone exceeds on these rows (bound_words)
    """

    inputs: Inputs
    auc: Estimate
    accuracy: Estimate
    balanced_accuracy: Estimate
    most: float


def list_inputs(described: Sequence[str], graded: Sequence[str], *, assessed: bool) -> tuple[Inputs, ...]:
    """What the regression is given, one after the other; empty where lesions are not described and not assessed.

    described  descriptors of how a lesion looks;  graded  of DENSITY and SUBTLETY, those that there are;  assessed
    whether there is an ASSESSMENT
    """
    title = " and ".join(described)
    found = []
    if described:
        found.append(Inputs(title, tuple(described)))
        if graded:
            found.append(Inputs(", ".join((title, *graded)), (*described, *graded)))
    if assessed:
        found.append(Inputs("BI-RADS assessment", (ASSESSMENT,)))
        if described:
            found.append(Inputs(f"{title}, BI-RADS assessment", (*described, ASSESSMENT)))
    return tuple(found)


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
    inputs: Inputs,
    rows: Sequence[Words],
    y: Places,
    p: Floats,
    *,
    folds: Places | None = None,
    patients: Sequence[str] | None = None,
    unit: str = "lesion image",
) -> WordsWorth:
    """AUC, accuracy and balanced accuracy of probabilities p (rows,), with 95 % intervals.

    folds     (rows,) where each has a regression of its own: the AUC is then of ranks in folds, since words that tie
              within a fold do not tie between folds
    patients  (rows,) of each row; None: every row counts as a woman of her own, and the intervals say so
    """
    scores = p if folds is None else rank_in_folds(p, folds)
    area = auc(y, scores, cluster=patients, unit=unit, name=f"AUC, {inputs.title}")
    done = {one.name: one for one in operate(y, p >= HALF, HALF, cluster=patients, unit=unit)}
    most = bound_words(rows, y, inputs.names)
    return WordsWorth(inputs, area, done["accuracy"], done["balanced accuracy"], most)


def bound_words(rows: Sequence[Words], y: Places, names: Sequence[str]) -> float:
    """The largest AUC that anybody who is told these words alone can have on these rows.

    Every combination of words is ranked by its own share of malignant rows (Neyman and Pearson 1933). It knows the
    truth, so the more combinations there are to so many rows, the less it says.
    """
    said = [tuple(row.get(name, MISSING) for name in names) for row in rows]
    number = {words: place for place, words in enumerate(dict.fromkeys(said))}
    cell = np.array([number[words] for words in said])
    shares = np.bincount(cell, y) / np.bincount(cell)
    return float(RocCurves.measure(y, shares[cell]).areas[0])
