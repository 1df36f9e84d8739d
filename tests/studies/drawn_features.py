"""Feature sets drawn for tests: patients with two breasts of two views, labels per image, Gaussian features."""

from __future__ import annotations

import numpy as np
import polars as pl

from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.feature_set import FeatureCard, FeatureSet


def draw_cases(images: int = 410, positives: int = 100, *, seed: int = 0) -> Cases:
    """Four images of a patient, two of a breast; positives anywhere."""
    rng = np.random.default_rng(seed)
    places = np.arange(images)
    y = np.zeros(images, np.int64)
    y[rng.permutation(images)[:positives]] = 1
    return Cases(y, places // 4, places // 2)


def draw_features(
    patients: int = 24, features: int = 12, *, extractor: str = "drawn", seed: int = 0, apart: float = 1.0
) -> FeatureSet:
    """One breast in three of half of the patients is positive (4a), told by the first feature."""
    rng = np.random.default_rng(seed)
    n = 4 * patients
    owner = np.repeat(np.arange(patients), 4)
    side = np.tile(["L", "L", "R", "R"], patients)
    y = ((owner % 2 == 0) & (side == "L")).astype(int)
    values = np.random.default_rng([seed, features]).normal(size=(n, features))
    values[:, 0] += apart * y
    rows = pl.DataFrame(
        {
            "image": [f"i{k}" for k in range(n)],
            "exam": [f"e{k}" for k in owner],
            "patient": [f"p{k}" for k in owner],
            "dataset": ["drawn"] * n,
            "side": side,
            "view": np.tile(["CC", "MLO"], 2 * patients),
            "malignant": y.astype(bool),
            "benign": [None] * n,
            "label_unit": ["image"] * n,
            "label_source": ["birads"] * n,
            "birads": ["4a" if yes else "2" for yes in y],
            "density": rng.choice(list("ABCD"), n),
            "split": [None] * n,
        },
        schema_overrides={"benign": pl.Boolean, "split": pl.String},
    )
    return FeatureSet(values.astype(np.float32), rows, FeatureCard(extractor=extractor, name="drawn"))
