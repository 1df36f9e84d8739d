"""`python -m benchmarks.coverage`: how often the 95 % intervals hold the truth, in simulated studies.

    python -m benchmarks.coverage [--studies 2000] [--jobs 2] [--seed 20261121] [--out benchmarks/results/coverage.csv]
    python -m benchmarks.coverage --show     the stored tables, as they stand in docs/statistics.md

A study: positive breasts and 15 times as many negative ones (1 in 16: an enriched test set), two breasts per exam.
Scores are binormal with equal spread; within an exam they correlate by 0.5 on that scale. Three structures:

    independent  positives are alone in their exam, and breasts of an exam do not correlate
    unilateral   positives are alone in their exam, and breasts of an exam correlate
    bilateral    positives come in pairs, and breasts of an exam correlate

The true AUC is that of a positive and a negative breast of different women; the true average precision that of
endlessly many breasts. Of a difference, both scores have the same true AUC and correlate by 0.5 in each breast, so that
the share of misses is how often a test at 5 % finds a difference that is not there. An interval that cannot be given
(the classes are separated without an error) counts as a miss. The intervals are those of fourview.evaluate, not copies.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray
from scipy.stats import norm

from fourview.evaluate import auc, auc_difference, average_precision, proportion
from fourview.evaluate.estimate import Z_95, logit_interval
from fourview.whole_files import write_whole

STORED = Path(__file__).parent / "results" / "coverage.csv"
SEED = 20261121
STUDIES = 2000
POSITIVES = (10, 20, 40, 60, 200)
LEVELS = (0.80, 0.90, 0.95)
STRUCTURES = ("independent", "unilateral", "bilateral")
METRICS = ("AUC", "average precision", "AUC difference", "sensitivity")
NEGATIVES_PER_POSITIVE = 15
CORRELATION = 0.5
REQUIRED_FROM, REQUIRED_UP_TO, REQUIRED = 60, 0.90, (0.93, 0.97)  # positives, AUC, coverage of the default
DEFAULT = "default"

Study = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """One kind of study: one of METRICS, one of STRUCTURES, how many positives, and the true AUC of its scores.

    For sensitivity, the level is the true sensitivity.
    """

    metric: str
    structure: str
    positives: int
    level: float

    @property
    def truth(self) -> float:
        if self.metric == "average precision":
            return true_average_precision(self.level)
        return 0.0 if self.metric == "AUC difference" else self.level

    @property
    def number(self) -> tuple[int, ...]:
        """What seeds this cell, whichever others are run."""
        return STRUCTURES.index(self.structure), self.positives, round(1000 * self.level), METRICS.index(self.metric)


AUC_CELLS = tuple(Cell("AUC", s, m, level) for s in STRUCTURES for m in POSITIVES for level in LEVELS)
OTHER_CELLS = tuple(
    Cell(metric, s, m, level)
    for metric in METRICS[1:]
    for s in ("unilateral", "bilateral")
    for m in POSITIVES
    for level in LEVELS
)


def true_average_precision(level: float) -> float:
    """Of endlessly many breasts: the mean precision at the scores of positives, by integration."""
    shift = math.sqrt(2) * norm.ppf(level)
    score = np.linspace(shift - 10, shift + 10, 200_001)
    density = norm.pdf(score - shift)
    sensitivity, false_alarms = norm.sf(score - shift), norm.sf(score)
    precision = sensitivity / np.maximum(sensitivity + NEGATIVES_PER_POSITIVE * false_alarms, 1e-300)
    return float(np.trapezoid(precision * density, score))


def draw_studies(cell: Cell, studies: int, rng: np.random.Generator) -> Iterator[Study]:
    """Truth (breasts,), two scores (2, breasts) and exam (breasts,), one study after the other."""
    breasts = cell.positives * (1 + NEGATIVES_PER_POSITIVE)
    exam = np.arange(breasts) // 2
    truth = np.zeros(breasts, np.int64)
    if cell.structure == "bilateral":
        truth[: cell.positives] = 1  # both breasts of the first exams; POSITIVES are even
    else:
        truth[: 2 * cell.positives : 2] = 1  # one breast of the first exams
    within = 0.0 if cell.structure == "independent" else CORRELATION
    # Positives lie so far above the negatives' mean of 0, or, for sensitivity, above the threshold of 0.
    shift = truth * norm.ppf(cell.level) * (1 if cell.metric == "sensitivity" else math.sqrt(2))
    for _ in range(studies):
        woman = rng.standard_normal((3, breasts // 2))[:, exam]
        shared, *own = math.sqrt(within) * woman + math.sqrt(1 - within) * rng.standard_normal((3, breasts))
        yield truth, shift + math.sqrt(CORRELATION) * shared + math.sqrt(1 - CORRELATION) * np.stack(own), exam


def find_intervals(metric: str, study: Study) -> tuple[dict[str, Interval], tuple[str, ...]]:
    """The intervals of one study by method, and the warnings of the default."""
    truth, scores, exam = study
    if metric == "average precision":
        found = average_precision(truth, scores[0], cluster=exam)
        return {DEFAULT: (found.low, found.high)}, found.warnings
    if metric == "AUC difference":
        found = auc_difference(truth, scores[0], scores[1], cluster=exam)
        return {DEFAULT: (found.low, found.high)}, found.warnings
    if metric == "sensitivity":
        yes = truth == 1
        found = proportion(scores[0][yes] >= 0, cluster=exam[yes])
        return {DEFAULT: (found.low, found.high)}, found.warnings
    found, independent = auc(truth, scores[0], cluster=exam), auc(truth, scores[0])
    half = Z_95 * found.se
    return {
        DEFAULT: (found.low, found.high),
        "normal quantile": logit_interval(found.value, found.se),
        "Wald": (found.value - half, found.value + half),
        "DeLong": (independent.low, independent.high),
    }, found.warnings


def measure_cell(cell: Cell, *, studies: int, seed: int) -> list[dict[str, Any]]:
    """One row per method: how often its interval holds the truth, how wide it is, and how often the default warns."""
    found: dict[str, list[Interval]] = {}
    warned = 0
    for study in draw_studies(cell, studies, np.random.default_rng([seed, *cell.number])):
        intervals, warnings = find_intervals(cell.metric, study)
        warned += any(warning.startswith("only ") for warning in warnings)
        for method, interval in intervals.items():
            found.setdefault(method, []).append(interval)
    rows, truth = [], cell.truth
    for method, of_method in found.items():
        low, high = np.array(of_method).T
        given = np.isfinite(low)
        rows.append(
            {
                **asdict(cell),
                "negatives": cell.positives * NEGATIVES_PER_POSITIVE,
                "truth": round(truth, 6),
                "method": method,
                "studies": studies,
                "coverage": float(np.mean((low <= truth) & (truth <= high))),  # NaN is a miss
                "above_truth": float(np.mean(low > truth)),
                "below_truth": float(np.mean(high < truth)),
                "no_interval": float(np.mean(~given)),
                "mean_width": round(float((high - low)[given].mean()), 5) if given.any() else None,
                "warned": warned / studies,
            }
        )
    return rows


def measure(cells: Sequence[Cell], *, studies: int, seed: int = SEED, jobs: int = 1) -> pl.DataFrame:
    """The rows of all cells, in their order."""
    work = partial(measure_cell, studies=studies, seed=seed)
    if jobs == 1:
        return pl.DataFrame([row for cell in cells for row in work(cell)])
    with ProcessPoolExecutor(jobs) as pool:
        return pl.DataFrame([row for rows in pool.map(work, cells) for row in rows])


def default_table(table: pl.DataFrame, metric: str) -> str:
    """Markdown: coverage in % and mean width of the default, a row per structure and number of positives."""
    heads = [f"{'sensitivity' if metric == 'sensitivity' else 'AUC'} {level:.2f}" for level in LEVELS]
    lines = [f"| breasts | positives | {' | '.join(heads)} | no interval, % | warns |", "|---|--:|--:|--:|--:|--:|---|"]
    rows = table.filter((pl.col("metric") == metric) & (pl.col("method") == DEFAULT))
    for (structure, positives), group in rows.group_by("structure", "positives", maintain_order=True):
        cells = [f"{100 * c:.1f} ({w:.3f})" for c, w in group.select("coverage", "mean_width").rows()]
        none = " / ".join(f"{round(100 * share, 1):g}" for share in group["no_interval"])
        warns = {1.0: "yes", 0.0: "no"}[group["warned"].mean()]
        lines.append(f"| {structure} | {positives} | {' | '.join(cells)} | {none} | {warns} |")
    return "\n".join(lines)


def methods_table(table: pl.DataFrame) -> str:
    """Markdown: coverage in % of every method for the AUC, at AUC 0.80 / 0.90 / 0.95."""
    rows = table.filter(pl.col("metric") == "AUC")
    methods = rows["method"].unique(maintain_order=True).to_list()
    lines = [f"| breasts | positives | {' | '.join(methods)} |", "|---|--:|" + "---|" * len(methods)]
    for (structure, positives), group in rows.group_by("structure", "positives", maintain_order=True):
        cells = [
            " / ".join(f"{100 * c:.1f}" for c in group.filter(pl.col("method") == method)["coverage"])
            for method in methods
        ]
        lines.append(f"| {structure} | {positives} | {' | '.join(cells)} |")
    return "\n".join(lines)


def failures(table: pl.DataFrame) -> pl.DataFrame:
    """The required cells where the default does not cover as it must: none, if all is well."""
    required = (pl.col("positives") >= REQUIRED_FROM) & (pl.col("level") <= REQUIRED_UP_TO)
    default = table.filter((pl.col("metric") == "AUC") & (pl.col("method") == DEFAULT) & required)
    return default.filter(~pl.col("coverage").is_between(*REQUIRED))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description="Coverage of 95 % intervals.")
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies per cell")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="CSV to write, with a JSON of the same name about the run")
    parser.add_argument("--show", action="store_true", help="only print the stored table")
    given = parser.parse_args()
    if given.show:
        table = pl.read_csv(STORED)
    else:
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        start = time.perf_counter()
        table = measure(AUC_CELLS + OTHER_CELLS, studies=given.studies, seed=given.seed, jobs=given.jobs)
        seconds = time.perf_counter() - start
        if given.out is not None:
            about = {
                "command": f"python -m benchmarks.coverage {shlex.join(sys.argv[1:])}",
                "seed": given.seed,
                "studies": given.studies,
                "seconds": round(seconds),
                "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
            }
            write_whole(given.out, table.write_csv())
            write_whole(given.out.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
    for metric in METRICS:
        sys.stdout.write(f"{metric}: coverage in % (mean width)\n\n{default_table(table, metric)}\n\n")
    sys.stdout.write(f"AUC: coverage in % of every method\n\n{methods_table(table)}\n\n")
    missed = failures(table)
    for row in missed.to_dicts():
        sys.stdout.write(f"outside of {REQUIRED}: {row}\n")
    if not given.show:
        sys.stdout.write(f"{seconds:.0f} s\n")
    raise SystemExit(1 if len(missed) else 0)


if __name__ == "__main__":
    main()
