"""The hand-crafted numbers of every outlined lesion of a store, image by image; a run that was stopped goes on.

OUT/parts/KEY.npy: the numbers of one lesion in one image. KEY: the image's stored file (pixels and outlines), which
lesion, how it is measured.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fourview.exam import ExamError, SetupError
from fourview.memory import give_back_memory
from fourview.spread import spread
from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView
from fourview.studies.lesion.crops import cut_lesion, read_grey_range
from fourview.studies.lesion.handcrafted.local import HOG_SIZE
from fourview.studies.lesion.handcrafted.numbers import VERSION, Measured, list_names, measure_lesion
from fourview.whole_files import write_whole

PARTS = "parts"
SIDE_PX = 224  # of the crops: patterns of a few pixels mean the same in all of them
SCALE = 2.0  # as the networks' crops
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LesionNumbers:
    """The numbers of lesions in their images.

    views    that could be measured;  problems  (view, why not) of the others
    values   (views, numbers) in the order of list_names();  edges  (views, HOG_SIZE)
    """

    views: tuple[LesionView, ...]
    values: Floats
    edges: NDArray[np.float32]
    problems: tuple[tuple[LesionView, str], ...]


@dataclass(frozen=True)
class _Measure:
    """Measures the lesions of one image into their parts; the answer is why some could not be. Sent with each item."""

    folder: Path
    in_mm: bool

    def __call__(self, item: tuple[Store, Mapping[str, LesionView]]) -> dict[str, str]:
        store, views = item
        problems = {}
        try:
            grey = read_grey_range(store, next(iter(views.values())).image)
        except ExamError as error:
            return dict.fromkeys(views, str(error))
        for key, view in views.items():
            try:
                crop = cut_lesion(store, view, scale=SCALE, side_px=SIDE_PX, grey=grey)
                _write(self.folder / f"{key}.npy", measure_lesion(crop, in_mm=self.in_mm))
            except ExamError as error:
                problems[key] = str(error)
        give_back_memory()
        return problems


def is_in_mm(views: Sequence[LesionView]) -> bool:
    """Whether sizes are measured in mm: the pixel size of every image is known."""
    return all(view.spacing_mm is not None for view in views)


def measure_views(
    store: Store,
    views: Sequence[LesionView],
    out: Path,
    *,
    jobs: int = 1,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> LesionNumbers:
    """The numbers of every view, in their order; those that an earlier run left in OUT/parts are taken.

    on_step  images done, total; what it raises ends the work, and what is done stays
    Raises SetupError if no lesion can be measured; OSError if OUT cannot be written.
    """
    folder = out / PARTS
    folder.mkdir(parents=True, exist_ok=True)
    in_mm = is_in_mm(views)
    stored = dict(store.images.select("image", "blob").iter_rows())
    keys = {_make_key(view, stored[view.image], in_mm=in_mm): view for view in views}
    found = {key: part for key in keys if (part := _read(folder / f"{key}.npy")) is not None}
    waiting: dict[str, dict[str, LesionView]] = defaultdict(dict)
    for key, view in keys.items():
        if key not in found:
            waiting[view.image][key] = view
    images = len({view.image for view in views})
    done = images - len(waiting)
    on_step(done, images)
    problems: dict[str, str] = {}
    items = ((store.only(image), own) for image, own in waiting.items())
    with closing(spread(_Measure(folder, in_mm), items, jobs=min(jobs, max(1, len(waiting))))) as results:
        for own in results:
            problems |= own
            done += 1
            on_step(done, images)
    return _gather(folder, keys, found, problems)


def _gather(
    folder: Path, keys: Mapping[str, LesionView], found: Mapping[str, Measured], problems: Mapping[str, str]
) -> LesionNumbers:
    measured = {key: found.get(key) or _read(folder / f"{key}.npy") for key in keys if key not in problems}
    kept = {key: part for key, part in measured.items() if part is not None}
    if not kept:
        why = next(iter(problems.values()), "no lesion")
        raise SetupError(f"{folder.parent}: found no lesion that can be measured; the first: {why}")
    return LesionNumbers(
        tuple(keys[key] for key in kept),
        np.stack([part.values for part in kept.values()]),
        np.stack([part.edges for part in kept.values()]),
        tuple((keys[key], problems.get(key, "its part cannot be read")) for key in keys if key not in kept),
    )


def _make_key(view: LesionView, stored: str, *, in_mm: bool) -> str:
    """A name for all that a lesion's numbers depend on. stored: the image's file, named for its pixels and outlines"""
    said = [VERSION, SCALE, SIDE_PX, in_mm, view.spacing_mm, view.image, view.lesion, astuple(view.box), stored]
    return f"lesion-{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"


def _write(path: Path, measured: Measured) -> None:
    content = io.BytesIO()
    np.save(content, np.concatenate([measured.values, measured.edges]), allow_pickle=False)
    write_whole(path, content.getvalue())


def _read(path: Path) -> Measured | None:
    """None where there is none, or one that a failing disk has cut short."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return None
    numbers = len(list_names())
    if values.shape != (numbers + HOG_SIZE,) or not np.isfinite(values).all():
        return None
    return Measured(values[:numbers], values[numbers:].astype(np.float32))
