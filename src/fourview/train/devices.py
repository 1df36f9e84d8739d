"""Devices: which, how many processes, arithmetic that repeats, and what their errors mean."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor

from fourview.exam import SetupError
from fourview.train.stage import LoopRecipe

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # not what it does, but what goes wrong

Value = TypeVar("Value")
Accelerator = Literal["auto", "cpu", "cuda"]


class SaidByFirstError(SetupError):
    """What is wrong with the whole run, in a process that is not the first: the first one says it."""


def open_fabric(recipe: LoopRecipe, *, devices: int = 1, nodes: int = 1, accelerator: Accelerator = "auto") -> Fabric:
    """Fabric for a recipe, not yet launched (see `launched`).

    devices, nodes  processes on each machine, and machines; under torchrun, torchrun's numbers count

    Raises SetupError if the devices are not there, or if a batch cannot be divided among them.
    """
    under_torchrun = torch.distributed.is_torchelastic_launched()
    if under_torchrun:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    loop = recipe.loop
    portions = loop.batch // loop.micro_batch
    if portions % (devices * nodes):
        raise SetupError(
            f"found {devices * nodes} devices for {portions} portions of a batch (loop.batch {loop.batch}, "
            f"loop.micro_batch {loop.micro_batch}); need a number of portions that they share evenly"
        )
    alone = devices * nodes == 1 and not under_torchrun
    try:
        return Fabric(
            accelerator=accelerator,
            strategy="auto" if alone else "ddp",
            devices=devices,
            num_nodes=nodes,
            precision="bf16-mixed" if loop.precision == "bf16" else "32-true",
        )
    except (ValueError, RuntimeError) as error:
        raise SetupError(f"found no {devices} devices ({accelerator}): {error}; need devices that are there") from error


def name_device(device: torch.device, *, count: int = 1) -> str:
    """The GPUs by their name, or the processor's kind and the threads that are used, of `count` processes."""
    if device.type == "cuda":
        name = str(torch.cuda.get_device_name(device))
    else:
        threads = torch.get_num_threads()
        name = f"{platform.machine()} CPU, {threads} thread{'s' if threads > 1 else ''}"
    return name if count == 1 else f"{count} x {name}"


@contextmanager
def launched(fabric: Fabric) -> Iterator[None]:
    """In the block, all processes of the run are there and can talk; this machine's are started, unless torchrun did.

    Afterwards the connection is taken down by hand: left to the end of the process, its threads now and then abort it.
    Not after an error, when another process may never come to take it down.
    """
    fabric.launch()
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def on_first(fabric: Fabric, work: Callable[[], Value]) -> Value:
    """work() of the first process, in all of them. Raises SetupError if it does: SaidByFirstError in the others."""
    value, problem = None, None
    if fabric.is_global_zero:
        try:
            value = work()
        except SetupError as error:
            problem = str(error)
    value, problem = fabric.broadcast((value, problem))
    if problem is not None:
        raise SetupError(problem) if fabric.is_global_zero else SaidByFirstError(problem)
    return value  # type: ignore[return-value]  # None only if work returns it


def gather(fabric: Fabric, value: Value) -> list[Value]:
    """The values of all processes, in their order."""
    return [fabric.broadcast(value, src=rank) for rank in range(fabric.world_size)]


def average(fabric: Fabric, tensor: Tensor) -> Tensor:
    """The mean over all processes."""
    averaged: Any = fabric.all_reduce(tensor, reduce_op="mean")
    return cast(Tensor, averaged)


@contextmanager
def repeatable(*, deterministic: bool) -> Iterator[None]:
    """In the block, torch computes the same numbers every time; or as fast as it can. Afterwards all is as before."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    try:
        if deterministic:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS repeats itself only with a fixed workspace
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, not deterministic
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        if deterministic:
            os.environ.pop("CUBLAS_WORKSPACE_CONFIG")
            if workspace is not None:
                os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace


@contextmanager
def explained_errors(recipe: LoopRecipe) -> Iterator[None]:
    """Errors of devices and workers as SetupError, which says what to do. Others pass."""
    try:
        yield
    except (RuntimeError, MemoryError, EOFError, ConnectionError) as error:
        text = _explain(error, recipe)
        if text is None:
            raise
        raise SetupError(text) from error


def _explain(error: BaseException, recipe: LoopRecipe) -> str | None:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    loop = recipe.loop
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error):
        return (
            f"out of memory ({first}); need a new run with a smaller loop.micro_batch (now {loop.micro_batch}), more "
            f"loop.recomputed (now {loop.recomputed}, at most 5), or loop.precision bf16 (now {loop.precision})"
        )
    if isinstance(error, EOFError | ConnectionError) or "DataLoader worker" in str(error):
        return (
            f"a worker process that prepares samples died ({first}): killed, out of memory, or out of shared memory "
            "(/dev/shm); make room and run the same command with --resume, or begin a new run with fewer loop.workers "
            f"(now {loop.workers}; 0: none)"
        )
    if "deterministic" in str(error) and "use_deterministic_algorithms" in str(error):
        return f"{first}; need --set loop.deterministic=false on this device"
    if isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error) or "cuDNN error" in str(error):
        return (
            f"the device was lost or failed ({first}); the last checkpoint is whole: when the device is back, run the "
            "same command with --resume"
        )
    if isinstance(error, torch.distributed.DistError) or "Connection closed by peer" in str(error):
        return (
            f"another process of this run ended ({first}); its own message says why; run the same command with --resume"
        )
    return None
