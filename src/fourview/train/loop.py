"""The training loop: steps, after each epoch a judgement, the best kept. Whatever ends it, it goes on from there."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.train.checkpoint import Best, Last
from fourview.train.devices import average, explained_errors, gather, name_device, on_first, repeatable
from fourview.train.feed import Feed, Plan
from fourview.train.history import history_table
from fourview.train.optimise import learning_rate
from fourview.train.progress import Progress
from fourview.train.record import Record, list_some
from fourview.train.run_folder import RunFolder
from fourview.train.stage import UNJUDGED, Judgement, Key, Stage
from fourview.train.stop import Stop, listen_for_stop
from fourview.train.trained import Step, Trained
from fourview.train.trainee import Taken, Trainee


def train(
    stage: Stage, run: RunFolder, *, fabric: Fabric, resume: bool, on_step: Callable[[Step], None] = lambda step: None
) -> Trained:
    """The network of the best epoch; of the last one, where the recipe asks for no judgement.

    fabric   launched
    resume   go on from the last checkpoint, if there is one; of a finished run, the result
    on_step  called in the first process after each step; may raise KeyboardInterrupt

    Ctrl-C and SIGTERM end it after a checkpoint, with KeyboardInterrupt. Raises SetupError: a sample cannot be read, a
    loss is no number (failure.json names the exams), a device or worker is lost, no memory, no room for a checkpoint.
    """
    loop = stage.recipe.loop
    with explained_errors(stage.recipe), repeatable(deterministic=loop.deterministic), listen_for_stop() as stop:
        sitting = _Sitting(stage, run, fabric=fabric, stop=stop, on_step=on_step)
        sitting.find_place(resume=resume)
        if sitting.progress.stopped is None:
            sitting.open_feed()
            try:
                while sitting.progress.stopped is None:
                    sitting.train_epoch()
                    sitting.judge_epoch()
            finally:
                sitting.close()
        return sitting.finish()


class _Sitting:
    """A run from its start, or from where an earlier sitting left it."""

    def __init__(
        self, stage: Stage, run: RunFolder, *, fabric: Fabric, stop: Stop, on_step: Callable[[Step], None]
    ) -> None:
        self.progress = Progress()
        self._stage, self._recipe, self._fabric, self._stop, self._on_step = stage, stage.recipe, fabric, stop, on_step
        self._trainee = Trainee(stage, fabric)
        self._plan = Plan(stage, device=fabric.global_rank, devices=fabric.world_size)
        self._record = Record(run)
        self._best: Best | None = None
        self._kept_at = time.monotonic()

    def find_place(self, *, resume: bool) -> None:
        """Be where the last checkpoint was made."""
        found = on_first(self._fabric, lambda: self._record.read(resume=resume))
        if found is not None:
            last, self._best = found
            self.progress = last.progress
            self._trainee.load(last.tensors)

    def open_feed(self) -> None:
        portions = self._plan.portions(epoch=self.progress.epoch, step=self.progress.step)
        self._feed = Feed(self._stage, portions, workers=self._recipe.loop.workers, device=self._fabric.device)
        if self._fabric.is_global_zero:
            self._record.open_curves(steps=self.progress.steps)

    def close(self) -> None:
        self._feed.close()
        self._record.close()

    def train_epoch(self) -> None:
        """The steps of this epoch that are not done."""
        steps = self._plan.steps(self.progress.epoch)
        for number in range(self.progress.step, len(steps)):
            start, waited = time.perf_counter(), self._feed.waiting_s
            rate = self._rate(number, steps=len(steps))
            taken = self._trainee.step(steps[number], self._feed.take, rate=rate, steps=self.progress.steps)
            if not taken.finite:
                self._fail(taken, rate)
            seconds, waiting_s = time.perf_counter() - start, self._feed.waiting_s - waited
            self.progress = self.progress.after_step(taken.loss, seconds=seconds, waiting_s=waiting_s)
            self._report(taken, rate, steps=len(steps), samples=self._count(steps[number]))
            if self._is_asked_to_stop():
                self._leave()
            if time.monotonic() - self._kept_at > 60 * self._recipe.loop.checkpoint_minutes:
                self._keep()

    def judge_epoch(self) -> None:
        """How good the network is now; with that, the epoch is done."""
        start = time.perf_counter()
        answers = []
        with self._trainee.as_judged():
            for _ in self._plan.validation:
                batch = self._feed.take()
                answers.append((batch.names, self._trainee.answer(batch), batch.targets.cpu().numpy()))
                if self._stop.asked and self._fabric.world_size == 1:  # several leave together, after it
                    break
        if len(answers) < len(self._plan.validation):
            self._leave()  # here, where the network has its own weights again
        by_device = gather(self._fabric, answers)
        in_order = [one for portions in itertools.zip_longest(*by_device) for one in portions if one is not None]
        judgement = on_first(self._fabric, lambda: self._judge(in_order))
        if self.progress.is_better(judgement.score):
            self._best = Best(self.progress.epoch + 1, judgement, self._trainee.judged_tensors())
        steps = self._plan.steps(self.progress.epoch)
        self.progress = self.progress.after_judgement(
            judgement.score,
            judgement.metrics,
            recipe=self._recipe,
            lr=self._rate(len(steps) - 1, steps=len(steps)),
            samples=sum(map(self._count, steps)),
            seconds=time.perf_counter() - start,
        )
        curves = {f"validation/{name}": value for name, value in judgement.metrics.items()}
        self._record.add_curves({"validation/score": judgement.score, **curves}, step=self.progress.steps)
        self._keep(epoch_is_done=True)
        if self._is_asked_to_stop() and self.progress.stopped is None:
            self._leave()

    def _judge(self, answered: Sequence[tuple[tuple[str, ...], NDArray[np.float32], NDArray[np.int64]]]) -> Judgement:
        """Of names, answers and targets, portion by portion. Raises SetupError if a sample has no number at all."""
        if not answered:  # the recipe asks for no validation
            return UNJUDGED
        of_names, of_answers, of_targets = zip(*answered, strict=True)
        names, answers = list(itertools.chain(*of_names)), np.concatenate(of_answers)
        spoken = np.isfinite(answers.reshape(len(names), -1)).any(axis=1)
        if not spoken.all():
            strange = [name for name, said in zip(names, spoken, strict=True) if not said]
            raise SetupError(
                f"epoch {self.progress.epoch + 1}, validation: found answers that are no numbers, for "
                f"{list_some(strange)}; need numbers: begin a new run with a lower optimiser.lr, with "
                "optimiser.clip_norm, or with loop.precision fp32"
            )
        return self._stage.judge(names, answers, np.concatenate(of_targets))

    def finish(self) -> Trained:
        """What came out. Raises SetupError if it could not be kept."""
        if self._record.problem is not None:
            self._keep(epoch_is_done=True)
        self._demand_kept("training is over")
        progress, best = self.progress, self._best
        if best is None or progress.stopped is None:
            raise SetupError("found a run that was never judged; need at least one epoch")
        return Trained(
            history=history_table(progress.rows),
            best=best.judgement,
            best_epoch=best.epoch,
            tensors=dict(best.tensors),
            stopped=progress.stopped,
            seconds=progress.seconds,
            waiting_share=progress.steps_waiting_s / progress.steps_s,
            on=name_device(self._fabric.device, count=self._fabric.world_size),
        )

    def _rate(self, number: int, *, steps: int) -> float:
        """Learning rate of a step of this epoch."""
        return learning_rate(
            self._recipe.optimiser,
            self._recipe.schedule,
            at=self.progress.epoch + number / steps,
            step=1 / steps,
            epochs=self._recipe.loop.epochs,
            drops=self.progress.drops,
        )

    def _count(self, portions: tuple[list[Key], ...]) -> int:
        """Samples of a step, over all devices."""
        return sum(map(len, portions)) * self._fabric.world_size

    def _report(self, taken: Taken, rate: float, *, steps: int, samples: int) -> None:
        if not self._fabric.is_global_zero:
            return
        progress = self.progress
        curves = {"train/loss": taken.loss, "train/lr": rate, "train/gradient_norm": taken.norm}
        self._record.add_curves(curves, step=progress.steps)
        step = Step(
            epoch=progress.epoch + 1,
            step=progress.step,
            steps=steps,
            loss=taken.loss,
            lr=rate,
            samples_per_second=samples * progress.step / max(progress.epoch_s, 1e-9),
            waiting_share=progress.waiting_share,
            seconds_left=progress.seconds_left(steps=steps, epochs=self._recipe.loop.epochs),
            score=progress.last_score,
        )
        try:
            self._on_step(step)
        except KeyboardInterrupt:
            self._stop.asked = True

    def _keep(self, *, epoch_is_done: bool = False) -> None:
        """A checkpoint. Only the first process has a disk."""
        self._kept_at = time.monotonic()
        if self._fabric.is_global_zero:
            last = Last(self.progress, self._trainee.tensors())
            self._record.keep(last, self._best)
            if epoch_is_done:
                self._record.write_tables(self.progress, self._best)

    def _is_asked_to_stop(self) -> bool:
        """Whether any process is: all must leave after the same step."""
        if self._fabric.world_size == 1:
            return self._stop.asked
        asked = torch.tensor(float(self._stop.asked), device=self._fabric.device)
        return float(average(self._fabric, asked)) > 0

    def _leave(self) -> None:
        self._keep()
        self._demand_kept("training was interrupted")
        raise KeyboardInterrupt

    def _demand_kept(self, when: str) -> None:
        on_first(self._fabric, lambda: self._record.demand_kept(when))

    def _fail(self, taken: Taken, rate: float) -> None:
        """Say which exams were in the batch, and stop."""
        by_device = gather(self._fabric, list(zip(taken.names, taken.losses, strict=True)))
        portions = [portion for device in by_device for portion in device]
        strange = [name for names, loss in portions if not math.isfinite(loss) for name in names]
        what, value = ("loss", taken.loss) if not math.isfinite(taken.loss) else ("gradient", taken.norm)
        values = {
            "what": what,
            "value": str(value),
            "epoch": self.progress.epoch + 1,
            "step": self.progress.step + 1,
            "lr": rate,
            "names": [name for names, _ in portions for name in names],
            "names_of_portions_not_finite": strange,
        }
        on_first(self._fabric, lambda: self._record.stop_for(values))
