"""Which engine, device and precision: what was asked for, or an error that says why not. Nothing is emulated."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from fourview.engine.interface import Engine
from fourview.engine.torch_engine import TorchEngine
from fourview.exam import Precision, SetupError

CPU_FLAGS = Path("/proc/cpuinfo")


def choose_engine(
    name: str = "auto", *, device: str = "auto", precision: Precision = "fp32", any_bf16: bool = False
) -> Engine:
    """The engine called "torch" or "openvino"; "auto" is torch on a GPU and OpenVINO on a CPU.

    device     "auto" (a GPU if there is one, unless the engine is openvino), "cpu", "cuda" or "cuda:1"
    precision  "fp32", or "bf16" where a GPU or the processor's matrix unit (amx_bf16) does it in hardware
    any_bf16   also where the processor has only bf16 vector instructions: to compare numbers, not for speed

    Raises SetupError if that is not to be had here.
    """
    if name not in ("auto", "torch", "openvino"):
        raise SetupError(f"engine {name!r}: unknown; need auto, torch or openvino")
    if precision not in ("fp32", "bf16"):
        raise SetupError(f"precision {precision!r}: unknown; need fp32 or bf16")
    chosen = _choose_device("cpu" if name == "openvino" and device == "auto" else device)
    if name == "openvino" and chosen.type != "cpu":
        raise SetupError(f"engine openvino with device {device}: it runs on the CPU; use --engine torch for a GPU")
    if precision == "bf16":
        _check_bf16(chosen, any_bf16=any_bf16)
    has_openvino = find_spec("openvino") is not None
    if name == "openvino" and not has_openvino:
        raise SetupError("engine openvino: the package openvino is not installed; install it, or use --engine torch")
    if name == "torch" or chosen.type != "cpu" or not has_openvino:
        return TorchEngine(chosen, precision)
    from fourview.engine.openvino_engine import OpenVinoEngine  # noqa: PLC0415 - only where it is used

    return OpenVinoEngine(precision)


def has_matrix_unit() -> bool:
    """True if this processor multiplies bf16 matrices in hardware (amx_bf16)."""
    return "amx_bf16" in cpu_flags()


def cpu_flags() -> frozenset[str]:
    """What the processor can do, in Linux' words; empty where the system does not say."""
    try:
        lines = CPU_FLAGS.read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SetupError(f"device {name!r}: unknown; need auto, cpu or cuda") from error
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise SetupError(f"device {name!r}: found {torch.cuda.device_count()} usable GPUs; use --device cpu")
    elif device.type != "cpu":
        raise SetupError(f"device {name!r}: not supported; need auto, cpu or cuda")
    return device


def _check_bf16(device: torch.device, *, any_bf16: bool) -> None:
    if device.type == "cuda":
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise SetupError(f"precision bf16: {torch.cuda.get_device_name(device)} has no bf16 units; use fp32")
    elif not has_matrix_unit() and not (any_bf16 and "avx512_bf16" in cpu_flags()):
        slow = " (avx512_bf16 alone is not enough)" if "avx512_bf16" in cpu_flags() else ""
        raise SetupError(
            f"precision bf16: found no matrix unit for it in this processor{slow}; need amx_bf16 or a GPU; "
            "use --precision fp32"
        )
