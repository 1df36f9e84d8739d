"""Where weight folders live, installed or shipped, and what a name after `--weights` stands for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs

from fourview.exam import SetupError
from fourview.weights.zoo import ZOO, ZooEntry, known_folders

CARD_NAME = "card.json"
ENSEMBLE_NAME = "ensemble.json"
CLASSIFIER_NAME = "classifier.json"
LESION_NAME = "lesion.json"
SHIPPED = Path(__file__).parent / "shipped"
_EXAM_CARDS = (CARD_NAME, ENSEMBLE_NAME)
_LESION_CARDS = (LESION_NAME,)


def weights_home() -> Path:
    """The folder of installed weights: FOURVIEW_WEIGHTS if that is set, else in the user's data folder."""
    if named := os.environ.get("FOURVIEW_WEIGHTS"):
        return Path(named).expanduser()
    return Path(platformdirs.user_data_dir("fourview", appauthor=False)) / "weights"


def installed(home: Path | None = None) -> tuple[str, ...]:
    """The names of the weight folders in `home` (None: `weights_home()`), sorted; empty if there is none yet.

    Raises SetupError if the home cannot be read.
    """
    return _list_installed(home or weights_home(), _EXAM_CARDS)


def shipped() -> tuple[str, ...]:
    """The names of the weight folders that are part of fourview, sorted."""
    return _list_folders(SHIPPED, _EXAM_CARDS)


def list_lesion_weights(home: Path | None = None) -> dict[str, Path]:
    """The folders of lesion networks that have a name: those that ship, and those in `home`, which come first.

    Raises SetupError if the home cannot be read.
    """
    home = home or weights_home()
    found = {name: SHIPPED / name for name in _list_folders(SHIPPED, _LESION_CARDS)}
    return found | {name: home / name for name in _list_installed(home, _LESION_CARDS)}


def _list_installed(home: Path, cards: Sequence[str]) -> tuple[str, ...]:
    try:
        return _list_folders(home, cards)
    except OSError as error:
        raise SetupError(f"weights home {home}: cannot be read: {error.strerror}") from error


def _list_folders(home: Path, cards: Sequence[str]) -> tuple[str, ...]:
    found = [path for name in cards for path in home.glob(f"*/{name}")] if home.is_dir() else []
    return tuple(sorted({card.parent.name for card in found if not card.parent.name.startswith(".")}))


def is_weights(folder: Path) -> bool:
    """Whether the folder says that it holds weights: of one network, or of an ensemble."""
    return (folder / CARD_NAME).is_file() or (folder / ENSEMBLE_NAME).is_file()


def is_classifier(folder: Path) -> bool:
    """Whether the folder says that it holds a classifier of features (weights.classifier)."""
    return (folder / CLASSIFIER_NAME).is_file()


def find_lesion_weights(name_or_folder: str, *, home: Path | None = None) -> Path | None:
    """The folder of lesion networks that is meant: RUN/weights, RUN itself, or one so called; None: no such thing.

    Raises SetupError if the home cannot be read.
    """
    folder = Path(name_or_folder).expanduser()
    here = next((one for one in (folder, folder / "weights") if (one / LESION_NAME).is_file()), None)
    return here if name_or_folder and here is not None else list_lesion_weights(home).get(name_or_folder)


def resolve_lesion_weights(name_or_folder: str, *, home: Path | None = None) -> Path:
    """The same. Raises SetupError, which lists the names there are, if there is nothing of the kind."""
    found = find_lesion_weights(name_or_folder, home=home)
    if found is None:
        what = "something else" if Path(name_or_folder).expanduser().exists() else "no such folder or name"
        raise SetupError(
            f"weights {name_or_folder!r}: found {what}; need weights/ of a run of `fourview lesion train` (it has "
            f"{LESION_NAME}), or one of: {', '.join(sorted(list_lesion_weights(home))) or 'none is here'}"
        )
    return found


def resolve(name_or_folder: str, *, home: Path | None = None, zoo: Mapping[str, ZooEntry] = ZOO) -> Path:
    """The folder that is meant: one with a card or of an ensemble, else the one so called, installed or shipped.

    Raises SetupError, which lists what is installed and says how to install the rest.
    """
    folder = Path(name_or_folder).expanduser()
    if name_or_folder and is_weights(folder):
        return folder
    if name_or_folder and is_classifier(folder):
        raise SetupError(
            f"weights {name_or_folder!r}: found a classifier of features, which `fourview screen` alone reads, and "
            "alone; need weights of a network"
        )
    home = home or weights_home()
    if name_or_folder and (lesions := find_lesion_weights(name_or_folder, home=home)) is not None:
        raise SetupError(
            f"weights {name_or_folder!r}: found lesion networks ({lesions.name}/{LESION_NAME}), which `fourview lesion "
            "read` and `fourview explain` take: they read outlined lesions alone; need weights of another network"
        )
    names = installed(home)
    if name_or_folder in names:
        return home / name_or_folder
    if name_or_folder in shipped():
        return SHIPPED / name_or_folder
    known = known_folders(zoo)
    if name_or_folder in known:
        raise SetupError(
            f"weights {name_or_folder!r}: not installed in {home} (there: {', '.join(names) or 'none'}); "
            f"need: fourview weights install {known[name_or_folder]}"
        )
    there = ", ".join(names) or "none"
    found = f"a folder without {CARD_NAME}" if folder.is_dir() else "no such folder or name"
    raise SetupError(
        f"weights {name_or_folder!r}: found {found}; need a folder with {CARD_NAME}, one of the weights "
        f"that ship ({', '.join(shipped()) or 'none'}), or one of those in {home} (there: {there}); "
        f"`fourview weights install {' | '.join(zoo)}` gives {', '.join(known)}"
    )
