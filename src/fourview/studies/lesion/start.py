"""What a lesion network begins with: drawn values, the networks of another lesion run, or a file for photographs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from fourview.exam import SetupError
from fourview.networks.lesion import LesionNetwork
from fourview.studies.lesion.cases import Angle
from fourview.studies.lesion.folds import PATIENT
from fourview.studies.lesion.lesion_weights import LesionWeights, load_lesion_weights
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.train.initialise import draw_initial
from fourview.weights.folder import fit_tensors
from fourview.weights.home import find_lesion_weights
from fourview.weights.imagenet import load_imagenet

_TRUNK = "trunk.network."  # begins the names of a ResNet's tensors


@dataclass(frozen=True, eq=False)
class Start:
    """Where the networks of a run begin.

    members        of another run, of which each new network takes the next one that reads its views; None: not from one
    photographs    tensors of a ResNet's trunk; None: not from a file for photographs
    phantoms_only  no woman's mammogram is among what it has seen;  name, hash  "" for drawn values
    terms          of the weights;  learned  images that they have seen, as LesionCard has them
    """

    members: LesionWeights | None = None
    photographs: dict[str, Tensor] | None = None
    name: str = ""
    hash: str = ""
    phantoms_only: bool = True
    terms: str = ""
    learned: frozenset[str] = frozenset()

    @property
    def note(self) -> str:
        """In words."""
        if self.members is not None:
            return f"begins with all of {self.name}"
        if self.photographs is not None:
            return f"begins with {self.name}, its colours summed to one grey channel; new: the last layer"
        return "begins with drawn values"

    def build(self, recipe: LesionRecipe, *, seed: int, angles: tuple[Angle, ...], number: int) -> LesionNetwork:
        """A network on the CPU. number: its place among those of all folds that read these views.

        Raises SetupError: weights that do not fit.
        """
        network = recipe.network.build(recipe.crop.side_px)
        draw_initial(network, seed)
        if self.members is not None:
            there = [
                one
                for member, one in zip(self.members.card.members, self.members.networks, strict=True)
                if set(angles) <= set(member.angles)
            ]
            if not there:
                raise SetupError(f"{self.name}: found no network that reads {' and '.join(angles)}; need one")
            fit_tensors(network, there[number % len(there)].state_dict(), origin=self.name)
        if self.photographs is not None:
            fit_tensors(network, {**network.state_dict(), **self.photographs}, origin=self.name)
        return network


def open_start(init: str | None, recipe: LesionRecipe, *, images: frozenset[str]) -> Start:
    """What networks begin with.

    init    weights of `fourview lesion train` (home.find_lesion_weights), or torchvision's ImageNet file of a
            ResNet; None: drawn values
    images  folds.digest_images of all that are to be learned from or tested on

    Raises SetupError: no such weights, of another network, or ones that learned from some of these images.
    """
    if init is None:
        return Start()
    if (folder := find_lesion_weights(init)) is not None:
        weights = load_lesion_weights(folder)
        card = weights.card
        if both := images & set(card.learned):
            women = sum(one.startswith(PATIENT) for one in both)
            raise SetupError(
                f"--init {init}: {card.name} has learned from {len(both) - women} of these "
                f"{sum(not one.startswith(PATIENT) for one in images)} images{f', of {women} women' if women else ''}, "
                "which are tested here; need weights of others"
            )
        return Start(
            members=weights,
            name=card.name,
            hash=card.weights_hash,
            phantoms_only=card.phantoms_only,
            terms=card.terms,
            learned=frozenset(card.learned),
        )
    architecture = recipe.network.architecture
    if architecture not in ("resnet18", "resnet50"):
        raise SetupError(
            f"--init {init}: found no weights of `fourview lesion train`; need their folder for {architecture} (files "
            "for photographs are read for resnet18 and resnet50 alone)"
        )
    if recipe.network.width_mult != 1:
        raise SetupError(f"--init {init}: found network.width_mult {recipe.network.width_mult:g}; need 1")
    loaded = load_imagenet(init, architecture)
    tensors = {
        f"{_TRUNK}{name}": tensor for name, tensor in loaded.network.state_dict().items() if not name.startswith("fc.")
    }
    first = f"{_TRUNK}conv1.weight"
    tensors[first] = tensors[first].sum(dim=1, keepdim=True)
    return Start(
        photographs=tensors,
        name=loaded.name,
        hash=loaded.hash,
        phantoms_only=True,  # photographs are no mammograms; of other files nobody can tell, which is not enough
        terms=loaded.terms,
    )
