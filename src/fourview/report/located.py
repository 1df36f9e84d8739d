"""The marks that a run's heatmaps make, and which of them lie in lesions: a `fourview screen` folder + LESIONS.csv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from fourview.evaluate.froc import MarkedImages
from fourview.exam import Finding, ImageReading, Reading, SetupError, hash_label
from fourview.report.exam_folder import load_heatmaps
from fourview.report.lesions import Lesion, Region, load_lesions
from fourview.report.output_folder import exam_folder
from fourview.report.page.hot_places import SIDE_PX, HotPlace, find_apart_px, find_hot_places, in_source_px
from fourview.report.reading_json import image_keys, load_reading

LEAST = 0.001  # of a heatmap: smaller maxima are no marks
MARKED: Finding = "malignant"
_MARK_COLUMNS = {
    "exam": pl.String,
    "image": pl.String,
    "row": pl.Int64,
    "col": pl.Int64,
    "score": pl.Float64,
    "findings": pl.String,
}
_LESION_COLUMNS = {
    "exam": pl.String,
    "image": pl.String,
    "finding": pl.String,
    "malignant": pl.Int64,
    "highest_mark": pl.Float64,
    "not_read": pl.String,
}


@dataclass(frozen=True, eq=False)
class Located:
    """Marks and lesions of a run, ready to be counted.

    marked    for evaluate.froc and evaluate.jafroc
    images    (exam, key) of each image that was read, as marked.image_exam counts them
    places    of each mark, source pixels
    lesions   in the order of LESIONS.csv, as marked counts them
    not_read  of lesions that count as missed because their image was not read: place in `lesions` -> why
    run_marks reasons to distrust the run's readings
    margin_px that was added around each lesion, source pixels
    apart_px  least distance of two marks of an image, in pixels as the network sees them
    """

    marked: MarkedImages
    images: tuple[tuple[str, str], ...]
    places: tuple[HotPlace, ...]
    lesions: tuple[Lesion, ...]
    not_read: Mapping[int, str]
    run_marks: tuple[str, ...]
    margin_px: float
    apart_px: float

    def marks_table(self) -> pl.DataFrame:
        """One row per mark: where it is, its score, and the findings that it lies in."""
        hit: dict[int, list[str]] = defaultdict(list)
        for mark, lesion in self.marked.hits.tolist():
            hit[mark].append(self.lesions[lesion].finding)
        rows = [
            (*self.images[image], place.row, place.col, score, "; ".join(hit[number]))
            for number, (image, place, score) in enumerate(
                zip(self.marked.mark_image.tolist(), self.places, self.marked.mark_score.tolist(), strict=True)
            )
        ]
        return pl.DataFrame(rows, schema=_MARK_COLUMNS, orient="row")

    def lesions_table(self) -> pl.DataFrame:
        """One row per lesion: its highest mark (empty: none), and why it was not read, if it was not."""
        rows = [
            (
                lesion.exam,
                lesion.image,
                lesion.finding,
                int(lesion.malignant),
                float(score) if np.isfinite(score) else None,
                self.not_read.get(number, ""),
            )
            for number, (lesion, score) in enumerate(zip(self.lesions, self.marked.lesion_score, strict=True))
        ]
        return pl.DataFrame(rows, schema=_LESION_COLUMNS, orient="row")


def locate_lesions(
    run: Path,
    lesions: Path,
    *,
    margin_px: float = 0.0,
    apart_px: float | None = None,
    exams: Collection[str] | None = None,
) -> Located:
    """The marks of a `fourview screen` output folder, and which lie in the lesions of LESIONS.csv.

    Marks are the local maxima of each image's malignant heatmap; a mark lies in a lesion if its pixel is at most
    margin_px source pixels from a pixel of it.

    apart_px  of two maxima that are nearer (in rows and in columns, as the network sees them) the smaller is no mark;
              None: the side of the patches of the run
    exams     ids (as in readings.csv) of those whose images count besides exams with lesions; an image without a
              lesion counts as normal. None: all that the run read

    A lesion whose image was not read counts as missed and is named in `not_read`. Raises SetupError if the run or the
    table is damaged, no heatmaps were written, no lesion belongs to an exam of the run, or a region does not fit.
    """
    if margin_px < 0:
        raise SetupError(f"margin: found {margin_px:g} pixels; need 0 or more")
    if not (run / "exams").is_dir():
        raise SetupError(f"{run}: found no folder exams; need the output of `fourview screen`")
    read = sorted(folder.name for folder in (run / "exams").iterdir() if folder.is_dir())
    failures = _load_failures(run)
    rows = tuple(_identify(lesion, {*read, *failures}) for lesion in load_lesions(lesions))
    by_exam: dict[str, list[int]] = defaultdict(list)
    for number, lesion in enumerate(rows):
        by_exam[lesion.exam].append(number)
    if not set(read) & set(by_exam):
        raise SetupError(f"{lesions}: none of its {len(by_exam)} exams is in {run}; need exams as in readings.csv")
    not_read = {
        number: failures.get(exam, "the run has no such exam")
        for exam in by_exam.keys() - set(read)
        for number in by_exam[exam]
    }
    images: list[tuple[str, str]] = []
    marks: list[tuple[int, HotPlace]] = []
    hits: list[tuple[int, int]] = []
    lesion_image = [-1] * len(rows)
    run_marks: dict[str, None] = {}
    apart: float = SIDE_PX
    for exam in read:
        if exams is not None and exam not in exams and exam not in by_exam:
            continue
        reading = load_reading(exam_folder(run, exam)).reading
        run_marks |= dict.fromkeys(reading.marks)
        in_image, missing = _match_lesions(by_exam[exam], rows, image_keys(reading), reading.images)
        not_read |= missing
        apart = find_apart_px(reading) if apart_px is None else apart_px
        for key, found in _find_marks(exam_folder(run, exam), reading, apart_px=apart):
            regions = [(number, Region(rows[number], found.shape)) for number in in_image[key]]
            for number in in_image[key]:
                lesion_image[number] = len(images)
            for place in found.places:
                hits += [
                    (len(marks), number)
                    for number, region in regions
                    if region.distance(place.row, place.col) <= margin_px
                ]
                marks.append((len(images), place))
            images.append((exam, key))
    marked = MarkedImages(
        image_exam=np.array([exam for exam, _ in images]),
        mark_image=np.array([image for image, _ in marks], np.int64),
        mark_score=np.array([place.value for _, place in marks], np.float64),
        hits=np.array(hits, np.int64).reshape(-1, 2),
        lesion_image=np.array(lesion_image, np.int64),
        lesion_exam=np.array([lesion.exam for lesion in rows]),
        lesion_finding=np.array([lesion.finding for lesion in rows]),
        lesion_malignant=np.array([lesion.malignant for lesion in rows]),
    )
    places = tuple(place for _, place in marks)
    return Located(marked, tuple(images), places, rows, not_read, tuple(run_marks), margin_px, apart)


@dataclass(frozen=True)
class _Marks:
    shape: tuple[int, int]
    places: tuple[HotPlace, ...]


def _find_marks(folder: Path, reading: Reading, *, apart_px: float) -> Iterator[tuple[str, _Marks]]:
    """Per image of an exam folder: its source shape and marks. Raises SetupError if an image has no heatmap."""
    heatmaps = load_heatmaps(folder)
    for key, image in zip(image_keys(reading), reading.images, strict=True):
        if key not in heatmaps:
            raise SetupError(
                f"{folder}: found no heatmap of {key}; need a run of weights with heatmaps and with --files all"
            )
        frame = image.frame
        if heatmaps[key].source_shape != frame.source_shape:
            raise SetupError(
                f"{folder}: heatmap of {key} has the source shape {heatmaps[key].source_shape}, reading.json "
                f"{frame.source_shape}; need the same"
            )
        most = heatmaps[key].box.height * heatmaps[key].box.width
        yield (
            key,
            _Marks(
                frame.source_shape,
                find_hot_places(heatmaps[key], MARKED, radius_px=in_source_px(apart_px, frame), least=LEAST, most=most),
            ),
        )


def _match_lesions(
    numbers: Sequence[int], rows: Sequence[Lesion], keys: Sequence[str], images: Sequence[ImageReading]
) -> tuple[dict[str, list[int]], dict[int, str]]:
    """The lesions in each image of an exam, by the image's key; and those without an image, with why.

    Raises SetupError where a view has several images and the lesion names no file.
    """
    found: dict[str, list[int]] = {key: [] for key in keys}
    missing = {}
    for number in numbers:
        lesion = rows[number]
        own = [
            key
            for key, image in zip(keys, images, strict=True)
            if lesion.view in (None, image.view) and lesion.file in (None, image.name)
        ]
        if len(own) > 1:
            raise SetupError(
                f"LESIONS line {lesion.line}: found {len(own)} images {lesion.image} in exam {lesion.exam}; "
                "need the file that it is in, as reading.json names it"
            )
        if own:
            found[own[0]].append(number)
        else:
            missing[number] = f"the run read no image {lesion.image} of this exam"
    return found, missing


def _identify(lesion: Lesion, known: Collection[str]) -> Lesion:
    """The lesion with the run's id of its exam, where the table gives the name that the id is a hash of."""
    hashed = hash_label(lesion.exam)
    return replace(lesion, exam=hashed) if lesion.exam not in known and hashed in known else lesion


def _load_failures(run: Path) -> dict[str, str]:
    """Why each exam of failures.csv was not read; empty if the run has not written it."""
    file = run / "failures.csv"
    if not file.is_file():
        return {}
    try:
        table = pl.read_csv(file, infer_schema=False).filter(pl.col("kind") == "exam")
        return dict(zip(table["exam"].to_list(), table["reason"].to_list(), strict=True))
    except pl.exceptions.PolarsError as error:
        raise SetupError(f"{file}: damaged ({error}); need the one that `fourview screen` wrote") from error
