"""A lesion recipe: everything that decides what is learned, but for the data; read from TOML.

Yi et al. 2017 give no values in what could be read of them: those of the built-in recipes are ours, near to what their
public code of the time had.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fourview.datasets.record import LesionKind
from fourview.exam import SetupError
from fourview.settings import Section
from fourview.studies.lesion.folds import SplitKind
from fourview.studies.lesion.recipe_parts import Augmentation, Crop, Ensemble, Network, PhantomLesions, check_gate
from fourview.train.recipe import assign_values, check_values, flatten_values, read_toml
from fourview.train.recipe_parts import Loop, Optimiser, Schedule

BUILT_IN = ("googlenet_light", "googlenet", "phantom")
_NO_MATTER: dict[str, Any] = {  # to what is learned
    "loop": {"kept_mb", "workers", "checkpoint_minutes"},
    "phantoms": True,
}


class LesionRecipe(Section):
    """How networks learn to tell malignant lesions from benign ones.

    kinds             of lesions;  without_callback  those that no biopsy proved benign count as benign, or are left out
    split             "folds" of patients, or "official": the set's test part, and folds of its training part
    folds             how many
    balance           of classes: "loss" weighs each by the inverse of how often it comes, "sampler" draws each equally
                      often, "none"
    judged_by         what chooses the epoch: validation "loss" or "auc"
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    seed: Annotated[int, Field(ge=0)] = 0
    kinds: Annotated[tuple[LesionKind, ...], Field(min_length=1)] = ("mass",)
    without_callback: Literal["benign", "drop"] = "benign"
    split: SplitKind = "folds"
    folds: Annotated[int, Field(ge=2)] = 5
    balance: Literal["none", "loss", "sampler"] = "none"
    judged_by: Literal["loss", "auc"] = "loss"
    crop: Crop = Crop()
    network: Network
    augmentation: Augmentation = Augmentation()
    ensemble: Ensemble = Ensemble()
    optimiser: Optimiser
    schedule: Schedule
    loop: Loop
    phantoms: PhantomLesions | None = None

    @property
    def is_judged(self) -> bool:
        """Every epoch is."""
        return True

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        check_gate(self.network, self.crop)
        if self.loop.recomputed:
            raise ValueError(f"loop.recomputed: found {self.loop.recomputed}, need 0: these networks have no columns")
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all values that decide what is learned: 64 hex digits."""
        values = self.model_dump(mode="json", exclude=_NO_MATTER)
        return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    def flat(self) -> dict[str, object]:
        """ "loop.epochs" -> its value, of every field."""
        return dict(flatten_values(self.model_dump(mode="json")))

    def with_values(self, assignments: Sequence[str]) -> LesionRecipe:
        """Another recipe: each assignment is "seed=3" or "loop.epochs=5", its value in TOML (a bare word: a text).

        Raises SetupError for an unknown key or a value that does not fit.
        """
        values = self.model_dump(mode="json")
        assign_values(values, assignments)
        return check_values(values, LesionRecipe, where=f"recipe {self.name} with --set")


def load_recipe(name_or_path: str) -> LesionRecipe:
    """A built-in recipe by its name, or the one in a TOML file. Raises SetupError: which key, what is needed."""
    if name_or_path in BUILT_IN:
        where = f"recipe {name_or_path}"
        text = (files("fourview.studies.lesion") / f"recipes/{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        where = name_or_path
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                f"recipe {where}: cannot be read ({error}); need {', '.join(BUILT_IN)} or a TOML file"
            ) from error
    return parse_recipe(text, where=where)


def parse_recipe(text: str, *, where: str = "recipe") -> LesionRecipe:
    """The recipe that a TOML text says; `where` begins its complaints. Raises SetupError."""
    return check_values(read_toml(text, where=where), LesionRecipe, where=where)
