"""Features -> what made them, opened once more: the extractor, its network, and how the store cut the images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from fourview.engine import choose_engine
from fourview.exam import SetupError
from fourview.store.sets import count_films
from fourview.store.store import Store
from fourview.studies.transfer.extract import make_key
from fourview.studies.transfer.extract_folder import KEY
from fourview.studies.transfer.extractors import find_extractor
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.open_extractor import FeatureReader, Origin, open_extractor
from fourview.weights.classifier import FeatureMaker
from fourview.weights.ensemble import resolve_member

AGAIN = "`fourview features` with --resume once more writes it down"


@dataclass(frozen=True)
class FeatureSource:
    """What makes features like those that a classifier learned from. network: to be copied; None: there is none."""

    maker: FeatureMaker
    origin: Origin
    network: Path | None


def find_source(features: FeatureSet, *, store: Path | None = None, weights: str | None = None) -> FeatureSource:
    """The extractor of these features and how their store cut the images, found where `fourview features` found them.

    store, weights  where they are now; None: where the features' card says

    Raises SetupError if they are not there, or would make other features of these images: other weights, settings,
    pixels or pixel sizes.
    """
    card = features.card
    if store is None and not card.store:
        raise SetupError(f"features of {card.extractor}: do not say which store they are of; need --store, or {AGAIN}")
    images = Store.open(store or Path(card.store))
    given = weights or card.weights_given or None
    extractor = find_extractor(card.extractor)
    if extractor.needs != "nothing" and given is None:
        raise SetupError(f"features of {card.extractor}: do not say by which weights; need --weights, or {AGAIN}")
    reader = open_extractor(extractor, given, choose_engine("torch"), size=card.size, view=card.view)
    for what, found, wanted in (
        ("weights", reader.origin.hash, card.weights_hash),
        ("settings", reader.preprocessing_hash, card.preprocessing_hash),
    ):
        if found != wanted:
            raise SetupError(
                f"features of {card.extractor}: found the {what} {found or 'none'} now, and they were made with "
                f"{wanted or 'none'}; need what they were made with, or {AGAIN}"
            )
    _check_images(features, images, reader)
    return _describe(features, images, reader, given)


def _check_images(features: FeatureSet, store: Store, reader: FeatureReader) -> None:
    """Raises SetupError unless the store holds the images, pixels and pixel sizes that the features were made of."""
    if KEY not in features.rows.columns:
        raise SetupError(
            f"features of {reader.extractor.name}: found no column {KEY}; need those of `fourview features`"
        )
    wanted = dict(features.rows.select("image", KEY).iter_rows())
    kept = store.images.filter(pl.col("image").is_in(list(wanted)))
    found = {row["image"]: make_key(reader, row) for row in kept.iter_rows(named=True)}
    if other := sum(found.get(image) != key for image, key in wanted.items()):
        raise SetupError(
            f"{store.path}: found {other} of the {len(wanted)} images missing, or with other pixels or another pixel "
            f"size than the features of {reader.extractor.name} were made of; need the same store"
        )


def _describe(features: FeatureSet, store: Store, reader: FeatureReader, weights: str | None) -> FeatureSource:
    card = features.card
    crop: Mapping[str, Any] = store.about.get("crop", {})
    images = store.images.filter(pl.col("image").is_in(features.rows["image"].to_list()))
    sizes = [size for size in images["spacing_mm"].to_list() if size is not None]
    network, kind = _find_network(weights, needs=reader.extractor.needs)
    maker = FeatureMaker(
        extractor=card.extractor,
        dimension=reader.dimension,
        size=card.size,
        view=card.view,
        network=kind,
        network_name=reader.origin.name,
        weights_hash=card.weights_hash,
        preprocessing_hash=card.preprocessing_hash,
        pixel_mode="presentation" if (images["pixel_mode"] == "presentation").any() else "stored",
        spacing_range_mm=(min(sizes), max(sizes)) if sizes else None,
        film=count_films(images) == images.height,
        crop_iterations=int(crop.get("iterations", 100)),
        crop_buffer_px=int(crop.get("buffer_px", 50)),
    )
    return FeatureSource(maker, reader.origin, network)


def _find_network(weights: str | None, *, needs: str) -> tuple[Path | None, str]:
    """What is copied into the folder, and what FeatureMaker.network says of it."""
    if weights is None:
        return None, ""
    if needs == "ImageNet network":
        path = Path(weights).expanduser()
        return (path, "file") if path.is_file() else (None, weights)
    return resolve_member(weights), "folder"
