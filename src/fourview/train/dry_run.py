"""What a run would take, measured here: a few real steps on real samples, of which nothing is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric

from fourview.exam import SetupError
from fourview.train.devices import explained_errors, name_device, repeatable
from fourview.train.feed import Portion, divide, divide_epoch
from fourview.train.peak_memory import PeakMemory, available_mb
from fourview.train.stage import Batch, Stage, collate
from fourview.train.trainee import Trainee

STEPS = 3
_ROOM = 0.9  # of the memory: what a run may plan with
_MOST_TRIED = 256  # samples at once


@dataclass(frozen=True)
class DryRun:
    """What was measured, and what follows.

    parameters      numbers that are learned
    step_s          of a step, once its samples are there; sample_s: to prepare one sample, in one process
    judge_s         of a validation, alike
    memory_mb       the most that was held in a step: on a GPU there, else by this process
    largest         micro_batch that fits; by_trial: tried out, else reckoned
    workers         that prepare samples
    """

    device: str
    parameters: int
    steps: int
    step_s: float
    steps_per_epoch: int
    samples_per_step: int
    sample_s: float
    judge_s: float
    judged: int
    epochs: int
    patience: int
    memory_mb: float
    micro_batch: int
    largest: int
    by_trial: bool
    workers: int

    @property
    def feeding_share(self) -> float:
        """The time that preparing a step's samples takes, by that of the step: above 1, the device waits."""
        return self.samples_per_step * self.sample_s / max(1, self.workers) / max(self.step_s, 1e-9)

    @property
    def epoch_s(self) -> float:
        """Of an epoch with its validation, if the samples come as fast as they can be prepared."""
        feeding = self.sample_s / max(1, self.workers)
        if self.workers == 0:  # samples are prepared in between
            return self.steps_per_epoch * (self.step_s + self.samples_per_step * feeding) + (
                self.judge_s + self.judged * feeding
            )
        step = max(self.step_s, self.samples_per_step * feeding)
        return self.steps_per_epoch * step + max(self.judge_s, self.judged * feeding)

    @property
    def run_s(self) -> float:
        """Of all epochs: what patience may save is not known beforehand."""
        return self.epochs * self.epoch_s


def measure_run(stage: Stage, *, fabric: Fabric) -> DryRun:
    """The stage's network trained for a few steps on one device.

    fabric  launched, of one process
    Raises SetupError for samples that cannot be read, and where a step does not fit into memory.
    """
    loop = stage.recipe.loop
    with explained_errors(stage.recipe), repeatable(deterministic=loop.deterministic):
        keys = stage.epoch(0)
        if not keys:
            raise SetupError("found no training samples, need at least one")
        per_epoch = divide_epoch(keys, batch=loop.batch, micro_batch=loop.micro_batch)
        steps = per_epoch[:STEPS]
        trainee = Trainee(stage, fabric)
        parameters = sum(p.numel() for p in stage.network.parameters() if p.requires_grad)
        tried = _try_portions(stage, trainee, fabric.device) if fabric.device.type == "cuda" else None
        sample_s, step_s, watched = [], [], []
        for number, portions in enumerate(steps):
            batches, seconds = _prepare(stage, portions, fabric.device)
            sample_s.append(seconds)
            with PeakMemory(fabric.device) as memory:
                step_s.append(_time_step(trainee, portions, batches, steps=number, device=fabric.device))
            watched.append(memory)
        judged = stage.validation()
        judge_s = _time_judging(trainee, stage, divide(judged, loop.micro_batch)[:1], fabric.device) * len(judged)
    return DryRun(
        device=name_device(fabric.device),
        parameters=parameters,
        steps=len(steps),
        step_s=min(step_s),  # the first one also warms up
        steps_per_epoch=len(per_epoch),
        samples_per_step=sum(map(len, per_epoch[0])),
        sample_s=sum(sample_s) / sum(len(portion) for step in steps for portion in step),
        judge_s=judge_s,
        judged=len(judged),
        epochs=loop.epochs,
        patience=loop.patience,
        memory_mb=max(one.peak_mb for one in watched),
        micro_batch=loop.micro_batch,
        largest=tried or _reckon_largest(max(watched, key=lambda one: one.taken_mb), loop.micro_batch),
        by_trial=tried is not None,
        workers=loop.workers,
    )


def _prepare(stage: Stage, portions: Sequence[Portion], device: torch.device) -> tuple[list[Batch], float]:
    """The batches of a step on the device, and the seconds that reading their samples took."""
    start = time.perf_counter()
    loaded = [collate([stage.load(key) for key in portion]) for portion in portions]
    seconds = time.perf_counter() - start
    return [_send(batch, device) for batch in loaded], seconds


def _send(batch: Batch, device: torch.device) -> Batch:
    inputs = {name: tensor.to(device) for name, tensor in batch.inputs.items()}
    return Batch(batch.names, inputs, batch.targets.to(device))


def _time_step(
    trainee: Trainee, portions: Sequence[Portion], batches: Sequence[Batch], *, steps: int, device: torch.device
) -> float:
    waiting = iter(batches)
    start = time.perf_counter()
    trainee.step(tuple(portions), lambda: next(waiting), rate=1e-8, steps=steps)
    _wait(device)
    return time.perf_counter() - start


def _time_judging(trainee: Trainee, stage: Stage, portions: Sequence[Portion], device: torch.device) -> float:
    """Seconds per sample."""
    batches, _ = _prepare(stage, portions, device)
    start = time.perf_counter()
    with trainee.as_judged():
        for batch in batches:
            trainee.answer(batch)
    _wait(device)
    return (time.perf_counter() - start) / max(1, sum(map(len, portions)))


def _reckon_largest(memory: PeakMemory, micro_batch: int) -> int:
    """What fits into the memory of this machine, if it grows with the samples: trying might bring it down."""
    room = max(0.0, _ROOM * available_mb() - memory.before_mb)
    return max(micro_batch, int(room / max(1e-3, memory.taken_mb / micro_batch)))


def _try_portions(stage: Stage, trainee: Trainee, device: torch.device) -> int:
    """The largest portion that a GPU holds. Raises SetupError if the recipe's does not fit."""
    key = stage.epoch(0)[0]
    sample = stage.load(key)

    def fits(count: int) -> bool:
        try:
            with PeakMemory(device) as memory:
                _time_step(trainee, [[key] * count], [_send(collate([sample] * count), device)], steps=0, device=device)
        except torch.OutOfMemoryError:
            return False
        return memory.peak_mb * 1e6 <= _ROOM * torch.cuda.get_device_properties(device).total_memory

    largest = find_largest(fits, most=_MOST_TRIED)
    wanted = stage.recipe.loop.micro_batch
    if largest < min(wanted, _MOST_TRIED):
        raise SetupError(
            f"loop.micro_batch {wanted}: does not fit into the memory of {name_device(device)}, where {largest} would; "
            "need fewer, more of loop.recomputed (at most 5), or loop.precision bf16"
        )
    return largest


def find_largest(fits: Callable[[int], bool], *, most: int) -> int:
    """The largest number up to `most` that fits; 0 if not even 1 does. What fits must fit in all smaller numbers."""
    if not fits(1):
        return 0
    low, high = 1, 2
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
