"""A fitted pipeline -> the folder OUT/classifier that `fourview screen` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.transfer.candidates import find_obstacle
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.chosen import export_arrays, name_classifier
from fourview.studies.transfer.feature_set import FeatureCard
from fourview.studies.transfer.feature_source import FeatureSource
from fourview.studies.transfer.labels import Labels
from fourview.studies.transfer.nested import Tuned, tune
from fourview.studies.transfer.open_extractor import Origin
from fourview.studies.transfer.steps import Method
from fourview.weights.card import Metric, Training
from fourview.weights.classifier import ClassifierCard, Unit, UnitScale, save_classifier

OWN_LICENCE = "Apache-2.0"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What a classifier learned from, in words and counts.

    label, positive  see ClassifierCard;  positive_share  of the images
    data, population, terms, data_sha256, phantoms  of the images
    metrics          measured on patients that the classifier did not see;  notes  how it was chosen
    """

    label: str
    positive: str
    positive_share: float
    data: str
    population: str
    terms: str
    phantoms: bool
    data_sha256: str = ""
    metrics: tuple[Metric, ...] = ()
    notes: str = ""


def write_classifier(
    folder: Path,
    pipeline: Any,
    source: FeatureSource,
    learned: Learned,
    *,
    name: str,
    scales: Mapping[Unit, UnitScale],
    centre: float = 0.0,
    spread: float = 1.0,
) -> ClassifierCard:
    """The folder, whole or not at all; its card.

    pipeline  fitted on all images; scales, centre, spread  see ClassifierCard
    Raises SetupError if the folder exists, or for a classifier that cannot be written as arrays.
    """
    origin = source.origin
    only = learned.phantoms and (origin.phantoms_only or origin.trained is False or not origin.name)
    card = ClassifierCard(
        name=name,
        kind=f"{name_classifier(pipeline)} on {source.maker.extractor}",
        label=learned.label,
        positive=learned.positive,
        features=source.maker,
        centre=centre,
        spread=spread,
        scales=dict(scales),
        positive_share=learned.positive_share,
        training=Training(
            trained=True,
            data=learned.data,
            terms=learned.terms,
            source=f"features of {origin.name} ({origin.hash})" if origin.name else "features without a network",
            population=learned.population,
            phantoms_only=only,
            data_sha256=learned.data_sha256 or None,
        ),
        licence=_choose_licence(origin, learned),
        metrics=learned.metrics,
        notes=learned.notes,
    )
    return save_classifier(folder, card, export_arrays(pipeline), network=source.network)


def write_chosen(
    folder: Path,
    values: Floats,
    cases: Cases,
    method: Method,
    source: FeatureSource,
    *,
    labels: Labels,
    features: FeatureCard,
    name: str,
    metrics: tuple[Metric, ...] = (),
    notes: str = "",
    inner: int = 5,
    seed: int = 0,
) -> ClassifierCard:
    """The folder of a method tuned and fitted on all images that have a label; its card.

    values    (images, features) of the images that have a label;  features  where they come from
    metrics   measured on patients that the classifier did not see: outer folds
    Raises SetupError, also for a classifier that cannot be written as arrays, before the work is done.
    """
    if why := find_obstacle(features, method):
        raise SetupError(f"{why}, so `screen` cannot read it")
    tuned = tune(values, cases, method, inner=inner, seed=seed)
    women, images = int(cases.patients.max()) + 1, len(cases.y)
    learned = Learned(
        label=labels.name,
        positive=labels.positive,
        positive_share=float(cases.y.mean()),
        data=features.name,
        population=f"{women:,} women, {images:,} images, {int(cases.y.sum()):,} of them positive",
        terms=features.terms,
        phantoms=features.phantoms,
        data_sha256=features.data_sha256,
        metrics=metrics,
        notes=notes,
    )
    return write_tuned(folder, tuned, source, learned, name=name)


def write_tuned(folder: Path, tuned: Tuned, source: FeatureSource, learned: Learned, *, name: str) -> ClassifierCard:
    """The folder of a method whose setting, thresholds and probabilities inner folds chose; see `write_classifier`."""
    units: tuple[Unit, ...] = ("image", "breast")
    readings = {unit: tuned.readings[unit] for unit in units}
    scales = {
        unit: UnitScale(threshold=r.threshold, slope=r.slope, intercept=r.intercept) for unit, r in readings.items()
    }
    return write_classifier(
        folder, tuned.pipeline, source, learned, name=name, scales=scales, centre=tuned.centre, spread=tuned.spread
    )


def _choose_licence(origin: Origin, learned: Learned) -> str:
    """As for networks that were trained further: that of the weights, and the terms of the images."""
    parts: Sequence[str] = (
        f"made from weights under {origin.terms}" if origin.name and OWN_LICENCE not in origin.terms else "",
        "" if learned.phantoms else "the terms of the training data decide (see training.terms)",
    )
    return "; ".join(part for part in parts if part) or OWN_LICENCE
