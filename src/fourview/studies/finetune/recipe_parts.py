"""The parts of a recipe of fine-tuning: sections of its TOML file, each number with its unit and limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fourview.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
ViewInit = Literal["L-CC", "R-CC", "L-MLO", "R-MLO", "matched"]


class Phase(Section):
    """One run of the training loop.

    layers    what is trained: the new last layer ("head"), or all
    size_px   side of the square that the crop is shrunk to; networks of one view read their own windows instead
    epochs    at most; patience  epochs without gain in validation after which the phase ends
    batch     images per step
    lr        largest learning rate, of the last layers;  lr_first  of the first layers, and those between in a
              geometric series; None: the same for all
    """

    layers: Literal["head", "all"]
    size_px: Annotated[int, Field(ge=32)]
    epochs: Count
    patience: Count
    batch: Count
    lr: Positive
    lr_first: Positive | None = None

    @model_validator(mode="after")
    def _rates_rise(self) -> Self:
        if self.lr_first is not None and self.layers == "head":
            raise ValueError("lr_first: found one for the head alone, which has one rate")
        if self.lr_first is not None and self.lr_first > self.lr:
            raise ValueError(f"lr_first: found {self.lr_first:g} above lr {self.lr:g}; first layers learn slower")
        return self


class Cycle(Section):
    """One cycle of the learning rate in each phase: a straight rise, then a cosine. Method: Smith 2018.

    warm_up_share  of the phase's epochs, in which it rises from nearly 0
    last_share     of the largest rate that is left at the end
    """

    warm_up_share: Annotated[float, Field(ge=0, lt=1)] = 0.3
    last_share: Share = 1e-3


class Augmentation(Section):
    """What is done to an image in training, drawn anew every time.

    mirrored, flipped  share of images turned left-right, up-down
    rotation_deg       largest angle, either way;  scale  smallest and largest factor
    """

    mirrored: Share = 0.5
    flipped: Share = 0.5
    rotation_deg: Annotated[float, Field(ge=0, le=180)] = 15.0
    scale: tuple[Positive, Positive] = (0.9, 1.1)

    @model_validator(mode="after")
    def _scale_rises(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: found {list(self.scale)}, need the smaller one first")
        return self


class Running(Section):
    """How steps are computed.

    micro_batch        images at once, at most
    statistics         of batch norm while all layers learn: "learned" from each portion, or "kept" as they came
    precision          of the arithmetic; deterministic  the same numbers, bit for bit, on the same machine
    workers, kept_mb, checkpoint_minutes  as in `fourview train`; they change nothing that is learned
    """

    micro_batch: Count = 32
    statistics: Literal["learned", "kept"] = "learned"
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    workers: Annotated[int, Field(ge=0)] = 1
    kept_mb: Count = 1024
    checkpoint_minutes: Positive = 10.0


class FromView(Section):
    """--model nyu: the network of one view of an exam network.

    view_init    whose layers read all images (as in the paper), or "matched": each image by the layers of its own view
    windows      jittered as the weights' card says; False: the exact one every time
    micro_batch  images at once, at most: windows are large
    """

    view_init: ViewInit = "matched"
    windows: bool = True
    micro_batch: Count = 1


class Scratch(Section):
    """--model scratch: a small network that starts from nothing. In every phase all of its layers learn, at `lr`.

    width  channels of its first layer
    """

    width: Count = 32
    lr: Positive = 1e-3
