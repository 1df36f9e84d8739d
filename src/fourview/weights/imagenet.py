"""Files of torchvision's ImageNet networks -> networks. Users bring them; none is downloaded or shipped.

torchvision puts the first 8 digits of a file's SHA-256 into its name. By these a file is known to be its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.resnet import IMAGENET_CLASSES, ResNet
from fourview.networks.squeezenet import SqueezeNet
from fourview.weights.convert import read_state
from fourview.weights.folder import fit_tensors, sha256_file

Family = Literal["resnet18", "resnet50", "squeezenet"]
Backbone = ResNet | SqueezeNet
RELEASES = {  # first digits of SHA-256 -> torchvision's name of the file
    "f37072fd": "resnet18-f37072fd",
    "5c106cde": "resnet18-5c106cde",
    "0676ba61": "resnet50-0676ba61",
    "19c8e357": "resnet50-19c8e357",
    "11ad3fa6": "resnet50-11ad3fa6",
    "b66bff10": "squeezenet1_0-b66bff10",
    "a815701f": "squeezenet1_0-a815701f",
    "b8a52dc0": "squeezenet1_1-b8a52dc0",
    "f364aa15": "squeezenet1_1-f364aa15",
}
IMAGENET_TERMS = "torchvision's weights (BSD-3-Clause), trained on ImageNet, whose images are for research only"
_RANDOM = re.compile(r"random(?::(\d+))?")
_COUNTERS = "num_batches_tracked"  # which files from before 2018 lack, and which no answer depends on
_LAST = {"resnet18": "fc", "resnet50": "fc", "squeezenet": "classifier.1"}
_WIDE_FIRST = 96  # channels of SqueezeNet 1.0's first convolution


@dataclass(frozen=True, eq=False)
class ImageNetWeights:
    """A network for photographs, on the CPU and in evaluation mode.

    name     torchvision's name of the file, else the file's own, or "random:SEED"
    hash     16 hex digits of the file, or of the values
    trained  False: random values; None: a file that is none of torchvision's, of which nobody can tell
    terms    of the weights
    """

    network: Backbone
    name: str
    hash: str
    trained: bool | None
    terms: str


def load_imagenet(source: str, family: Family) -> ImageNetWeights:
    """A network with the values of a file, or with random ones.

    source  path of a state dict with torchvision's names, .pth or .safetensors; or "random" or "random:SEED"
    family  what it must be; of a squeezenet file, 1.0 or 1.1 is told from its first convolution

    The last layer may have any number of classes. Raises SetupError: no such file, none of plain tensors, or tensors of
    another network (the names and shapes that differ).
    """
    if match := _RANDOM.fullmatch(source):
        return _draw(family, seed=int(match[1] or 0))
    path = Path(source).expanduser()
    state = _read(path, family)
    network = _build(family, state, path)
    fit_tensors(network, state, origin=f"{path.name} as torchvision's {family}")
    digest = sha256_file(path)
    release = RELEASES.get(digest[:8])
    return ImageNetWeights(
        network.eval(),
        name=release or path.name,
        hash=digest[:16],
        trained=True if release else None,
        terms=IMAGENET_TERMS if release else f"unknown: {path.name} is none of torchvision's files",
    )


def _read(path: Path, family: Family) -> dict[str, Tensor]:
    if not path.is_file():
        raise SetupError(
            f"weights {str(path)!r}: found no such file; need torchvision's {family} for ImageNet (.pth or "
            ".safetensors), or random:0 for a network that learned nothing"
        )
    if path.suffix != ".safetensors":
        return read_state(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise SetupError(f"{path.name}: not a safetensors file: {error}") from error


def _build(family: Family, state: dict[str, Tensor], path: Path) -> Backbone:
    """The network that the tensors are of; counters that old files lack are added to them."""
    last = state.get(f"{_LAST[family]}.weight")
    if last is None or last.ndim < 2:
        raise SetupError(
            f"{path.name}: found no last layer {_LAST[family]}.weight; need the whole state dict of torchvision's "
            f"{family}"
        )
    first = state.get("features.0.weight")
    narrow = first is None or first.shape[0] != _WIDE_FIRST
    network = _make(family, classes=last.shape[0], squeezenet="squeezenet1_1" if narrow else "squeezenet1_0")
    for name, tensor in network.state_dict().items():
        if name.endswith(_COUNTERS):
            state.setdefault(name, tensor)
    return network


def _make(
    family: Family, *, classes: int, squeezenet: Literal["squeezenet1_0", "squeezenet1_1"] = "squeezenet1_1"
) -> Backbone:
    return SqueezeNet(squeezenet, classes=classes) if family == "squeezenet" else ResNet(family, classes=classes)


def _draw(family: Family, *, seed: int) -> ImageNetWeights:
    """He's normal values, which keep signals alive through the depth; batch statistics 0 and 1."""
    network = _make(family, classes=IMAGENET_CLASSES).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return ImageNetWeights(
        network, name=f"random:{seed}", hash=_hash(network.state_dict()), trained=False, terms="none: random values"
    )


def _hash(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
