"""The card of a weights folder: everything that the pipeline needs to know about a network, checked."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fourview.calibration import Calibration, OperatingPoint

Span = tuple[int, int]
Storage = Literal["fp32", "fp16"]
Depth = Annotated[int, Field(ge=1)]
WiringName = Literal["view-wise", "image-wise", "single-image", "side-wise", "joint"]


class Section(BaseModel):
    """Unknown keys are errors; nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ExamNetwork(Section):
    """The exam-level network (networks/exam.py), or the one of BI-RADS pretraining (networks/birads.py).

    blocks  residual blocks in each stage of the columns;  width  channels of the first
    labels  the order of a four-row head's outputs, as upstream's
    """

    family: Literal["resnet22"] = "resnet22"
    wiring: WiringName
    heatmaps: bool  # True: channels are image, benign heatmap, malignant heatmap; False: image
    width: int = Field(16, ge=1)
    blocks: tuple[Depth, Depth, Depth, Depth, Depth] = (2, 2, 2, 2, 2)
    views: tuple[str, ...] = ("L-CC", "R-CC", "L-MLO", "R-MLO")
    labels: tuple[
        Literal["left_benign"], Literal["right_benign"], Literal["left_malignant"], Literal["right_malignant"]
    ] = ("left_benign", "right_benign", "left_malignant", "right_malignant")


class Spreading(Section):
    """How the answers of patches become a map, where it is not as published.

    As published, a pixel has the mean of the patches that cover it. Near the border of a crop few do, in its corner a
    single one: means vary more there, and the largest value of a whole map lies there more often than it should.

    beyond_border  patches that would lie over the border: "ignored", as published, or "healthy": they count as 0 for
                   both findings, so that a pixel is divided by as many patches as lie over one in the middle
    smooth_px      standard deviation of a Gaussian that the map is smoothed with: it takes away the steps between
                   patches, not the border. 0: none, as published
    """

    beyond_border: Literal["ignored", "healthy"] = "ignored"
    smooth_px: float = Field(0.0, ge=0)


class PatchNetwork(Section):
    """The patch network and how it slides.

    spreading      of its answers over the pixels of a map; None: as published
    score_patches  read alone, without an exam network: an image's score for a finding is the mean of this many highest
                   probabilities among its patches. None: as many as lie over any one spot, (side_px / stride_px)
                   squared, so that a single patch does not decide, and a finding no larger than a patch can
    """

    family: Literal["densenet"] = "densenet"
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = Field(32, ge=1)
    stem: int = Field(64, ge=1)
    classes: tuple[str, ...] = ("malignant", "benign", "other_2", "other_3")
    side_px: int = Field(256, ge=8)
    stride_px: int = Field(70, ge=1)
    score_patches: int | None = Field(None, ge=1)
    spreading: Spreading | None = None

    @property
    def patches_in_score(self) -> int:
        """`score_patches`, or what None stands for; at least 1."""
        return self.score_patches or max(1, round((self.side_px / self.stride_px) ** 2))

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
    film               digitised films: all but the breast is set to 0 (film.blank_film) before anything else
    """

    pixel_mode: Literal["stored", "presentation"] = "stored"
    spacing_mm: float | None = None
    spacing_range_mm: tuple[float, float] | None = None
    resample: Literal["never", "outside_range", "always"] = "never"
    normalisation: Literal["standardise window, patches by crop"] = "standardise window, patches by crop"
    film: bool = False

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
    """Where the numbers of the network come from.

    trained        None = nobody can tell
    data           what it was trained on, and split; terms: of that data
    population     whom the data are of, in words
    phantoms_only  neither it nor what it started from has seen anything but phantoms: it refuses other images
    recipe, stage, seed, recipe_sha256  what trained it (fourview.train); data_sha256: images, parts and pixels
    minutes        that training took, on `trained_on`
    learned_sha256 of the file that says whom it has learned from (learned.py); None: nobody wrote it down
    """

    trained: bool | None
    data: str
    terms: str = ""
    source: str = ""
    population: str = ""
    phantoms_only: bool = False
    recipe: str | None = None
    stage: Literal["patch", "birads", "exam"] | None = None
    seed: int | None = None
    recipe_sha256: str | None = None
    data_sha256: str | None = None
    minutes: float | None = Field(None, ge=0)
    learned_sha256: str | None = None
    trained_on: str = ""


class Metric(Section):
    """One number of a card.

    positives     None where the unit is neither positive nor negative
    truth_sha256  of the table of truths that `fourview evaluate` measured it on (`weights measure`); None: of training
    """

    name: str
    value: float
    interval_95: tuple[float, float] | None = None
    unit: Literal["patch", "image", "breast", "exam", "patient"]
    n: int
    positives: int | None = None
    population: str
    truth_sha256: str | None = None

    def __str__(self) -> str:
        low, high = self.interval_95 or (None, None)
        interval = "no interval" if low is None else f"95 % {low:.3f} to {high:.3f}"
        units = f"{self.unit}es" if self.unit.endswith("ch") else f"{self.unit}s"  # patches
        positives = "" if self.positives is None else f", {self.positives:,} positive"
        return f"{self.name} {self.value:.3f} ({interval}; {self.n:,} {units}{positives}; {self.population})"


class Card(Section):
    """The content of card.json.

    birads       a network of BI-RADS pretraining: only for training others (`--init`), it reads no exams
    calibration  of readings of this network alone; None: its scores only rank
    storage      of convolutions and layers in the files: fp16 takes half the room. Statistics and biases are stored as
                 float32, and everything is loaded as that
    """

    format: Literal["fourview-weights/1"] = "fourview-weights/1"
    name: str
    exam: ExamNetwork | None = None
    patch: PatchNetwork | None = None
    birads: ExamNetwork | None = None
    input: Input = Input()
    geometry: Geometry = Geometry()
    calibration: Calibration | None = None
    training: Training
    licence: str
    metrics: tuple[Metric, ...] = ()
    operating_points: tuple[OperatingPoint, ...] = ()
    notes: str = ""
    storage: Storage = "fp32"
    sha256: dict[str, str] = {}  # file name -> SHA-256 of the file

    @model_validator(mode="after")
    def _is_complete(self) -> Card:
        if self.exam is None and self.patch is None and self.birads is None:
            raise ValueError("neither an exam network nor a patch network, nor one of BI-RADS pretraining")
        if self.patch is None and any(network and network.heatmaps for network in (self.exam, self.birads)):
            raise ValueError("an image+heatmaps network needs its patch network in the same folder")
        return self

    @property
    def kind(self) -> str:
        """What `weights list` shows: the wiring, or "patch"."""
        network = self.exam or self.birads
        if network is None:
            return "patch"
        kind = f"{network.wiring}, {'image+heatmaps' if network.heatmaps else 'image only'}"
        return kind if self.exam else f"BI-RADS pretraining, {kind}"

    @property
    def reads_exams(self) -> bool:
        """Whether `screen` can read with it: an exam network, or a patch network alone."""
        return self.exam is not None or (self.patch is not None and self.birads is None)

    @property
    def unit(self) -> Literal["breast", "image"]:
        """What its readings are about: a patch network alone speaks about images."""
        return "image" if self.exam is None or self.exam.wiring == "single-image" else "breast"

    @property
    def weights_hash(self) -> str:
        """16 hex digits over everything that changes a raw score: tensors, geometry, input.

        What later versions added is left out where it has no effect, so that older weights keep their hash.
        """
        content = self.model_dump(mode="json", include={"exam", "patch", "birads", "input", "geometry", "sha256"})
        if content["birads"] is None:
            del content["birads"]
        if content["exam"] is not None and self.exam is not None and self.exam.blocks == (2, 2, 2, 2, 2):
            del content["exam"]["blocks"]
        if not self.input.film:
            del content["input"]["film"]
        for later in ("score_patches", "spreading"):
            if self.patch is not None and content["patch"][later] is None:
                del content["patch"][later]
        return hash_content(content)

    @property
    def patch_hash(self) -> str:
        """16 hex digits over everything that changes a patch's answer: the network, and how images are cropped for it.

        Raises ValueError without a patch network.
        """
        if self.patch is None:
            raise ValueError(f"{self.name} has no patch network")
        network = self.patch.model_dump(mode="json", exclude={"score_patches", "spreading"})  # they change no answer
        crop = {name: value for name, value in self.cropping.items() if name != "film" or value}
        return hash_content({"patch": network, "crop": crop, "file": self.sha256.get("patch.safetensors")})

    @property
    def cropping(self) -> dict[str, Any]:
        """What decides the crop of an image, and so where its patches lie: what two networks must share to share it."""
        way = self.input.resample
        return {
            "resample": way,
            "spacing_mm": None if way == "never" else self.input.spacing_mm,
            "spacing_range_mm": self.input.spacing_range_mm if way == "outside_range" else None,
            "crop_iterations": self.geometry.crop_iterations,
            "crop_buffer_px": self.geometry.crop_buffer_px,
            "std_floor": self.geometry.std_floor,
            "film": self.input.film,
        }


def hash_content(content: dict[str, Any]) -> str:
    """16 hex digits that change with any value."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
