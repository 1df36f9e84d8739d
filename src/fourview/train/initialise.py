"""Values that a network starts from: drawn, or taken from other weights as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.birads import BiradsNetwork
from fourview.networks.densenet import DenseNet
from fourview.networks.exam import WiredNetwork
from fourview.weights.folder import Weights

COLUMN, FIRST = "columns.", "first_conv.weight"


def draw_initial(network: nn.Module, seed: int) -> None:
    """All values of the network, drawn in place from `seed` alone.

    Convolutions and hidden layers: He's normal, for ReLU; answers (the last layers): a tenth of it, so that every
    answer begins near even; biases 0; batch norm the identity. Method: He et al. 2015.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            kind = name.rsplit(".", 1)[-1]
            if kind == "running_var" or (kind == "weight" and tensor.ndim == 1):
                tensor.fill_(1)
            elif kind != "weight":
                tensor.zero_()
            else:
                deviation = (2 / tensor[0].numel()) ** 0.5
                is_last = name.endswith(("classifier.weight", "output.weight"))
                drawn = torch.randn(tensor.shape, generator=generator) * deviation
                tensor.copy_(drawn * 0.1 if is_last else drawn)


def start_from(network: nn.Module, weights: Weights, *, classes: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What was taken from `weights`, in place, and what stays as it is, in words.

    A patch network takes all of a patch network; of other classes than `classes`, the rows of those that it has too.
    An exam or BI-RADS network takes all of one with the same heads, else the columns of the angles that both have.
    Where the source sees images only, the heatmaps' channels of the first convolution stay as they were drawn.

    Raises SetupError, saying which shapes, if the networks do not fit.
    """
    if isinstance(network, DenseNet):
        return _start_patch(network, weights, classes)
    if isinstance(network, WiredNetwork | BiradsNetwork):
        return _start_exam(network, weights)
    raise ValueError(f"found a {type(network).__name__}")


def _start_patch(network: DenseNet, weights: Weights, classes: tuple[str, ...]) -> tuple[str, ...]:
    source, card, name = weights.patch, weights.card.patch, weights.card.name
    if source is None or card is None:
        raise SetupError(f"{name}: found no patch network, need one to start a patch network from")
    tensors, own = dict(source.state_dict()), network.state_dict()
    if not classes or (card.classes == classes and len(own["classifier.bias"]) == len(classes)):
        _fill(network, tensors, name=name)
        return (f"all of the patch network of {name}",)
    both = [label for label in classes if label in card.classes]
    for part in ("classifier.weight", "classifier.bias"):
        rows = own[part].clone()
        for label in both:
            rows[classes.index(label)] = tensors[part][card.classes.index(label)]
        tensors[part] = rows
    _fill(network, tensors, name=name)
    new = [label for label in classes if label not in card.classes]
    if card.classes == classes:
        return (
            f"all of the patch network of {name}",
            f"new: {len(own['classifier.bias']) - len(classes)} words of lesions",
        )
    taken = f"all of the patch network of {name} but the classes {', '.join(card.classes)}"
    return taken, f"classes taken: {', '.join(both) or 'none'}; new: {', '.join(new) or 'none'}"


def _start_exam(network: WiredNetwork | BiradsNetwork, weights: Weights) -> tuple[str, ...]:
    name = weights.card.name
    sources = [source for source in (weights.exam, weights.birads) if source is not None]
    if not sources:
        raise SetupError(f"{name}: found no exam network and none of BI-RADS pretraining, need one to start from")
    source = next((found for found in sources if isinstance(found, type(network))), sources[0])
    what = "BI-RADS pretraining" if isinstance(source, BiradsNetwork) else "the exam network"
    said, new = [], []
    angles = [angle for angle in network.columns if angle in source.columns]
    if not angles:
        raise SetupError(
            f"{name}: found columns for {', '.join(source.columns)}, need one for {' or '.join(network.columns)}"
        )
    chosen = tuple(f"{COLUMN}{angle}." for angle in angles)
    tensors = {key: tensor for key, tensor in source.state_dict().items() if key.startswith(chosen)}
    said.append(f"columns {', '.join(angles)} of {what} of {name}")
    new += [f"column {angle}" for angle in network.columns if angle not in angles]
    if isinstance(source, type(network)) and source.wiring == network.wiring and source.heads == network.heads:
        tensors |= {key: tensor for key, tensor in source.state_dict().items() if not key.startswith(COLUMN)}
        said.append("its heads")
    else:
        new.append("heads")
    if widened := _widen(tensors, network.state_dict()):
        new.append(f"channels of the heatmaps in the first convolution of {', '.join(widened)}")
    _fill(network, tensors, name=name)
    return (*said, *(f"new: {part}" for part in new))


def _widen(tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    """First convolutions of images alone get the network's own values for heatmaps; the angles of their columns."""
    widened = []
    for key in [key for key in tensors if key.endswith(FIRST)]:
        source, target = tensors[key], own[key]
        if source.shape[1] == 1 and target.shape[1] > 1 and source[:, 0].shape == target[:, 0].shape:
            tensors[key] = torch.cat([source, target[:, 1:]], dim=1)
            widened.append(key.split(".")[1])
    return widened


def _fill(network: nn.Module, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Raises SetupError for names and shapes that are not the network's."""
    own = network.state_dict()
    wrong = [f"unknown {key}" for key in tensors if key not in own]
    wrong += [
        f"{key} of shape {tuple(tensor.shape)}, need {tuple(own[key].shape)}"
        for key, tensor in tensors.items()
        if key in own and own[key].shape != tensor.shape
    ]
    parts = {_part(key) for key in tensors}
    wrong += [f"no {key}" for key in own if key not in tensors and _part(key) in parts]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise SetupError(
            f"{name}: cannot start from it: found {'; '.join(wrong[:3])}{more}; need a network of the recipe's "
            "shape (width, blocks, channels)"
        )
    network.load_state_dict(dict(tensors), strict=False)


def _part(key: str) -> str:
    """The part of a network that is taken whole or not at all: one column, or all heads."""
    return ".".join(key.split(".")[: 2 if key.startswith(COLUMN) else 1])
