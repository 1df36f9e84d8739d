"""A reader of exams without a network: cheap numbers that depend on the pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.exam import (
    FINDINGS,
    VIEWS,
    Box,
    Exam,
    ExamError,
    Frame,
    HeadScore,
    Heatmap,
    ImageReading,
    Mammogram,
    PixelMode,
    Precision,
    Reading,
    Score,
    Side,
    View,
)
from fourview.prepare import PreparedExam

MARK = "UNTRAINED WEIGHTS: numbers mean nothing"


class FakeScreener:
    """Reads an exam by its mean grey value and its brightest spot; refuses an exam that lacks a view."""

    pixel_mode: PixelMode = "stored"
    engine = "fake 1.0 on cpu"
    precision: Precision = "fp32"
    marks = (MARK,)

    def __init__(
        self,
        *,
        unit: Literal["breast", "image"] = "breast",
        needs_all: bool = True,
        heatmaps: bool = True,
        weights_hash: str = "feed" * 4,
    ) -> None:
        self.name = "fake"
        self.weights_hash = weights_hash
        self.unit: Literal["breast", "image"] = unit
        self.needs_all = needs_all
        self.heatmaps = heatmaps
        self.seen: list[str] = []

    def prepare(self, exam: Exam) -> PreparedExam:
        return PreparedExam((), 0.0)

    def read(self, exam: Exam, prepared: PreparedExam | None = None) -> Reading:
        self.seen.append(exam.exam_id)
        missing = [view for view in VIEWS if view not in exam.views]
        if self.needs_all and missing:
            raise ExamError(f"found no {', '.join(missing)}, need all four views")
        images = tuple(self._image(mammogram) for mammogram in exam.mammograms)
        breasts = {side: self._breast(exam, side) for side in Side}
        return Reading(
            exam_id=exam.exam_id,
            patient_key=exam.patient_key,
            label=exam.label,
            unit=self.unit,
            left=breasts[Side.LEFT],
            right=breasts[Side.RIGHT],
            images=images,
            heads=tuple(
                HeadScore(0, window, image.view.angle, (image.name,), image.view.side, finding, 0.1 + window / 8)
                for image in images
                for window in range(2)
                for finding in FINDINGS
            ),
            model=self.name,
            weights_hash=self.weights_hash,
            members=1,
            windows=2,
            marks=self.marks,
            engine=self.engine,
            warnings=exam.warnings,
            left_out=exam.left_out,
            seconds={"crop": 0.001, "network": 0.002},
        )

    def _image(self, mammogram: Mammogram) -> ImageReading:
        rows, cols = np.nonzero(mammogram.pixels)
        box = Box(int(rows.min()), int(rows.max()) + 1, int(cols.min()), int(cols.max()) + 1)
        shape = (mammogram.pixels.shape[0], mammogram.pixels.shape[1])
        score = None
        if self.unit == "image":
            score = _score(mammogram)
        return ImageReading(
            name=mammogram.name,
            view=mammogram.view,
            faces=mammogram.faces,
            frame=Frame(shape, shape, box, mammogram.faces == "left"),
            best_centre=(box.height // 2, box.width // 2),
            spacing_mm=mammogram.spacing_mm,
            pixel_mode=mammogram.pixel_mode,
            heatmap=_heatmap(mammogram.pixels, box) if self.heatmaps else None,
            score=score,
            decisions=mammogram.decisions,
            warnings=mammogram.warnings,
        )

    def _breast(self, exam: Exam, side: Side) -> Score | None:
        scores = [_score(m) for m in exam.mammograms if m.view.side is side]
        if not scores:
            return None
        return Score(
            benign=float(np.mean([s.benign for s in scores])),
            malignant=float(np.mean([s.malignant for s in scores])),
            benign_sd_windows=0.01,
            malignant_sd_windows=0.02,
            views=tuple(view for s in scores for view in s.views),
            files=tuple(name for s in scores for name in s.files),
        )


def _score(mammogram: Mammogram) -> Score:
    p = float(mammogram.pixels.mean() / np.iinfo(mammogram.pixels.dtype).max)
    return Score(p, p / 2, views=(mammogram.view,), files=(mammogram.name,))


def _heatmap(pixels: NDArray[np.uint8] | NDArray[np.uint16], box: Box) -> Heatmap:
    """A malignant bump where the crop is brightest, a benign one in its middle, in steps of 8 px."""
    crop = pixels[box.slices]
    bright = np.unravel_index(int(crop.argmax()), crop.shape)
    rows, cols = np.ogrid[: crop.shape[0], : crop.shape[1]]
    rows, cols = rows // 8 * 8, cols // 8 * 8
    maps = []
    for (y, x), peak in ((bright, 0.9), ((crop.shape[0] // 2, crop.shape[1] // 2), 0.6)):
        distance = (rows - y) ** 2 + (cols - x) ** 2
        full = np.zeros(pixels.shape, np.float32)
        full[box.slices] = peak * np.exp(-distance / (2 * (crop.shape[0] / 15) ** 2))
        maps.append(full)
    return Heatmap.from_arrays(malignant=maps[0], benign=maps[1])


def small_exam(exam_id: str = "a" * 16, *, seed: int = 0, views: tuple[View, ...] = VIEWS) -> Exam:
    """Half discs with noise at the usual side of a black 120 x 90 image; one image per view."""
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:120, :90]
    images = {}
    for view in views:
        disc = ((rows - 60) / 45) ** 2 + (cols / 60) ** 2 < 1
        image = np.where(disc, rng.integers(5000, 60000, (120, 90)), 0).astype(np.uint16)
        images[view.value] = image if view.usual_direction == "right" else image[:, ::-1].copy()
    return Exam.from_arrays(images, exam_id=exam_id, spacing_mm=0.28)


@dataclass(frozen=True)
class MemorySource:
    """An exam source without files: yields the exam, or raises what it is given."""

    exam_id: str
    exam: Exam | Exception | None = None
    label: str = "1.2.3"
    patient_key: str | None = "beef"
    left_out: tuple[tuple[str, str], ...] = ()
    before: Callable[[], None] = lambda: None

    @property
    def names(self) -> tuple[str, ...]:
        return (f"{self.exam_id[:4]}.dcm",)

    def read(self) -> Exam:
        self.before()
        if isinstance(self.exam, Exception):
            raise self.exam
        exam = small_exam(self.exam_id) if self.exam is None else self.exam
        return replace(exam, label=self.label, patient_key=self.patient_key, left_out=self.left_out)


@dataclass(frozen=True)
class MemoryFound:
    exams: tuple[MemorySource, ...]
    left_out: tuple[tuple[str, str], ...] = ()
