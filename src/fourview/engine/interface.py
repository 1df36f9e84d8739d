"""What every engine offers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from fourview.exam import Precision

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PatchJob:
    """Patches to be cut from one image.

    image    (rows, cols) float32, standardised
    corners  (patches, 2) integers: top and left of each patch
    """

    image: Array
    corners: NDArray[np.int64]


ReadPatches = Callable[[Iterable[PatchJob]], Array]
"""Jobs in -> (patches of all jobs, classes) probabilities, in order. Jobs are taken one by one, never all at once."""

ReadColumn = Callable[[Array], Array]
"""(windows, channels, rows, cols) -> (windows, features)."""


class Engine(Protocol):
    """One way to run networks, at one precision, on one device.

    name        "torch" or "openvino"
    device      "cpu", or the GPU's name
    version     of the library that does the work
    windows_at_once  how many windows of a view are best read together
    """

    @property
    def name(self) -> str: ...
    @property
    def precision(self) -> Precision: ...
    @property
    def device(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def windows_at_once(self) -> int: ...

    def load_patches(self, network: nn.Module, *, side_px: int) -> ReadPatches:
        """The patch network, (batch, 1, side, side) -> (batch, classes) logits, as a function of jobs."""

    def load_column(self, network: nn.Module, shape: tuple[int, int, int]) -> ReadColumn:
        """A network (batch, *shape) -> (batch, features) as a function of arrays; shape is (channels, rows, cols)."""

    def release(self) -> None:
        """Gives working memory back that the networks will not need at once; the next call takes it again."""


def describe(engine: Engine) -> str:
    """What readings say about the engine, e.g. "openvino 2026.4 on cpu"."""
    return f"{engine.name} {engine.version} on {engine.device}"
