"""What a generator draws, in few numbers: mean brightness on a grid of 16 x 16 blocks of every view of a few exams.

    python -m tests.phantom.stored_drawing       writes drawing_of_generator_N.json, once GENERATOR has been raised to N

Block means outlive what differs between processors and versions of libraries, and move when tissue, findings or units
are drawn otherwise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError, Side
from fourview.phantom import PhantomFinding, draw_exam, recipe
from fourview.whole_files import write_whole

FOLDER = Path(__file__).parent
_GRID = 16
_RANGE = 10_000  # block means are written as whole numbers: shares of the stored range times this
_LEFT, _RIGHT = Side.LEFT, Side.RIGHT
_EXAMS: dict[str, tuple[PhantomFinding, ...] | None] = {  # profile -> findings; None: one drawn at random
    "plain": (
        PhantomFinding(_LEFT, "mass", malignant=True, radius_mm=9, key=1),
        PhantomFinding(_RIGHT, "mass", malignant=False, radius_mm=7, shape="lobulated", margin="obscured", key=2),
    ),
    "selenia": (
        PhantomFinding(_LEFT, "calcifications", malignant=True, contrast=0.5, key=3),
        PhantomFinding(_RIGHT, "calcifications", malignant=False, calc_type="vascular", contrast=0.4, key=4),
    ),
    "film": (
        PhantomFinding(_LEFT, "distortion", malignant=True, radius_mm=11, contrast=0.2, key=5),
        PhantomFinding(_RIGHT, "asymmetry", malignant=False, radius_mm=13, contrast=0.2, key=6),
    ),
    "dimensions": None,
    "inspiration": None,
    "senographe": (),
}

Means = dict[str, dict[str, list[list[int]]]]


def draw_means() -> Means:
    """Profile -> view -> (16, 16) block means, in the direction of the file."""
    found: Means = {}
    for seed, (profile, findings) in enumerate(_EXAMS.items()):
        exam = draw_exam(np.random.default_rng(seed), scale=0.1, findings=findings, profile=profile)
        found[profile] = {}
        for image in exam.images:
            light = image.pixels.astype(np.float32) * np.float32(_RANGE / image.acquired.profile.white)
            blocks = cv2.resize(light, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
            found[profile][image.view.value] = np.rint(blocks).astype(int).tolist()
    return found


def difference(means: Means, others: Means) -> dict[str, NDArray[np.float64]]:
    """Profile -> (views, 16, 16) differences of the block means, as shares of the stored range."""
    return {
        profile: np.array([np.subtract(blocks, others[profile][view]) / _RANGE for view, blocks in views.items()])
        for profile, views in means.items()
    }


def read_stored(folder: Path = FOLDER) -> dict[str, Any]:
    """{"generator": number, "means": as draw_means gives them}. Raises SetupError unless there is one such file."""
    found = sorted(folder.glob("drawing_of_generator_*.json"))
    if len(found) != 1:
        raise SetupError(f"{folder.name}: found {len(found)} files drawing_of_generator_N.json, need one")
    stored: dict[str, Any] = json.loads(found[0].read_text())
    return stored


def write_stored(folder: Path = FOLDER) -> Path:
    """Stores what is drawn now, in place of what was.

    Raises SetupError while GENERATOR is that of the stored drawing.
    """
    if any(folder.glob("drawing_of_generator_*.json")) and read_stored(folder)["generator"] >= recipe.GENERATOR:
        raise SetupError(
            f"GENERATOR: found {recipe.GENERATOR}, the number of the stored drawing; need a larger one in recipe.py"
        )
    exams = []
    for profile, views in draw_means().items():
        lines = ",\n".join(f"  {json.dumps(view)}: {blocks}" for view, blocks in views.items())
        exams.append(f"{json.dumps(profile)}: {{\n{lines}}}")
    text = f'{{"generator": {recipe.GENERATOR}, "means": {{\n' + ",\n".join(exams) + "}}\n"
    old = list(folder.glob("drawing_of_generator_*.json"))
    path = folder / f"drawing_of_generator_{recipe.GENERATOR}.json"
    write_whole(path, text)
    for one in old:
        one.unlink()
    return path


if __name__ == "__main__":
    sys.stdout.write(f"{write_stored().name}\n")
