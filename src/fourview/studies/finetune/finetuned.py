"""The folder of a fine-tuned network: finetuned.json, what it is and what it reads, and network.safetensors.

It is no weights folder of `screen`, whose card describes networks of whole exams and of patches, and whose readings are
of findings. `load_finetuned` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fourview.exam import SetupError
from fourview.settings import Section
from fourview.studies.finetune.image_network import ImageNetwork
from fourview.studies.finetune.start import Shape, build_network
from fourview.weights.card import Card
from fourview.weights.folder import fit_tensors, sha256_file
from fourview.whole_files import whole_folder

NETWORK = "network"  # the folder in a run's
ABOUT, TENSORS = "finetuned.json", "network.safetensors"


class FinetunedCard(Section):
    """The content of finetuned.json.

    classes        two: negative, positive (one output, its logit); or categories, one output each
    positive       what a positive means
    size_px        side of the square that it reads; card  of a view's network: which windows it reads instead
    start          weights that it began with, by name and hash;  start_trained  False: drawn values
    phantoms_only  neither it nor its start has seen anything but phantoms: it must not read others
    """

    format: Literal["fourview-finetuned/1"] = "fourview-finetuned/1"
    name: str
    shape: Shape
    classes: tuple[str, ...]
    labels: str
    positive: str
    size_px: int
    card: Card | None = None
    start: str = ""
    start_hash: str = ""
    start_trained: bool | None
    phantoms_only: bool
    data: str
    data_sha256: str
    recipe: str
    recipe_sha256: str
    terms: str
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Finetuned:
    """Loaded: on the CPU, in evaluation mode."""

    card: FinetunedCard
    network: ImageNetwork


def save_finetuned(folder: Path, card: FinetunedCard, tensors: Mapping[str, Tensor]) -> None:
    """Write the folder, whole or not at all; what is there already is of the same run and stays. Raises OSError."""
    if (folder / ABOUT).is_file():
        return
    with whole_folder(folder) as building:
        (building / TENSORS).write_bytes(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
        card = card.model_copy(update={"sha256": sha256_file(building / TENSORS)})
        (building / ABOUT).write_text(card.model_dump_json(indent=1) + "\n")


def load_finetuned(folder: Path) -> Finetuned:
    """What `save_finetuned` wrote. Raises SetupError: which file, what was found."""
    try:
        card = FinetunedCard.model_validate_json((folder / ABOUT).read_bytes())
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise SetupError(
            f"{folder}: found no readable {ABOUT} ({first}); need the folder {NETWORK}/ of a run of `fourview finetune`"
        ) from None
    path = folder / TENSORS
    if not path.is_file() or sha256_file(path) != card.sha256:
        raise SetupError(f"{path}: missing, damaged or exchanged; need the file that {ABOUT} tells of")
    network = build_network(card.shape)
    try:
        fit_tensors(network, load_file(path), origin=str(path))
    except SafetensorError as error:
        raise SetupError(f"{path}: not a safetensors file: {error}") from error
    return Finetuned(card, network.eval())
