"""The words that radiologists, or a phantom's plan, have for each lesion, as tokens; which ones mean spiculated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.descriptors.store import DESCRIBED, list_words
from fourview.studies.lesion.descriptors.words import MISSING, split_words

Token = tuple[str, str]  # descriptor, token
UNIT = "lesion image"
LEAST = 10  # lesions with a token, and without it: of fewer nothing is said
MARGINS = ("margin", "margins", "massmargin", "class")
_SPICULATED = {"spiculated", "spic"}
_CIRCUMSCRIBED = {"circumscribed", "circ"}


def list_tokens(store: Store, views: Sequence[LesionView]) -> tuple[frozenset[Token], ...]:
    """The tokens of each lesion image, in lower case; how it looks alone, never an assessment or its pathology."""
    found = []
    for words in list_words(store, views):
        tokens = split_words(words, [name for name in DESCRIBED if words.get(name)])
        found.append(frozenset((name, token.lower()) for name, token in tokens if token != MISSING))
    return tuple(found)


def frequent_tokens(tokens: Sequence[frozenset[Token]]) -> tuple[Token, ...]:
    """Those that LEAST lesion images have and LEAST have not, in order."""
    counts = Counter(token for own in tokens for token in own)
    return tuple(sorted(token for token, n in counts.items() if LEAST <= n <= len(tokens) - LEAST))


def having(tokens: Sequence[frozenset[Token]], token: Token) -> NDArray[np.bool_]:
    """(lesion images,) which have it."""
    return np.array([token in own for own in tokens])


def compare_margins(tokens: Sequence[frozenset[Token]]) -> NDArray[np.int64]:
    """(lesion images,) 1 spiculated, 0 circumscribed, -1 neither or both."""
    found = []
    for own in tokens:
        said = {token for name, token in own if name in MARGINS}
        spiculated, circumscribed = bool(said & _SPICULATED), bool(said & _CIRCUMSCRIBED)
        found.append(-1 if spiculated == circumscribed else int(spiculated))
    return np.array(found, np.int64)
