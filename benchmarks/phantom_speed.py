"""`python -m benchmarks.phantom_speed`: how fast exams of a population are drawn, and whether they are the same again.

    python -m benchmarks.phantom_speed [--jobs 2] [--exams 40] [--full-size-exams 6]
                                       [--out benchmarks/results/phantom_speed.json]
    python -m benchmarks.phantom_speed --show

Exams of the recipe `enriched`, drawn with their masks and not written, in fresh processes of one thread each. Starting
the processes is not counted; memory is the peak of a process, its imports included. Then the same exams are drawn in
one process, and two of them each alone in a process of its own: every pixel and mask must be the same.

Required: 2 exams/s at scale 0.25 and 0.1 at scale 1 with two processes, under 2 GB per process. Exit status 1 if not.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import platform
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.phantom_result import find_result, make_parser
from fourview.phantom import load_recipe, plan_exam
from fourview.phantom.draw import draw_planned
from fourview.phantom.recipe import GENERATOR

NAME = "phantom_speed"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
RECIPE, SEED = "enriched", 0
JOBS, EXAMS, FULL_SIZE_EXAMS = 2, 40, 6
REQUIRED = {0.25: 2.0, 1.0: 0.1}  # scale -> exams per second
MOST_MB = 2000


def draw_once(index: int, *, scale: float, seed: int = SEED) -> tuple[str, float, float]:
    """(digest of all pixels and masks of one exam, seconds of processor time, peak memory of this process in MB)."""
    started = time.process_time()
    exam = draw_planned(plan_exam(load_recipe(RECIPE), seed=seed, index=index), scale=scale)
    seconds = time.process_time() - started
    found = hashlib.sha256()
    for image in exam.images:
        for pixels in (image.pixels, *image.masks):
            found.update(f"{pixels.dtype}{pixels.shape}{image.faces}".encode() + pixels.tobytes())
    return found.hexdigest(), seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _begin() -> None:
    cv2.setNumThreads(1)


def _wait(_: int) -> None:
    load_recipe(RECIPE)
    time.sleep(0.2)  # so that every process gets one of these and is there when time starts


def draw_many(exams: int, *, scale: float, jobs: int, start: int = 0) -> tuple[list[str], float, float, float]:
    """(digests, seconds, seconds of processor time, largest peak memory of a process in MB)."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
        list(pool.map(_wait, range(2 * jobs)))
        started = time.perf_counter()
        found = list(pool.map(partial(draw_once, scale=scale), range(start, start + exams)))
        seconds = time.perf_counter() - started
    digests, busy, memory = zip(*found, strict=True)
    return list(digests), seconds, sum(busy), max(memory)


def measure(
    *, jobs: int = JOBS, exams: int = EXAMS, full_size: int = FULL_SIZE_EXAMS, scales: tuple[float, ...] = (0.25, 1.0)
) -> dict[str, Any]:
    """Speeds by scale, and whether one process or an exam on its own draws the same."""
    rows = []
    for scale, count in zip(scales, (exams, full_size), strict=True):
        load = os.getloadavg()[0]
        digests, seconds, busy, memory = draw_many(count, scale=scale, jobs=jobs)
        again, alone_seconds, _, _ = draw_many(count, scale=scale, jobs=1)
        last = count - 1
        singles = [draw_many(1, scale=scale, jobs=1, start=index)[0][0] for index in (0, last)]
        rows.append(
            {
                "scale": scale,
                "jobs": jobs,
                "exams": count,
                "seconds": round(seconds, 2),
                "exams_per_second": round(count / seconds, 3),
                "seconds_per_exam_one_process": round(alone_seconds / count, 3),
                "processor_seconds_per_exam": round(busy / count, 3),
                "peak_memory_mb": round(memory),
                "load_before": round(load, 2),
                "same_with_one_process": digests == again,
                "same_alone": singles == [digests[0], digests[last]],
            }
        )
    return {
        "recipe": RECIPE,
        "hash": load_recipe(RECIPE).hash,
        "generator": GENERATOR,
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "rows": rows,
        "passes": all(_passes(row) for row in rows),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "opencv": cv2.__version__},
    }


def _passes(row: dict[str, Any]) -> bool:
    fast = row["exams_per_second"] >= REQUIRED.get(row["scale"], 0.0)
    return bool(fast and row["peak_memory_mb"] < MOST_MB and row["same_with_one_process"] and row["same_alone"])


def speed_table(result: dict[str, Any]) -> str:
    """Markdown."""
    lines = [
        "| scale | processes | exams/s | required | peak memory of a process | same bytes with 1 process, and alone |",
        "|--:|--:|--:|--:|--:|---|",
    ]
    for row in result["rows"]:
        same = "yes" if row["same_with_one_process"] and row["same_alone"] else "NO"
        required = REQUIRED.get(row["scale"])
        lines.append(
            f"| {row['scale']:g} | {row['jobs']} | {row['exams_per_second']:.2f} | {required if required else '-'} "
            f"| {row['peak_memory_mb']} MB | {same} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(NAME, "How fast are they drawn?", seed=None, jobs=JOBS)
    parser.add_argument("--exams", type=int, default=EXAMS, help="at scale 0.25")
    parser.add_argument("--full-size-exams", type=int, default=FULL_SIZE_EXAMS, help="at scale 1")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    result = find_result(
        given, NAME, STORED, lambda: measure(jobs=given.jobs, exams=given.exams, full_size=given.full_size_exams)
    )
    sys.stdout.write(f"{speed_table(result)}\n")
    raise SystemExit(0 if result["passes"] else 1)


if __name__ == "__main__":
    main()
