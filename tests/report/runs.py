"""A `fourview screen` output folder with heatmaps that a test plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Exam, Heatmap, View
from fourview.report import Failure, write_tables
from fourview.report.exam_folder import write_exam_folder
from fourview.report.readings import summarise
from tests.fake_screener import FakeScreener

Peak = tuple[int, int, float]  # row, column, value


def plant_peaks(shape: tuple[int, int], peaks: Sequence[Peak]) -> Heatmap:
    """A malignant heatmap that is 0 but for single pixels."""
    malignant = np.zeros(shape, np.float32)
    for row, col, value in peaks:
        malignant[row, col] = value
    return Heatmap.from_arrays(malignant=malignant, benign=np.zeros(shape, np.float32))


def write_run(
    out: Path,
    exams: Mapping[str, Exam],
    heatmaps: Mapping[tuple[str, str], Heatmap],
    *,
    failed: Mapping[str, str] | None = None,
    features: Mapping[tuple[str, str], NDArray[np.float32]] | None = None,
    files: str = "all",
) -> Path:
    """exams by id; heatmaps and features by (id, image name); an image without a planted heatmap gets an empty one."""
    summaries = []
    for exam_id, exam in exams.items():
        reading = FakeScreener(needs_all=False).read(replace(exam, exam_id=exam_id))
        images = tuple(
            replace(
                image,
                heatmap=heatmaps.get((exam_id, image.name), plant_peaks(image.frame.source_shape, ())),
                features=(features or {}).get((exam_id, image.name)),
            )
            for image in reading.images
        )
        reading = replace(reading, images=images)
        folder = out / "exams" / exam_id
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_exam_folder(folder, exam, reading, settings={}, files="all" if files == "all" else "readings")
        summaries.append(summarise(reading))
    failures = [Failure("exam", exam, "x.dcm", reason) for exam, reason in (failed or {}).items()]
    write_tables(
        out, summaries, failures, model="fake", weights_hash="feed", unit="breast", order=[*exams, *(failed or {})]
    )
    return out


def black_exam(shape: tuple[int, int] = (120, 90), *, views: Sequence[View] = tuple(View)) -> Exam:
    """Images that are grey throughout: the crop is the whole image."""
    return Exam.from_arrays({view.value: np.full(shape, 9000, np.uint16) for view in views}, spacing_mm=0.28)
