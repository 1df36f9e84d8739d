"""Real sample images and phantoms in one form, to be laid side by side: pixels of 0.28 mm, breast facing right.

Nothing of a real image is kept in the project: pictures go to a folder that the user names, and only there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_features import PIXEL_MM, Features, measure
from benchmarks.phantom_views import Light, as_light, find_breast, see, turn
from fourview.exam import SetupError
from fourview.phantom import Recipe, load_recipe, plan_exam
from fourview.phantom.draw import draw_planned
from fourview.phantom.profiles import find_profile

RECIPE = "enriched"
PICTURE_ROWS = 300
_NAME = re.compile(r"(?:^|[_.-])(L|R|LEFT|RIGHT)[_.-](CC|MLO)$")
_MIAS_MM, _DIGITAL_MM, _FIELD_MM = 0.2, 0.07, 3328 * 0.07


@dataclass(frozen=True, eq=False)
class Sample:
    """One image.

    collection  where it is from;  exam  what belongs to one woman;  view  "L-CC"
    film        a scanned film, else a digital image
    picture     (rows, cols) uint8, small, to look at; facing right
    """

    collection: str
    exam: str
    view: str
    film: bool
    features: Features
    picture: NDArray[np.uint8]


def read_samples(folder: Path) -> list[Sample]:
    """The mammograms of a folder: mini-MIAS (Info.txt), Mini-DDSM with .ics files, or PNG files named by side and view.

    Pixel sizes: mini-MIAS 0.2 mm; Mini-DDSM twice that of the .ics file; PNG of 16 bits 0.07 mm (the New York sample
    images), of 8 bits the size at which their rows fill 233 mm. Raises SetupError if nothing is found.
    """
    if (folder / "Info.txt").exists():
        found = list(_mini_mias(folder))
    elif any(folder.rglob("*.ics")):
        found = list(_mini_ddsm(folder))
    else:
        found = list(_digital(folder))
    if not found:
        raise SetupError(f"{folder}: found no mammograms; need mini-MIAS, Mini-DDSM, or PNG files named like L-CC.png")
    return found


def _mini_mias(folder: Path) -> Iterator[Sample]:
    for path in sorted((folder / "images").glob("mdb*.png")):
        number = int(path.stem[3:])
        view = "L-MLO" if number % 2 == 0 else "R-MLO"
        pair = f"pair {(number - 1) // 2:03d}"
        yield _sample(_read(path), _MIAS_MM, collection=folder.name, exam=pair, view=view, film=True)


def _mini_ddsm(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.rglob("*.jpg")):
        named = _NAME.search(path.stem)
        if named is None:
            continue
        (ics,) = path.parent.glob("*.ics")
        (micrometres,) = re.findall(rf"^{named[1]}_{named[2]} .*RESOLUTION ([\d.]+)", ics.read_text(), re.MULTILINE)
        view = f"{named[1][0]}-{named[2]}"
        spacing = 2 * float(micrometres) / 1000
        yield _sample(_read(path), spacing, collection=folder.name, exam=path.parent.name, view=view, film=True)


def _digital(folder: Path) -> Iterator[Sample]:
    for path in sorted(folder.rglob("*.png")):
        named = _NAME.search(path.stem)
        if named is None:
            continue
        pixels = _read(path)
        spacing = _DIGITAL_MM if pixels.dtype == np.uint16 else _FIELD_MM / pixels.shape[0]
        exam = f"{folder.name} {path.parent.name}"
        view = f"{named[1][0]}-{named[2]}"
        yield _sample(pixels, spacing, collection=folder.name, exam=exam, view=view, film=False)


def _read(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    pixels: NDArray[Any] | None = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH)  # grey
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise SetupError(f"{path.name}: found no picture of 8 or 16 bits")
    return pixels.astype(pixels.dtype, copy=False)


def _sample(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    pixel_mm: float,
    *,
    collection: str,
    exam: str,
    view: str,
    film: bool,
) -> Sample:
    """Brought to 0.28 mm and turned so that the chest wall is on the left."""
    size = (round(pixels.shape[1] * pixel_mm / PIXEL_MM), round(pixels.shape[0] * pixel_mm / PIXEL_MM))
    light = np.asarray(cv2.resize(as_light(pixels), size, interpolation=cv2.INTER_AREA), np.float32)
    black = not film and float((pixels == 0).mean()) > 0.05
    breast = find_breast(light, pixel_mm=PIXEL_MM, black=black)
    if not breast.any():
        raise SetupError(f"{collection} {exam} {view}: found no breast")
    heights = breast.sum(axis=0)[breast.any(axis=0)]
    quarter = len(heights) // 4
    if heights[:quarter].sum() < heights[-quarter:].sum():  # the breast is highest at the chest wall
        light, breast = turn(light), turn(breast)
    if film:  # the scanner's border, outside of the film, is not the chest wall
        rows, cols = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
        film_box = slice(rows[0], rows[-1] + 1), slice(cols[0], None)
        light, breast = np.ascontiguousarray(light[film_box]), np.ascontiguousarray(breast[film_box])
    return Sample(collection, exam, view, film, measure(light, breast), _shrink(light, breast))


def draw_samples(*, film: bool, exams: int, seed: int = 0, jobs: int = 1, views: tuple[str, ...] = ()) -> list[Sample]:
    """Phantoms of the recipe `enriched`: of its digital units, or all on film. views  empty: all four"""
    work = partial(draw_sample, film=film, seed=seed, views=views)
    if jobs == 1:
        return [sample for own in map(work, range(exams)) for sample in own]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:  # OpenCV has threads by now
        return [sample for own in pool.map(work, range(exams)) for sample in own]


def draw_sample(index: int, *, film: bool, seed: int = 0, views: tuple[str, ...] = ()) -> list[Sample]:
    """The images of one phantom exam."""
    cv2.setNumThreads(1)
    recipe: Recipe = load_recipe(RECIPE)
    if film:
        recipe = recipe.model_copy(update={"profiles": {"film": 1.0}})
    plan = plan_exam(recipe, seed=seed, index=index)
    exam = draw_planned(plan, scale=find_profile(plan.profile).pixel_mm / PIXEL_MM)
    found = []
    for image in exam.images:
        if views and image.view.angle not in views:
            continue
        name = "phantoms, film" if film else "phantoms, digital"
        if film:  # as real films are read: nothing is known but the pixels
            made = _sample(
                image.pixels,
                image.spacing_mm,
                collection=name,
                exam=plan.name,
                view=image.view.value,
                film=True,
            )
        else:
            seen = see(image)
            features = measure(seen.light, seen.breast)
            made = Sample(name, plan.name, image.view.value, False, features, _shrink(seen.light, seen.breast))
        found.append(made)
    return found


def _shrink(light: Light, breast: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """To look at: black is 0, white the 99.7th percentile of the breast."""
    white = float(np.percentile(light[breast], 99.7))
    size = (max(1, round(light.shape[1] * PICTURE_ROWS / light.shape[0])), PICTURE_ROWS)
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(np.rint(255 * small / white), 0, 255), np.uint8)
