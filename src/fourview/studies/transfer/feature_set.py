"""Features: one row of numbers per image that stays as it is, what the set says about each image, and their origin."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from fourview.exam import SetupError
from fourview.whole_files import write_whole

CARD, ROWS, VALUES = "features.json", "rows.csv", "values.npy"
COLUMNS: dict[str, Any] = {
    "image": pl.String,
    "exam": pl.String,
    "patient": pl.String,
    "dataset": pl.String,
    "side": pl.String,
    "view": pl.String,
    "malignant": pl.Boolean,
    "benign": pl.Boolean,
    "label_unit": pl.String,
    "label_source": pl.String,
    "birads": pl.String,
    "density": pl.String,
    "split": pl.String,
}


class FeatureCard(BaseModel):
    """Where features come from.

    extractor          its name;  name  of the set, in words
    weights            name on the card of the network's weights, "" where there is none (texture, noise)
    weights_hash, preprocessing_hash, data_sha256  what the numbers depend on
    trained            False: the network's weights are random, a null and no more; None: nobody can tell
    phantoms           the images are phantoms;  phantom_weights  the network saw nothing but phantoms
    known              women (of phantoms: images) whom the network has learned from, as far as its weights say it
    terms              of the set and of the weights, for whoever passes the features on
    store, weights_given, size, view  what `fourview features` was given, folders and files by their absolute path, so
                       that new images can be read in the same way; "" and None: nothing, or an older version
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    extractor: str
    name: str
    weights: str = ""
    weights_hash: str = ""
    preprocessing_hash: str = ""
    data_sha256: str = ""
    trained: bool | None = True
    phantoms: bool = False
    phantom_weights: bool = False
    known: int = 0
    terms: str = ""
    store: str = ""
    weights_given: str = ""
    size: int | None = None
    view: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes numbers on these features less than they seem."""
        found = []
        if self.phantoms:
            found.append("These images are phantoms: nothing here holds for real ones.")
        if self.phantom_weights:
            found.append("The features' network saw nothing but phantoms.")
        if self.known:
            who = "images" if self.phantoms else "women"
            found.append(
                f"The features' network has learned from {self.known} of these {who}: their numbers flatter it."
            )
        if not self.trained:
            found.append("The features' network is untrained; a null and no more.")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """values: (images, features) float32, all finite; rows: one per image in the same order, with COLUMNS and perhaps
    more."""

    values: NDArray[np.float32]
    rows: pl.DataFrame
    card: FeatureCard

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.rows):
            raise SetupError(
                f"found features of shape {self.values.shape} for {len(self.rows)} images; need a row each"
            )
        if missing := [name for name in COLUMNS if name not in self.rows.columns]:
            raise SetupError(f"features: found no column {', '.join(missing)}; need it")
        if self.rows["image"].is_duplicated().any():
            raise SetupError("features: found an image twice; need each once")
        strange = ~np.isfinite(self.values).all(axis=1)
        if strange.any():
            first = self.rows["image"].to_list()[int(strange.argmax())]
            raise SetupError(f"features of {int(strange.sum())} images are no numbers, the first {first}; need numbers")

    def take(self, keep: NDArray[np.bool_]) -> FeatureSet:
        """Of some images. keep: (images,)"""
        return replace(self, values=self.values[keep], rows=self.rows.filter(pl.Series(keep)))


def save_features(folder: Path, features: FeatureSet) -> None:
    """Write the three files; the card last, so that a folder with one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    with (folder / f".{VALUES}.part").open("wb") as file:
        np.save(file, features.values, allow_pickle=False)
    (folder / f".{VALUES}.part").replace(folder / VALUES)
    write_whole(folder / ROWS, features.rows.write_csv())
    write_whole(folder / CARD, json.dumps(features.card.model_dump(), indent=1) + "\n")


def load_features(folder: Path) -> FeatureSet:
    """What `save_features` wrote. Raises SetupError: which file, what was found."""
    try:
        card = FeatureCard.model_validate_json((folder / CARD).read_text())
        rows = pl.read_csv(folder / ROWS, schema_overrides=COLUMNS, infer_schema_length=None)
        values = np.load(folder / VALUES, allow_pickle=False)
    except FileNotFoundError as error:
        raise SetupError(
            f"{folder}: found no {Path(error.filename).name}; need a folder of `fourview features`"
        ) from None
    except (ValidationError, ValueError, OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise SetupError(f"{folder}: found features that cannot be read ({first}); make them again") from None
    if values.dtype != np.float32:
        raise SetupError(f"{folder / VALUES}: found {values.dtype} numbers, need float32")
    return FeatureSet(values, rows, card)
