"""The folder of a study that trains several networks: it says what it is a study of, and is gone on with the same only.

What such a folder holds besides is the study's own; a folder of one network is run_folder.RunFolder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from fourview.exam import SetupError
from fourview.settings import Section
from fourview.train.run_folder import RunFolder
from fourview.whole_files import remove_parts, write_whole

Card = TypeVar("Card", bound=Section)

_VERSION = "fourview"  # a later one may go on with the work of an earlier one


def open_study_folder(
    out: Path, card: Section, *, name: str, others: Mapping[str, str], command: str, resume: bool
) -> None:
    """The folder, new or of the same study.

    card     what it is a study of: the content of the file `name`
    others   file name -> text of what is written beside it, once
    command  that makes such folders: "fourview finetune"
    Raises SetupError: something else is in it, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        remove_parts(out)
        if any(out.iterdir()):
            if not resume:
                raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
            _check_same(out, card, read_study_card(out, type(card), name=name, command=command))
        else:
            for file, text in others.items():
                write_whole(out / file, text)
            write_whole(out / name, card.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise _cannot_write(out, error) from error


def read_study_card(out: Path, kind: type[Card], *, name: str, command: str) -> Card:
    """What a folder is a study of. Raises SetupError if it is none of that kind."""
    try:
        return kind.model_validate_json((out / name).read_bytes())
    except (OSError, ValidationError):
        raise SetupError(f"{out}: found no readable {name}; need the folder of a run of `{command}`") from None


def open_network_folder(path: Path) -> RunFolder:
    """Where the loop keeps what it needs to go on with one network of a study. Raises SetupError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        remove_parts(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    return RunFolder(path)  # what it is a run of is said once, in the study's card


def _check_same(out: Path, card: Section, found: Section) -> None:
    now, before = card.model_dump(exclude={_VERSION}), found.model_dump(exclude={_VERSION})
    if different := [f"{name} {before[name]}, now {now[name]}" for name in now if before[name] != now[name]]:
        raise SetupError(f"{out}: found another run ({'; '.join(different)}); need the same to resume, or a new folder")


def _cannot_write(path: Path, error: OSError) -> SetupError:
    return SetupError(f"{path}: cannot be written ({error.strerror or error}); need room and permission")
