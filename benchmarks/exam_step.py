"""`python -m benchmarks.exam_step`: memory and time of one training step of the recipe `paper` at full size.

    python -m benchmarks.exam_step [--out benchmarks/results/exam_step.json]
    python -m benchmarks.exam_step --show

One exam: four views of the published windows (2677 x 1942 and 2974 x 1748 pixels), image and heatmaps, through the
published view-wise network (width 16) forward, backward and Adam, on the processor, each setting in a process of its
own. Pixels are noise: they change neither memory nor time. Memory is the most that the process held during the step
less what it held before it; what a batch of four exams needs is reckoned from what one takes beyond weights, gradients
and Adam's two moments. A GPU needs memory of convolution algorithms besides, and was not at hand.

Required: a batch of one exam within 24 GB for every setting. Exit status 1 if not.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.phantom_result import find_result, make_parser
from fourview.networks.exam import VIEW_NAMES
from fourview.networks.resnet22 import ResNet22
from fourview.train.optimise import build_optimiser
from fourview.train.peak_memory import PeakMemory
from fourview.train.recipe import Recipe, load_recipe
from fourview.train.trainee import put_channels_last
from fourview.weights.folder import build_exam

NAME = "exam_step"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
PRECISIONS = ("fp32", "bf16")
RECOMPUTED = (0, 1, 2, 5)
MOST_MB = 24_000
BATCH = 4  # exams of a step, as published


def measure_step(recipe: Recipe, precision: str, recomputed: int) -> dict[str, Any]:
    """One step of one exam in this process, which has held nothing larger before."""
    torch.set_num_threads(1)
    if recipe.exam is None:
        raise ValueError(f"recipe {recipe.name} has no exam network")
    network = build_exam(recipe.exam).train()
    put_channels_last(network)
    for column in network.modules():
        if isinstance(column, ResNet22):
            column.recomputed = recomputed
    optimiser = build_optimiser(network, recipe.optimiser)
    geometry = recipe.geometry
    shapes = {"CC": geometry.window_cc_px, "MLO": geometry.window_mlo_px}
    views = {view: torch.randn(1, 3, *shapes[view[2:]]) for view in VIEW_NAMES}
    started = time.perf_counter()
    with PeakMemory(torch.device("cpu")) as memory:
        _step(network, optimiser, views, precision)
    seconds, taken = time.perf_counter() - started, memory.taken_mb
    parameters = sum(weight.numel() for weight in network.parameters())
    kept = 3 * 4 * parameters / 1e6  # gradients and two moments, float32
    return {
        "precision": precision,
        "recomputed": recomputed,
        "parameters": parameters,
        "one_exam_mb": round(taken),
        "batch_mb": round(kept + BATCH * (taken - kept)),
        "seconds": round(seconds, 1),
    }


def _step(network: nn.Module, optimiser: Optimizer, views: Mapping[str, Tensor], precision: str) -> None:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        answers = network(views)
        said = torch.cat([answer.float().reshape(-1, answer.shape[-1]) for answer in answers.values()])
        loss = F.nll_loss(said, torch.zeros(len(said), dtype=torch.long))
    torch.autograd.backward(loss)
    optimiser.step()


def measure(recipe: Recipe | None = None) -> dict[str, Any]:
    """Every setting, one after the other."""
    recipe = recipe or load_recipe("paper", stage="exam")
    context = multiprocessing.get_context("spawn")
    rows = []
    for precision in PRECISIONS:
        for recomputed in RECOMPUTED:
            with ProcessPoolExecutor(1, mp_context=context) as process:
                rows.append(process.submit(measure_step, recipe, precision, recomputed).result())
    return {
        "recipe": recipe.name,
        "recipe_sha256": recipe.hash,
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, 1 thread used",
        "rows": rows,
        "passes": all(row["one_exam_mb"] <= MOST_MB for row in rows),
    }


def tell(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        f"recipe {result['recipe']}, {result['rows'][0]['parameters']:,} parameters, torch {result['torch']}, "
        f"{result['machine']}",
        "",
        f"| precision | recomputed stages | one exam, GB | {BATCH} exams, GB (reckoned) | seconds for one exam |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['precision']} | {row['recomputed']} of 5 | {row['one_exam_mb'] / 1000:.1f} | "
            f"{row['batch_mb'] / 1000:.1f} | {row['seconds']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write it if asked to."""
    parser = make_parser(NAME, "memory and time of a full-size exam step", seed=None, jobs=None)
    result = find_result(parser.parse_args(arguments), NAME, STORED, measure)
    sys.stdout.write(tell(result))
    return 0 if result["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
