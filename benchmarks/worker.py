"""One measurement in a process of its own: `python -m benchmarks.worker WHAT '{"option": ...}'` prints one JSON object.

A fresh process for each, because what ran before changes the allocator's habits, and with them the speed.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fourview.engine import PatchJob, choose_engine
from fourview.engine.choose import cpu_flags
from fourview.engine.openvino_engine import import_openvino
from fourview.memory import peak_memory_mb
from fourview.weights.folder import load_weights

SETTINGS = ("OMP_NUM_THREADS", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")


def machine() -> dict[str, Any]:
    """What ran: processor, threads, allocator settings."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    units = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in cpu_flags()]
    return {
        "processor": model,
        "units": units,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def patches(
    *, weights: str, how: str, device: str = "cpu", precision: str = "fp32", seconds: float = 8.0
) -> dict[str, Any]:
    """Patches per second; how: "loop" (plain torch, batch 100), "torch" or "openvino" (the engines)."""
    network = load_weights(Path(weights)).patch
    side = load_weights(Path(weights)).card.patch.side_px
    rng = np.random.default_rng(0)
    if how == "loop":
        batch = torch.from_numpy(rng.standard_normal((100, 1, side, side)).astype(np.float32)).to(device)
        network = network.to(device)

        def step() -> int:
            with torch.inference_mode():
                torch.softmax(network(batch), dim=1).cpu()
            return len(batch)
    else:
        read = choose_engine(how, device=device, precision=precision, any_bf16=True).load_patches(network, side_px=side)
        image = rng.standard_normal((4 * side, 4 * side)).astype(np.float32)
        corners = rng.integers(0, 3 * side, (48 if device == "cpu" else 4096, 2))

        def step() -> int:
            return len(read([PatchJob(image, corners)]))

    return {"per_s": _rate(step, seconds), "flop": _flop(network, (1, 1, side, side)), "memory_mb": peak_memory_mb()}


def windows(
    *, weights: str, how: str, device: str = "cpu", precision: str = "fp32", seconds: float = 5.0
) -> dict[str, Any]:
    """Windows per second of the CC column; how as in `patches` ("loop": plain torch, one window at a time)."""
    loaded = load_weights(Path(weights))
    shape = (3 if loaded.card.exam.heatmaps else 1, *loaded.card.geometry.window_cc_px)
    column = loaded.exam.column("CC")
    window = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    if how == "loop":
        column, on_device = column.to(device), torch.from_numpy(window).to(device)

        def step() -> int:
            with torch.inference_mode():
                column(on_device).cpu()
            return 1
    else:
        engine = choose_engine(how, device=device, precision=precision, any_bf16=True)
        read = engine.load_column(column, shape)
        several = np.repeat(window, engine.windows_at_once, axis=0)

        def step() -> int:
            return len(read(several))

    return {"per_s": _rate(step, seconds), "flop": _flop(column, (1, *shape)), "memory_mb": peak_memory_mb()}


def matrix(*, device: str = "cpu", precision: str = "fp32", seconds: float = 3.0) -> dict[str, Any]:
    """The floating-point operations per second of a large matrix product: what the device can do at best.

    On a CPU the best of what NumPy, torch and OpenVINO reach, since their kernels suit different processors.
    """
    n = 8192 if device != "cpu" else 2048
    found = {"torch": _rate(_torch_product(n, device, precision), seconds)}
    if device == "cpu":
        found["openvino"] = _rate(_openvino_product(n, precision), seconds)
        if precision == "fp32":
            a = np.random.default_rng(0).random((n, n), np.float32)
            found["numpy"] = _rate(lambda: len((a @ a)[:1]), seconds)
    best = max(found, key=found.__getitem__)
    return {"flop_per_s": found[best] * 2 * n**3, "by": best}


def _torch_product(n: int, device: str, precision: str) -> Callable[[], int]:
    torch.backends.cuda.matmul.allow_tf32 = False
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.rand(n, n, device=device).to(kind)

    def step() -> int:
        with torch.inference_mode():
            return int((a @ a)[0, 0].item() * 0) + 1  # .item() waits for the result

    return step


def _openvino_product(n: int, precision: str) -> Callable[[], int]:
    openvino = import_openvino()
    make = openvino.opset13
    left, right = (make.parameter([n, n], np.float32) for _ in range(2))
    model = openvino.Model([make.matmul(left, right, False, False)], [left, right])
    settings = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    a = np.random.default_rng(0).random((n, n), np.float32)
    return lambda: len(request.infer([a, a], share_inputs=True))


def _rate(step: Callable[[], int], seconds: float) -> float:
    """Units per second: the median over repetitions for about so long, after one to warm up."""
    step()
    rates = []
    end = time.perf_counter() + seconds
    while len(rates) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        count = step()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def _flop(network: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of one input (a multiplication and an addition are two)."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - slow to import

    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(shape, device=device))
    return counter.get_total_flops()


if __name__ == "__main__":
    what = {"machine": machine, "patches": patches, "windows": windows, "matrix": matrix}[sys.argv[1]]
    sys.stdout.write(json.dumps(what(**json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))) + "\n")
