"""`python -m benchmarks.mini_mias`: small patch networks on real film, by 5 folds, and what to expect of other films.

    python -m benchmarks.mini_mias FOLDER --cache CACHE [--phantom-weights WEIGHTS]
                                          [--out benchmarks/results/mini_mias.json]
    python -m benchmarks.mini_mias --show                     the stored tables, as in docs/film.md

FOLDER is mini-MIAS (Info.txt and mdbNNN.png or .pgm), WEIGHTS a patch network trained on phantoms. What is written
below was fixed before any film of a test fold was read:

    films     all of FOLDER, in five folds by woman, stratified by label; the same folds for every arm
    networks  recipe `film`: a fixed number of epochs, no validation, no early stopping. Each is trained without one
              fold, three seeds, and reads that fold as `fourview screen --spacing-mm 0.2` does
    arms      scratch; phantoms: started from WEIGHTS; texture: hand-made features and a regression
    scores    the mean over the three seeds, as an ensemble of three says it. malignant: p_malignant; abnormal
              (benign or malignant): p_malignant + p_benign, two columns of readings.csv
    area      of malignant films against all others, and of abnormal against normal ones; a film counts by its rank in
              its fold; intervals know which films are of one woman
    rule      weights for other films start from WEIGHTS, unless scratch has the larger area for malignant films by
              more than 0.02
    expected  the area on 40 other women, 95 of 100 times

CACHE keeps every run: what is finished is taken as it is, what was interrupted goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.mini_mias_numbers import TASKS, Floats, compare, expect, measure
from benchmarks.mini_mias_runs import SPACING_MM, FilmScores, Protocol, prepare_films, run_network
from benchmarks.mini_mias_texture import measure_films, score_fold
from benchmarks.phantom_result import find_result, make_parser
from fourview.evaluate import Estimate
from fourview.train.crops import reading_card
from fourview.weights.folder import load_card

NAME = "mini_mias"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
FOLDS, SEEDS, OTHER_WOMEN = 5, (0, 1, 2), 40
MARGIN = 0.02  # by which scratch must be better to be chosen
SCRATCH, PHANTOMS, TEXTURE = "scratch", "phantoms", "texture"

Scores = Mapping[str, Mapping[str, Floats]]  # arm -> task -> (films,)


def run(protocol: Protocol) -> dict[str, Any]:
    """The stored result."""
    films = prepare_films(protocol)
    starts = {SCRATCH: None, **({PHANTOMS: protocol.phantom_weights} if protocol.phantom_weights else {})}
    runs = {
        arm: [
            run_network(protocol, fold=fold, seed=seed, start=start)
            for seed in protocol.seeds
            for fold in range(1, protocol.folds + 1)
        ]
        for arm, start in starts.items()
    }
    scores = {arm: mean_scores(films, found) for arm, found in runs.items()}
    scores[TEXTURE] = score_texture(films, protocol)
    by_seed = {
        arm: {str(seed): mean_scores(films, [one for one in found if one.seed == seed]) for seed in protocol.seeds}
        for arm, found in runs.items()
    }
    pairs = [
        (arm, other) for arm, other in ((PHANTOMS, SCRATCH), (SCRATCH, TEXTURE), (PHANTOMS, TEXTURE)) if arm in runs
    ]
    areas = measure(films, scores)
    return {
        "recipe": protocol.recipe.hash,
        "started_from": load_card(protocol.phantom_weights).weights_hash if protocol.phantom_weights else None,
        "folds": protocol.folds,
        "seeds": list(protocol.seeds),
        "films": films.height,
        "women": films["patient"].n_unique(),
        "areas": [_as_row(*area) for area in areas],
        "differences": [_as_row(*difference) for difference in compare(films, scores, pairs)],
        "of_one_seed": {
            arm: {task: [area.value for _, name, area in measure(films, found) if name == task] for task in TASKS}
            for arm, found in by_seed.items()
        },
        "chosen": (chosen := choose_arm(areas)),
        "expected": {task: expect(films, scores[chosen][task], task, women=OTHER_WOMEN) for task in TASKS},
        "processor_hours": {
            arm: {
                "training": sum(one.processor_s[0] for one in found) / 3600,
                "reading": sum(one.processor_s[1] for one in found) / 3600,
            }
            for arm, found in runs.items()
        },
        "scores": {
            "film": films["image"].to_list(),
            "fold": films["fold"].to_list(),
            **{
                f"{arm}, {task}": [round(float(p), 5) for p in own]
                for arm, of in scores.items()
                for task, own in of.items()
            },
        },
    }


def mean_scores(films: pl.DataFrame, runs: Sequence[FilmScores]) -> dict[str, Floats]:
    """task -> (films,), the mean over the runs that read each film."""
    said: dict[str, list[tuple[float, float]]] = {film: [] for film in films["image"]}
    for one in runs:
        for film, p in one.p.items():
            said[film].append(p)
    mean = np.array([np.mean(said[film], axis=0) for film in films["image"]])
    return {"malignant": mean[:, 0], "abnormal": mean.sum(axis=1)}


def score_texture(films: pl.DataFrame, protocol: Protocol) -> dict[str, Floats]:
    """task -> (films,): each film by a regression without its fold."""
    features = measure_films(protocol.films, reading_card(protocol.recipe), spacing_mm=SPACING_MM)
    found = {}
    for task in TASKS:
        truth = dict(films.select("image", task).iter_rows())
        scores: dict[str, float] = {}
        for (fold,), test in films.group_by("fold"):
            train = films.filter(pl.col("fold") != fold)["image"].to_list()
            scores |= score_fold(features, truth, train=train, test=test["image"].to_list())
        found[task] = np.array([scores[film] for film in films["image"]])
    return found


def choose_arm(areas: Sequence[tuple[str, str, Estimate]]) -> str:
    """What weights for other films start from, by the rule above."""
    of_malignant = {arm: area.value for arm, task, area in areas if task == "malignant"}
    if PHANTOMS not in of_malignant:
        return SCRATCH
    return SCRATCH if of_malignant[SCRATCH] > of_malignant[PHANTOMS] + MARGIN else PHANTOMS


def _as_row(arm: str, task: str, estimate: Estimate) -> dict[str, Any]:
    return {"arm": arm, "task": task, **asdict(estimate)}


def area_table(result: dict[str, Any]) -> str:
    """Markdown: a row per arm, and per difference."""
    lines = ["| | malignant against all others | abnormal against normal | processor hours |", "|---|--:|--:|--:|"]
    for rows in (result["areas"], result["differences"]):
        for arm in dict.fromkeys(row["arm"] for row in rows):
            cells = [_write(row) for task in TASKS for row in rows if (row["arm"], row["task"]) == (arm, task)]
            hours = result["processor_hours"].get(arm)
            lines.append(f"| {arm} | {' | '.join(cells)} | {f'{sum(hours.values()):.2f}' if hours else '-'} |")
    return "\n".join(lines)


def seed_table(result: dict[str, Any]) -> str:
    """Markdown: the areas of single networks, seed by seed."""
    lines = ["| | seed | malignant | abnormal |", "|---|--:|--:|--:|"]
    for arm, tasks in result["of_one_seed"].items():
        for place, seed in enumerate(result["seeds"]):
            lines.append(f"| {arm} | {seed} | {' | '.join(f'{tasks[task][place]:.3f}' for task in TASKS)} |")
    return "\n".join(lines)


def claim_table(result: dict[str, Any]) -> str:
    """Markdown: what is claimed of the weights that are made, and what to expect of other women's films."""
    lines = [
        "| | area on these films (95 %) | expected on 80 films of 40 other women (95 of 100 times) |",
        "|---|--:|--:|",
    ]
    for task in TASKS:
        (row,) = (row for row in result["areas"] if (row["arm"], row["task"]) == (result["chosen"], task))
        expected = result["expected"][task]
        lines.append(f"| {task} | {_write(row)} | {expected['low']:.2f} to {expected['high']:.2f} |")
    return "\n".join(lines)


def _write(row: dict[str, Any]) -> str:
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def show(result: dict[str, Any]) -> str:
    """All tables."""
    positives = {row["task"]: row["positives"] for row in result["areas"]}
    counts = ", ".join(f"{count} {task}" for task, count in positives.items())
    seeds = ", ".join(map(str, result["seeds"]))
    head = f"{result['films']} films of {result['women']} women, {counts}; {result['folds']} folds, seeds {seeds}"
    return "\n\n".join(
        (head, area_table(result), seed_table(result), f"chosen: {result['chosen']}", claim_table(result))
    )


def main() -> None:
    parser = make_parser(NAME, "Small patch networks on real film.", seed=None, jobs=None)
    parser.add_argument("films", type=Path, nargs="?", help="folder of mini-MIAS")
    parser.add_argument("--cache", type=Path, help="folder for the store and the runs")
    parser.add_argument(
        "--phantom-weights", type=Path, help="weights with a patch network that was trained on phantoms"
    )
    given = parser.parse_args()
    if not given.show and (given.films is None or given.cache is None):
        parser.error("need FOLDER and --cache, or --show")
    command = f"python -m benchmarks.{NAME} FOLDER" + (" --phantom-weights WEIGHTS" if given.phantom_weights else "")

    def measure_all() -> dict[str, Any]:
        protocol = Protocol(given.films, given.cache, FOLDS, SEEDS, phantom_weights=given.phantom_weights)
        return {"command": command, **run(protocol)}  # without the paths of this machine

    result = find_result(given, NAME, STORED, measure_all)
    sys.stdout.write(f"{show(result)}\n")


if __name__ == "__main__":
    main()
