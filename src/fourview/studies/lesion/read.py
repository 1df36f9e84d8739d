"""Lesions through networks, one image in memory at a time; what fails is listed and the rest goes on."""

from __future__ import annotations

import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fourview.exam import ExamError, SetupError, View, join_reasons
from fourview.memory import give_back_memory
from fourview.studies.lesion.cases import ANGLES, Angle
from fourview.studies.lesion.crops import LesionCrop
from fourview.studies.lesion.ensemble import ViewAnswer, mean_answers
from fourview.studies.lesion.lesion_reader import LesionReader
from fourview.studies.lesion.read_sources import OpenedImage, Source, Sources

MOST_PICTURES = 60  # lesions whose crops are kept for the page


@dataclass(frozen=True, eq=False)
class ViewReading:
    """One lesion in one image. box: of the outline, source pixels (top, bottom, left, right); crop: None: not kept"""

    exam: str
    patient: str
    image: str
    view: View
    lesion: str
    malignant: bool | None
    is_phantom: bool
    answer: ViewAnswer
    box: tuple[int, int, int, int]
    diameter_mm: float | None
    warnings: tuple[str, ...]
    crop: LesionCrop | None


@dataclass(frozen=True, eq=False)
class LesionReading:
    """One lesion by all of its views.

    p_cc, p_mlo  by the views of one angle; None: it has none
    p            of malignant, by all;  called  p reaches the card's threshold
    """

    exam: str
    patient: str
    side: str
    lesion: str
    malignant: bool | None
    p_cc: float | None
    p_mlo: float | None
    p: float
    called: bool
    views: tuple[ViewReading, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class LesionReadings:
    """How it went. failures: (exam, what, reason);  stopped: somebody ended it early"""

    lesions: tuple[LesionReading, ...]
    failures: tuple[tuple[str, str, str], ...]
    stopped: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether every image that was read is a phantom."""
        views = [view for lesion in self.lesions for view in lesion.views]
        return bool(views) and all(view.is_phantom for view in views)

    def table(self) -> pl.DataFrame:
        """lesions.csv: a row per lesion."""
        rows = [
            {
                "exam": one.exam,
                "side": one.side,
                "lesion": one.lesion,
                "p_cc": one.p_cc,
                "p_mlo": one.p_mlo,
                "p": one.p,
                "called": one.called,
                "malignant": one.malignant,
                "images": ", ".join(view.image for view in one.views),
                "warnings": "; ".join(one.warnings),
            }
            for one in self.lesions
        ]
        return pl.DataFrame(rows, schema=_LESIONS, orient="row")

    def view_table(self) -> pl.DataFrame:
        """views.csv: a row per lesion and image."""
        rows = [
            {
                "exam": one.exam,
                "image": one.image,
                "view": one.view.value,
                "lesion": one.lesion,
                "p": one.answer.p,
                "logit": one.answer.logit,
                **dict(zip(("top", "bottom", "left", "right"), one.box, strict=True)),
                "diameter_mm": one.diameter_mm,
                "warnings": "; ".join(one.warnings),
            }
            for lesion in self.lesions
            for one in lesion.views
        ]
        return pl.DataFrame(rows, schema=_VIEWS, orient="row")


_LESIONS: dict[str, Any] = {
    **dict.fromkeys(("exam", "side", "lesion"), pl.String),
    **dict.fromkeys(("p_cc", "p_mlo", "p"), pl.Float64),
    **dict.fromkeys(("called", "malignant"), pl.Boolean),
    **dict.fromkeys(("images", "warnings"), pl.String),
}
_VIEWS: dict[str, Any] = {
    **dict.fromkeys(("exam", "image", "view", "lesion"), pl.String),
    **dict.fromkeys(("p", "logit"), pl.Float64),
    **dict.fromkeys(("top", "bottom", "left", "right"), pl.Int64),
    "diameter_mm": pl.Float64,
    "warnings": pl.String,
}


def read_lesions(
    sources: Sources,
    reader: LesionReader,
    *,
    on_exam: Callable[[int, int, str | None], None] = lambda done, total, problem: None,
    stop: Callable[[], bool] = lambda: False,
) -> LesionReadings:
    """Every lesion of every source.

    on_exam  called after each exam: how many are done, of how many, what was wrong with it
    stop     asked after every exam: True ends it there
    """
    lesions: list[LesionReading] = []
    failures = [("", what, reason) for what, reason in sources.missing]
    for number, source in enumerate(sources.sources, start=1):
        views, problems = _read_exam(source, reader)
        room = MOST_PICTURES - sum(one.views[0].crop is not None for one in lesions)
        lesions += [_without_pictures(one) if room <= at else one for at, one in enumerate(_join(views, reader))]
        failures += [(source.exam, what, reason) for what, reason in problems]
        give_back_memory()
        on_exam(number, len(sources.sources), join_reasons([reason for _, reason in problems]) or None)
        if stop() and number < len(sources.sources):
            return LesionReadings(tuple(lesions), tuple(failures), stopped=True)
    return LesionReadings(tuple(lesions), tuple(failures))


def _read_exam(source: Source, reader: LesionReader) -> tuple[list[ViewReading], list[tuple[str, str]]]:
    """What could be read of an exam, and (what, reason) of the rest."""
    views: list[ViewReading] = []
    problems: list[tuple[str, str]] = []
    try:
        for image in source.open():
            for reading in _read_image(image, reader, problems):
                views.append(reading)
    except SetupError:
        raise
    except ExamError as error:
        problems.append((join_reasons(source.names), str(error)))
    except Exception as error:  # one exam must not stop a batch, whatever its files hold
        place = traceback.extract_tb(error.__traceback__)[-1]
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # no path in it
        reason = f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {said}"
        problems.append((join_reasons(source.names), reason))
    return views, problems


def _read_image(image: OpenedImage, reader: LesionReader, problems: list[tuple[str, str]]) -> Iterator[ViewReading]:
    """Its lesions; those that cannot be read are added to `problems`."""
    reader.refuse_real(f"{image.view} {image.name}", is_phantom=image.is_phantom)
    problems += [(f"{image.name} {lesion}", reason) for lesion, reason in image.problems]
    doubts = reader.doubts(spacing_mm=image.spacing_mm, pixel_mode=image.pixel_mode, view=image.view)
    for lesion, mask in sorted(image.masks.items()):
        name = f"{image.view} {image.name}, lesion {lesion}"
        try:
            crop = reader.cut(image.pixels, mask, spacing_mm=image.spacing_mm, frame=image.frame, name=name)
            answer = reader.read(crop, image.view.angle)
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
            answer,
            _box_source(mask, image),
            crop.diameter_mm,
            (*image.warnings, *doubts),
            crop,
        )


def _box_source(mask: np.ndarray[Any, Any], image: OpenedImage) -> tuple[int, int, int, int]:
    """The outline's box in the pixels of the file (top, bottom, left, right), half-open."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = [image.frame.point_source(row, col) for row in (rows[0], rows[-1]) for col in (cols[0], cols[-1])]
    down, across = zip(*corners, strict=True)
    return round(min(down)), round(max(down)) + 1, round(min(across)), round(max(across)) + 1


def _join(views: Iterable[ViewReading], reader: LesionReader) -> list[LesionReading]:
    """Views of one breast with the same name of a lesion are one lesion."""
    together: dict[tuple[str, str, str], list[ViewReading]] = defaultdict(list)
    for view in views:
        together[view.exam, view.view.side.value, view.lesion].append(view)
    return [_join_one(own, reader) for _, own in sorted(together.items())]


def _join_one(views: list[ViewReading], reader: LesionReader) -> LesionReading:
    card, first = reader.weights.card, views[0]
    said: dict[Angle, list[ViewAnswer]] = {
        angle: [view.answer for view in views if view.view.angle == angle] for angle in ANGLES
    }
    cc, mlo = (mean_answers(said[angle], card.ensemble.mean) if said[angle] else None for angle in ANGLES)
    p = reader.join(said)
    truths = {view.malignant for view in views}
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
        truths.pop() if len(truths) == 1 else None,
        cc,
        mlo,
        p,
        p >= card.threshold,
        tuple(views),
        tuple(warnings),
    )


def _without_pictures(lesion: LesionReading) -> LesionReading:
    return replace(lesion, views=tuple(replace(view, crop=None) for view in lesion.views))
