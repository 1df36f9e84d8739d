"""The words of a store's lesions alone, learned and tested on the folds that networks learn and are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.descriptors.words import (
    ASSESSMENT,
    DENSITY,
    GRADED,
    SUBTLETY,
    Inputs,
    Words,
    list_inputs,
    predict_words,
)
from fourview.studies.lesion.folds import LesionFolds
from fourview.studies.lesion.held_out import walk_held_out

DESCRIBED = (  # how a lesion looks, in the words of CBIS-DDSM and DDSM, phantoms, EMBED, mini-MIAS
    "shape", "margins", "margin", "type", "calc_type", "distribution",
    "massshape", "massmargin", "calcfind", "calcdistri",
    "class",
)  # fmt: skip


def list_words(store: Store, views: Sequence[LesionView]) -> tuple[Words, ...]:
    """What is said of each view: how it looks, density of the breast, subtlety, assessment; never its pathology."""
    density = dict(store.images.select("image", "density").iter_rows())
    return tuple(_list_own(view.words, density[view.image]) for view in views)


def find_inputs(words: Sequence[Words]) -> tuple[Inputs, ...]:
    """What the regression can be given here, as CBIS-DDSM's table has it; empty where lesions are not described."""
    there = {name for own in words for name in own}
    described = tuple(name for name in DESCRIBED if name in there)
    graded = tuple(name for name in (DENSITY, SUBTLETY) if name in there)
    return list_inputs(described, graded, assessed=ASSESSMENT in there)


def predict_held_out(folds: LesionFolds, words: Sequence[Words], inputs: Inputs) -> NDArray[np.float64]:
    """(views,) probability of malignant of every view that is held out, by the views that are not; NaN of others.

    words  of the folds' views. Raises SetupError where training views have one class.
    """
    y, p = folds.malignant.astype(np.int64), np.full(len(folds.views), np.nan)
    for _, train, test in walk_held_out(folds):
        learned, seen = ([words[place] for place in places] for places in (train, test))
        p[test] = predict_words(learned, y[train], seen, inputs.names)
    return p


def _list_own(words: Mapping[str, str], density: str | None) -> Words:
    own = {name: words[name] for name in (*DESCRIBED, *GRADED) if words.get(name)}
    return {**own, **({DENSITY: density} if density else {})}
