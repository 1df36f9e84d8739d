"""What a run says of itself: a step while it goes on, and the whole when it is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl
from torch import Tensor

from fourview.train.stage import Judgement


@dataclass(frozen=True)
class Step:
    """How training goes, after a step.

    epoch, step         from 1; steps: of this epoch
    loss                of this step
    samples_per_second  of this epoch so far, over all devices
    waiting_share       of the time of this epoch so far, spent waiting for samples
    seconds_left        until the last epoch is judged, if patience does not end it before
    score               of the last judgement; None: none yet
    """

    epoch: int
    step: int
    steps: int
    loss: float
    lr: float
    samples_per_second: float
    waiting_share: float
    seconds_left: float
    score: float | None


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished run.

    best_epoch     from 1; best: its judgement; tensors: the network's state that was judged, on the CPU
    seconds        of steps and judgements of all sittings
    waiting_share  of the time of all steps, spent waiting for samples
    on             the devices of the last sitting, in words
    """

    history: pl.DataFrame
    best: Judgement
    best_epoch: int
    tensors: dict[str, Tensor]
    stopped: Literal["epochs", "patience"]
    seconds: float
    waiting_share: float
    on: str
