"""Networks in OpenVINO on the CPU: the same arithmetic as torch, about twice as fast. The only place that uses it.

OpenVINO chooses bf16 by itself where the processor has a matrix unit; the precision is therefore always asked for.
Its package reports usage over the network unless told not to: here its reporting module is never loaded.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from fourview.engine.interface import Array, PatchJob, ReadColumn, ReadPatches
from fourview.exam import Precision
from fourview.memory import give_back_memory

PATCHES_AT_ONCE = 2  # per request; more is slower: the network's intermediate results leave the cache
TRACE_PX = 256  # windows are traced small: the networks do the same at any size
CORES_PER_WINDOW = 8


def import_openvino() -> Any:
    """The package openvino, without its usage reports."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # None: the import fails, a stub is used
    import openvino  # noqa: PLC0415 - the line above must come first

    return openvino


@dataclass(frozen=True)
class OpenVinoEngine:
    """OpenVINO on the CPU, with as many threads as torch would use."""

    precision: Precision = "fp32"
    _compiled: list[Any] = field(default_factory=list, compare=False)

    name = "openvino"
    device = "cpu"
    windows_at_once = 1

    @cached_property
    def _core(self) -> Any:
        return import_openvino().Core()

    @property
    def version(self) -> str:
        return str(import_openvino().__version__).split("-")[0]

    def load_patches(self, network: nn.Module, *, side_px: int) -> ReadPatches:
        streams = max(1, torch.get_num_threads() // (2 if self.precision == "fp32" else 1))
        compiled = self._compile(network, (PATCHES_AT_ONCE, 1, side_px, side_px), trace_px=side_px, streams=streams)
        classes = compiled.output(0).shape[1]

        def read(jobs: Iterable[PatchJob]) -> Array:
            found: list[Array] = []

            def keep(request: Any, place: tuple[Array, int]) -> None:
                logits, start = place
                out = request.get_output_tensor(0).data
                logits[start : start + PATCHES_AT_ONCE] = out[: len(logits) - start]

            queue = import_openvino().AsyncInferQueue(compiled, streams + 1)
            queue.set_callback(keep)
            for job in jobs:
                logits = np.empty((len(job.corners), classes), np.float32)
                found.append(logits)
                for start in range(0, len(job.corners), PATCHES_AT_ONCE):
                    corners = job.corners[start : start + PATCHES_AT_ONCE]
                    patches = np.zeros((PATCHES_AT_ONCE, 1, side_px, side_px), np.float32)
                    for place, (top, left) in enumerate(corners):
                        patches[place, 0] = job.image[top : top + side_px, left : left + side_px]
                    queue.start_async({0: patches}, (logits, start))
            queue.wait_all()
            return _softmax(np.concatenate(found))

        return read

    def load_column(self, network: nn.Module, shape: tuple[int, int, int]) -> ReadColumn:
        streams = max(1, torch.get_num_threads() // CORES_PER_WINDOW)
        compiled = self._compile(network, (1, *shape), trace_px=min(TRACE_PX, *shape[1:]), streams=streams)
        request = compiled.create_infer_request()

        def read(windows: Array) -> Array:
            return np.stack([np.array(request.infer({0: w[None]}, share_inputs=True)[0][0]) for w in windows])

        return read

    def release(self) -> None:
        for compiled in self._compiled:
            with contextlib.suppress(RuntimeError):  # busy: another Screener of this engine is reading
                compiled.release_memory()  # about 140 MB of a column
        give_back_memory()

    def _compile(self, network: nn.Module, shape: tuple[int, ...], *, trace_px: int, streams: int) -> Any:
        hint = {"fp32": "f32", "bf16": "bf16"}[self.precision]
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": streams,
        }
        compiled = self._core.compile_model(convert(network, shape, trace_px=trace_px), "CPU", settings)
        gc.collect()  # conversion leaves a hundred megabytes in cycles
        self._compiled.append(compiled)
        self.release()
        return compiled


def convert(network: nn.Module, *shapes: tuple[int, ...], trace_px: int) -> Any:
    """An OpenVINO model of a torch network with one input per shape (-1: any size).

    trace_px  rows and columns of the image that the network is traced with
    """
    examples = tuple(torch.zeros(1, shape[1], trace_px, trace_px) for shape in shapes)
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns that sizes become constants, which is what is wanted
        traced = torch.jit.trace(network, examples, check_trace=False)  # type: ignore[no-untyped-call]
        return import_openvino().convert_model(traced, example_input=examples, input=[list(shape) for shape in shapes])


def _softmax(logits: Array) -> Array:
    """Probabilities along the last axis, computed in double precision."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)
