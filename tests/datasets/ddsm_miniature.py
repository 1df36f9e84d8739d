"""Cases of DDSM in miniature: the .ics header and the chain codes exactly as the set writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.ingest.synthetic_dicom import breast

ROWS, COLS = 240, 180
VIEWS = ("LEFT_CC", "LEFT_MLO", "RIGHT_CC", "RIGHT_MLO")
SQUARE = "40 70 " + "2 " * 20 + "4 " * 30 + "6 " * 20 + "0 " * 29 + "#"  # columns 40-60, rows 70-100, clockwise
SPOT = slice(70, 101), slice(40, 61)


def ics(letter: str = "C", number: str = "0029", digitizer: str = "LUMISYS LASER", overlays: str = "LEFT") -> str:
    lines = [
        " ",
        "ics_version 1.0",
        f"filename {letter}-{number}-1",
        "DATE_OF_STUDY 2 3 1993",
        "PATIENT_AGE 66",
        "FILM ",
        "FILM_TYPE REGULAR",
        "DENSITY 3",
        "DATE_DIGITIZED 9 10 1997 ",
        f"DIGITIZER {digitizer}",
        "SEQUENCE",
    ]
    for view in VIEWS:
        has = "OVERLAY" if overlays and view.startswith(overlays) else "NON_OVERLAY"
        lines.append(f"{view} LINES {ROWS} PIXELS_PER_LINE {COLS} BITS_PER_PIXEL 12 RESOLUTION 50 {has}")
    return "\n".join(lines) + "\n"


def abnormality(
    number: int = 1,
    *,
    types: tuple[str, ...] = ("MASS SHAPE OVAL MARGINS ILL_DEFINED",),
    assessment: int = 4,
    pathology: str = "MALIGNANT",
    chain: str = SQUARE,
    cores: tuple[str, ...] = (),
) -> str:
    lines = [f"ABNORMALITY {number}", *(f"LESION_TYPE {words}" for words in types)]
    lines += [f"ASSESSMENT {assessment}", "SUBTLETY 3", f"PATHOLOGY {pathology}", f"TOTAL_OUTLINES {1 + len(cores)} "]
    lines += ["BOUNDARY", chain]
    for core in cores:
        lines += ["\tCORE", core]
    return "\n".join(lines) + "\n"


def overlay(*abnormalities: str) -> str:
    return f"TOTAL_ABNORMALITIES {len(abnormalities)}\n" + "".join(abnormalities)


def film(view: str, bright: int = 3900) -> NDArray[np.uint16]:
    """A 12-bit film in the usual direction, dark background of 300, with a bright spot where SQUARE lies."""
    image = breast(ROWS, COLS, faces="right" if view.startswith("LEFT") else "left", low=1800, high=2200)
    image[image == 0] = 300
    image[SPOT] = bright
    return image


def write_case(folder: Path, *, letter: str = "C", number: str = "0029", **overlays: str) -> Path:
    """The text files of a case; overlays: by view, e.g. LEFT_CC=overlay(...)."""
    folder.mkdir(parents=True, exist_ok=True)
    header = folder / f"{letter}-{number}-1.ics"
    header.write_text(ics(letter, number, overlays=""))
    content = header.read_text()
    for view, text in overlays.items():
        content = "\n".join(
            line.replace("NON_OVERLAY", "OVERLAY") if line.startswith(f"{view} ") else line
            for line in content.split("\n")
        )
        (folder / f"{letter}_{number}_1.{view}.OVERLAY").write_text(text)
    header.write_text(content)
    return folder
