"""Lesions through networks, one image in memory at a time; what fails is listed and the rest goes on."""

from __future__ import annotations

import math
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fourview.exam import ExamError, SetupError, join_reasons
from fourview.memory import give_back_memory
from fourview.studies.lesion.cases import ANGLES, Angle
from fourview.studies.lesion.ensemble import ViewAnswer, mean_answers
from fourview.studies.lesion.lesion_reader import LesionReader
from fourview.studies.lesion.read_sources import OpenedImage, Source, Sources
from fourview.studies.lesion.readings import LesionReading, LesionReadings, ViewReading

MOST_PICTURES = 60  # lesions whose crops are kept for the page


def read_lesions(
    sources: Sources,
    readers: Sequence[LesionReader],
    *,
    on_exam: Callable[[int, int, str | None], None] = lambda done, total, problem: None,
    stop: Callable[[], bool] = lambda: False,
) -> LesionReadings:
    """Every lesion of every source.

    readers  the weights: one, or several whose probabilities are averaged, lesion by lesion
    on_exam  called after each exam: how many are done, of how many, what was wrong with it
    stop     asked after every exam: True ends it there
    """
    lesions: list[LesionReading] = []
    failures = [("", what, reason) for what, reason in sources.missing]
    for number, source in enumerate(sources.sources, start=1):
        views, problems = _read_exam(source, readers)
        room = MOST_PICTURES - sum(one.views[0].crop is not None for one in lesions)
        lesions += [_without_pictures(one) if room <= at else one for at, one in enumerate(_join(views, readers))]
        failures += [(source.exam, what, reason) for what, reason in problems]
        give_back_memory()
        on_exam(number, len(sources.sources), join_reasons([reason for _, reason in problems]) or None)
        if stop() and number < len(sources.sources):
            return LesionReadings(tuple(lesions), tuple(failures), stopped=True)
    return LesionReadings(tuple(lesions), tuple(failures))


def _read_exam(source: Source, readers: Sequence[LesionReader]) -> tuple[list[ViewReading], list[tuple[str, str]]]:
    """What could be read of an exam, and (what, reason) of the rest."""
    if source.problem is not None:
        return [], [(join_reasons([name for name, _ in source.openers()]), source.problem)]
    views: list[ViewReading] = []
    problems: list[tuple[str, str]] = []
    for name, open_image in source.openers():
        try:
            for reading in _read_image(open_image(), readers, problems):
                views.append(reading)
        except SetupError:
            raise
        except ExamError as error:
            problems.append((name, str(error)))
        except Exception as error:  # one image must not stop a batch, whatever its file holds
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # no path in it
            problems.append(
                (name, f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {said}")
            )
    return views, problems


def _read_image(
    image: OpenedImage, readers: Sequence[LesionReader], problems: list[tuple[str, str]]
) -> Iterator[ViewReading]:
    """Its lesions; those that cannot be read are added to `problems`."""
    for reader in readers:
        reader.refuse_real(f"{image.view} {image.name}", is_phantom=image.is_phantom)
    problems += [(f"{image.name} {lesion}", reason) for lesion, reason in image.problems]
    doubts = [
        text for reader in readers for text in reader.doubts(spacing_mm=image.spacing_mm, pixel_mode=image.pixel_mode)
    ]
    for lesion, mask in sorted(image.masks.items()):
        name = f"{image.view} {image.name}, lesion {lesion}"
        kind = image.kinds.get(lesion, "")
        try:
            crops = [
                reader.cut(image.pixels, mask, spacing_mm=image.spacing_mm, frame=image.frame, name=name)
                for reader in readers
            ]
            answers = tuple(reader.read(crop, image.view.angle) for reader, crop in zip(readers, crops, strict=True))
        except ExamError as error:
            problems.append((f"{image.name} {lesion}", str(error)))
            continue
        yield ViewReading(
            image.exam,
            image.patient,
            image.name,
            image.view,
            lesion,
            image.malignant.get(lesion),
            image.is_phantom,
            answers,
            _box_source(mask, image),
            crops[0].diameter_mm,
            (*image.warnings, *doubts, *(text for reader in readers for text in reader.doubt_kind(kind))),
            crops[0],
        )


def _box_source(mask: np.ndarray[Any, Any], image: OpenedImage) -> tuple[int, int, int, int]:
    """The outline's box in the pixels of the file (top, bottom, left, right), half-open."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = [image.frame.point_source(row, col) for row in (rows[0], rows[-1]) for col in (cols[0], cols[-1])]
    down, across = zip(*corners, strict=True)
    return round(min(down)), round(max(down)) + 1, round(min(across)), round(max(across)) + 1


def _join(views: Iterable[ViewReading], readers: Sequence[LesionReader]) -> list[LesionReading]:
    """Views of one breast with the same name of a lesion are one lesion."""
    together: dict[tuple[str, str, str], list[ViewReading]] = defaultdict(list)
    for view in views:
        together[view.exam, view.view.side.value, view.lesion].append(view)
    return [_join_one(own, readers) for _, own in sorted(together.items())]


def _join_one(views: list[ViewReading], readers: Sequence[LesionReader]) -> LesionReading:
    first = views[0]
    each = [_join_views(views, place, reader) for place, reader in enumerate(readers)]
    cc, mlo = (_mean_of([one[column] for one in each]) for column in (0, 1))
    p = float(np.mean([one[2] for one in each]))
    truths = {view.malignant for view in views if view.malignant is not None}
    warnings = list(dict.fromkeys(text for view in views for text in view.warnings))
    if None not in (cc, mlo) and len(truths) > 1:
        warnings.append("its views do not agree on its pathology")
    if cc is None or mlo is None:
        warnings.append(f"one view alone: no {'CC' if cc is None else 'MLO'}")
    return LesionReading(
        first.exam,
        first.patient,
        first.view.side.value,
        first.lesion,
        next(iter(truths)) if len(truths) == 1 else None,
        cc,
        mlo,
        p,
        p >= join_thresholds(readers),
        tuple(views),
        tuple(warnings),
    )


def _join_views(views: list[ViewReading], place: int, reader: LesionReader) -> tuple[float, float, float]:
    """By CC, MLO (NaN: none) and both, of the weights in this place."""
    mean = reader.weights.card.ensemble.mean
    said: dict[Angle, list[ViewAnswer]] = {
        angle: [view.answers[place] for view in views if view.view.angle == angle] for angle in ANGLES
    }
    return mean_answers(said["CC"], mean), mean_answers(said["MLO"], mean), reader.join(said)


def _mean_of(values: Sequence[float]) -> float | None:
    """None of nothing."""
    return None if math.isnan(values[0]) else float(np.mean(values))


def join_thresholds(readers: Sequence[LesionReader]) -> float:
    """The mean of those of the weights."""
    return float(np.mean([reader.weights.card.threshold for reader in readers]))


def _without_pictures(lesion: LesionReading) -> LesionReading:
    return replace(lesion, views=tuple(replace(view, crop=None) for view in lesion.views))
