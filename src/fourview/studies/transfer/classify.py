"""A classifier's folder -> answers about exams: a score per image, and per breast the mean over its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.calibration import sigmoid
from fourview.engine import choose_engine, describe
from fourview.exam import Exam, ExamError, ImageReading, Mammogram, SetupError, Side
from fourview.prepare import Prepared, blank_film_once, mark_images
from fourview.store.prepare_image import CropSettings
from fourview.studies.transfer.breast_input import cut_mammogram
from fourview.studies.transfer.chosen import score_arrays
from fourview.studies.transfer.extractors import find_extractor
from fourview.studies.transfer.open_extractor import FeatureReader, open_extractor
from fourview.weights.classifier import ClassifierCard, Unit, find_network, load_classifier


@dataclass(frozen=True)
class Answer:
    """What a classifier says of one image or breast.

    score  larger is more like `positive` of its card;  called  whether it reaches the threshold
    p      of that, at the share of positives in training; None with `called` where the card has no scale of the unit
    files  the images that it rests on, by view and name;  warnings  of them
    """

    side: Side
    views: tuple[str, ...]
    files: tuple[str, ...]
    score: float
    p: float | None
    called: bool | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExamAnswer:
    """Of one exam: its images in the order of their files, its breasts. engine: what ran the network"""

    exam_id: str
    patient_key: str | None
    label: str
    images: tuple[Answer, ...]
    breasts: tuple[Answer, ...]
    warnings: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    engine: str = ""


@dataclass(frozen=True, eq=False)
class Classifier:
    """Loaded and ready to read exams. Made by `open`."""

    card: ClassifierCard
    arrays: dict[str, NDArray[Any]]
    reader: FeatureReader
    engine: str
    allow_phantom_weights: bool = False

    @classmethod
    def open(cls, folder: Path, *, device: str = "auto", allow_phantom_weights: bool = False) -> Classifier:
        """Raises SetupError for a folder that is damaged, or whose extractor is not the one that it learned from."""
        card, arrays = load_classifier(folder)
        features, engine = card.features, choose_engine("auto", device=device)
        reader = open_extractor(
            find_extractor(features.extractor),
            find_network(folder, card),
            engine,
            size=features.size,
            view=features.view,
        )
        found = (reader.origin.hash, reader.preprocessing_hash, reader.dimension)
        if found != (features.weights_hash, features.preprocessing_hash, features.dimension):
            raise SetupError(
                f"{folder}: found an extractor {features.extractor} that makes other features than this classifier "
                "learned from (another version of fourview?); make features and classifier again"
            )
        return cls(card, arrays, reader, describe(engine), allow_phantom_weights)

    @property
    def marks(self) -> tuple[str, ...]:
        """Reasons to distrust every answer."""
        origin, marks = self.reader.origin, []
        if origin.trained is not True:
            what = "untrained" if origin.trained is False else "of unknown origin"
            marks.append(f"{self.card.name}: its features are of a network that is {what}")
        if self.card.training.phantoms_only:
            marks.append(f"not for real images: trained on phantoms only ({self.card.name})")
        return tuple(marks)

    def read(self, exam: Exam) -> ExamAnswer:
        """What it says of an exam. Raises ExamError if an image cannot be read, or may not be."""
        real = [f"{m.view} {m.name}" for m in exam.mammograms if not m.is_phantom]
        if real and self.card.training.phantoms_only and not self.allow_phantom_weights:
            raise ExamError(
                f"{', '.join(real)}: found no mark of a phantom, and {self.card.name} was trained on phantoms only: "
                "not for real images; need another classifier (to look all the same: --allow-phantom-weights)"
            )
        images = tuple(self._read_image(mammogram) for views in exam.views.values() for mammogram in views)
        sides = [side for side in Side if any(image.side is side for image in images)]
        breasts = tuple(self._join([image for image in images if image.side is side]) for side in sides)
        return ExamAnswer(
            exam.exam_id,
            exam.patient_key,
            exam.label,
            images,
            breasts,
            exam.warnings,
            exam.left_out,
            self.engine,
        )

    def _read_image(self, mammogram: Mammogram) -> Answer:
        maker = self.card.features
        if maker.film:  # its features are of crops of a store, whatever the network's own card says of films
            mammogram = blank_film_once(mammogram)
        crop = CropSettings(maker.crop_iterations, maker.crop_buffer_px)
        prepared = cut_mammogram(mammogram, self.reader.card, crop=crop)
        decision = float(score_arrays(self.arrays, self.reader.read(prepared)[None])[0])
        score = (decision - self.card.centre) / self.card.spread
        warnings = (*mammogram.warnings, *prepared.crop.warnings, *self._doubts(mammogram, prepared))
        p, called = self._say("image", score)
        view = mammogram.view
        return Answer(view.side, (view.value,), (mammogram.name,), score, p, called, warnings)

    def _join(self, images: Sequence[Answer]) -> Answer:
        views = tuple(dict.fromkeys(view for image in images for view in image.views))
        files = tuple(name for image in images for name in image.files)
        warnings = tuple(dict.fromkeys(text for image in images for text in image.warnings))
        score = float(np.mean([image.score for image in images]))
        p, called = self._say("breast", score)
        return Answer(images[0].side, views, files, score, p, called, warnings)

    def _doubts(self, mammogram: Mammogram, prepared: Prepared) -> tuple[str, ...]:
        """Pixels unlike those that it learned from, or that the network was trained on, as `screen` marks them."""
        limits, size = self.card.features.spacing_range_mm, mammogram.spacing_mm
        own = []
        if limits and size is not None and not limits[0] * 0.999 <= size <= limits[1] * 1.001:
            seen = f"{limits[0]:g}-{limits[1]:g} mm that {self.card.name} learned from"
            own.append(f"pixel size {size:.4g} mm is outside the {seen}")
        if mammogram.pixel_mode not in ("file", mode := self.card.features.pixel_mode):
            own.append(f"pixels: {mammogram.pixel_mode}; {self.card.name} learned from {mode}")
        if self.reader.card is None:
            return tuple(own)
        image = ImageReading(
            mammogram.name,
            mammogram.view,
            mammogram.faces,
            prepared.crop.frame,
            prepared.best_centre,
            mammogram.spacing_mm,
            mammogram.pixel_mode,
        )
        return (*own, *mark_images([image], [self.reader.card]))

    def _say(self, unit: Unit, score: float) -> tuple[float | None, bool | None]:
        """The probability, and whether the threshold is reached."""
        scale = self.card.scales.get(unit)
        if scale is None:
            return None, None
        return float(sigmoid(np.array(scale.slope * score + scale.intercept))), score >= scale.threshold
