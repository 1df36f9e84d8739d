"""How far a run is: everything but tensors that going on with it needs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from fourview.train.stage import LoopRecipe

Stopped = Literal["epochs", "patience"]
Row = dict[str, float | int | None]  # of history.csv


@dataclass(frozen=True)
class Progress:
    """Between two steps, or after an epoch.

    epoch         whole epochs that are done and judged
    step          steps done of the next one
    steps         done in all
    loss_sum      of the losses of the next epoch's steps
    epoch_s       seconds that they took; epoch_waiting_s: of these, waiting for samples
    steps_s, steps_waiting_s  the same of all steps
    seconds       of steps and judgements
    best_epoch    the epoch (from 1) with the best judgement; None: none was judged yet
    since_best    epochs since then
    since_change  epochs since then, or since the learning rate last dropped
    drops         of the learning rate (schedule "plateau")
    rows          of history.csv
    stopped       why training is over; None: it is not
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    epoch_s: float = 0.0
    epoch_waiting_s: float = 0.0
    steps_s: float = 0.0
    steps_waiting_s: float = 0.0
    seconds: float = 0.0
    best_epoch: int | None = None
    best_score: float | None = None
    last_score: float | None = None
    since_best: int = 0
    since_change: int = 0
    drops: int = 0
    rows: tuple[Row, ...] = ()
    stopped: Stopped | None = None

    @property
    def waiting_share(self) -> float:
        """Of the time of the next epoch's steps."""
        return self.epoch_waiting_s / self.epoch_s if self.epoch_s else 0.0

    def seconds_left(self, *, steps: int, epochs: int) -> float:
        """Until the last epoch is judged, by what steps (so many in an epoch) and judgements took so far."""
        left = steps * (epochs - self.epoch) - self.step
        judging = (self.seconds - self.steps_s) / self.epoch * (epochs - self.epoch) if self.epoch else 0.0
        return left * self.steps_s / max(self.steps, 1) + judging

    def after_step(self, loss: float, *, seconds: float, waiting_s: float) -> Progress:
        return replace(
            self,
            step=self.step + 1,
            steps=self.steps + 1,
            loss_sum=self.loss_sum + loss,
            epoch_s=self.epoch_s + seconds,
            epoch_waiting_s=self.epoch_waiting_s + waiting_s,
            steps_s=self.steps_s + seconds,
            steps_waiting_s=self.steps_waiting_s + waiting_s,
            seconds=self.seconds + seconds,
        )

    def is_better(self, score: float) -> bool:
        """Whether a judgement is the best so far. The first is; as long as none is a number, the latest is."""
        return self.best_score is None or math.isnan(self.best_score) or score > self.best_score

    def after_judgement(
        self, score: float, metrics: Mapping[str, float], *, recipe: LoopRecipe, lr: float, samples: int, seconds: float
    ) -> Progress:
        """The epoch is done.

        lr       of its last step
        samples  that it trained on
        seconds  that judging took
        """
        better = self.is_better(score)
        epoch = self.epoch + 1
        since_best = 0 if better else self.since_best + 1
        since_change = 0 if better else self.since_change + 1
        drops = recipe.schedule.kind == "plateau" and since_change >= recipe.schedule.patience
        stopped: Stopped | None = None
        if since_best >= recipe.loop.patience:
            stopped = "patience"
        elif epoch == recipe.loop.epochs:
            stopped = "epochs"
        row: Row = {
            "epoch": epoch,
            "step": self.steps,
            "loss": self.loss_sum / self.step,
            "lr": lr,
            "score": score,
            **metrics,
            "samples_per_second": samples / max(self.epoch_s, 1e-9),
            "waiting_share": self.waiting_share,
            "seconds": self.epoch_s + seconds,
        }
        return replace(
            self,
            epoch=epoch,
            step=0,
            loss_sum=0.0,
            epoch_s=0.0,
            epoch_waiting_s=0.0,
            seconds=self.seconds + seconds,
            best_epoch=epoch if better else self.best_epoch,
            best_score=score if better else self.best_score,
            last_score=score,
            since_best=since_best,
            since_change=0 if drops else since_change,
            drops=self.drops + drops,
            rows=(*self.rows, row),
            stopped=stopped,
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"


def read_progress(text: str) -> Progress:
    """What `to_json` wrote. Raises ValueError or TypeError if it is something else."""
    values: dict[str, Any] = json.loads(text)
    return Progress(**{**values, "rows": tuple(values["rows"])})
