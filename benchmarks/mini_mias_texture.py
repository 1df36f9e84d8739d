"""A regression on what a film looks like in hand-made numbers of its breast: the bar for a network.

The numbers are those of the extractor `texture`. Nothing is trained but the regression's coefficients, without the fold
that is scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fourview.ingest import IngestOptions, find_exams
from fourview.prepare import crop_for
from fourview.studies.transfer.texture import measure_breast
from fourview.weights.card import Card

Floats = NDArray[np.float64]
PENALTY = 0.01  # inverse, of standardised features: about as many as malignant films, so a strong one


def measure_films(folder: Path, card: Card, *, spacing_mm: float) -> dict[str, Floats]:
    """film -> (features,) of every film of the set, its breast cut as `card` asks."""
    found = {}
    for source in find_exams([folder], IngestOptions(spacing_mm=spacing_mm)).exams:
        for mammogram in source.read().mammograms:
            found[Path(mammogram.name).stem] = measure_breast(crop_for(mammogram, card).crop.pixels)
    return found


def score_fold(
    features: dict[str, Floats], truth: dict[str, bool], *, train: Sequence[str], test: Sequence[str]
) -> dict[str, float]:
    """film of `test` -> log-odds by a regression that saw `train` alone."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=5000, class_weight="balanced"))
    model.fit(np.stack([features[film] for film in train]), [truth[film] for film in train])
    said = model.decision_function(np.stack([features[film] for film in test]))
    return {film: float(value) for film, value in zip(test, said, strict=True)}
