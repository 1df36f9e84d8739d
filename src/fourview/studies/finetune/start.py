"""What a network begins with: a file for photographs, the layers of one view of an exam network, or drawn values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from fourview.exam import VIEWS, SetupError
from fourview.networks.exam import READS_SINGLE_VIEWS
from fourview.networks.resnet import ResNet, ResNetKind
from fourview.networks.resnet22 import ResNet22
from fourview.networks.squeezenet import SqueezeNet, SqueezeNetKind
from fourview.settings import Section
from fourview.studies.finetune.image_network import IMAGE, ImageNetwork, Model
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.studies.finetune.recipe_parts import ViewInit
from fourview.studies.finetune.small_network import SmallNetwork
from fourview.studies.transfer.imagenet_features import Pooled
from fourview.train.initialise import draw_initial
from fourview.weights.card import Card, ExamNetwork
from fourview.weights.ensemble import resolve_member
from fourview.weights.folder import Weights, load_weights
from fourview.weights.imagenet import ImageNetWeights, load_imagenet

_FEATURES = {"resnet18": 512, "resnet50": 2048, "squeezenet": 512}
_FROM = "https://download.pytorch.org/models/"


class Shape(Section):
    """What a network looks like: enough to build it again.

    variant  of SqueezeNet;  width  of the small network;  exam, view_init  of a network of one view
    """

    model: Model
    outputs: int
    variant: SqueezeNetKind | None = None
    width: int | None = None
    exam: ExamNetwork | None = None
    view_init: ViewInit | None = None


@dataclass(frozen=True, eq=False)
class Start:
    """A network as it begins.

    card            of the weights of a view's network: how it wants breasts cut; None: squares are read
    name, hash      of the weights; "" where there are none
    trained         False: drawn values, None: nobody can tell
    phantoms_only   the weights saw nothing but phantoms;  terms  of them
    notes           what was taken and what is new, in words
    """

    shape: Shape
    network: ImageNetwork
    card: Card | None
    name: str
    hash: str
    trained: bool | None
    phantoms_only: bool
    terms: str
    notes: tuple[str, ...]


def open_start(model: Model, weights: str | None, recipe: FinetuneRecipe, *, outputs: int) -> Start:
    """The network of `model` with its new last layer drawn from the recipe's seed.

    weights  ImageNet networks: a file, or "random:SEED"; nyu: a weights folder or its name; scratch: none

    Raises SetupError: weights that are missing (which, and where they are from), not wanted, or of another network.
    """
    if model == "scratch":
        if weights is not None:
            raise SetupError(f"scratch: found --weights {weights}; it starts from nothing and needs none")
        shape = Shape(model=model, outputs=outputs, width=recipe.scratch.width)
        network = _draw(shape, recipe.seed)
        return Start(shape, network, None, "", "", False, False, "", ("all layers are new",))
    if weights is None:
        raise SetupError(_name_missing(model))
    if model == "nyu":
        return _open_view(load_weights(resolve_member(weights)), recipe, outputs=outputs)
    loaded = load_imagenet(weights, model)
    variant: SqueezeNetKind | None = None
    if isinstance(loaded.network, SqueezeNet):
        variant = (
            "squeezenet1_0" if loaded.network.state_dict()["features.0.weight"].shape[0] == 96 else "squeezenet1_1"
        )
    shape = Shape(model=model, outputs=outputs, variant=variant)
    network = _draw(shape, recipe.seed)
    trunk = {name: tensor for name, tensor in loaded.network.state_dict().items() if not _is_answer(name)}
    network.trunks[IMAGE].load_state_dict({f"network.{name}": tensor for name, tensor in trunk.items()})
    notes = (f"all layers of {loaded.name} but the last, which is new", *_doubt(loaded))
    return Start(shape, network, None, loaded.name, loaded.hash, loaded.trained, False, loaded.terms, notes)


def build_network(shape: Shape) -> ImageNetwork:
    """A network of this shape, its values without meaning."""
    if shape.exam is not None and shape.view_init is not None:
        return _build_view(shape.exam, shape.view_init, outputs=shape.outputs)
    trunk: nn.Module
    if shape.model == "scratch":
        small = SmallNetwork(shape.width or 1)
        trunk, features = small, small.features
    else:
        backbone: ResNet | SqueezeNet
        if shape.variant is not None:
            backbone = SqueezeNet(shape.variant)
            backbone.classifier = nn.Sequential()
        else:
            backbone = ResNet(cast(ResNetKind, shape.model))
            setattr(backbone, "fc", nn.Identity())  # noqa: B010 - torch declares a layer of another kind
        trunk, features = Pooled(backbone), _FEATURES[shape.model]
    return ImageNetwork({IMAGE: trunk}, hidden={}, route={IMAGE: (IMAGE, "")}, features=features, outputs=shape.outputs)


def _build_view(exam: ExamNetwork, view_init: ViewInit, *, outputs: int) -> ImageNetwork:
    taken = list(VIEWS) if view_init == "matched" else [view for view in VIEWS if view.value == view_init]
    columns = {view.angle.lower(): ResNet22(1, width=exam.width, blocks=exam.blocks) for view in taken}
    features = 16 * exam.width
    single = exam.wiring in READS_SINGLE_VIEWS
    hidden = {view.value: nn.Linear(features, features) for view in taken if single}
    route = {}
    for view in VIEWS:
        by = view if view_init == "matched" else taken[0]
        route[view.value] = (by.angle.lower(), by.value if single else "")
    return ImageNetwork(columns, hidden=hidden, route=route, features=features, outputs=outputs)


def _open_view(weights: Weights, recipe: FinetuneRecipe, *, outputs: int) -> Start:
    card, source, view_init = weights.card, weights.exam, recipe.nyu.view_init
    if source is None or card.exam is None:
        raise SetupError(f"{card.name}: {card.kind}; need weights of an exam network")
    needed = [view.value for view in VIEWS] if view_init == "matched" else [view_init]
    single = card.exam.wiring in READS_SINGLE_VIEWS
    there = (
        set(source.head_layers) if single else {f"{side}-{angle.upper()}" for side in "LR" for angle in source.columns}
    )
    if lacking := [view for view in needed if view not in there]:
        raise SetupError(f"{card.name}: found no layers of {', '.join(lacking)}; need them for view_init {view_init}")
    shape = Shape(model="nyu", outputs=outputs, exam=card.exam, view_init=view_init)
    network = _draw(shape, recipe.seed)
    tensors = {f"trunks.{name}": tensor for name, tensor in source.columns.state_dict().items()}
    tensors = {name: tensor for name, tensor in tensors.items() if name.split(".")[1] in network.trunks}
    notes = [f"columns {', '.join(network.trunks)} of {card.name}"]
    for name, tensor in tensors.items():
        if name.endswith("first_conv.weight") and tensor.shape[1] > 1:
            tensors[name] = tensor[:, :1]
            notes.append("its channels for heatmaps are left out, as if these were 0 everywhere")
    if single:
        for view in network.hidden:
            for part in ("weight", "bias"):
                tensors[f"hidden.{view}.{part}"] = source.head_layers[view].state_dict()[f"fc1.{part}"]
        notes.append("the first layer of each view's head")
    else:
        notes.append(f"no layer of its heads: {card.exam.wiring} heads read several views")
    notes.append("new: the last layer")
    network.load_state_dict({**network.state_dict(), **tensors})
    training = card.training
    terms = "; ".join(part for part in (training.terms, card.licence) if part)
    words = tuple(dict.fromkeys(notes))
    return Start(
        shape, network, card, card.name, card.weights_hash, training.trained, training.phantoms_only, terms, words
    )


def _draw(shape: Shape, seed: int) -> ImageNetwork:
    network = build_network(shape)
    draw_initial(network, seed)
    return network


def _is_answer(name: str) -> bool:
    return name.startswith(("fc.", "classifier."))


def _doubt(loaded: ImageNetWeights) -> tuple[str, ...]:
    if loaded.trained is None:
        return (f"nobody can tell what {loaded.name} was trained on, or whether it was",)
    return () if loaded.trained else ("untrained: its layers hold drawn values, a null and no more",)


def _name_missing(model: Model) -> str:
    if model == "nyu":
        return "nyu: found no --weights; need an exam network's folder or name (`fourview weights list`)"
    files = {"resnet50": "resnet50-11ad3fa6.pth", "resnet18": "resnet18-f37072fd.pth"}
    name = files.get(model, "squeezenet1_1-b8a52dc0.pth")
    return (
        f"{model}: found no --weights; need torchvision's file for ImageNet, for example {name} from {_FROM}{name}, "
        "or random:0 for a network that learned nothing"
    )


def copy_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Its state, which later training does not change."""
    return {name: torch.clone(tensor).detach().cpu() for name, tensor in network.state_dict().items()}
