"""The protocol of the lesion networks' benchmark, fixed before any is trained: population, networks, folds, epochs.

`freeze` keeps it in the cache (frozen.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.frozen import keep_protocol
from benchmarks.phantom_views import digest_sources
from fourview.exam import SetupError
from fourview.phantom import Recipe as Population
from fourview.phantom import load_recipe as load_population
from fourview.phantom.recipe import GENERATOR
from fourview.studies.lesion.recipe import LesionRecipe, load_recipe

RECIPES = Path(__file__).with_name("lesion_recipes")
POPULATION_HASH = "1cf71ce2b91d4963101db99e8f6b02c80515817fee6e3bd44e157e2d499a47d7"


@dataclass(frozen=True)
class Arm:
    """One architecture; or one with a gate, for benchmarks/explanations.py.

    values  what differs from lesion_recipes/networks.toml, as for --set;  folds  from 1, that are done; (): all
    """

    name: str
    values: tuple[str, ...]
    folds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """What is drawn, trained and compared.

    exams, seed, scale  of the population, as for `fourview phantom`
    classifiers         of hand-crafted numbers;  inner  their inner folds
    changes             of every network's recipe, as for --set (pilot, tests)
    amended             what was changed after it was frozen, and why
    """

    name: str
    exams: int
    seed: int
    scale: float
    arms: tuple[Arm, ...]
    classifiers: str = "lr,rbf_svm,random_forest"
    inner: int = 5
    changes: tuple[str, ...] = ()
    amended: tuple[str, ...] = ()

    @property
    def population(self) -> Population:
        return load_population(str(RECIPES / "population.toml"))

    def recipe(self, arm: Arm | None = None) -> LesionRecipe:
        """Of an arm's networks; None: what they have in common, lesions and folds among it."""
        recipe = load_recipe(str(RECIPES / "networks.toml")).with_values(self.changes)
        return recipe if arm is None else recipe.with_values(arm.values)

    def folds_of(self, arm: Arm) -> tuple[int, ...]:
        """From 0."""
        return tuple(fold - 1 for fold in arm.folds) or tuple(range(self.recipe(arm).folds))

    def describe(self) -> dict[str, Any]:
        """All that decides the numbers, in JSON."""
        described = {
            **asdict(self),
            "networks": {arm.name: self.recipe(arm).hash for arm in self.arms},
            "population": self.population.hash,
            "generator": GENERATOR,
            "sources": digest_sources(),
        }
        return dict(json.loads(json.dumps(described)))


def _arm(name: str, width_mult: float = 1.0, *more: str, folds: tuple[int, ...] = ()) -> Arm:
    return Arm(name, (f"network.architecture={name}", f"network.width_mult={width_mult}", *more), folds)


ARMS = (
    _arm("googlenet_light"),
    _arm("alexnet", 0.25, "optimiser.lr=2e-4"),
    _arm("vgg11", 0.125, "optimiser.lr=2e-4", folds=(1,)),
    _arm("resnet18", 0.25),
    _arm("googlenet", 1.0, "optimiser.lr=1e-3", folds=(1,)),
    *(Arm(f"googlenet_light-{gate}", (f"network.gate={gate}",), (1,)) for gate in ("attention", "mask")),
)
AMENDED = (
    "VGG-11 had the rate of most others, 3e-3, when the protocol was frozen, and learned nothing: after 24 epochs of "
    "fold 1 the loss of its validation lesions was 0.693, their AUC 0.50. Since then it has AlexNet's rate, which "
    "learns on the pilot's women. None of its test lesions had been looked at. For want of time it did one fold "
    "instead of five.",
)
REAL = Protocol("real", 2000, 9100, 0.25, ARMS, amended=AMENDED)
PILOT = Protocol("pilot", 800, 9190, 0.25, tuple(replace(arm, folds=(1,)) for arm in ARMS[:2]), classifiers="lr")


def freeze(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The protocol as it was when work in this cache began, which is now if there is none.

    Raises SetupError if it has changed since, saying in what; or if the population is not the one that was fixed.
    """
    described = protocol.describe()
    if described["population"] != POPULATION_HASH:
        raise SetupError(f"population.toml: found the hash {described['population']}, need {POPULATION_HASH}")
    keep_protocol(described, folder)
    return described
