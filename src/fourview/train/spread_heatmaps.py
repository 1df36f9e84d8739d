"""Heatmaps of a whole store by several processes, on as many GPUs as there are, or by torchrun on several machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch

from fourview.engine import Engine, choose_engine
from fourview.exam import Precision, SetupError
from fourview.spread import spread
from fourview.store.store import Store
from fourview.train.fill_heatmaps import Filled, FillStep, fill_heatmaps, list_exams
from fourview.weights.folder import Weights, load_weights

EXAMS_PER_SHARE = 8  # what one process does before it reports
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class _Fill:
    """The work: number of a share -> what became of it. Sent to other processes whole."""

    store: Path
    weights: Path
    device: Device
    precision: Precision
    gpus: int
    shares: int
    seed: int

    def __call__(self, share: int) -> Filled:
        device = f"cuda:{share % self.gpus}" if self.gpus else "cpu"
        store, weights, engine = _open(self.store, self.weights, device, self.precision)
        return fill_heatmaps(store, weights, engine, seed=self.seed, rank=share, ranks=self.shares)


def spread_heatmaps(
    store: Path,
    weights: Path,
    *,
    devices: int = 1,
    device: Device = "auto",
    jobs: int = 1,
    precision: Precision = "fp32",
    seed: int = 0,
    on_step: Callable[[FillStep], None] | None = None,
) -> Filled:
    """Heatmaps of all exams of a store; those that are there stay. The files do not depend on who makes them.

    devices    GPUs of this machine, a process each;  jobs  processes, where there is no GPU
    precision  see engine.choose_engine
    Under torchrun, each of its processes fills its own part, on its own GPU if there is one.

    Raises SetupError: a GPU that is not there, weights without a patch network, a store that cannot be written.
    """
    gpus = _count_gpus(device, devices)
    if "WORLD_SIZE" in os.environ:
        rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpus else "cpu"
        return fill_heatmaps(*_open(store, weights, own, precision), seed=seed, rank=rank, ranks=ranks, on_step=on_step)
    processes = gpus or jobs
    if processes == 1:
        opened = _open(store, weights, "cuda" if gpus else "cpu", precision)
        return fill_heatmaps(*opened, seed=seed, on_step=on_step)
    exams = len(list_exams(Store.open(store)))
    shares = max(1, -(-exams // EXAMS_PER_SHARE))
    work = _Fill(store, weights, device, precision, gpus, shares, seed)
    done, there = 0, 0
    problems: list[tuple[str, str]] = []
    with closing(spread(work, range(shares), jobs=processes)) as results:
        for filled in results:
            done, there = done + filled.exams, there + filled.already_there
            problems += filled.problems
            if on_step is not None:
                exam, problem = filled.problems[0] if filled.problems else ("", None)
                on_step(FillStep(done, exams, exam, problem, already_there=filled.already_there == filled.exams))
    return Filled(done, there, tuple(problems))


@lru_cache(maxsize=1)
def _open(store: Path, weights: Path, device: str, precision: Precision) -> tuple[Store, Weights, Engine]:
    """Opened once per process."""
    return Store.open(store), load_weights(weights), choose_engine("auto", device=device, precision=precision)


def _count_gpus(device: Device, devices: int) -> int:
    """How many are used; 0: the CPU. Raises SetupError for some that are not there."""
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not there and devices == 1):
        return 0
    if devices > there:
        raise SetupError(f"--devices {devices}: found {there} GPUs; need as many (without one, --jobs counts)")
    return devices
