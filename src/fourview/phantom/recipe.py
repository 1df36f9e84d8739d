"""A recipe: every number that decides what a synthetic population holds, read from TOML and frozen by its hash.

A recipe says what is there and how often; how a finding is drawn and painted is code. GENERATOR counts changes of
that code, so a hash stands for one population and no other.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from fourview.exam import SetupError
from fourview.phantom.profiles import PROFILES
from fourview.phantom.recipe_parts import (
    Biopsies,
    History,
    Level,
    Levels,
    Places,
    ScreeningReader,
    Sizes,
    Women,
)
from fourview.settings import Section, complain

GENERATOR = 2  # raise it whenever the same recipe, seed and index would draw something else
Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)
BUILT_IN = ("screening", "enriched", "training")


class Recipe(Section):
    """A population: with a seed, exam number `index` of it is always the same.

    name        seeds her who is drawn: recipes of other names hold other women
    difficulty  which of `difficulties` holds; the women are the same at each
    profiles    acquisition profile -> how often, relative to the others; each woman keeps hers
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    difficulty: Difficulty
    profiles: dict[str, Annotated[float, Field(ge=0)]]
    women: Women
    biopsies: Biopsies
    sizes: Sizes
    places: Places
    history: History
    reader: ScreeningReader
    difficulties: Levels

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if unknown := sorted(self.profiles.keys() - PROFILES.keys()):
            raise ValueError(f"profiles: found {', '.join(unknown)}, need names among {', '.join(PROFILES)}")
        if not sum(self.profiles.values()) > 0:
            raise ValueError("profiles: found none with a share above 0; need at least one")
        if self.women.rounds * self.biopsies.exams > 1:
            raise ValueError(
                f"biopsies.exams: found {self.biopsies.exams:g} with women.rounds {self.women.rounds}; need at most "
                f"{1 / self.women.rounds:g}, as at most one exam of a woman leads to biopsies"
            )
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all values in canonical JSON, with GENERATOR: 64 hex digits."""
        values = {"generator": GENERATOR, **self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def level(self) -> Level:
        """What the difficulty sets."""
        found: Level = getattr(self.difficulties, self.difficulty)
        return found

    def at(self, difficulty: str) -> Recipe:
        """The same women at another difficulty. Raises SetupError for an unknown one."""
        if difficulty not in DIFFICULTIES:
            raise SetupError(f"difficulty: found {difficulty!r}, need one of {', '.join(DIFFICULTIES)}")
        return self.model_copy(update={"difficulty": difficulty})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Recipe:
        """A copy with other values, checked; its hash is its own."""
        return Recipe.model_validate({**self.model_dump(), **(update or {})})


def load_recipe(name_or_path: str | Path = "screening", *, difficulty: str | None = None) -> Recipe:
    """A built-in recipe by its name, or the one in a TOML file; difficulty replaces the one that the file names.

    Raises SetupError, naming the key, what was found and what is needed.
    """
    recipe = parse_recipe(read_recipe_file(name_or_path), where=f"recipe {name_or_path}")
    return recipe if difficulty is None else recipe.at(difficulty)


def read_recipe_file(name_or_path: str | Path) -> str:
    """The TOML text of a built-in recipe or of a file, with its comments. Raises SetupError."""
    if isinstance(name_or_path, str) and name_or_path in BUILT_IN:
        return (files("fourview.phantom") / f"recipes/{name_or_path}.toml").read_text(encoding="utf-8")
    try:
        return Path(name_or_path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise SetupError(
            f"recipe {name_or_path}: cannot be read ({reason}); need {', '.join(BUILT_IN)} or a TOML file"
        ) from error


def parse_recipe(text: str, *, where: str = "recipe") -> Recipe:
    """The recipe that a TOML text says; `where` begins its complaints. Raises SetupError."""
    try:
        values = tomllib.loads(text)
        # as JSON, lists are tuples while numbers in quotes stay texts
        return Recipe.model_validate_json(json.dumps(values, allow_nan=False))
    except ValidationError as error:
        raise SetupError(f"{where}: {'; '.join(complain(problem) for problem in error.errors())}") from error
    except (tomllib.TOMLDecodeError, TypeError, ValueError) as error:
        raise SetupError(f"{where}: found no recipe in TOML ({error}); need keys with numbers and texts") from error
