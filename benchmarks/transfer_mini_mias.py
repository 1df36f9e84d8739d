"""`python -m benchmarks.transfer_mini_mias`: frozen features of real film, rigorously and as published.

    python -m benchmarks.transfer_mini_mias FOLDER --cache CACHE [--phantom-weights WEIGHTS]... [--full] [--jobs 2]
                                                   [--out benchmarks/results/transfer_mini_mias.json]
    python -m benchmarks.transfer_mini_mias --show      the stored tables, as in docs/transfer.md

FOLDER is mini-MIAS (Info.txt and mdbNNN.png or .pgm). Its films are all MLO views; the two of a woman are one patient.

labels     abnormal: a malignant or a benign finding in the film; malignant
features   hand-made textures; drawn numbers; networks for photographs and for mammograms with drawn values, which
           show what a network's form alone is worth; with --full the latter at the published size too, in the layout of
           upstream's files; and networks that were trained on phantoms, of the folders that are named. ImageNet's and
           upstream's own files are not here
measured   logistic regression, linear and RBF SVM by `fourview transfer`: 5 folds by woman, 5 repeats, seed 0, all else
           as its defaults are; beside each the published protocol with its leaks

CACHE keeps every feature set and every piece: what is finished is taken as it is, what was interrupted goes on.
--only PREFIX... and --repeats N make it smaller, to try it. Times are processor time, of one process each.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sklearn

from benchmarks.phantom_result import find_result, make_parser
from benchmarks.transfer_mini_mias_runs import (
    Arm,
    Protocol,
    do_pieces,
    extract_arms,
    list_arms,
    prepare_films,
    seconds_of,
)
from fourview.evaluate import Estimate
from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import FeatureSet
from fourview.studies.transfer.labels import read_labels
from fourview.studies.transfer.measures import Measures
from fourview.studies.transfer.results import Results, gather
from fourview.studies.transfer.stages import RIGOROUS, Stage
from fourview.studies.transfer.steps import NAMES, read_methods
from fourview.studies.transfer.study import CONTROLS, Plan, Study, open_study

NAME = "transfer_mini_mias"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
LABELS = ("abnormal", "malignant")
CLASSIFIERS = ("lr", "linear_svm", "rbf_svm")
REPEATS = 5
FOLDS = (5, 5)  # outer, inner


def run(protocol: Protocol, *, repeats: int = REPEATS) -> dict[str, Any]:
    """The stored result. Raises SetupError if no feature set could be made."""
    prepare_films(protocol)
    arms = list_arms(protocol)
    sets, problems = extract_arms(protocol, arms)
    if not sets:
        raise SetupError(f"found no features of these films: {problems}")
    methods = read_methods(",".join(CLASSIFIERS), selection="lasso", imbalance="weights", components=None, share=None)
    plan = Plan(methods, Stage(), *FOLDS, repeats=repeats)
    first = next(iter(sets.values())).rows
    return {
        "films": first.height,
        "women": first["patient"].n_unique(),
        "folds": plan.folds,
        "inner": plan.inner,
        "repeats": repeats,
        "seed": plan.seed,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "features": [describe_arm(protocol, arm, sets[arm.name]) for arm in arms if arm.name in sets],
        "without_features": problems,
        "labels": {label: measure_label(protocol, sets, label, plan) for label in LABELS},
    }


def describe_arm(protocol: Protocol, arm: Arm, features: FeatureSet) -> dict[str, Any]:
    """A feature set as a row."""
    return {
        "name": arm.name,
        "what": arm.what,
        "numbers": features.values.shape[1],
        "weights_hash": features.card.weights_hash,
        "processor_s": round(seconds_of(protocol, arm.name), 1),
    }


def measure_label(protocol: Protocol, sets: Mapping[str, FeatureSet], label: str, plan: Plan) -> dict[str, Any]:
    """Every number of one label."""
    labels = read_labels(next(iter(sets.values())), label)
    study = open_study(sets, labels, plan)
    results = gather(study, do_pieces(protocol, study, label))
    published = {(row.features, row.method.classifier): row for row in results.stages}
    rows = []
    for row in results.rows:
        beside = published[row.features, row.method.classifier]
        rows.append(
            {
                "features": row.features,
                "classifier": row.method.classifier,
                "rigorous": _write_measures(row.measures["image"]),
                "as_published": {**_write_measures(beside.measures), "kept": beside.kept},
                "processor_s": _sum_seconds(protocol, study, label, row.features, row.method.classifier),
            }
        )
    return {"rows": rows, **_tell_checks(results)}


def _tell_checks(results: Results) -> dict[str, Any]:
    """The ladder and the controls, of the first features and classifier; differences from these; and what the inner
    folds choose among all rows that `screen` could read."""
    return {
        "ladder": [
            {"features": name, "protocol": row.stage.name, **_write_measures(row.measures)}
            for name, steps in (("films", results.ladder), ("noise", results.noise_ladder))
            for row in steps
        ],
        "controls": {
            CONTROLS[name]: found if isinstance(found, str) else _write_measures(found)
            for name, found in results.controls.items()
        },
        "chosen": None if results.choice is None else _write_measures(results.choice.measures["image"]),
        "differences": [{**asdict(estimate), "p_holm": p} for estimate, p in results.comparisons],
    }


def _write_measures(found: Measures) -> dict[str, Any]:
    names = ("auc", "balanced_accuracy", "sensitivity", "specificity")
    numbers = {name: _write_estimate(getattr(found, name)) for name in names}
    return {**numbers, "sd_of_repeats": found.spread, "says": found.says}


def _write_estimate(estimate: Estimate) -> dict[str, Any]:
    return {name: asdict(estimate)[name] for name in ("value", "low", "high", "n", "positives", "clusters")}


def _sum_seconds(protocol: Protocol, study: Study, label: str, features: str, classifier: str) -> dict[str, float]:
    """Processor seconds of all repeats."""
    found = {RIGOROUS: 0.0, Stage().name: 0.0}
    for task in study.tasks():
        protocol_name = RIGOROUS if task.stage is None else task.stage.name
        same = (task.name, task.method.classifier, task.altered, task.whole) == (features, classifier, "", False)
        if same and protocol_name in found:
            found[protocol_name] += seconds_of(protocol, f"{label}.{task.key}")
    return {name: round(seconds, 1) for name, seconds in found.items()}


def area_table(result: dict[str, Any], label: str) -> str:
    """Markdown: a row per feature set. published: what the paper calls AUC, of the protocol with its leaks"""
    names = [NAMES[name] for name in CLASSIFIERS]
    cells = [*(f"AUC, {name}" for name in names), *(f"published, {name}" for name in names)]
    lines = [f"| features | numbers | {' | '.join(cells)} |", "|---|--:|" + len(cells) * "--:|"]
    rows = {(row["features"], row["classifier"]): row for row in result["labels"][label]["rows"]}
    for features in result["features"]:
        own = [rows[features["name"], name] for name in CLASSIFIERS]
        areas = [_tell(row["rigorous"]["auc"]) for row in own]
        printed = [f"{row['as_published']['balanced_accuracy']['value']:.3f}" for row in own]
        lines.append(f"| {features['name']} | {features['numbers']:,} | {' | '.join((*areas, *printed))} |")
    return "\n".join(lines)


def check_table(result: dict[str, Any], label: str) -> str:
    """Markdown: the ladder, the choice of the inner folds, the controls."""
    found = result["labels"][label]
    lines = ["| | balanced accuracy | AUC of the same scores |", "|---|--:|--:|"]
    for row in found["ladder"]:
        lines.append(
            f"| {row['features']}, `{row['protocol']}` | {_tell(row['balanced_accuracy'])} | {_tell(row['auc'])} |"
        )
    chosen = {} if found["chosen"] is None else {"chosen in the inner folds": found["chosen"]}
    for name, row in {**chosen, **found["controls"]}.items():
        cells = (row, "-") if isinstance(row, str) else (_tell(row["balanced_accuracy"]), _tell(row["auc"]))
        lines.append(f"| {name}, `{RIGOROUS}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def time_table(result: dict[str, Any]) -> str:
    """Markdown: processor minutes."""
    lines = [
        f"| features | where from | features of {result['films']} films | "
        + " | ".join(f"{label}, {RIGOROUS} | as_published" for label in LABELS)
        + " |",
        "|---|---|--:|" + 2 * len(LABELS) * "--:|",
    ]
    for features in result["features"]:
        cells = [f"{features['processor_s'] / 60:.1f}"]
        for label in LABELS:
            own = [row["processor_s"] for row in result["labels"][label]["rows"] if row["features"] == features["name"]]
            cells += [f"{sum(one[name] for one in own) / 60:.1f}" for name in (RIGOROUS, Stage().name)]
        lines.append(f"| {features['name']} | {features['what']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _tell(estimate: Mapping[str, Any]) -> str:
    interval = "" if math.isnan(estimate["low"]) else f" ({estimate['low']:.3f} to {estimate['high']:.3f})"
    return f"{estimate['value']:.3f}{interval}"


def show(result: dict[str, Any]) -> str:
    """All tables."""
    parts = [
        f"{result['films']} films of {result['women']} women; {result['folds']} folds by woman, {result['inner']} "
        f"inner, {result['repeats']} repeats, seed {result['seed']}. Intervals: 95 %, women kept together."
    ]
    for label in LABELS:
        positives = result["labels"][label]["rows"][0]["rigorous"]["auc"]["positives"]
        parts.append(f"{label}: {positives} films")
        parts += [area_table(result, label), check_table(result, label)]
    parts += ["Processor minutes, all repeats", time_table(result)]
    parts += [f"Without features: {name}: {why}" for name, why in result["without_features"].items()]
    return "\n\n".join(parts)


def main() -> None:
    parser = make_parser(NAME, "Frozen features of real film.", seed=None, jobs=1)
    parser.add_argument("films", type=Path, nargs="?", help="folder of mini-MIAS")
    parser.add_argument("--cache", type=Path, help="folder for the store, features and pieces")
    parser.add_argument(
        "--phantom-weights", type=Path, action="append", default=[], help="weights that were trained on phantoms"
    )
    parser.add_argument("--full", action="store_true", help="also drawn networks of the published size")
    parser.add_argument("--only", nargs="+", default=[], metavar="PREFIX", help="of the feature sets")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    given = parser.parse_args()
    if not given.show and (given.films is None or given.cache is None):
        parser.error("need FOLDER and --cache, or --show")
    words = (" --phantom-weights WEIGHTS" if given.phantom_weights else "") + (" --full" if given.full else "")

    def measure_all() -> dict[str, Any]:
        protocol = Protocol(
            given.films, given.cache, tuple(given.phantom_weights), given.full, tuple(given.only), given.jobs
        )
        result = run(protocol, repeats=given.repeats)
        return {"command": f"python -m benchmarks.{NAME} FOLDER{words}", **result}  # without the paths of this machine

    result = find_result(given, NAME, STORED, measure_all)
    sys.stdout.write(f"{show(result)}\n")


if __name__ == "__main__":
    main()
