"""A fitted pipeline -> the folder OUT/classifier that `fourview screen` reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fourview.engine import choose_engine
from fourview.exam import SetupError
from fourview.store.store import Store
from fourview.studies.transfer.cases import make_cases
from fourview.studies.transfer.chosen import export_arrays, name_classifier
from fourview.studies.transfer.extractors import find_extractor
from fourview.studies.transfer.feature_set import FeatureCard, FeatureSet
from fourview.studies.transfer.labels import Labels
from fourview.studies.transfer.nested import Tuned, tune
from fourview.studies.transfer.open_extractor import Origin, open_extractor
from fourview.studies.transfer.steps import Classifier, Method
from fourview.weights.card import Metric, Training
from fourview.weights.classifier import ClassifierCard, FeatureMaker, Unit, UnitScale, save_classifier
from fourview.weights.ensemble import resolve_member

OWN_LICENCE = "Apache-2.0"
WRITABLE: tuple[Classifier, ...] = ("lr", "l1_lr", "linear_svm", "rbf_svm")
FILM = "film"  # vendor of digitised films


@dataclass(frozen=True)
class FeatureSource:
    """What makes features like those that a classifier learned from. network: to be copied; None: there is none."""

    maker: FeatureMaker
    origin: Origin
    network: Path | None


@dataclass(frozen=True)
class Learned:
    """What a classifier learned from, in words and counts.

    label, positive  see ClassifierCard;  positive_share  of the images
    data, population, terms, data_sha256, phantoms  of the images
    metrics          measured on patients that the classifier did not see
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


def find_source(
    card: FeatureCard, store: Store, *, weights: str | None, size: int | None = None, view: str | None = None
) -> FeatureSource:
    """The extractor of these features, opened once more, and how the store cut the images.

    weights, size, view  as they were given to `fourview features`
    Raises SetupError if they make other features than those of the card.
    """
    reader = open_extractor(find_extractor(card.extractor), weights, choose_engine("torch"), size=size, view=view)
    for what, found, wanted in (
        ("weights", reader.origin.hash, card.weights_hash),
        ("settings", reader.preprocessing_hash, card.preprocessing_hash),
    ):
        if found != wanted:
            raise SetupError(
                f"classifier: found the {what} {found or 'none'} of {card.extractor}, and the features were made with "
                f"{wanted or 'none'}; need the --weights, --size and --view of `fourview features`"
            )
    crop: Mapping[str, Any] = store.about.get("crop", {})
    modes = store.images["pixel_mode"]
    network, kind = _find_network(weights, needs=reader.extractor.needs)
    maker = FeatureMaker(
        extractor=card.extractor,
        dimension=reader.dimension,
        size=size,
        view=view,
        network=kind,
        network_name=reader.origin.name,
        weights_hash=card.weights_hash,
        preprocessing_hash=card.preprocessing_hash,
        pixel_mode="presentation" if (modes == "presentation").any() else "stored",
        film=bool((store.images["vendor"] == FILM).all()),
        crop_iterations=int(crop.get("iterations", 100)),
        crop_buffer_px=int(crop.get("buffer_px", 50)),
    )
    return FeatureSource(maker, reader.origin, network)


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
    )
    return save_classifier(folder, card, export_arrays(pipeline), network=source.network)


def write_chosen(
    folder: Path,
    features: FeatureSet,
    labels: Labels,
    method: Method,
    source: FeatureSource,
    *,
    name: str,
    metrics: tuple[Metric, ...] = (),
    inner: int = 5,
    seed: int = 0,
) -> ClassifierCard:
    """The folder of a method tuned and fitted on all images that have a label; its card.

    metrics  of the same method on patients that it did not see: outer folds
    Raises SetupError, also for a classifier that cannot be written as arrays, before the work is done.
    """
    if method.classifier not in WRITABLE:
        raise SetupError(
            f"classifier {method.classifier}: cannot be written as plain arrays, so `screen` cannot read it; "
            f"need one of {', '.join(WRITABLE)}"
        )
    cases = make_cases(features, labels)
    tuned = tune(features.values[labels.keep].astype(np.float64), cases, method, inner=inner, seed=seed)
    women, images = int(cases.patients.max()) + 1, len(cases.y)
    learned = Learned(
        label=labels.name,
        positive=labels.positive,
        positive_share=float(cases.y.mean()),
        data=features.card.name,
        population=f"{women:,} women, {images:,} images, {int(cases.y.sum()):,} of them positive",
        terms=features.card.terms,
        phantoms=features.card.phantoms,
        data_sha256=features.card.data_sha256,
        metrics=metrics,
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


def _find_network(weights: str | None, *, needs: str) -> tuple[Path | None, str]:
    """What is copied into the folder, and what FeatureMaker.network says of it."""
    if weights is None:
        return None, ""
    if needs == "ImageNet network":
        path = Path(weights).expanduser()
        return (path, "file") if path.is_file() else (None, weights)
    return resolve_member(weights), "folder"


def _choose_licence(origin: Origin, learned: Learned) -> str:
    """As for networks that were trained further: that of the weights, and the terms of the images."""
    parts: Sequence[str] = (
        f"made from weights under {origin.terms}" if origin.name and OWN_LICENCE not in origin.terms else "",
        "" if learned.phantoms else "the terms of the training data decide (see training.terms)",
    )
    return "; ".join(part for part in parts if part) or OWN_LICENCE
