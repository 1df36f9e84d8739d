"""The errors worth looking at: negatives that score high, positives that score low, disagreement with readers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourview.evaluate.table import check_scores, check_truth
from fourview.exam import SetupError
from fourview.report.document import Gallery, GalleryItem, Section
from fourview.report.picture import encode_small

_ROWS, _COLS = 360, 480
_KEY = re.compile(r"(?P<exam>.+?)(?: (?P<place>[LR](?:-CC|-MLO)?)(?: .*)?)?")


@dataclass(frozen=True)
class UnitPlace:
    """Where a unit is found: its exam's id, and "L", "R", a view, or "" for the whole exam."""

    exam: str
    place: str

    @classmethod
    def read(cls, key: str) -> UnitPlace:
        """From "EXAM", "EXAM L" or "EXAM L-CC", with or without a file name behind it."""
        found = _KEY.fullmatch(key)
        if found is None:
            raise SetupError(f"unit {key!r}: need the exam, and L, R or a view behind it")
        return cls(found["exam"], found["place"] or "")


def errors_section(
    keys: Sequence[str],
    truth: ArrayLike,
    scores: ArrayLike,
    *,
    exams_folder: Path | None,
    out: Path,
    readers: ArrayLike | None = None,
    of: str = "",
    n: int = 12,
) -> Section:
    """Galleries of the worst errors, with links to exam pages and small pictures where there are any.

    keys          (units,) "EXAM SIDE";  truth  (units,) 0 or 1;  scores  (units,)
    exams_folder  RUN/exams of the `fourview screen` output; None: no links, no pictures
    out           folder of the report, which links are relative to
    readers       (readers, units) their scores, NaN where one did not read a unit; None: no readers
    of            finding or model that the scores are of, where a report has several such sections
    n             units per gallery, at most

    A negative is an error if a positive scores the same or less, a positive if a negative scores the same or more: at
    some threshold one of the two is called wrongly. Raises SetupError as evaluate does for columns that do not fit.
    """
    yes = check_truth(truth)
    score = check_scores(scores, len(yes))[0]
    if len(keys) != len(yes):
        raise SetupError(f"found {len(keys)} keys and {len(yes)} truths; need one key per unit")
    said = None if readers is None else _mean_reader(readers, len(yes))
    page = _Page(keys, yes, score, said, exams_folder, out)

    high = np.flatnonzero(~yes & (score >= score[yes].min()))
    low = np.flatnonzero(yes & (score <= score[~yes].max()))
    high, low = high[np.argsort(-score[high], kind="stable")], low[np.argsort(score[low], kind="stable")]
    start = f"{of}_" if of else ""
    galleries = [
        page.gallery(f"{start}false_positives", "Negatives with the highest scores", high, n),
        page.gallery(f"{start}false_negatives", "Positives with the lowest scores", low, n),
    ]
    if said is not None:
        read = np.flatnonzero(np.isfinite(said))
        apart = np.abs(_ranks(score[read]) - _ranks(said[read]))
        order = read[np.argsort(-apart, kind="stable")[: np.count_nonzero(apart)]]
        galleries.append(page.gallery(f"{start}disagreement", "Model and mean reader disagree most, by rank", order, n))
    text = (
        "Ordered by score, not by a threshold: a negative is listed if it scores as high as some positive, a positive "
        "if it scores as low as some negative.",
    )
    return Section(f"{start}errors", f"Errors worth looking at{f': {of}' if of else ''}", tuple(galleries), text)


@dataclass(frozen=True, eq=False)
class _Page:
    """What every gallery of the section draws from; said: (units,) of the mean reader, NaN where nobody read."""

    keys: Sequence[str]
    yes: NDArray[np.bool_]
    score: NDArray[np.float64]
    said: NDArray[np.float64] | None
    exams_folder: Path | None
    out: Path

    def gallery(self, name: str, title: str, units: NDArray[np.int64], n: int) -> Gallery:
        shown = units[:n]
        note = f"{len(shown)} of {len(units)}." if len(units) else "None."
        return Gallery(name, title, tuple(self._item(int(unit)) for unit in shown), note)

    def _item(self, unit: int) -> GalleryItem:
        score = self.score
        others = score[~self.yes] if self.yes[unit] else score[self.yes]
        which = "negatives score the same or more" if self.yes[unit] else "positives score the same or less"
        count = int((others >= score[unit]).sum() if self.yes[unit] else (others <= score[unit]).sum())
        lines = [
            f"truth: {'positive' if self.yes[unit] else 'negative'}",
            f"score {score[unit]:.3f}, rank {int((score > score[unit]).sum()) + 1} of {len(score)}",
            f"{count} of {len(others)} {which}",
        ]
        if self.said is not None and np.isfinite(self.said[unit]):
            read = self.said[np.isfinite(self.said)]
            rank = int((read > self.said[unit]).sum()) + 1
            lines.append(f"mean reader {self.said[unit]:.3f}, rank {rank} of {len(read)}")
        place = UnitPlace.read(self.keys[unit])
        folder = self._folder(place.exam)
        link, images = None, []
        if folder is not None:
            images = list(_shrink_pictures(folder, place.place))
            if (folder / "exam.html").is_file():
                relative = os.path.relpath((folder / "exam.html").resolve(), self.out.resolve())
                link = quote(Path(relative).as_posix())
        return GalleryItem(self.keys[unit], tuple(lines), link, tuple(images))

    def _folder(self, exam: str) -> Path | None:
        """The exam's folder, if the run has it. A key with a path in it names none."""
        if self.exams_folder is None or Path(exam).name != exam:
            return None
        folder = self.exams_folder / exam
        return folder if folder.is_dir() else None


def _shrink_pictures(folder: Path, place: str) -> Iterable[tuple[str, bytes]]:
    """(alternative text, small JPEG) of each image of that side or view: its thumbnail, or overlay."""
    keys = {file.stem.partition("_")[2] for kind in ("overlay", "thumbnail") for file in folder.glob(f"{kind}_*.png")}
    for key in sorted(key for key in keys if key.startswith(place)):
        file = folder / f"thumbnail_{key}.png"  # an overlay also has a panel of text, too small to read here
        if not file.is_file():
            file = folder / f"overlay_{key}.png"
        picture = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        if picture is None:
            raise SetupError(f"{file}: damaged; remove its folder")
        rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        yield key, encode_small(rgb, rows=_ROWS, cols=_COLS)


def _mean_reader(readers: ArrayLike, units: int) -> NDArray[np.float64]:
    """(units,) the mean over the readers who read a unit; NaN where none did."""
    matrix = np.atleast_2d(np.asarray(readers, np.float64))
    if matrix.shape[1] != units:
        raise SetupError(f"readers: found {matrix.shape[1]} units; need {units}, one score per unit and reader")
    read = np.isfinite(matrix)
    counts = read.sum(axis=0)
    sums = np.where(read, matrix, 0).sum(axis=0)
    mean = np.full(units, np.nan)
    np.divide(sums, counts, out=mean, where=counts > 0)
    return mean


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from the smallest on, ties sharing their middle."""
    ordered = np.sort(values)
    below, upto = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / 2)
