"""How much memory the process took, and how it gives back what it no longer uses."""

from __future__ import annotations

import ctypes
import sys


def peak_memory_mb() -> float:
    """The most memory that this process held so far, in MB (resident set)."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415 - only Windows lacks `resource`

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    import resource  # noqa: PLC0415 - absent on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # Linux counts in KiB


def gpu_peak_memory_mb() -> dict[str, float]:
    """The same for the GPU, as {"cuda": MB}; empty if this process used none. Never loads torch itself."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    return {"cuda": round(float(torch.cuda.max_memory_allocated()) / 1e6, 1)}


def give_back_memory() -> None:
    """Freed memory goes back to the system. On Linux, the C library keeps it per thread otherwise: a batch of
    full-size exams took twice the memory of one."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, others may not
    if trim is not None:
        trim(0)
