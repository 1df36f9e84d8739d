"""The folder of lesion networks: lesion.json, what they are and what they read, and one file of tensors per member.

`fourview lesion read` and `fourview explain` read it; `screen` does not: it reads exams, in which nobody has outlined
lesions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fourview.datasets.record import LesionKind
from fourview.exam import SetupError
from fourview.networks.lesion import LesionNetwork
from fourview.settings import Section
from fourview.studies.lesion.cases import Angle
from fourview.studies.lesion.recipe_parts import Crop, Ensemble, Network
from fourview.weights.folder import fit_tensors, sha256_file
from fourview.weights.home import LESION_NAME
from fourview.whole_files import whole_folder


class Member(Section):
    """One network of the folder.

    file    its tensors;  angles  the views that it reads;  fold  that was held out from it, from 1;  seed  of its draws
    epoch   that was kept
    """

    file: str
    angles: tuple[Angle, ...]
    fold: int
    seed: int
    epoch: int
    sha256: str = ""


class Images(Section):
    """What the images were like that the networks learned from, and how their store cut them: others are read alike.

    pixel_mode        grey scale of DICOM files;  film  digitised films, of which the breast alone was kept
    spacing_range_mm  None: no pixel size was known
    phantoms          nothing else was among them
    """

    crop_iterations: int
    crop_buffer_px: int
    pixel_mode: Literal["stored", "presentation"]
    film: bool
    spacing_range_mm: tuple[float, float] | None
    phantoms: bool


class Measured(Section):
    """What it was worth on lesions that were held out: AUC with its 95 % interval; None: none can be given."""

    auc: float
    low: float | None
    high: float | None
    lesions: int
    patients: int
    of: str

    def __str__(self) -> str:
        """Number, interval, unit, n, whom it is of."""
        interval = "no interval" if self.low is None or self.high is None else f"95 % {self.low:.3f} to {self.high:.3f}"
        return (
            f"AUC, malignant, CC and MLO averaged {self.auc:.3f} ({interval}; {self.lesions:,} lesions of "
            f"{self.patients:,} patients; {self.of})"
        )


class LesionCard(Section):
    """The content of lesion.json.

    kinds          of lesions that were learned;  images  what these were like
    network, crop  what all members are, and what they read
    ensemble       how their answers become one;  threshold  mean of the folds', chosen on validation lesions
    start          weights that they began with; "": drawn values
    phantoms_only  neither they nor their start have seen a woman's mammogram: they must not read others than phantoms
    data_sha256    of all lesions of the run's data (folds.hash_lesions)
    learned        what folds.digest_images calls every image that trained one of them or chose its epoch, and the women
                   they are of, sorted: who is tested on one of these is not tested
    """

    format: Literal["fourview-lesion/1"] = "fourview-lesion/1"
    name: str
    kinds: tuple[LesionKind, ...]
    images: Images
    network: Network
    crop: Crop
    ensemble: Ensemble
    members: Annotated[tuple[Member, ...], Field(min_length=1)]
    threshold: Annotated[float, Field(ge=0, le=1)]
    start: str = ""
    start_hash: str = ""
    phantoms_only: bool
    data: str
    data_sha256: str
    learned: tuple[str, ...] = ()
    recipe: str
    recipe_sha256: str
    measured: Measured | None = None
    terms: str

    @property
    def kind(self) -> str:
        """What `weights list` shows: "lesions: 5 x googlenet_light, mask gate"."""
        networks = "" if len(self.members) == 1 else f"{len(self.members)} x "
        return f"lesions: {networks}{self.network.words}"

    @property
    def weights_hash(self) -> str:
        """16 hex digits over the tensors of all members."""
        return hashlib.sha256(json.dumps([member.sha256 for member in self.members]).encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class LesionWeights:
    """Loaded: on the CPU, in evaluation mode. networks: in the order of card.members"""

    card: LesionCard
    networks: tuple[LesionNetwork, ...]

    def reading(self, angle: Angle) -> tuple[LesionNetwork, ...]:
        """The networks that read this view."""
        return tuple(
            network for member, network in zip(self.card.members, self.networks, strict=True) if angle in member.angles
        )


def save_lesion_weights(folder: Path, card: LesionCard, tensors: Sequence[Mapping[str, Tensor]]) -> LesionCard:
    """Write the folder, whole or not at all, and return its card with the files' hashes. tensors: of each member

    Raises SetupError if the folder exists or cannot be written.
    """
    if folder.exists():
        raise SetupError(f"{folder}: exists already; need a new folder")
    try:
        with whole_folder(folder) as building:
            members = []
            for member, own in zip(card.members, tensors, strict=True):
                (building / member.file).write_bytes(save({name: tensor.contiguous() for name, tensor in own.items()}))
                members.append(member.model_copy(update={"sha256": sha256_file(building / member.file)}))
            card = card.model_copy(update={"members": tuple(members)})
            (building / LESION_NAME).write_text(card.model_dump_json(indent=1) + "\n")
            load_lesion_weights(building)  # what was written must be what can be read
    except OSError as error:
        raise SetupError(f"{folder}: cannot be written ({error.strerror or error}); need room and a right") from error
    return card


def load_lesion_card(folder: Path) -> LesionCard:
    """The checked card. Raises SetupError."""
    try:
        return LesionCard.model_validate_json((folder / LESION_NAME).read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise SetupError(
            f"{folder}: found no readable {LESION_NAME} ({first}); need weights/ of a run of `fourview lesion train`"
        ) from None


def load_lesion_weights(folder: Path) -> LesionWeights:
    """What `save_lesion_weights` wrote. Raises SetupError: which file, what was found."""
    card = load_lesion_card(folder)
    networks = []
    for member in card.members:
        path = folder / member.file
        if path.parent != folder or not path.is_file() or sha256_file(path) != member.sha256:
            raise SetupError(f"{path}: missing, damaged or exchanged; need the file that {LESION_NAME} tells of")
        network = card.network.build(card.crop.side_px)
        try:
            fit_tensors(network, load_file(path), origin=str(path))
        except SafetensorError as error:
            raise SetupError(f"{path}: not a safetensors file: {error}") from error
        networks.append(network.eval())
    return LesionWeights(card, tuple(networks))
