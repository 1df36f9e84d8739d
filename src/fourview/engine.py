"""Where networks run. One way today: torch, in float32, the oracle for faster engines to come."""

from __future__ import annotations

import torch

from fourview.exam import SetupError

CPU_BATCH_PX = 4 * 256 * 256  # larger batches are slower on a CPU: more memory traffic for the same arithmetic
GPU_BATCH_PX = 100 * 256 * 256


def choose_device(name: str) -> torch.device:
    """The device called "cpu", "cuda" (or "cuda:1"), or for "auto" a GPU if there is one.

    Raises SetupError if a GPU was asked for and is absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SetupError(f"device {name!r}: unknown; need auto, cpu or cuda") from error
    if device.type == "cuda":
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise SetupError(f"device {name!r}: found {torch.cuda.device_count()} usable GPUs; use --device cpu")
        # Full float32 in convolutions and products: TF32 would move probabilities in the fourth decimal.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    elif device.type != "cpu":
        raise SetupError(f"device {name!r}: not supported; need auto, cpu or cuda")
    return device


def patch_batch(device: torch.device, *, side_px: int) -> int:
    """Patches per batch that suit the device. The batch never changes a result beyond float rounding."""
    pixels = GPU_BATCH_PX if device.type == "cuda" else CPU_BATCH_PX
    return max(1, pixels // side_px**2)
