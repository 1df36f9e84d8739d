"""Where networks run, behind one small interface: torch (the oracle; CPU and GPU) and OpenVINO (CPU).

An engine takes a torch network once and gives back a function of numpy arrays. Every fp32 engine gives the same
probabilities to about 1e-6; bf16 moves them by up to about 1e-2 and is used only where the hardware multiplies
matrices in bf16.
"""

from fourview.engine.choose import choose_engine
from fourview.engine.interface import Engine, PatchJob, ReadColumn, ReadPatches, describe

__all__ = ["Engine", "PatchJob", "ReadColumn", "ReadPatches", "choose_engine", "describe"]
