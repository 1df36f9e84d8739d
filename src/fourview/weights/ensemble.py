"""Ensembles: one folder for several networks that are read together.

ensemble.json
member_1/ member_2/ ...   weights folders (folder.py)
patch.safetensors         the patch network, once, where all members have the same
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from fourview.exam import SetupError
from fourview.weights.card import Card, Metric, Section
from fourview.weights.folder import PATCH_FILE, load_card, load_weights
from fourview.weights.home import CARD_NAME, ENSEMBLE_NAME, resolve
from fourview.whole_files import whole_folder, write_whole, writing_to


class EnsembleCard(Section):
    """The content of ensemble.json.

    members  folder -> weights_hash of its card
    metrics  of the mean over the members
    """

    format: Literal["fourview-ensemble/1"] = "fourview-ensemble/1"
    name: str
    members: dict[str, str] = Field(min_length=1)
    metrics: tuple[Metric, ...] = ()
    notes: str = ""

    @model_validator(mode="after")
    def _members_are_folders_in_it(self) -> Self:
        if strange := [name for name in self.members if Path(name).name != name or name.startswith(".")]:
            raise ValueError(f"found the member {strange[0]!r}; need names of folders beside this file")
        return self


def load_ensemble_card(folder: Path) -> EnsembleCard:
    """The checked card of an ensemble. Raises SetupError."""
    path = folder / ENSEMBLE_NAME
    try:
        return EnsembleCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SetupError(f"{folder}: found no readable {ENSEMBLE_NAME} ({error.strerror}); need an ensemble") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SetupError(f"{path}: not an ensemble that this version can read: {problems}") from error


def list_members(folder: Path) -> tuple[Path, ...]:
    """The weights folders that a folder stands for: its members, or itself alone.

    Raises SetupError if a member is not there, or not the one that the ensemble was made of.
    """
    if (folder / CARD_NAME).is_file():
        return (folder,)
    members = []
    for name, weights_hash in load_ensemble_card(folder).members.items():
        found = load_card(folder / name).weights_hash
        if found != weights_hash:
            raise SetupError(f"{folder / name}: found the weights {found}, need {weights_hash} as {ENSEMBLE_NAME} says")
        members.append(folder / name)
    return tuple(members)


def resolve_members(name_or_folder: str) -> tuple[Path, ...]:
    """What `--weights` means: the folders of one network, or of an ensemble's members. Raises SetupError."""
    return list_members(resolve(name_or_folder))


def resolve_member(name_or_folder: str) -> Path:
    """What an option means that takes one network. Raises SetupError, also for an ensemble of several."""
    members = resolve_members(name_or_folder)
    if len(members) > 1:
        raise SetupError(f"{name_or_folder}: an ensemble of {len(members)}; need one member, for example {members[0]}")
    return members[0]


def load_cards(folder: Path) -> tuple[Card, ...]:
    """The cards of a weights folder or of an ensemble's members. Raises SetupError."""
    return tuple(load_card(member) for member in list_members(folder))


def describe_kind(cards: Sequence[Card]) -> str:
    """What `weights list` shows: "view-wise, image only", or "ensemble of 3: ..."."""
    kinds = " and ".join(dict.fromkeys(card.kind for card in cards))
    return kinds if len(cards) == 1 else f"ensemble of {len(cards)}: {kinds}"


def load_metrics(folder: Path) -> tuple[Metric, ...]:
    """The numbers on a network's card, or on an ensemble's: of the mean over its members. Raises SetupError."""
    return _load_top_card(folder).metrics


def write_metrics(folder: Path, metrics: Sequence[Metric]) -> None:
    """These numbers in place of those on the card; its file changes whole or not at all, the weights hash never.

    An ensemble's are in ensemble.json; the cards of its members keep theirs. Raises SetupError.
    """
    card = _load_top_card(folder)
    path = folder / (CARD_NAME if isinstance(card, Card) else ENSEMBLE_NAME)
    content = card.model_copy(update={"metrics": tuple(metrics)}).model_dump_json(indent=2) + "\n"
    try:
        write_whole(path, content)
    except OSError as error:
        raise SetupError(f"{path}: cannot be written ({error.strerror}); need room and a right") from error


def _load_top_card(folder: Path) -> Card | EnsembleCard:
    return load_card(folder) if (folder / CARD_NAME).is_file() else load_ensemble_card(folder)


def save_ensemble(
    out: Path, folders: Sequence[Path], *, name: str, metrics: Sequence[Metric] = (), notes: str = ""
) -> EnsembleCard:
    """An ensemble of copies of these weights folders, written whole or not at all; its card.

    Raises SetupError if `out` exists or cannot be written, if a folder has nothing that reads exams, if members read
    different things (breasts, images), or two are the same.
    """
    if out.exists():
        raise SetupError(f"{out}: exists already; need a new folder")
    cards = [load_card(folder) for folder in folders]
    if idle := [str(folder) for folder, card in zip(folders, cards, strict=True) if not card.reads_exams]:
        raise SetupError(
            f"{idle[0]}: found neither an exam network in it nor a patch network alone; an ensemble needs one in each "
            "member"
        )
    if len(units := {card.unit for card in cards}) > 1:
        raise SetupError(f"found members that speak about {' and '.join(sorted(map(str, units)))}; need one of both")
    hashes = [card.weights_hash for card in cards]
    if len(set(hashes)) != len(hashes):
        raise SetupError(f"found the weights {', '.join(hashes)}; need different members")
    card = EnsembleCard(
        name=name,
        members={f"member_{number}": weights_hash for number, weights_hash in enumerate(hashes, 1)},
        metrics=tuple(metrics),
        notes=notes,
    )
    shared = _shared_patch(cards)
    with writing_to(out, then="do the same again"), whole_folder(out.absolute()) as building:
        for member, folder in zip(card.members, folders, strict=True):
            _copy(folder, building / member)
            if shared:
                (building / member / PATCH_FILE).replace(building / PATCH_FILE)
        (building / ENSEMBLE_NAME).write_text(card.model_dump_json(indent=2) + "\n")
        for member in card.members:
            load_weights(building / member)  # what was written must be what can be read
    return card


def _copy(folder: Path, out: Path) -> None:
    """Raises OSError."""
    try:
        shutil.copytree(folder, out)
    except shutil.Error as error:  # a list of (from, to, why)
        raise OSError("; ".join(dict.fromkeys(str(why) for _, _, why in error.args[0]))) from error


def _shared_patch(cards: Sequence[Card]) -> bool:
    """Whether all members that have a patch network have the same, so that one file serves them."""
    files = {card.sha256.get(PATCH_FILE) for card in cards}
    return len(files) == 1 and None not in files
