"""How much memory a piece of work takes, and how much there is."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Self

import torch

from fourview.memory import give_back_memory, peak_memory_mb

_LOOK_EVERY_S = 0.002
_STATM = Path("/proc/self/statm")
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class PeakMemory:
    """The most memory that was held in the block: on the GPU, or by this process (looked at every few milliseconds).

    before_mb  when it began; peak_mb; taken_mb: the difference
    """

    def __init__(self, device: torch.device) -> None:
        self.before_mb = self.peak_mb = 0.0
        self._device, self._over = device, threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    @property
    def taken_mb(self) -> float:
        return self.peak_mb - self.before_mb

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self.before_mb = torch.cuda.memory_reserved(self._device) / 1e6
        else:
            give_back_memory()
            self.before_mb = self.peak_mb = _held_mb()
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._device.type == "cuda":
            self.peak_mb = torch.cuda.max_memory_reserved(self._device) / 1e6
        else:
            self._over.set()
            self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY_S):
            self.peak_mb = max(self.peak_mb, _held_mb())


def _held_mb() -> float:
    """By this process now; where the system does not say, the most that it ever held."""
    if _STATM.is_file():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return peak_memory_mb()


def available_mb() -> float:
    """The memory of this machine, or what its container may take of it."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")] if hasattr(os, "sysconf") else []
    for path in _LIMITS:
        text = path.read_text().strip() if path.is_file() else "max"
        found += [int(text)] if text.isdigit() else []
    return min(found, default=8e9) / 1e6
