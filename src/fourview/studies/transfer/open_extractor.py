"""An extractor with its weights, ready to read: prepared image in, numbers out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from fourview.engine import Engine
from fourview.exam import ExamError, SetupError, View
from fourview.prepare import Prepared
from fourview.studies.transfer.extractors import Extractor
from fourview.studies.transfer.greys import PERCENTILES
from fourview.studies.transfer.imagenet_features import DEVIATION, MEAN, open_imagenet_features
from fourview.studies.transfer.patch_features import open_patch_features
from fourview.studies.transfer.plain_features import TEXTURE_SPACING_MM, draw_noise, measure_texture
from fourview.studies.transfer.view_features import open_view_features
from fourview.weights.card import Card
from fourview.weights.ensemble import resolve_member
from fourview.weights.folder import load_weights
from fourview.weights.imagenet import Family, load_imagenet
from fourview.weights.learned import Learned

Array = NDArray[np.float32]
FORMAT = 1  # raised when the same image and weights give other numbers


@dataclass(frozen=True)
class Origin:
    """Where the numbers of a network come from.

    trained  None: nobody can tell;  learned  whom it has learned from; None: nobody, or nobody wrote it down
    """

    name: str = ""
    hash: str = ""
    trained: bool | None = True
    phantoms_only: bool = False
    terms: str = ""
    learned: Learned | None = None


@dataclass(frozen=True, eq=False)
class FeatureReader:
    """An extractor that reads.

    card       how it wants breasts cut (`breast_input`); None: as the store cut them
    dimension  how many numbers an image gives
    settings   everything besides the weights that the numbers depend on
    """

    extractor: Extractor
    origin: Origin
    card: Card | None
    dimension: int
    settings: dict[str, Any]
    measure: Callable[[Prepared], Array]

    @property
    def preprocessing_hash(self) -> str:
        """16 hex digits over the settings."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:16]

    def read(self, image: Prepared) -> Array:
        """(dimension,) float32, all finite, of one image (breast_input). Raises ExamError."""
        found = self.measure(image)
        if found.shape != (self.dimension,) or found.dtype != np.float32:
            raise ValueError(f"found {found.shape} of {found.dtype}, need {(self.dimension,)} of float32")
        if strange := int((~np.isfinite(found)).sum()):
            raise ExamError(f"{image.mammogram.view} {image.mammogram.name}: {strange} features are no numbers")
        return found


def open_extractor(
    extractor: Extractor, weights: str | None, engine: Engine, *, size: int | None = None, view: str | None = None
) -> FeatureReader:
    """The extractor with its weights.

    weights  what `--weights` says: weights of ours, for ImageNet networks a file or "random:SEED", None for the others
    size     of the square; None: the extractor's own
    view     whose network reads all images, for the extractors that use one; None: L-CC

    Raises SetupError: weights that are missing, not wanted or wrong; a size or a view that is not wanted or wrong.
    """
    _check_options(extractor, weights, size=size, view=view)
    settings: dict[str, Any] = {"format": FORMAT, "extractor": extractor.name}
    if extractor.size is not None:
        settings["size"] = size = size or extractor.size
    if extractor.needs == "nothing" or weights is None:
        return _open_plain(extractor, settings)
    if extractor.needs == "ImageNet network":
        return _open_imagenet(extractor, weights, engine, settings, size=size or 0)
    loaded = load_weights(resolve_member(weights))
    card = loaded.card
    settings["cropping"] = card.cropping
    measure: Any
    if extractor.trunk is None or extractor.layer is None:
        measure = open_patch_features(loaded, engine)
    else:
        chosen = View(view or "L-CC")
        if extractor.trunk == "one":
            settings["view"] = chosen.value
        measure = open_view_features(
            loaded, engine, trunk=extractor.trunk, layer=extractor.layer, view=chosen, size=size
        )
    training = card.training
    terms = "; ".join(part for part in (training.terms, card.licence) if part)
    origin = Origin(card.name, card.weights_hash, training.trained, training.phantoms_only, terms, loaded.learned)
    return FeatureReader(extractor, origin, card, measure.dimension, settings, measure)


def _check_options(extractor: Extractor, weights: str | None, *, size: int | None, view: str | None) -> None:
    name = extractor.name
    if weights is None and extractor.needs != "nothing":
        raise SetupError(f"{name}: found no --weights; need those of one {extractor.needs}")
    if weights is not None and extractor.needs == "nothing":
        raise SetupError(f"{name}: found --weights {weights}; it has no network and needs none")
    if size is not None and extractor.size is None:
        raise SetupError(f"{name}: found --size {size}; it reads images at their own size")
    if view is not None and extractor.trunk != "one":
        raise SetupError(f"{name}: found --view {view}; only extractors that use one view's network take it")
    if view is not None and view not in tuple(View):
        raise SetupError(f"--view {view}: need one of {', '.join(View)}")


def _open_plain(extractor: Extractor, settings: dict[str, Any]) -> FeatureReader:
    count = extractor.published
    if extractor.name == "noise":
        return FeatureReader(extractor, Origin(trained=False), None, count, settings, partial(draw_noise, count=count))
    settings |= {"spacing_mm": TEXTURE_SPACING_MM, "percentiles": PERCENTILES}
    return FeatureReader(extractor, Origin(), None, count, settings, measure_texture)


def _open_imagenet(
    extractor: Extractor, weights: str, engine: Engine, settings: dict[str, Any], *, size: int
) -> FeatureReader:
    family: Family = next(family for family in get_args(Family) if f"_{family}_" in extractor.name)
    loaded = load_imagenet(weights, family)
    measure = open_imagenet_features(loaded.network, engine, size=size)
    settings |= {"percentiles": PERCENTILES, "mean": MEAN, "deviation": DEVIATION}
    origin = Origin(loaded.name, loaded.hash, loaded.trained, terms=loaded.terms)
    return FeatureReader(extractor, origin, None, measure.dimension, settings, measure)
