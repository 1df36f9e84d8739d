"""`python -m benchmarks.transfer_intervals`: how often do the intervals of `fourview transfer` hold the truth?

    python -m benchmarks.transfer_intervals [--jobs 2] [--out benchmarks/results/transfer_intervals.json]
    python -m benchmarks.transfer_intervals --show

Drawn patients with four images each, two of either breast; 45 % have a positive breast. Two sets of 20 Gaussian
features, of which five tell the classes apart equally well in both (or not at all); three tenths of every feature's
variance are the patient's, three tenths the breast's. Per run the rigorous protocol, 5 folds, 3 repeats, ridge with one
penalty.

holds        the 95 % interval of the AUC (balanced accuracy) per image holds the truth: the mean, over all training
             sets of that size and all women that one could test. It knows the women tested alone, so it may fall short
differs      the two sets, which are equally good, differ with p < 0.05; the corrected t test alone beside it

Nothing is required: the shares are told in the docs. Exit status 0.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtr

from benchmarks.phantom_result import find_result, make_parser
from fourview.evaluate import RocCurves
from fourview.evaluate.proportion import wilson
from fourview.spread import spread
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.compare import compare_areas, fold_areas
from fourview.studies.transfer.curve_measures import balanced
from fourview.studies.transfer.folds import draw_folds
from fourview.studies.transfer.measures import Scored, measure
from fourview.studies.transfer.nested import UnitScores, run_repeat, tune
from fourview.studies.transfer.steps import Method

NAME = "transfer_intervals"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
SETS, RUNS, SIGNALS = (30, 60, 108), 120, (0.0, 1.6)
FOLDS, REPEATS, FEATURES, TELLING, SHARE = 5, 3, 20, 5, 0.45
METHOD = Method("ridge", "none", value=0.01)
_TRUE_DRAWS, _TRUE_PATIENTS = 60, 600


def draw(patients: int, signal: float, rng: np.random.Generator) -> tuple[np.ndarray, Cases]:
    """(images, 2 sets x features) and their truth; at least five patients of each class."""
    positive = np.zeros(patients, bool)
    while not FOLDS <= positive.sum() <= patients - FOLDS:
        positive = rng.random(patients) < SHARE
    owner, breast = np.repeat(np.arange(patients), 4), np.arange(4 * patients) // 2
    ill = np.zeros(2 * patients, bool)
    ill[2 * np.flatnonzero(positive) + rng.integers(0, 2, positive.sum())] = True
    y = ill[breast].astype(np.int64)
    wide = 2 * FEATURES
    values = np.sqrt(0.3) * (rng.normal(size=(patients, wide))[owner] + rng.normal(size=(2 * patients, wide))[breast])
    values += np.sqrt(0.4) * rng.normal(size=(4 * patients, wide))
    for first in (0, FEATURES):
        values[:, first : first + TELLING] += signal / np.sqrt(TELLING) * y[:, None]
    return values, Cases(y, owner, breast)


def find_truth(patients: int, signal: float) -> tuple[float, float]:
    """The mean AUC and balanced accuracy, per image of new women, of classifiers from a fold's training patients."""
    rng = np.random.default_rng([99, patients, round(10 * signal)])
    found = []
    for _ in range(_TRUE_DRAWS):
        values, cases = draw(patients * (FOLDS - 1) // FOLDS, signal, rng)
        tested, truth = draw(_TRUE_PATIENTS, signal, rng)
        tuned = tune(values[:, :FEATURES], cases, METHOD)
        score = tuned.score(tested[:, :FEATURES])
        called = (score >= tuned.readings["image"].threshold).astype(np.int64)
        area = float(RocCurves.measure(truth.y, score).areas[0])
        found.append((area, float(balanced(truth.y, called, np.ones((1, len(called))))[0])))
    area, balance = np.mean(found, axis=0).tolist()
    return area, balance


def do_run(item: tuple[int, float, int]) -> dict[str, Any]:
    """One set of patients: the first features' intervals, and the two p values of the difference of both."""
    patients, signal, seed = item
    values, cases = draw(patients, signal, np.random.default_rng([seed, patients, round(10 * signal)]))
    said: list[list[UnitScores]] = [[], []]
    for repeat in range(REPEATS):
        folds = draw_folds(cases.y, cases.patients, folds=FOLDS, seed=1000 * seed + repeat)
        for which, first in enumerate((0, FEATURES)):
            part = values[:, first : first + FEATURES]
            done = run_repeat(part, cases, METHOD, folds=folds, seed=1000 * seed + repeat)
            said[which].append(done.units["image"])
    m = measure([Scored(cases.y, cases.patients, s.score, s.called, s.probability) for s in said[0]])
    compared = compare_areas(cases.y, cases.patients, *said, name="first minus second", unit="image")
    return {
        "patients": patients,
        "signal": signal,
        "auc": [round(end, 5) for end in (m.auc.value, m.auc.low, m.auc.high)],
        "balanced": [
            round(e, 5) for e in (m.balanced_accuracy.value, m.balanced_accuracy.low, m.balanced_accuracy.high)
        ],
        "p": None if compared.p is None else round(compared.p, 5),
        "p_of_folds": round(p_of_folds(cases, *said), 5),
    }


def p_of_folds(cases: Cases, first: list[UnitScores], second: list[UnitScores]) -> float:
    """Of the corrected t test alone (Nadeau and Bengio 2003)."""
    off = fold_areas(cases.y, first) - fold_areas(cases.y, second)
    se = float(np.sqrt((1 / len(off) + 1 / (FOLDS - 1)) * off.var(ddof=1)))
    return 2 * float(stdtr(len(off) - 1, -abs(float(off.mean())) / se))


def measure_all(*, jobs: int = 1) -> dict[str, Any]:
    """All runs and the truths."""
    cells = [(patients, signal) for patients in SETS for signal in SIGNALS]
    rows = list(spread(do_run, [(*cell, seed) for cell in cells for seed in range(RUNS)], jobs=jobs))
    truths = [[patients, signal, *(round(v, 5) for v in find_truth(patients, signal))] for patients, signal in cells]
    return {"numpy": np.__version__, "rows": rows, "truths": truths}


def tell(result: dict[str, Any]) -> str:
    """Markdown: the shares with 95 % intervals."""
    lines = [
        "| patients | true AUC | its interval holds it | balanced accuracy: same | equals differ | by folds alone |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    total, runs = np.zeros(4, int), 0
    for patients, signal, area, balance in result["truths"]:
        rows = [row for row in result["rows"] if (row["patients"], row["signal"]) == (patients, signal)]
        counts = [
            sum(row["auc"][1] <= area <= row["auc"][2] for row in rows),
            sum(row["balanced"][1] <= balance <= row["balanced"][2] for row in rows),
            sum(row["p"] < 0.05 for row in rows),
            sum(row["p_of_folds"] < 0.05 for row in rows),
        ]
        lines.append(_line(f"{patients} | {area:.3f}", counts, len(rows)))
        total, runs = total + counts, runs + len(rows)
    return "\n".join([*lines, _line("all |", total.tolist(), runs)]) + "\n"


def _line(of: str, counts: Sequence[int], runs: int) -> str:
    return f"| {of} | {' | '.join(_share(count, runs) for count in counts)} |"


def _share(count: int, runs: int) -> str:
    low, high = wilson(count / runs, runs)
    return f"{count / runs:.3f} ({low:.3f} to {high:.3f})"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write the numbers if asked to."""
    parser = make_parser(NAME, "how often intervals of small studies hold the truth", seed=None, jobs=1)
    given = parser.parse_args(arguments)
    sys.stdout.write(tell(find_result(given, NAME, STORED, lambda: measure_all(jobs=given.jobs))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
