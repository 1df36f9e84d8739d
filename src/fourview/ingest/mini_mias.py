"""A folder of the mini-MIAS database: films mdb001 ... all MLO, even numbers left, odd numbers right.

Source of the facts: Info.txt of the database (Suckling et al. 1994). Its labels are never read.
"""

from __future__ import annotations

import re
from pathlib import Path

from fourview.exam import View
from fourview.ingest.files import Listing, StoredFile, walk_folder
from fourview.ingest.identity import patient_key
from fourview.ingest.sources import ExamSource, Found, ImageSource, IngestOptions, compose_exam

_FILM = re.compile(r"mdb(\d{3})\.(png|pgm)", re.IGNORECASE)
_SPACING_MM = 0.2  # "reduced to 200 micron pixel edge and clipped/padded" to 1024 x 1024
_SHAPE = (1024, 1024)


def is_mini_mias(folder: Path) -> bool:
    """True for a folder with films called mdbNNN, or with images/ of them, beside Info.txt or beside no other image."""
    names = [entry.name for place in _places(folder) for entry in place.iterdir()]
    films = [name for name in names if _FILM.fullmatch(name)]
    others = [name for name in names if name.lower().endswith((".png", ".pgm", ".dcm")) and not _FILM.fullmatch(name)]
    return bool(films) and ((folder / "Info.txt").is_file() or not others)


def _places(folder: Path) -> list[Path]:
    return [place for place in (folder, folder / "images") if place.is_dir()]


def find_mini_mias(folder: Path, options: IngestOptions) -> Found:
    """One exam per pair of films (of one woman), in the order of their numbers; a single film is an exam too."""
    listing = Listing([], [])
    pairs: dict[int, list[ImageSource]] = {}
    left_out = []
    for file in walk_folder(folder, listing):
        match = _FILM.fullmatch(file.name)
        if match and file.folder in ("", "images"):
            number = int(match[1])
            pairs.setdefault((number + 1) // 2, []).append(_film(file, number))
        elif file.name != "Info.txt":  # which a folder of films need not have: its labels are never read
            left_out.append((file.name, "no film of mini-MIAS: need mdbNNN.png or mdbNNN.pgm"))
    exams = tuple(_pair(pair, films, options) for pair, films in sorted(pairs.items()))
    return Found(exams, (*left_out, *listing.left_out, *listing.unreadable))


def _film(file: StoredFile, number: int) -> ImageSource:
    return ImageSource(
        file,
        file.name,
        View.L_MLO if number % 2 == 0 else View.R_MLO,
        "mini-MIAS: MLO, even numbers are left breasts",
        spacing_mm=_SPACING_MM,
        spacing_source="Info.txt of mini-MIAS: 200 micron",
        spacing_shape=_SHAPE,
    )


def _pair(pair: int, films: list[ImageSource], options: IngestOptions) -> ExamSource:
    label = f"mini-mias/{pair:03d}"
    return compose_exam(label, films, options=options, patient_key=patient_key(label, options.secret))
