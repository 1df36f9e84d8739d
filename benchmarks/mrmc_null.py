"""`python -m benchmarks.mrmc_null`: how often the test of two treatments finds a difference that is not there.

    python -m benchmarks.mrmc_null [--studies 2000] [--jobs 2] [--seed 20261121] [--out FILE.csv]

A study: both treatments, 5 or 10 readers, exams of two breasts; a third of the exams has a malignant breast, one in ten
of these has two. Ratings follow the model of Roe and Metz 1997: truth + reader + treatment x reader + case + treatment
x case + reader x case + error, reader terms drawn for malignant and other breasts apart. Case terms sum to a variance
of 1; each correlates by 0.5 between the breasts of an exam. Ratings become whole percents, with ties as readers make
them. The readers' expected AUC is about 0.85 with both treatments.

The test is that of `fourview readers`: Obuchowski-Rockette, random readers and cases, Hillis' degrees of freedom. It
should find a difference in 5 % of the studies. Covariances: clustered by exam (the default), and DeLong's, which takes
breasts as independent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
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

from fourview.evaluate.covariance import Covariance, measure
from fourview.evaluate.mrmc import TwoTreatments, compare_treatments
from fourview.evaluate.proportion import wilson
from fourview.whole_files import write_whole

SEED = 20261121
STUDIES = 2000
COVARIANCES: tuple[Covariance, ...] = ("clustered", "delong")
MU = 1.5  # between malignant and other breasts
WITHIN_EXAM = 0.5
BILATERAL = 0.1  # of the exams with a malignant breast
# Roe and Metz's structures: case, treatment x case, reader x case, error; then reader and treatment x reader, each.
STRUCTURES: dict[str, tuple[float, float, float, float, float]] = {
    "HL": (0.3, 0.3, 0.2, 0.2, 0.0055),
    "HH": (0.3, 0.3, 0.2, 0.2, 0.030),
    "LL": (0.1, 0.1, 0.2, 0.6, 0.0055),
    "LH": (0.1, 0.1, 0.2, 0.6, 0.030),
}

Study = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class Design:
    """structure: variance components, a key of STRUCTURES; exams, a third of them with a malignant breast"""

    structure: str
    readers: int
    exams: int

    @property
    def number(self) -> tuple[int, ...]:
        """What seeds this design, whichever others are run."""
        return list(STRUCTURES).index(self.structure), self.readers, self.exams


DESIGNS = tuple(Design(s, j, n) for s in STRUCTURES for j in (5, 10) for n in (90, 180))


def draw_study(design: Design, rng: np.random.Generator, *, shift: float = 0.0) -> Study:
    """Truth (breasts,), ratings (2 x readers, breasts) in whole percents as shares, exam (breasts,).

    shift  how much further apart the second treatment sets malignant and other breasts; 0: no difference
    """
    case, treatment_case, reader_case, error, reader = STRUCTURES[design.structure]
    exam = np.repeat(np.arange(design.exams), 2)
    with_positive = design.exams // 3
    truth = np.zeros(2 * design.exams, bool)
    truth[: 2 * with_positive : 2] = True  # left or right does not matter
    truth[1 : 2 * round(BILATERAL * with_positive) : 2] = True

    def terms(variance: float, *shape: int) -> NDArray[np.float64]:
        """One term per breast, (*shape, breasts), correlated within exams."""
        own = rng.standard_normal((*shape, 2 * design.exams))
        shared = rng.standard_normal((*shape, design.exams))[..., exam]
        return np.sqrt(variance) * (np.sqrt(WITHIN_EXAM) * shared + np.sqrt(1 - WITHIN_EXAM) * own)

    j, which = design.readers, truth.astype(int)
    apart = (MU + np.array([0.0, shift]))[:, None, None] * truth
    rated = apart + terms(case) + terms(treatment_case, 2, 1) + terms(reader_case, j) + terms(error, 2, j)
    rated += np.sqrt(reader) * rng.standard_normal((j, 2))[:, which]  # drawn for malignant and other breasts apart
    rated += np.sqrt(reader) * rng.standard_normal((2, j, 2))[:, :, which]
    percents = np.round(100 * norm.cdf(rated - MU))  # most breasts get a few percent, as readers give them
    return truth, percents.reshape(2 * j, -1) / 100, exam


def analyse(study: Study, covariance: Covariance) -> TwoTreatments:
    """What `fourview readers` makes of a study."""
    truth, ratings, exam = study
    return compare_treatments(measure(truth, ratings, covariance=covariance, cluster=exam))


def measure_design(design: Design, *, studies: int, seed: int) -> list[dict[str, Any]]:
    """One row per covariance: how often a difference was found, with the interval of this share."""
    rng = np.random.default_rng([seed, *design.number])
    found: dict[Covariance, list[TwoTreatments]] = {covariance: [] for covariance in COVARIANCES}
    for _ in range(studies):
        study = draw_study(design, rng)
        for covariance in COVARIANCES:
            found[covariance].append(analyse(study, covariance))
    rows = []
    for covariance, results in found.items():
        rejected = sum(result.difference.p < 0.05 for result in results)
        low, high = wilson(rejected / studies, studies)
        rows.append(
            {
                **asdict(design),
                "positives": int(study[0].sum()),
                "covariance": covariance,
                "mean_auc": round(float(np.mean([result.means for result in results])), 4),
                "median_df": round(float(np.median([result.difference.df for result in results])), 1),
                "studies": studies,
                "rejected": rejected,
                "rate": rejected / studies,
                "low": round(low, 5),
                "high": round(high, 5),
            }
        )
    return rows


def measure_all(designs: Sequence[Design], *, studies: int, seed: int = SEED, jobs: int = 1) -> pl.DataFrame:
    """The rows of all designs, in their order."""
    work = partial(measure_design, studies=studies, seed=seed)
    if jobs == 1:
        return pl.DataFrame([row for design in designs for row in work(design)])
    with ProcessPoolExecutor(jobs) as pool:
        return pl.DataFrame([row for rows in pool.map(work, designs) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mrmc_null", description="Rejections without a cause.")
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies per design")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, help="CSV to write, with a JSON of the same name about the run")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    start = time.perf_counter()
    table = measure_all(DESIGNS, studies=given.studies, seed=given.seed, jobs=given.jobs)
    seconds = time.perf_counter() - start
    if given.out is not None:
        about = {
            "command": f"python -m benchmarks.mrmc_null {shlex.join(sys.argv[1:])}",
            "seed": given.seed,
            "studies": given.studies,
            "seconds": round(seconds),
            "structures": {name: dict(zip(_TERMS, parts, strict=True)) for name, parts in STRUCTURES.items()},
            "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        }
        write_whole(given.out, table.write_csv())
        write_whole(given.out.with_suffix(".json"), json.dumps(about, indent=2) + "\n")
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=160, tbl_hide_dataframe_shape=True):
        sys.stdout.write(f"{table}\n")
    for covariance in COVARIANCES:
        own = table.filter(pl.col("covariance") == covariance)
        share, n = own["rejected"].sum() / own["studies"].sum(), int(own["studies"].sum())
        low, high = wilson(share, n)
        sys.stdout.write(f"{covariance}: {share:.2%} of {n:,} studies ({low:.2%} to {high:.2%})\n")
    sys.stdout.write(f"{seconds:.0f} s\n")


_TERMS = ("case", "treatment x case", "reader x case", "error", "reader and treatment x reader, each")

if __name__ == "__main__":
    main()
