"""Samples on their way to the device: prepared by worker processes, in an order that a resumed run goes on with."""

from __future__ import annotations

import copy
import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fourview.exam import ExamError, SetupError
from fourview.train.stage import Batch, Key, Stage, collate

# Clean processes: a fork of one with running threads (polars, OpenMP, CUDA) may hang. And children of this process:
# those of a fork server would outlive it when it is killed.
CONTEXT = "spawn"

Portion = list[Key]  # what one device holds at once
_Loaded = tuple[tuple[str, ...], dict[str, Tensor], Tensor] | str  # a batch, or what is wrong with a sample


def divide_epoch(keys: Sequence[Key], *, batch: int, micro_batch: int) -> tuple[tuple[Portion, ...], ...]:
    """The steps of an epoch, each a batch in portions. What does not fill a batch is left out, unless it is all."""
    whole = [keys[first : first + batch] for first in range(0, len(keys) - batch + 1, batch)] or [keys]
    return tuple(tuple(divide(step, micro_batch)) for step in whole)


def divide(keys: Sequence[Key], micro_batch: int) -> list[Portion]:
    return [list(keys[first : first + micro_batch]) for first in range(0, len(keys), micro_batch)]


class Plan:
    """Which portions one device reads, and when: those of each epoch's steps, then those of its validation.

    device, devices  portion p of a step is for device p % devices: so the samples of a step do not depend on how many
                     devices there are

    Raises SetupError if an epoch is empty, or a validation that the recipe asks for, or if an epoch cannot be divided
    among the devices.
    """

    def __init__(self, stage: Stage, *, device: int, devices: int) -> None:
        self._stage, self._device, self._devices = stage, device, devices
        self.steps: Callable[[int], tuple[tuple[Portion, ...], ...]] = lru_cache(maxsize=2)(self._divide_own)
        judged = stage.validation()
        if not judged and stage.recipe.is_judged:
            raise SetupError("found no samples for validation, need at least one")
        self.validation = divide(judged, stage.recipe.loop.micro_batch)[device::devices]

    def portions(self, *, epoch: int, step: int) -> Iterator[Portion]:
        """Everything that is read from a step of an epoch on, to the end of the last epoch."""
        for number in range(epoch, self._stage.recipe.loop.epochs):
            for portions in self.steps(number)[step if number == epoch else 0 :]:
                yield from portions
            yield from self.validation

    def _divide_own(self, epoch: int) -> tuple[tuple[Portion, ...], ...]:
        loop = self._stage.recipe.loop
        keys = self._stage.epoch(epoch)
        if not keys:
            raise SetupError(f"epoch {epoch + 1}: found no samples, need at least one")
        steps = divide_epoch(keys, batch=loop.batch, micro_batch=loop.micro_batch)
        if (len(keys) < loop.batch and self._devices > 1) or len(steps[0]) % self._devices:
            raise SetupError(
                f"epoch {epoch + 1}: found {len(keys)} samples, batches of {loop.batch} and portions of "
                f"{loop.micro_batch}; need a whole number of portions for each of the {self._devices} devices"
            )
        return tuple(portions[self._device :: self._devices] for portions in steps)


class Feed:
    """The batches of a plan, one after the other, on the device; open when the first one is ready.

    workers    processes that prepare them ahead; 0: each is prepared when it is asked for
    waiting_s  seconds spent in `take` so far
    """

    def __init__(self, stage: Stage, portions: Iterator[Portion], *, workers: int, device: torch.device) -> None:
        loader = DataLoader(
            _Samples(_without_network(stage)),
            batch_sampler=_Once(portions),
            collate_fn=_as_it_is,
            num_workers=workers,
            worker_init_fn=_begin_worker,
            multiprocessing_context=CONTEXT if workers else None,
            pin_memory=device.type == "cuda",
        )
        batches: Iterator[_Loaded] = iter(loader)
        self._batches = itertools.chain([next(batches)], batches)
        self._device = device
        self.waiting_s = 0.0

    def take(self) -> Batch:
        """The next batch. Raises SetupError if a sample cannot be read; other errors if a worker has died."""
        start = time.perf_counter()
        loaded = next(self._batches)
        if isinstance(loaded, str):
            raise SetupError(loaded)
        names, inputs, targets = loaded
        on_device = {name: tensor.to(self._device, non_blocking=True) for name, tensor in inputs.items()}
        batch = Batch(names, on_device, targets.to(self._device, non_blocking=True))
        self.waiting_s += time.perf_counter() - start
        return batch

    def close(self) -> None:
        """The workers end."""
        self._batches = itertools.chain()


class _Samples(Dataset[_Loaded]):
    """A stage as DataLoader asks for it. An error is an answer: raised in a worker, it would lose its words."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __getitems__(self, keys: Portion) -> _Loaded:
        try:
            batch = collate([self._stage.load(key) for key in keys])
        except (ExamError, SetupError, OSError) as error:
            return f"a sample for training cannot be read: {error}"
        return batch.names, batch.inputs, batch.targets


class _Once:
    """An iterator that may be asked for its iterator."""

    def __init__(self, portions: Iterator[Portion]) -> None:
        self._portions = portions

    def __iter__(self) -> Iterator[Portion]:
        return self._portions


def _without_network(stage: Stage) -> Stage:
    """The stage as workers need it: a network that travels there would end up in memory that is shared with them."""
    loading = copy.copy(stage)
    object.__setattr__(loading, "network", nn.Identity())  # a stage may be a frozen value
    return loading


def _begin_worker(number: int) -> None:
    """A terminal or scheduler interrupts all processes, and the first one alone decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _as_it_is(loaded: Any) -> Any:
    return loaded
