"""Folder of a classifier on frozen features: what it says, its arrays, and the network that makes the features.

classifier.json          the card
classifier.safetensors   scaling, selection and the classifier as plain arrays
network/                 the extractor's weights, whole: a weights folder of ours, or one file of an ImageNet network
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fourview.exam import SetupError
from fourview.weights.card import Metric, Section, Training, hash_content
from fourview.weights.folder import find_file, load_card, sha256_file
from fourview.weights.home import CARD_NAME, CLASSIFIER_NAME
from fourview.whole_files import whole_folder

ARRAYS_FILE, NETWORK = "classifier.safetensors", "network"
Arrays = Mapping[str, NDArray[Any]]
Unit = Literal["image", "breast"]


class FeatureMaker(Section):
    """What makes the features: an extractor of `fourview features` by its name, and how images are cut for it.

    size, view     of the extractor, None where it takes none
    network        "folder": weights of ours; "file": an ImageNet network's; a text like "random:0"; "" for none
    network_name   what a file was called;  weights_hash, preprocessing_hash  as on the features' card
    spacing_range_mm  pixel sizes of the images that were learned from; answers about others are marked. None: unknown
    film           the images are digitised films, whose background is set to 0 (film.blank_film)
    crop_iterations, crop_buffer_px  of the store. Film and crop count where no card of a network says it
    """

    extractor: str
    dimension: int = Field(ge=1)
    size: int | None = None
    view: str | None = None
    network: str = ""
    network_name: str = ""
    weights_hash: str = ""
    preprocessing_hash: str = ""
    pixel_mode: Literal["stored", "presentation"] = "stored"
    spacing_range_mm: tuple[float, float] | None = None
    film: bool = False
    crop_iterations: int = Field(100, ge=0)
    crop_buffer_px: int = Field(50, ge=0)


class UnitScale(Section):
    """How scores of one unit become decisions and probabilities: score >= threshold; sigmoid(slope x + intercept)."""

    threshold: float
    slope: float
    intercept: float


class ClassifierCard(Section):
    """The content of classifier.json.

    kind           of the classifier, in words
    positive       what a high score means, in words: "suspicious by BI-RADS 4+, not cancer"
    label          the labels that it learned, as `fourview transfer` names them
    centre, spread of the decision function: scores are (decision - centre) / spread
    scales         per unit; the scores of a breast are means over its images
    positive_share of the training images: probabilities are right for such a share
    training       as on other cards; phantoms_only: neither it nor the network has seen anything but phantoms
    """

    format: Literal["fourview-classifier/1"] = "fourview-classifier/1"
    name: str
    kind: str
    label: str
    positive: str
    features: FeatureMaker
    centre: float = 0.0
    spread: float = Field(1.0, gt=0)
    scales: dict[Unit, UnitScale] = Field(default_factory=dict)
    positive_share: float = Field(gt=0, lt=1)
    training: Training
    licence: str
    metrics: tuple[Metric, ...] = ()
    notes: str = ""
    sha256: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_meaning(self) -> ClassifierCard:
        if not self.positive.strip():
            raise ValueError("positive is empty: need what a high score means")
        return self

    @property
    def weights_hash(self) -> str:
        """16 hex digits over everything that changes a score."""
        return hash_content(self.model_dump(mode="json", include={"features", "centre", "spread", "sha256"}))


def load_classifier(folder: Path) -> tuple[ClassifierCard, dict[str, NDArray[Any]]]:
    """Card and arrays of a classifier's folder, every file verified against the card. Raises SetupError."""
    card = load_classifier_card(folder)
    for name, expected in card.sha256.items():
        path = folder / name
        found = sha256_file(path) if path.is_file() else "missing"
        if found != expected:
            raise SetupError(f"{path}: SHA-256 is {found}; the card says {expected}: the file is damaged or exchanged")
    if ARRAYS_FILE not in card.sha256:
        raise SetupError(f"{folder / CLASSIFIER_NAME}: names no {ARRAYS_FILE}; need it")
    try:
        arrays = dict(load_file(folder / ARRAYS_FILE))
    except SafetensorError as error:
        raise SetupError(f"{folder / ARRAYS_FILE}: not a safetensors file: {error}") from error
    check_arrays(arrays, dimension=card.features.dimension, origin=str(folder / ARRAYS_FILE))
    return card, arrays


def load_classifier_card(folder: Path) -> ClassifierCard:
    """The checked card. Raises SetupError."""
    path = folder / CLASSIFIER_NAME
    try:
        return ClassifierCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SetupError(
            f"{folder}: found no readable {CLASSIFIER_NAME} ({error.strerror}); need a classifier"
        ) from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{path}: not a classifier that this version can read: {problems}") from error


def save_classifier(
    folder: Path, card: ClassifierCard, arrays: Arrays, *, network: Path | None = None
) -> ClassifierCard:
    """Write the folder, whole or not at all; its card with the files' hashes.

    network  folder of our weights, or file of an ImageNet network; copied in. None: the features need none
    Raises SetupError if the folder exists, or arrays and card do not fit.
    """
    if folder.exists():
        raise SetupError(f"{folder}: exists already; need a new folder")
    check_arrays(arrays, dimension=card.features.dimension, origin=card.name)
    with whole_folder(folder.absolute()) as building:
        (building / ARRAYS_FILE).write_bytes(
            save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        )
        if network is not None:
            _copy_network(network, building)
        files = sorted(path for path in building.rglob("*") if path.is_file())
        hashes = {path.relative_to(building).as_posix(): sha256_file(path) for path in files}
        card = card.model_copy(update={"sha256": hashes})
        (building / CLASSIFIER_NAME).write_text(card.model_dump_json(indent=2) + "\n")
        load_classifier(building)  # what was written must be what can be read
    return card


def find_network(folder: Path, card: ClassifierCard) -> str | None:
    """What `--weights` of the extractor is: the copy in the folder, a text like "random:0", or None."""
    if card.features.network == "file":
        return str(next((folder / NETWORK).iterdir()))
    return str(folder / NETWORK) if card.features.network == "folder" else card.features.network or None


def check_arrays(arrays: Arrays, *, dimension: int, origin: str) -> None:
    """Raises SetupError unless the arrays are those of a classifier of so many features, each the next one's size."""
    shapes = {name: array.shape for name, array in arrays.items()}
    width = dimension
    wanted: dict[str, tuple[int, ...]] = {"scale.mean": (width,), "scale.scale": (width,)}
    if "select.keep" in shapes:
        width = len(arrays["select.keep"])
        wanted["select.keep"] = (width,)
    if "reduce.components" in shapes:
        wanted |= {"reduce.mean": (width,)}
        width = len(arrays["reduce.components"])
        wanted |= {"reduce.components": (width, *wanted["reduce.mean"]), "reduce.scale": (width,)}
    if "rbf.support" in shapes:
        count = len(arrays["rbf.support"])
        wanted |= {"rbf.support": (count, width), "rbf.weights": (count,), "rbf.gamma": (1,), "intercept": (1,)}
    else:
        wanted |= {"linear.weights": (width,), "intercept": (1,)}
    if shapes != wanted:
        wrong = sorted(n for n in {*shapes, *wanted} if shapes.get(n) != wanted.get(n))
        first = wrong[0]
        raise SetupError(f"{origin}: array {first} has shape {shapes.get(first)}, need {wanted.get(first)}")
    keep = arrays.get("select.keep")
    if keep is not None and (keep.dtype != np.int64 or (len(keep) and not 0 <= keep.min() <= keep.max() < dimension)):
        raise SetupError(f"{origin}: found features beyond the {dimension} that there are among those selected")
    if broken := sorted(name for name, array in arrays.items() if not np.isfinite(array).all()):
        raise SetupError(f"{origin}: array {broken[0]} holds NaN or infinity; need finite numbers")


def _copy_network(network: Path, building: Path) -> None:
    """Also what lies beside the folder, where members of an ensemble share a file."""
    (building / NETWORK).mkdir()
    if network.is_file():
        shutil.copyfile(network, building / NETWORK / f"network{network.suffix}")
        return
    for name in load_card(network).sha256:
        shutil.copyfile(find_file(network, name), building / NETWORK / name)
    shutil.copyfile(network / CARD_NAME, building / NETWORK / CARD_NAME)
