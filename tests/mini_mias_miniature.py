"""A miniature of mini-MIAS in the layout in which it is published: drawn films, one line each or more in Info.txt."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tests.datasets.drawn_film import draw_film
from tests.ingest.pictures import write_picture

KINDS = ("M", "B", "")  # of every third woman: malignant, benign, both films normal
_SIDE = 1024
_DISC = {"M": 250, "B": 150}


def write_miniature(folder: Path, *, women: int = 12) -> Path:
    """Films mdb001 ... of so many women. A circle holds a disc, white if malignant, grey if benign.

    It is on the left film of every second woman of a kind, else on the right one; the last benign one has no place.
    """
    lines = ["drawn, in the layout of mini-MIAS", ""]
    folder.mkdir(parents=True, exist_ok=True)
    for woman in range(women):
        kind = KINDS[woman % 3]
        for number in (2 * woman + 1, 2 * woman + 2):
            image = _draw(seed=number)
            row, col, radius = 380 + 30 * (woman % 5), 120 + 20 * (woman % 4), 40
            has_lesion = bool(kind) and (number % 2 == 0) == (woman // 3 % 2 == 0)
            if has_lesion:
                cv2.circle(image, (col, row), radius, _DISC[kind], -1)
            if number % 2:
                image, col = np.ascontiguousarray(image[:, ::-1]), _SIDE - 1 - col
            write_picture(folder / f"mdb{number:03d}.png", image)
            lost = woman == women - 2
            place = "*NOTE 3*" if lost else f"{col} {_SIDE - 1 - row} {radius}"
            lines.append(f"mdb{number:03d} G " + (f"CIRC {kind} {place}" if has_lesion else "NORM"))
    (folder / "Info.txt").write_text("\n".join(lines) + "\n")
    return folder


def _draw(*, seed: int) -> np.ndarray:
    """(1024, 1024) uint8, the breast faces right; black beside the film, as the set is padded."""
    film = cv2.resize(draw_film(seed=seed).pixels, (768, _SIDE), interpolation=cv2.INTER_AREA)
    return np.pad(film, ((0, 0), (0, _SIDE - film.shape[1])))
