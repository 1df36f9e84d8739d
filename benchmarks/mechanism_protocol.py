"""The protocol of the mechanism check, fixed before anything is looked at: populations, arms, contrasts, seeds, n.

`freeze` keeps it in the cache (frozen.py).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import fourview
from benchmarks.frozen import keep_protocol
from benchmarks.phantom_views import digest_sources
from fourview.exam import SetupError
from fourview.phantom import Recipe as Population
from fourview.phantom import load_recipe as load_population
from fourview.phantom import plan_exam
from fourview.phantom.recipe import GENERATOR
from fourview.train.recipe import Recipe, Stage, load_recipe

RECIPES = Path(__file__).with_name("mechanism_recipes")
POPULATION = "training"


@dataclass(frozen=True)
class Arm:
    """One way to make an exam network.

    values      what differs from mechanism_recipes/exam.toml, as for --set
    pretrained  begins with columns of BI-RADS pretraining on the same images, of the same pixels and seed
    halved      pixels of twice the size, all lengths in pixels halved
    """

    name: str
    says: str
    values: tuple[str, ...] = ()
    pretrained: bool = True
    halved: bool = False

    @property
    def reads_heatmaps(self) -> bool:
        return "exam.heatmaps=false" not in self.values


@dataclass(frozen=True)
class Contrast:
    """Two arms that differ in one thing. Expected beforehand: the first has the larger AUC.

    drivers  fields of the population's recipe that decide how large the difference can be
    why      what they do
    """

    name: str
    first: str
    second: str
    drivers: tuple[str, ...]
    why: str


NO_MAPS = "exam.heatmaps=false"
ARMS = (
    Arm("base", "view-wise, image and heatmaps, BI-RADS-pretrained"),
    Arm("no-heatmaps", "base without heatmaps", (NO_MAPS,)),
    Arm("no-pretraining", "base without BI-RADS pretraining", pretrained=False),
    Arm("image-wise", "base, image-wise", ("exam.wiring=image-wise",)),
    Arm("half-resolution", "no-heatmaps at pixels of 1.12 mm", (NO_MAPS,), halved=True),
)
EXPLORED = (  # one difficulty, one seed, if asked for
    Arm("side-wise", "base, side-wise", ("exam.wiring=side-wise",)),
    Arm("joint", "base, joint", ("exam.wiring=joint",)),
)
CONTRASTS = (
    Contrast(
        "heatmaps or none",
        "base",
        "no-heatmaps",
        ("sizes.mass.median", "sizes.calcifications.median", "level.distractors"),
        "findings fill about a hundredth of the breast (radius in mm), beside so many distractors per breast; the "
        "patch network is told where they are, the exam network only that there are some",
    ),
    Contrast(
        "BI-RADS pretraining or none",
        "base",
        "no-pretraining",
        ("reader.gain", "reader.floor", "reader.masking"),
        "how strongly the reader's class depends on what is seen (gain, in standard deviations of the reader's noise), "
        "and how much of that on malignancy (1 against floor)",
    ),
    Contrast(
        "view-wise or image-wise",
        "base",
        "image-wise",
        ("biopsies.both_breasts", "biopsies.exams"),
        "both average over CC and MLO; only view-wise compares left with right. Of biopsied exams so few have a biopsy "
        "in each breast: a suspicious thing in one breast makes one in the other less likely to be cancer",
    ),
    Contrast(
        "full input or half resolution",
        "no-heatmaps",
        "half-resolution",
        ("sizes.mass.smallest", "sizes.calcifications.smallest", "biopsies.kinds.calcifications"),
        "the smallest radii in mm; margins and spicules are finer, and specks (0.2 to 1 mm, by code) finer still",
    ),
)


@dataclass(frozen=True)
class Draw:
    """Exams 0 to exams - 1 of the population with this seed."""

    seed: int
    exams: int


@dataclass(frozen=True)
class Protocol:
    """What is drawn, trained and read.

    fractions        of the training women: training, validation, not used
    least_positives  breasts with a malignant finding that the test population must have, at each difficulty
    block            test exams that are read at a time
    changes          of the training recipes, stage -> as for --set (tests)
    """

    name: str
    scale: float
    train: Draw
    test: Draw
    difficulties: tuple[str, ...]
    seeds: tuple[int, ...]
    least_positives: int
    fractions: tuple[float, float, float] = (0.89, 0.10, 0.01)
    block: int = 500
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def recipe(self, stage: Stage, *, seed: int = 0, arm: Arm | None = None, halved: bool = False) -> Recipe:
        """The training recipe of a stage; of an arm its own."""
        recipe = load_recipe(RECIPES / f"{stage}.toml", stage=stage)
        values = [f"seed={seed}", *self.changes.get(stage, ()), *(arm.values if arm else ())]
        recipe = recipe.with_values(values)
        return halve(recipe) if halved or (arm is not None and arm.halved) else recipe

    def population(self, difficulty: str) -> Population:
        return load_population(POPULATION, difficulty=difficulty)

    def describe(self) -> dict[str, Any]:
        """All that decides the numbers, in JSON."""
        positives = {d: count_positives(self.population(d), self.test) for d in self.difficulties}
        return {
            **{key: value for key, value in asdict(self).items() if key != "changes"},
            "changes": {stage: list(values) for stage, values in self.changes.items()},
            "contrasts": [asdict(contrast) for contrast in CONTRASTS],
            "arms": [asdict(arm) | {"recipe": self.recipe("exam", arm=arm).hash} for arm in (*ARMS, *EXPLORED)],
            "patch_recipe": self.recipe("patch").hash,
            "birads_recipes": [self.recipe("birads", halved=halved).hash for halved in (False, True)],
            "populations": {d: self.population(d).hash for d in self.difficulties},
            "generator": GENERATOR,
            "sources": digest_sources(),
            "positives": positives,
        }


REAL = Protocol("real", 0.125, Draw(7000, 2000), Draw(7001, 5900), ("medium", "easy", "hard"), (0, 1, 2), 2000)
PILOT = Protocol("pilot", 0.125, Draw(7900, 600), Draw(7901, 400), ("medium",), (0,), 100)  # other women


@cache
def _malignant(population: Population, draw: Draw) -> int:
    plans = (plan_exam(population, seed=draw.seed, index=index) for index in range(draw.exams))
    return sum(breast.malignant for plan in plans for breast in plan.breasts.values())


def count_positives(population: Population, draw: Draw) -> int:
    """Breasts with a malignant finding among the planned exams."""
    return _malignant(population, draw)


def halve(recipe: Recipe) -> Recipe:
    """The recipe for pixels of twice the size: the same millimetres, lengths in pixels halved."""
    spacing, geometry = recipe.input.spacing_mm, recipe.geometry
    if spacing is None:
        raise SetupError(f"recipe {recipe.name}: found no input.spacing_mm, need one to double it")
    lengths = {
        name: [_half(length) for length in value] if isinstance(value, tuple) else _half(value)
        for name, value in geometry.model_dump().items()
        if name != "std_floor"
    }
    return recipe.with_values(
        [f"input.spacing_mm={2 * spacing}", *(f"geometry.{name}={value}" for name, value in lengths.items())]
    )


def _half(length: int) -> int:
    return math.floor(length / 2 + 0.5)


def digest_training() -> str:
    """Of the code that trains and reads, 12 hex digits: results say under which each piece of work was done."""
    found = hashlib.sha256()
    folder = Path(fourview.__file__).parent
    singles = [folder / f"{name}.py" for name in ("crop", "heatmap", "prepare", "window")]
    for path in (*singles, *sorted((folder / "networks").rglob("*.py")), *sorted((folder / "train").rglob("*.py"))):
        found.update(f"{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def freeze(protocol: Protocol, folder: Path) -> dict[str, Any]:
    """The protocol as it was when work in this cache began, which is now if there is none.

    Raises SetupError if it has changed since, saying in what; or if the test population has too few positives.
    """
    described: dict[str, Any] = json.loads(json.dumps(protocol.describe()))
    few = {d: n for d, n in described["positives"].items() if n < protocol.least_positives}
    if few:
        raise SetupError(
            f"protocol {protocol.name}: found {few} positive test breasts, need {protocol.least_positives}"
        )
    keep_protocol(described, folder)
    return described
