"""A training recipe: everything that decides what a run learns, but for its data; read from TOML, frozen by its hash.

`paper` follows Wu et al. 2019 (its comments say how sure each number is). Whatever another recipe does differently from
`paper` is a deviation, and has a reason in the section [reasons].
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import Field, ValidationError, model_validator

from fourview.exam import SetupError
from fourview.settings import Section, complain
from fourview.train.recipe_parts import ExamSampling, Loop, Optimiser, PatchSampling, PhantomData, Schedule
from fourview.weights.card import ExamNetwork, Geometry, Input, PatchNetwork

Stage = Literal["patch", "birads", "exam"]
STAGES: tuple[Stage, ...] = get_args(Stage)
BUILT_IN = ("paper", "small", "phantom")  # of every stage
Kind = TypeVar("Kind", bound=Section)
OF_PATCHES = ("film",)  # of the patch stage alone
CLASSES = ("malignant", "benign", "outside", "negative")  # of our patch networks, in this order
_LATER = (
    ("patch", "score_patches"),
    ("patch", "spreading"),
    ("input", "film"),
    ("patches", "grey"),
    ("patches", "words"),
)
_NOT_COMPARED = ("name", "reasons", "phantoms", "seed")


@dataclass(frozen=True)
class Deviation:
    """One value that is not as published. reason: why; None: nobody said."""

    field: str
    paper: object
    value: object
    reason: str | None


class Recipe(Section):
    """How a network of one stage is trained.

    stage      patch: the patch network; birads: columns that tell BI-RADS classes; exam: benign and malignant findings
    seed       of everything drawn: initial values, samples, windows, noise
    patch      the patch network and how it slides (patch stage)
    exam       the network of the birads and exam stages
    input      pixels; geometry: crop, windows, jitter; the same as on a card: what is trained on is what is read
    phantoms   what `--data phantom:RECIPE` draws; None: it cannot be used
    reasons    field, e.g. "loop.batch" -> why it is not as published
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    stage: Stage
    seed: Annotated[int, Field(ge=0)] = 0
    patch: PatchNetwork | None = None
    exam: ExamNetwork | None = None
    input: Input = Input()
    geometry: Geometry = Geometry()
    patches: PatchSampling | None = None
    exams: ExamSampling | None = None
    optimiser: Optimiser
    schedule: Schedule
    loop: Loop
    phantoms: PhantomData | None = None
    reasons: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_its_sections(self) -> Self:
        needed, others = (("patch", "patches"), ("exam", "exams"))
        if self.stage != "patch":
            needed, others = others, needed
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name}: found no section, need one for the stage {self.stage}")
        for name in others:
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: found a section that the stage {self.stage} does not use")
        if self.patch is not None and self.patch.classes != CLASSES:
            raise ValueError(f"patch.classes: found {list(self.patch.classes)}, need {list(CLASSES)}")
        fields = dict(flatten_values(self.model_dump(mode="json")))
        if unknown := sorted(name for name in self.reasons if name not in fields and not _is_above(name, fields)):
            raise ValueError(f"reasons: found {', '.join(unknown)}, which are no fields of a recipe")
        return self

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all values that decide what is learned, in canonical JSON: 64 hex digits.

        What later versions added is left out where it has no effect, so that older recipes keep their hash.
        """
        values = self.model_dump(mode="json", exclude={"reasons": True, "loop": {"kept_mb"}})
        for section, name in _LATER:
            if values[section] is not None and not values[section][name]:
                del values[section][name]
        return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.hash)

    @property
    def is_judged(self) -> bool:
        """Whether epochs are judged and the best is kept; with patches.validation 0 none is, and the last is kept."""
        return self.patches is None or self.patches.validation > 0

    def flat(self) -> dict[str, object]:
        """ "loop.batch" -> its value, of every field, in their order."""
        return dict(flatten_values(self.model_dump(mode="json")))

    def deviations(self) -> tuple[Deviation, ...]:
        """What is not as in `paper`, in the order of the fields."""
        paper, own = load_recipe("paper", stage=self.stage).flat(), self.flat()
        return tuple(
            Deviation(name, paper.get(name), own.get(name), self._reason(name))
            for name in {**paper, **own}
            if name.split(".")[0] not in _NOT_COMPARED and paper.get(name) != own.get(name)
        )

    def _reason(self, name: str) -> str | None:
        """Of the field, or of a section that it is in."""
        parts = name.split(".")
        names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((self.reasons[found] for found in names if found in self.reasons), None)

    def with_values(self, assignments: Sequence[str]) -> Recipe:
        """Another recipe: each assignment is "loop.epochs=3", its value in TOML (a bare word is a text).

        Raises SetupError for an unknown key or a value that does not fit.
        """
        values = self.model_dump(mode="json")
        for key in assign_values(values, assignments, open_sections=("reasons",)):
            values["reasons"].setdefault(key, "set on the command line")
        values["reasons"] = {
            name: reason for name, reason in values["reasons"].items() if name.split(".")[0] not in _NOT_COMPARED
        }
        return check_values(values, Recipe, where=f"recipe {self.name} with --set")


def load_recipe(name_or_path: str | Path, *, stage: Stage) -> Recipe:
    """A built-in recipe of a stage by its name, or the one in a TOML file.

    Raises SetupError, naming the key, what was found and what is needed; also if the file is of another stage.
    """
    built_in = (*BUILT_IN, *OF_PATCHES) if stage == "patch" else BUILT_IN
    if isinstance(name_or_path, str) and name_or_path in built_in:
        where = f"recipe {name_or_path} of {stage}"
        text = (files("fourview.train") / f"recipes/{name_or_path}_{stage}.toml").read_text(encoding="utf-8")
    else:
        where = str(name_or_path)
        try:
            text = Path(name_or_path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                f"recipe {where}: cannot be read ({error}); need {', '.join(built_in)} or a TOML file"
            ) from error
    recipe = parse_recipe(text, where=where)
    if recipe.stage != stage:
        raise SetupError(f"recipe {where}: found one for the stage {recipe.stage}, need one for {stage}")
    return recipe


def parse_recipe(text: str, *, where: str = "recipe") -> Recipe:
    """The recipe that a TOML text says; `where` begins its complaints. Raises SetupError."""
    return check_values(read_toml(text, where=where), Recipe, where=where)


def read_toml(text: str, *, where: str) -> dict[str, Any]:
    """What a TOML text holds. Raises SetupError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{where}: found no TOML ({error})") from error


def check_values(values: Mapping[str, Any], kind: type[Kind], *, where: str) -> Kind:
    """A recipe of this kind with these values. Raises SetupError with every problem."""
    try:  # as JSON, lists are tuples while numbers in quotes stay texts
        return kind.model_validate_json(json.dumps(values, allow_nan=False))
    except ValidationError as error:
        raise SetupError(f"{where}: {'; '.join(complain(problem) for problem in error.errors())}") from error
    except (TypeError, ValueError) as error:
        raise SetupError(f"{where}: found a value that no recipe can have ({error})") from error


def assign_values(
    values: dict[str, Any], assignments: Sequence[str], *, open_sections: Sequence[str] = ()
) -> tuple[str, ...]:
    """Write "loop.epochs=3", its value in TOML (a bare word is a text), into a recipe's values; the keys.

    Of a list of sections one is named by its number from 1: "phases.2.epochs=3".
    open_sections  those that take new keys. Raises SetupError for an unknown key.
    """
    keys = []
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise SetupError(f"--set: found {text!r}, need KEY=VALUE, for example loop.epochs=3")
        *sections, last = key.strip().split(".")
        place = values
        for number, section in enumerate(sections):
            inner = _step_into(place, section)
            if inner is None:
                raise SetupError(f"--set: found {'.'.join(sections[: number + 1])!r}, which is no section here")
            place = inner
        if last.isdecimal() and last in place:
            raise SetupError(f"--set: found the key {key!r}, a section; need one of its keys: {', '.join(place[last])}")
        if last not in place and ".".join(sections) not in open_sections:
            raise SetupError(f"--set: found the key {key!r}, need one of {', '.join(place)}")
        place[last] = _value(value.strip())
        keys.append(key.strip())
    return tuple(keys)


def _step_into(place: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The section so called, or a list of sections by their numbers."""
    inner = place.get(name)
    if isinstance(inner, list) and inner and isinstance(inner[0], dict):
        return {str(number): one for number, one in enumerate(inner, start=1)}
    return inner if isinstance(inner, dict) else None


def flatten_values(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """("loop.epochs", its value) of every field; the section "reasons" is one."""
    for name, value in values.items():
        if isinstance(value, Mapping) and name != "reasons":
            yield from flatten_values(value, f"{above}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from flatten_values({str(n): one for n, one in enumerate(value, start=1)}, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _is_above(name: str, fields: Mapping[str, Any]) -> bool:
    return any(field.startswith(f"{name}.") for field in fields)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
