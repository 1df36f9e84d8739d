"""The parts of a lesion recipe: sections of its TOML file, each number with its unit and limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fourview.networks.lesion import STRIDE, Architecture, Gate, LesionNetwork
from fourview.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Factors = tuple[Positive, Positive]


class Crop(Section):
    """What is cut about a lesion (crops.cut_lesion).

    scale    side of the square, in longer sides of the outline's box; "pad50": 50 pixels of the image more on each
             side of the box; "whole512", "whole1024": the whole breast, side_px is then the same number
    side_px  of the crop, an even number
    """

    scale: Annotated[float, Field(ge=1, le=8)] | Literal["pad50", "whole512", "whole1024"] = 2.0
    side_px: Annotated[int, Field(ge=32, le=1024, multiple_of=2)] = 224

    @model_validator(mode="after")
    def _whole_fits(self) -> Self:
        if isinstance(self.scale, str) and self.scale.startswith("whole") and self.scale != f"whole{self.side_px}":
            raise ValueError(
                f"side_px: found {self.side_px} with {self.scale}, need {self.scale.removeprefix('whole')}"
            )
        return self


class Network(Section):
    """The network (networks.lesion).

    width_mult   share of the architecture's channels
    gate         what the last map is multiplied with: nothing, an attention learned from labels, or a mask that is
                 learned from the outlines too
    size         the last layer sees the logarithm of the lesion's diameter in mm
    dropout      share that is left out of what the last layers see, in training
    gate_weight  of the mask gate's cross-entropy per pixel, beside that of the answer
    l1           coefficient of the sum of the absolute weights of the last layer, in the loss
    """

    architecture: Architecture
    width_mult: Annotated[float, Field(gt=0, le=4)] = 1.0
    gate: Gate = "none"
    size: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    gate_weight: Annotated[float, Field(ge=0)] = 1.0
    l1: Annotated[float, Field(ge=0)] = 0.0

    @property
    def words(self) -> str:
        """What sets it apart from others: "googlenet_light x 0.5, mask gate"."""
        width = "" if self.width_mult == 1 else f" x {self.width_mult:g}"
        gate = "" if self.gate == "none" else f", {self.gate} gate"
        return f"{self.architecture}{width}{gate}"

    def build(self, side_px: int) -> LesionNetwork:
        """The network for crops of this side, its values without meaning."""
        return LesionNetwork(
            self.architecture,
            width_mult=self.width_mult,
            side_px=side_px,
            gate=self.gate,
            size=self.size,
            dropout=self.dropout,
        )


class Augmentation(Section):
    """What is done to a crop in training, drawn anew every time; the tissue around it moves in.

    mirrored, flipped  share of crops turned left-right, up-down
    rotation_deg       largest angle, either way;  shift  largest, either way, in sides of the crop
    scale              smallest and largest factor;  gamma  smallest and largest exponent of the greys from 0 to 1
    offset             largest, either way, in standard deviations of the crop, after it was standardised
    """

    mirrored: Share = 0.5
    flipped: Share = 0.5
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 180.0
    shift: Annotated[float, Field(ge=0, le=0.5)] = 1 / 7
    scale: Factors = (0.8, 1.2)
    gamma: Factors = (0.8, 1.2)
    offset: Annotated[float, Field(ge=0)] = 0.1

    @model_validator(mode="after")
    def _factors_rise(self) -> Self:
        for name, (low, high) in (("scale", self.scale), ("gamma", self.gamma)):
            if low > high:
                raise ValueError(f"{name}: found {[low, high]}, need the smaller one first")
        return self


class Ensemble(Section):
    """What is averaged to one answer about a lesion.

    views     "shared": one network reads CC and MLO; "separate": each has its own
    seeds     networks of each, that differ in all that is drawn
    dihedral  each crop is read in its eight mirrored and turned forms
    mean      of probabilities, or of logits
    """

    views: Literal["shared", "separate"] = "shared"
    seeds: Count = 1
    dihedral: bool = True
    mean: Literal["probability", "logit"] = "probability"


class PhantomLesions(Section):
    """What `--data phantom:RECIPE` draws: exams, seed and scale of `fourview phantom`."""

    exams: Count
    seed: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(ge=0.05, le=1)]


def check_gate(network: Network, crop: Crop) -> None:
    """Raises ValueError: a crop that the gate cannot read."""
    if network.gate == "mask" and crop.side_px % STRIDE:
        raise ValueError(f"crop.side_px: found {crop.side_px} with a mask gate, need a multiple of {STRIDE}")
