"""Weights folder <-> networks: card.json + network.safetensors, patch.safetensors, birads.safetensors as it says.

Beside them, of networks that were trained here, learned.safetensors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.birads import BiradsNetwork
from fourview.networks.densenet import DenseNet
from fourview.networks.exam import WiredNetwork
from fourview.weights.card import Card, ExamNetwork, PatchNetwork, Storage
from fourview.weights.home import CARD_NAME, ENSEMBLE_NAME
from fourview.weights.learned import FILE as LEARNED_FILE
from fourview.weights.learned import Learned, load_learned
from fourview.whole_files import whole_folder, writing_to

EXAM_FILE = "network.safetensors"
PATCH_FILE = "patch.safetensors"
BIRADS_FILE = "birads.safetensors"


@dataclass(frozen=True, eq=False)
class Weights:
    """A weights folder in memory, its networks on the CPU and in evaluation mode.

    learned  whom it has learned from; None: nobody wrote it down
    """

    card: Card
    exam: WiredNetwork | None
    patch: DenseNet | None
    birads: BiradsNetwork | None = None
    learned: Learned | None = None


def load_card(folder: Path) -> Card:
    """The checked card of a weights folder. Raises SetupError."""
    path = folder / CARD_NAME
    try:
        return Card.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SetupError(
            f"{folder}: found no readable {CARD_NAME} ({error.strerror}); need a weights folder "
            "(`fourview weights list` names the installed ones)"
        ) from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{path}: not a card that this version can read: {problems}") from error


def load_weights(folder: Path) -> Weights:
    """The networks of a weights folder, every file verified against the card. Raises SetupError."""
    card = load_card(folder)
    exam = build_exam(card.exam) if card.exam else None
    patch = build_patch(card.patch) if card.patch else None
    birads = build_birads(card.birads) if card.birads else None
    for network, file_name in ((exam, EXAM_FILE), (patch, PATCH_FILE), (birads, BIRADS_FILE)):
        if network is not None:
            _fill(network, find_file(folder, file_name), card.sha256.get(file_name))
    return Weights(card, exam, patch, birads, load_learned(folder, card.training.learned_sha256))


def find_file(folder: Path, name: str) -> Path:
    """Where a file of a weights folder is: in it, or beside it, where the members of an ensemble share the file."""
    beside = folder.parent / name
    shared = not (folder / name).is_file() and beside.is_file() and (folder.parent / ENSEMBLE_NAME).is_file()
    return beside if shared else folder / name


def save_weights(
    folder: Path,
    card: Card,
    *,
    exam: Mapping[str, Tensor] | None = None,
    patch: Mapping[str, Tensor] | None = None,
    birads: Mapping[str, Tensor] | None = None,
    learned: Learned | None = None,
    storage: Storage = "fp32",
) -> Card:
    """Write a weights folder, whole or not at all, and return its card with the files' hashes.

    learned  whom they have learned from, where that is known
    storage  of convolutions and layers, see Card; a patch network beside another one is stored as it was, so that its
             file, and with it the hash that heatmaps carry, stays the same

    Raises SetupError if the folder exists or cannot be written, if tensors and card do not fit, or if fp16 cannot hold
    a value.
    """
    if folder.exists():
        raise SetupError(f"{folder}: exists already; need a new folder")
    every = ((exam, EXAM_FILE), (patch, PATCH_FILE), (birads, BIRADS_FILE))
    given = [(tensors, name) for tensors, name in every if tensors is not None]
    with writing_to(folder, then="do the same again"), whole_folder(folder) as building:
        hashes = {}
        for tensors, file_name in given:
            how = _storage_of(tensors) if file_name == PATCH_FILE and len(given) > 1 else storage
            # Not save_file, whose files nobody but their owner may read.
            (building / file_name).write_bytes(save({k: _store(k, v, how) for k, v in tensors.items()}))
            hashes[file_name] = sha256_file(building / file_name)
        if learned is not None:
            (building / LEARNED_FILE).write_bytes(learned.to_bytes())
            found = {"learned_sha256": sha256_file(building / LEARNED_FILE)}
            card = card.model_copy(update={"training": card.training.model_copy(update=found)})
        card = card.model_copy(update={"sha256": hashes, "storage": storage})
        (building / CARD_NAME).write_text(card.model_dump_json(indent=2) + "\n")
        load_weights(building)  # what was written must be what can be read
    return card


def _storage_of(tensors: Mapping[str, Tensor]) -> Storage:
    """How they were stored where they come from: fp16 if that holds every value."""
    wide = [tensor for tensor in tensors.values() if tensor.ndim >= 2]
    return "fp16" if all(bool((t.to(torch.float16).to(t.dtype) == t).all()) for t in wide) else "fp32"


def _store(name: str, tensor: Tensor, storage: Storage) -> Tensor:
    """The tensor as it is written. Vectors stay whole: statistics span more than fp16 does, and take no room."""
    tensor = tensor.detach().contiguous().cpu()
    if storage == "fp32" or tensor.ndim < 2:
        return tensor
    stored = tensor.to(torch.float16)
    if bool((~torch.isfinite(stored) & torch.isfinite(tensor)).any()):
        raise SetupError(f"{name}: found values up to {tensor.abs().max():g}, need at most 65504 to be stored as fp16")
    return stored


def build_exam(network: ExamNetwork) -> WiredNetwork:
    """The exam network of a card, with initial values."""
    return WiredNetwork(network.wiring, **_columns(network)).eval()


def build_birads(network: ExamNetwork) -> BiradsNetwork:
    """The network of BI-RADS pretraining of a card, with initial values."""
    return BiradsNetwork(network.wiring, **_columns(network)).eval()


def _columns(network: ExamNetwork) -> dict[str, Any]:
    """What both exam-level networks want to know of their columns."""
    return {
        "channels_in": 3 if network.heatmaps else 1,
        "width": network.width,
        "views": network.views,
        "blocks": network.blocks,
    }


def build_patch(network: PatchNetwork, *, more: int = 0) -> DenseNet:
    """The patch network of a card, with initial values. more: answers beside the classes, while it is trained"""
    return DenseNet(
        classes=len(network.classes) + more, blocks=network.blocks, growth=network.growth, stem=network.stem
    ).eval()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(network: nn.Module, path: Path, expected: str | None) -> None:
    if not path.is_file():
        raise SetupError(f"{path}: missing; the card asks for it")
    found = sha256_file(path)
    if found != expected:
        raise SetupError(f"{path}: SHA-256 is {found}; the card says {expected}: the file is damaged or was exchanged")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise SetupError(f"{path}: not a safetensors file: {error}") from error
    fit_tensors(network, tensors, origin=str(path))


def fit_tensors(network: nn.Module, tensors: Mapping[str, Tensor], *, origin: str) -> None:
    """Load tensors into a network in place. Raises SetupError if names, shapes or values are wrong."""
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    differences = [
        *(f"missing {name}" for name in wanted.keys() - given.keys()),
        *(f"unknown {name}" for name in given.keys() - wanted.keys()),
        *(f"{n} has shape {given[n]}, need {wanted[n]}" for n in wanted.keys() & given.keys() if wanted[n] != given[n]),
    ]
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise SetupError(
            f"{origin}: weights for another network: {', '.join(sorted(differences)[:3])}{more}; "
            "need the tensors of the network that the card (or --kind) names"
        )
    broken = [n for n, t in tensors.items() if t.is_floating_point() and not bool(torch.isfinite(t).all())]
    if broken:
        raise SetupError(
            f"{origin}: {len(broken)} tensors hold NaN or infinity, first {broken[0]}; need finite numbers"
        )
    network.load_state_dict(dict(tensors))
