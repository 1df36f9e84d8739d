"""The parts of a training recipe: sections of its TOML file, each number with its unit and limits."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fourview.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Optimiser(Section):
    """How steps are taken.

    lr            learning rate at the end of warming up
    weight_decay  adam, sgd, rmsprop: L2 coefficient, added to the gradient; adamw: decoupled
    momentum      of sgd
    clip_norm     largest norm of the gradient of a batch; None: not clipped
    average       share of the old values in the running average of the weights (EMA) per step, which is then what is
                  judged and kept; None: none is made
    """

    name: Literal["adam", "adamw", "sgd", "rmsprop"]
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    momentum: Share = 0.9
    clip_norm: Positive | None = None
    average: Annotated[float, Field(ge=0, lt=1)] | None = None


class Schedule(Section):
    """What becomes of the learning rate.

    kind            constant; cosine: down to last_share of it at the end of the last epoch; plateau: times `factor`
                    after `patience` epochs without gain
    warm_up_epochs  it rises from nearly 0 to the optimiser's over these, also a part of one
    """

    kind: Literal["constant", "cosine", "plateau"]
    warm_up_epochs: Annotated[float, Field(ge=0)] = 0.0
    last_share: Share = 0.1
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.1
    patience: Count = 5


class Loop(Section):
    """How long, in which portions, on what.

    epochs          at most
    patience        epochs without gain in validation after which training stops
    batch           samples (patches or exams) per step, over all devices
    micro_batch     samples that one device holds at once; batch = micro_batch x devices x accumulated portions
    statistics      "learned": batch norm normalises with each portion's own statistics, and the network keeps their
                    running means; "kept": it normalises with those that it came with (small batches, fine-tuning)
    recomputed      first stages of each column whose activations are recomputed instead of kept (less memory, slower)
    precision       of the arithmetic; weights are always kept in float32
    deterministic   the same numbers, bit for bit, in every run on the same machine
    workers         processes that prepare samples, per device; 0: the training process itself
    kept_mb         of images that were read, what each process keeps in memory for the next time
    checkpoint_minutes  between checkpoints within an epoch; there is always one at its end
    """

    epochs: Count
    patience: Count
    batch: Count
    micro_batch: Count
    statistics: Literal["learned", "kept"] = "learned"
    recomputed: Annotated[int, Field(ge=0, le=5)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    workers: Annotated[int, Field(ge=0)] = 1
    kept_mb: Count = 512
    checkpoint_minutes: Positive = 10.0

    @model_validator(mode="after")
    def _portions_fit(self) -> Self:
        if self.batch % self.micro_batch:
            raise ValueError(
                f"batch: found {self.batch} with micro_batch {self.micro_batch}; need a whole number of portions"
            )
        return self


class PatchMix(Section):
    """Shares of the classes among the patches of an epoch; they sum to 1."""

    malignant: Share
    benign: Share
    outside: Share
    negative: Share

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        total = self.malignant + self.benign + self.outside + self.negative
        if abs(total - 1) > 1e-6:
            raise ValueError(f"found shares that sum to {total:g}, need 1")
        if not (self.malignant > 0 and self.benign > 0):
            raise ValueError("found a share of 0 for a finding; need malignant and benign above 0")
        return self


class GreyNoise(Section):
    """How far the grey scale of a training patch is changed at random (patch_grey).

    gamma       largest exponent of the grey curve, drawn between its inverse and it; 1: none
    contrast    largest factor of the standardised patch, drawn alike
    brightness  largest offset, in standard deviations of the image
    """

    gamma: Annotated[float, Field(ge=1)] = 1.0
    contrast: Annotated[float, Field(ge=1)] = 1.0
    brightness: Annotated[float, Field(ge=0)] = 0.0


class LearnedWords(Section):
    """What a patch network learns of a lesion beside its class: to say its descriptors, such as shape and margin.

    A part of the network's answer that is dropped when it is trained; what it made the network see stays. Words that
    most radiologists' reports have, and that decide how suspicious a lesion is. Method: Kisilev et al. 2016, who learn
    descriptors of lesions together with where they are.

    descriptors  their names in the set's manifest; the words of each are those of the lesions that are learned
    weight       of the mean over all patches of the sum of their cross-entropies, beside that of the classes
    """

    descriptors: Annotated[tuple[str, ...], Field(min_length=1)]
    weight: Positive


class PatchSampling(Section):
    """Which patches make an epoch, and what is learned of them. Method: Wu et al. 2019.

    per_epoch         patches of an epoch
    per_visit         of them, those that one visit of a lesion or image gives; 512 visits are shuffled together. 1:
                      every patch is a visit of its own, as published; more: images are read from disk less often,
                      where loop.kept_mb holds 512 working crops
    mix               classes: malignant or benign = on a lesion of that pathology (malignant wins); outside = from an
                      image with lesions, touching none; negative = from exams without a biopsy
    side_px           smallest and largest side that is cut (working pixels), then resized to the network's
    rotation_deg      largest angle by which the patch is turned, either way
    mirrored          share of patches that are mirrored up-down (0: never, as published)
    lesion_share      a patch is on a lesion if its middle is, or at least this share of its pixels
    dark_share        a patch with more background than this is dark ...
    dark_patches      ... and at most this share of outside and negative patches, and none on lesions, may be
    distractors       lesions that were never biopsied (phantoms): "benign", "ignored": no patch touches them, or
                      "negative": as if they were tissue
    grey              random changes of the grey scale while training; None: none, as published
    words             descriptors that are learned beside the classes; None: none, as published
    validation        patches that each validation reads, the same every time. 0: nothing is judged, the split needs no
                      part for it, all epochs are trained and the last one is kept
    """

    per_epoch: Count
    per_visit: Count = 1
    mix: PatchMix
    side_px: tuple[Count, Count]
    rotation_deg: Annotated[float, Field(ge=0, le=180)]
    mirrored: Share = 0.0
    lesion_share: Annotated[float, Field(gt=0, le=1)] = 0.01
    dark_share: Share = 0.9
    dark_patches: Share = 0.1
    distractors: Literal["benign", "ignored", "negative"] = "ignored"
    grey: GreyNoise | None = None
    words: LearnedWords | None = None
    validation: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _sides_rise(self) -> Self:
        if self.side_px[0] > self.side_px[1]:
            raise ValueError(f"side_px: found {list(self.side_px)}, need the smaller one first")
        return self


class ExamSampling(Section):
    """Which exams make an epoch, and what is done to them. Method: Wu et al. 2019.

    others_per_positive   exam stage: randomly drawn exams without a biopsy-proven finding per exam with one, new ones
                          in every epoch; all with one are in every epoch
    per_epoch             BI-RADS stage: exams of an epoch, randomly drawn; None: all
    noise                 standard deviation of the noise added to the standardised input
    windows               jittered windows; False: the exact one every time
    unbiopsied            exam stage: breasts without a biopsy count as without finding (as published: their screening
                          was negative), or their labels are "unknown" and say nothing
    """

    others_per_positive: Annotated[float, Field(ge=0)] = 1.0
    per_epoch: Count | None = None
    noise: Annotated[float, Field(ge=0)] = 0.01
    windows: bool = True
    unbiopsied: Literal["negative", "unknown"] = "negative"


class PhantomData(Section):
    """What `--data phantom:RECIPE` draws.

    exams, seed, scale  of `fourview phantom`
    fractions           of the women for training, validation, test
    """

    exams: Count
    seed: Annotated[int, Field(ge=0)]
    scale: Annotated[float, Field(ge=0.05, le=1)]
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
