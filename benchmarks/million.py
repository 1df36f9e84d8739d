"""`python -m benchmarks.million`: what the intervals of a million breasts cost, in seconds and memory.

    python -m benchmarks.million [--breasts 1000000]

Half as many exams, named by text as in readings.csv; 5 cancers in 1,000 exams; scores with four decimals. Measured are
the functions of fourview.evaluate; reading a table from a file comes on top.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fourview.evaluate import Estimate, auc, auc_difference, average_precision, proportion
from fourview.memory import peak_memory_mb

CANCERS_PER_EXAM = 0.005
SECONDS, MEMORY_MB = 20, 2000  # what a million breasts may cost, everything together


def draw_breasts(
    breasts: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.str_]]:
    """Truth (breasts,), two scores (2, breasts) between 0 and 1, and the name of the exam (breasts,)."""
    exam = np.arange(breasts) // 2
    truth = rng.random(breasts) < CANCERS_PER_EXAM / 2
    woman = rng.standard_normal(exam[-1] + 1)[exam]
    logits = 0.7 * woman + 0.7 * rng.standard_normal((2, breasts)) + 2 * truth - 3
    return truth, np.round(expit(logits), 4), np.char.mod("%016x", exam)


def measure(breasts: int) -> tuple[list[tuple[Estimate, float]], float]:
    """The estimates with the seconds each took, and the peak memory of this process in MB."""
    truth, (first, second), exam = draw_breasts(breasts, np.random.default_rng(0))
    work: list[Callable[[], Estimate]] = [
        lambda: auc(truth, first, cluster=exam),
        lambda: auc_difference(truth, first, second, cluster=exam),
        lambda: average_precision(truth, first, cluster=exam),
        lambda: average_precision(truth, first, cluster=exam, prevalence=0.002, name="average precision at 0.002"),
        lambda: proportion(first[~truth] < 0.5, cluster=exam[~truth], name="specificity"),
    ]
    found = []
    for compute in work:
        start = time.perf_counter()
        found.append((compute(), time.perf_counter() - start))
    return found, peak_memory_mb()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.million", description="Intervals of a large table.")
    parser.add_argument("--breasts", type=int, default=1_000_000)
    found, memory_mb = measure(parser.parse_args().breasts)
    for estimate, seconds in found:
        sys.stdout.write(f"{seconds:6.2f} s  {estimate}\n")
    total = sum(seconds for _, seconds in found)
    sys.stdout.write(
        f"{total:6.2f} s in all (at most {SECONDS}); peak memory {memory_mb:.0f} MB (at most {MEMORY_MB})\n"
    )
    raise SystemExit(1 if total > SECONDS or memory_mb > MEMORY_MB else 0)


if __name__ == "__main__":
    main()
