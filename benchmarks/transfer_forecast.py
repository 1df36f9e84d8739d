"""`python -m benchmarks.transfer_forecast`: does the forecast of `fourview curve` hold what it says?

    python -m benchmarks.transfer_forecast [--jobs 2] [--out benchmarks/results/transfer_forecast.json]
    python -m benchmarks.transfer_forecast --show

Drawn patients with two images each, three in ten positive, 30 Gaussian features: ten of them tell the classes apart,
and half of every feature's variance is the patient's. The classifier points from one mean to the other; trained on
endless data its AUC would be 0.802. Per run: the curve of 100 patients, its forecast for twice as many, and then the
same measurement with all 200 patients. Beside it the true mean AUC of classifiers from that many patients.

rising   as above
nothing  the same with no difference between the classes: a forecast would be a fault

And how often do the curve's own 95 % intervals hold the truth, which is the mean over all women one could test and all
one could have trained on? They resample the women tested alone, and nothing is required of them: the share is told.

Required: the interval holds what all patients give in at least 0.90 of the runs with a forecast, and the true mean in
at least 0.88; a forecast comes in at least 0.75 of the rising runs and in at most 0.10 of the others. Exit status 1 if
not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.phantom_result import find_result, make_parser
from fourview.evaluate import RocCurves
from fourview.evaluate.proportion import wilson
from fourview.spread import spread
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.curve_measures import Curve, balanced, measure_curve
from fourview.studies.transfer.curve_rounds import RoundTask, choose_sizes, do_round
from fourview.studies.transfer.few_patients import Trained
from fourview.studies.transfer.forecast import forecast
from fourview.studies.transfer.steps import Method

NAME = "transfer_forecast"
COVERED = {40: (10, 32), 60: (10, 48), 100: (10, 80)}  # patients of a set: sizes looked at
COVER_RUNS = 120
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
PATIENTS, FEATURES, TELLING, SHARE, FOLDS, ROUNDS = 200, 30, 10, 0.3, 5, 5
APART = {"rising": 1.2, "nothing": 0.0}
RUNS = {"rising": 120, "nothing": 40}
_TRUE_DRAWS, _TRUE_PATIENTS = 200, 1000


def draw(kind: str, rng: np.random.Generator, *, patients: int = PATIENTS) -> tuple[np.ndarray, Cases]:
    """(images, features) and their truth."""
    owner = np.repeat(np.arange(patients), 2)
    y = (rng.random(patients) < SHARE).astype(np.int64)[owner]
    values = np.sqrt(0.5) * (rng.normal(size=(patients, FEATURES))[owner] + rng.normal(size=(2 * patients, FEATURES)))
    values[:, :TELLING] += y[:, None] * APART[kind] / np.sqrt(TELLING)
    return values, Cases(y, owner, owner)


def train(values: np.ndarray, cases: Cases, *, seed: int) -> Trained:
    """From one class's mean to the other's, called positive beyond the middle. seed: not needed"""
    means = [values[cases.y == label].mean(axis=0) for label in (0, 1)]
    way = means[1] - means[0]
    return Trained(lambda rows: rows @ way, float((means[0] + means[1]) @ way / 2), True)


def measure_patients(values: np.ndarray, cases: Cases, sizes: tuple[int, ...] = ()) -> Curve:
    """The curve of these patients."""
    chosen = sizes or choose_sizes(int(cases.patients.max()) + 1, FOLDS)
    tasks = [RoundTask(values, cases, Method("lr", "none"), k, chosen, FOLDS) for k in range(ROUNDS)]
    return measure_curve([do_round(task, all_sizes=chosen, train=train) for task in tasks], cases, chosen)


def find_truth(kind: str, patients: int) -> tuple[float, float]:
    """The mean AUC and balanced accuracy, on new patients, of classifiers from that many."""
    rng = np.random.default_rng([99, patients])
    found = []
    for _ in range(_TRUE_DRAWS):
        (values, cases), (tested, truth) = draw(kind, rng, patients=patients), draw(kind, rng, patients=_TRUE_PATIENTS)
        if cases.positive_patients and cases.negative_patients:
            trained = train(values, cases, seed=0)
            score = trained.score(tested)
            called = (score >= trained.threshold).astype(np.int64)
            area = float(RocCurves.measure(truth.y, score).areas[0])
            found.append((area, float(balanced(truth.y, called, np.ones((1, len(called))))[0])))
    area, balance = np.mean(found, axis=0).tolist()
    return area, balance


def do_cover(item: tuple[int, int]) -> list[dict[str, Any]]:
    """One set of patients: the intervals of its curve at the sizes looked at; [] if it has too few of a class."""
    patients, seed = item
    values, cases = draw("rising", np.random.default_rng([seed, patients, 9]), patients=patients)
    if min(cases.positive_patients, cases.negative_patients) < FOLDS:
        return []
    return [
        {
            "patients": patients,
            "size": point.patients,
            "auc": [round(end, 5) for end in (point.auc.low, point.auc.high)],
            "balanced": [round(end, 5) for end in (point.balanced_accuracy.low, point.balanced_accuracy.high)],
        }
        for point in measure_patients(values, cases, COVERED[patients]).points
    ]


def do_run(item: tuple[str, int]) -> dict[str, Any]:
    """One run: what half of the patients forecast, and what all of them give."""
    kind, seed = item
    values, cases = draw(kind, np.random.default_rng([seed, list(APART).index(kind)]))
    half = np.flatnonzero(cases.patients < PATIENTS // 2)
    curve = measure_patients(values[half], cases.take(half))
    found = forecast(curve)
    row: dict[str, Any] = {"kind": kind, "seed": seed, "now": curve.areas[-1], "refused": found.refused}
    if found.estimates:
        (first, *_), everything = found.estimates, PATIENTS * (FOLDS - 1) // FOLDS
        all_patients = measure_patients(values, cases, (FOLDS, everything)).areas[-1]
        row |= {"value": first.value, "low": first.low, "high": first.high, "all": all_patients}
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}


def measure_all(*, jobs: int = 1) -> dict[str, Any]:
    """All runs, and whether they do as required."""
    items = [(kind, seed) for kind, runs in RUNS.items() for seed in range(runs)]
    rows = list(spread(do_run, items, jobs=jobs))
    truth = find_truth("rising", PATIENTS * (FOLDS - 1) // FOLDS)[0]
    result: dict[str, Any] = {"patients": PATIENTS, "numpy": np.__version__, "truth": round(truth, 5), "rows": rows}
    covered = spread(do_cover, [(patients, seed) for patients in COVERED for seed in range(COVER_RUNS)], jobs=jobs)
    sizes = sorted({size for sizes in COVERED.values() for size in sizes})
    result |= {"covered": [row for done in covered for row in done]}
    result |= {"covered_truth": {str(size): [round(v, 5) for v in find_truth("rising", size)] for size in sizes}}
    return result | {"passes": passes(result)}


def count(result: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """(how many, of how many) of each requirement."""
    rising = [row for row in result["rows"] if row["kind"] == "rising"]
    nothing = [row for row in result["rows"] if row["kind"] == "nothing"]
    given = [row for row in rising if "value" in row]
    return {
        "rising: forecasts": (len(given), len(rising)),
        "rising: the interval holds what all patients give": (
            sum(row["low"] <= row["all"] <= row["high"] for row in given),
            len(given),
        ),
        "rising: the interval holds the true mean": (
            sum(row["low"] <= result["truth"] <= row["high"] for row in given),
            len(given),
        ),
        "nothing: forecasts": (sum("value" in row for row in nothing), len(nothing)),
    }


def tell_covered(result: dict[str, Any]) -> str:
    """Markdown: how often the intervals of a curve's points hold the truth."""
    lines = ["| patients of the set | trained on | sets | AUC | balanced accuracy |", "|--:|--:|--:|--:|--:|"]
    for patients, sizes in COVERED.items():
        for size in sizes:
            rows = [row for row in result["covered"] if (row["patients"], row["size"]) == (patients, size)]
            cells = []
            for name, truth in zip(("auc", "balanced"), result["covered_truth"][str(size)], strict=True):
                share = sum(row[name][0] <= truth <= row[name][1] for row in rows) / len(rows)
                low, high = wilson(share, len(rows))
                cells.append(f"{share:.2f} ({low:.2f} to {high:.2f})")
            lines.append(f"| {patients} | {size} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def passes(result: dict[str, Any]) -> bool:
    """Whether every requirement holds."""
    given, everything, truth, none = (part / whole for part, whole in count(result).values())
    return given >= 0.75 and everything >= 0.90 and truth >= 0.88 and none <= 0.10


def tell(result: dict[str, Any]) -> str:
    """Markdown: how often, with 95 % intervals."""
    lines = ["| | runs | share (95 %) |", "|---|--:|--:|"]
    for name, (part, whole) in count(result).items():
        low, high = wilson(part / whole, whole)
        lines.append(f"| {name} | {part} of {whole} | {part / whole:.3f} ({low:.3f} to {high:.3f}) |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write the numbers if asked to."""
    parser = make_parser(NAME, "whether forecasts of learning curves hold what they say", seed=None, jobs=1)
    given = parser.parse_args(arguments)
    result = find_result(given, NAME, STORED, lambda: measure_all(jobs=given.jobs))
    sys.stdout.write(f"{tell(result)}\n{tell_covered(result)}")
    return 0 if result["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
