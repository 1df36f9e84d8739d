"""The card of a weights folder: everything that the pipeline needs to know about a network, checked."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fourview.calibration import Calibration, OperatingPoint

Span = tuple[int, int]
WiringName = Literal["view-wise", "image-wise", "single-image", "side-wise", "joint"]


class Section(BaseModel):
    """Unknown keys are errors; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExamNetwork(Section):
    """The exam-level network (networks/exam.py). labels: the order of a four-row head's outputs, as upstream's."""

    family: Literal["resnet22"] = "resnet22"
    wiring: WiringName
    heatmaps: bool  # True: channels are image, benign heatmap, malignant heatmap; False: image
    width: int = Field(16, ge=1)
    views: tuple[str, ...] = ("L-CC", "R-CC", "L-MLO", "R-MLO")
    labels: tuple[
        Literal["left_benign"], Literal["right_benign"], Literal["left_malignant"], Literal["right_malignant"]
    ] = ("left_benign", "right_benign", "left_malignant", "right_malignant")


class PatchNetwork(Section):
    """The patch network and how it slides."""

    family: Literal["densenet"] = "densenet"
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = Field(32, ge=1)
    stem: int = Field(64, ge=1)
    classes: tuple[str, ...] = ("malignant", "benign", "other_2", "other_3")
    side_px: int = Field(256, ge=8)
    stride_px: int = Field(70, ge=1)

    @model_validator(mode="after")
    def _names_both_findings(self) -> PatchNetwork:
        if not {"malignant", "benign"} <= set(self.classes):
            raise ValueError(f"classes are {self.classes}; need one named malignant and one named benign")
        return self


class Input(Section):
    """What the network was trained on.

    pixel_mode         grey scale (ingest: stored or presentation)
    spacing_mm         pixel size that images are resampled to; None: never resampled
    spacing_range_mm   pixel sizes seen in training; readings of other images are marked
    resample           "always"; or "outside_range": images within spacing_range_mm are read pixel by pixel, as
                       upstream reads them, others (and only if their pixel size is known) are resampled; "never"
    normalisation      mean 0 and deviation 1, of each window for the exam network, of the whole crop for patches
    """

    pixel_mode: Literal["stored", "presentation"] = "stored"
    spacing_mm: float | None = None
    spacing_range_mm: tuple[float, float] | None = None
    resample: Literal["never", "outside_range", "always"] = "never"
    normalisation: Literal["standardise window, patches by crop"] = "standardise window, patches by crop"

    @model_validator(mode="after")
    def _resampling_has_a_target(self) -> Input:
        if self.resample != "never" and self.spacing_mm is None:
            raise ValueError(f"resample is {self.resample!r}; need spacing_mm")
        if self.resample == "outside_range" and self.spacing_range_mm is None:
            raise ValueError("resample is 'outside_range'; need spacing_range_mm")
        return self


class Geometry(Section):
    """Crop, window and jitter, in working pixels (rows, cols)."""

    crop_iterations: int = Field(100, ge=0)
    crop_buffer_px: int = Field(50, ge=0)
    window_cc_px: Span = (2677, 1942)
    window_mlo_px: Span = (2974, 1748)
    location_noise_px: Span = (100, 100)
    size_noise_px: int = Field(100, ge=0)
    std_floor: float = Field(1e-5, gt=0)

    def window_px(self, angle: Literal["CC", "MLO"]) -> Span:
        return self.window_cc_px if angle == "CC" else self.window_mlo_px


class Training(Section):
    """Where the numbers of the network come from. trained: None = nobody can tell."""

    trained: bool | None
    data: str
    terms: str = ""  # of the training data
    source: str = ""
    recipe_sha256: str | None = None


class Metric(Section):
    name: str
    value: float
    interval_95: tuple[float, float] | None = None
    unit: Literal["image", "breast", "exam", "patient"]
    n: int
    population: str


class Card(Section):
    """The content of card.json.

    calibration  of readings of this network alone; None: its scores only rank
    """

    format: Literal["fourview-weights/1"] = "fourview-weights/1"
    name: str
    exam: ExamNetwork | None = None
    patch: PatchNetwork | None = None
    input: Input = Input()
    geometry: Geometry = Geometry()
    calibration: Calibration | None = None
    training: Training
    licence: str
    metrics: tuple[Metric, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    notes: str = ""
    sha256: dict[str, str] = {}  # file name -> SHA-256 of the file

    @model_validator(mode="after")
    def _is_complete(self) -> Card:
        if self.exam is None and self.patch is None:
            raise ValueError("neither an exam network nor a patch network")
        if self.exam is not None and self.exam.heatmaps and self.patch is None:
            raise ValueError("an image+heatmaps network needs its patch network in the same folder")
        return self

    @property
    def kind(self) -> str:
        """What `weights list` shows: the wiring, or "patch"."""
        if self.exam is None:
            return "patch"
        return f"{self.exam.wiring}, {'image+heatmaps' if self.exam.heatmaps else 'image only'}"

    @property
    def weights_hash(self) -> str:
        """16 hex digits over everything that changes a raw score: tensors, geometry, input."""
        parts = ("exam", "patch", "input", "geometry", "sha256")
        content = {part: self.model_dump(mode="json")[part] for part in parts}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
