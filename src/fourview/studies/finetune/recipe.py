"""A recipe of fine-tuning: everything that decides what is learned, but for network and data; read from TOML.

The paper names its networks, and stages, batch sizes and progressive sizes without values. All values are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fourview.exam import SetupError
from fourview.settings import Section
from fourview.studies.finetune.recipe_parts import Augmentation, Cycle, FromView, Phase, Running, Scratch
from fourview.train.recipe import assign_values, check_values, flatten_values, read_toml

BUILT_IN = ("paper", "small", "phantom")
BIRADS_CLASSES: dict[str, tuple[str, ...]] = {
    "birads6": ("1", "2", "3", "4", "5", "6"),
    "birads8": ("1", "2", "3", "4a", "4b", "4c", "5", "6"),
}
_NO_MATTER = {"running": {"kept_mb", "workers", "checkpoint_minutes"}}  # to what is learned


class FinetuneRecipe(Section):
    """How a network is fine-tuned.

    labels            of studies.transfer.labels ("birads4+", "malignant", "column:NAME" ...), or the categories
                      themselves: "birads6" (4a, 4b, 4c are one) or "birads8"
    birads3           what category 3 is for "birads4+" and "birads5+": benign, or left out
    balance           of classes: "loss" weighs each by the inverse of how often it comes, "sampler" draws each equally
                      often, "none"
    validation_share  of the training patients, held back to choose the epoch by, if the split has no such part
    weight_decay      of AdamW; clip_norm  largest norm of a gradient
    phases            one after the other; each begins with the best epoch of the one before
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    seed: Annotated[int, Field(ge=0)] = 0
    labels: str = "birads4+"
    birads3: Literal["benign", "drop"] = "benign"
    balance: Literal["loss", "sampler", "none"] = "loss"
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    cycle: Cycle = Cycle()
    augmentation: Augmentation = Augmentation()
    running: Running = Running()
    nyu: FromView = FromView()
    scratch: Scratch = Scratch()

    @model_validator(mode="after")
    def _phases_follow(self) -> Self:
        for before, after in zip(self.phases, self.phases[1:], strict=False):
            if after.layers == "head" and before.layers == "all":
                raise ValueError("phases: found the head alone after all layers; need it before")
            if after.size_px < before.size_px:
                raise ValueError(f"phases: found {after.size_px} pixels after {before.size_px}; need sizes that rise")
        for phase in self.phases:
            for name, most in (("running", self.running.micro_batch), ("nyu", self.nyu.micro_batch)):
                if phase.batch % min(most, phase.batch):
                    raise ValueError(
                        f"{name}.micro_batch: found {most} for a batch of {phase.batch}; need whole portions"
                    )
        if self.birads3 == "drop" and self.labels not in ("birads4+", "birads5+"):
            raise ValueError(f"birads3: found 'drop' with the labels {self.labels}, which do not use it")
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all values that decide what is learned: 64 hex digits."""
        values = self.model_dump(mode="json", exclude=_NO_MATTER)
        return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    def flat(self) -> dict[str, object]:
        """ "cycle.last_share" -> its value, of every field; of phases "phases.1.lr"."""
        return dict(flatten_values(self.model_dump(mode="json")))

    def with_values(self, assignments: Sequence[str]) -> FinetuneRecipe:
        """Another recipe: each assignment is "seed=3" or "phases.2.epochs=5", its value in TOML (a bare word: a text).

        Raises SetupError for an unknown key or a value that does not fit.
        """
        values = self.model_dump(mode="json")
        assign_values(values, assignments)
        return check_values(values, FinetuneRecipe, where=f"recipe {self.name} with --set")


def load_recipe(name_or_path: str) -> FinetuneRecipe:
    """A built-in recipe by its name, or the one in a TOML file. Raises SetupError: which key, what is needed."""
    if name_or_path in BUILT_IN:
        where = f"recipe {name_or_path}"
        text = (files("fourview.studies.finetune") / f"recipes/{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        where = name_or_path
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                f"recipe {where}: cannot be read ({error}); need {', '.join(BUILT_IN)} or a TOML file"
            ) from error
    return parse_recipe(text, where=where)


def parse_recipe(text: str, *, where: str = "recipe") -> FinetuneRecipe:
    """The recipe that a TOML text says; `where` begins its complaints. Raises SetupError."""
    return check_values(read_toml(text, where=where), FinetuneRecipe, where=where)
