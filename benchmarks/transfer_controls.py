"""`python -m benchmarks.transfer_controls`: what the protocols of `fourview transfer` make of noise and of a signal.

    python -m benchmarks.transfer_controls [--jobs 2] [--out benchmarks/results/transfer_controls.json]
    python -m benchmarks.transfer_controls --show

410 images of 103 patients, 100 of them positive, 4096 Gaussian features, as many as Table 2 has; five seeds of each:

noise     every image for itself, labels anywhere: nothing to find
clumped   labels by breast, nine tenths of the features' variance shared by the images of a breast: nothing to find but
          who it is
signal    noise with one feature whose true AUC is 0.80

Through the published protocol, with its leaks closed one by one, and rigorously (logistic regression, Lasso in the
fold with a fixed penalty, C from five inner folds, class weights, one repeat of five folds).

Required: as_published finds a balanced accuracy of at least 0.85 in noise, rigorous 0.40 to 0.60, of every seed;
rigorous recovers a mean AUC of 0.75 to 0.85 of the signal. Exit status 1 if not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from benchmarks.phantom_result import find_result, make_parser
from fourview.spread import spread
from fourview.studies.transfer.cases import Cases
from fourview.studies.transfer.controls import draw_noise, plant_signal
from fourview.studies.transfer.folds import draw_folds
from fourview.studies.transfer.measures import Scored, measure
from fourview.studies.transfer.nested import run_repeat
from fourview.studies.transfer.published import run_stage
from fourview.studies.transfer.stages import RIGOROUS, Stage, climb, open_one
from fourview.studies.transfer.steps import Method

NAME = "transfer_controls"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
IMAGES, POSITIVES, FEATURES, KEPT, SEEDS = 410, 100, 4096, 350, 5
METHOD = Method("lr", share=0.5)
AREA = 0.80
KINDS = ("noise", "clumped", "signal")


def draw(kind: str, seed: int, *, features: int = FEATURES) -> tuple[np.ndarray, Cases]:
    """(images, features) and their truth."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    places = np.arange(IMAGES)
    patients, breasts = places // 4, places // 2
    if kind == "clumped":
        chosen = np.zeros(int(breasts.max()) + 1, np.int64)
        chosen[rng.permutation(len(chosen))[: POSITIVES // 2]] = 1
        y = chosen[breasts]
    else:
        y = np.zeros(IMAGES, np.int64)
        y[rng.permutation(IMAGES)[:POSITIVES]] = 1
    cases = Cases(y, patients, breasts)
    values = draw_noise(cases, features, rng, shared=0.9 if kind == "clumped" else 0.0)
    return (plant_signal(values, cases, area=AREA) if kind == "signal" else values), cases


def measure_one(item: tuple[str, int], *, features: int = FEATURES, kept: int = KEPT) -> list[dict[str, Any]]:
    """Every protocol on one draw."""
    kind, seed = item
    values, cases = draw(kind, seed, features=features)
    stages = dict.fromkeys((*climb(), *open_one())) if kind == "noise" else dict.fromkeys((Stage(), *climb()[2:]))
    rows = []
    for stage in stages:
        scores = run_stage(values, cases, stage, "linear_svm", kept=kept, seed=seed)
        found = measure([Scored(scores.y, scores.cluster, scores.score, scores.called)])
        row = {"kind": kind, "seed": seed, "protocol": stage.name, "leaks": stage.banner}
        cv = round(float(np.mean(scores.cv)), 4) if scores.cv else None
        rows.append(row | {"balanced_accuracy": found.balanced_accuracy.value, "auc": found.auc.value, "cv": cv})
    folds = draw_folds(cases.y, cases.patients, folds=5, seed=seed)
    said = run_repeat(values, cases, METHOD, folds=folds, seed=seed).units["image"]
    own = measure([Scored(cases.y, cases.patients, said.score, said.called)])
    numbers = {"balanced_accuracy": own.balanced_accuracy.value, "auc": own.auc.value, "cv": None}
    rows.append({"kind": kind, "seed": seed, "protocol": RIGOROUS, "leaks": ""} | numbers)
    return rows


def measure_all(*, jobs: int = 1, seeds: int = SEEDS) -> dict[str, Any]:
    """All draws, and whether they do as required."""
    items = [(kind, seed) for seed in range(seeds) for kind in KINDS]
    rows = [row for found in spread(measure_one, items, jobs=jobs) for row in found]
    return {
        "images": IMAGES,
        "positives": POSITIVES,
        "features": FEATURES,
        "seeds": seeds,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "rows": rows,
        "passes": passes(rows),
    }


def passes(rows: list[dict[str, Any]]) -> bool:
    """Whether every requirement holds."""
    published = take(rows, "noise", Stage().name, "balanced_accuracy")
    rigorous = take(rows, "noise", RIGOROUS, "balanced_accuracy")
    signal = float(np.mean(take(rows, "signal", RIGOROUS, "auc")))
    return min(published) >= 0.85 and min(rigorous) >= 0.40 and max(rigorous) <= 0.60 and 0.75 <= signal <= 0.85


def take(rows: list[dict[str, Any]], kind: str, protocol: str, number: str) -> list[float]:
    """One number of every seed."""
    return [row[number] for row in rows if (row["kind"], row["protocol"]) == (kind, protocol)]


def tell(result: dict[str, Any]) -> str:
    """Markdown: mean and range over seeds."""
    rows = result["rows"]
    lines = [
        f"{result['images']} images, {result['positives']} positive, {result['features']} features, {result['seeds']} "
        "seeds: mean (lowest to highest)",
        "",
        "| features | protocol | leaks that are open | balanced accuracy | AUC of the same scores |",
        "|---|---|---|--:|--:|",
    ]
    for kind, protocol in dict.fromkeys((row["kind"], row["protocol"]) for row in rows):
        leaks = next(row["leaks"] for row in rows if row["protocol"] == protocol)
        shown = leaks.removeprefix("LEAKS: ") if leaks.startswith("LEAKS") else "none"
        numbers = [_tell_range(take(rows, kind, protocol, number)) for number in ("balanced_accuracy", "auc")]
        lines.append(f"| {kind} | `{protocol}` | {shown} | {numbers[0]} | {numbers[1]} |")
    return "\n".join(lines) + "\n"


def _tell_range(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main(arguments: list[str] | None = None) -> int:
    """Print the table, and write the numbers if asked to."""
    parser = make_parser(NAME, "what the protocols make of noise and of a signal", seed=None, jobs=1)
    given = parser.parse_args(arguments)
    result = find_result(given, NAME, STORED, lambda: measure_all(jobs=given.jobs))
    sys.stdout.write(tell(result))
    return 0 if result["passes"] else 1


if __name__ == "__main__":
    sys.exit(main())
