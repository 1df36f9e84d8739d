"""`python -m benchmarks.phantom_localisation`: does a patch network's malignant map point at the cancer?

    python -m benchmarks.phantom_localisation --weights WEIGHTS [--exams 100] [--recipe training] [--difficulty medium]
                                              [--beside any|rival] [--scale 0.25] [--seed 6000] [--jobs 2]
                                              [--device auto]
                                              [--pictures FOLDER] [--out benchmarks/results/phantom_localisation.json]
    python -m benchmarks.phantom_localisation --show     the stored table, as in docs/training.md

WEIGHTS is any weights folder or installed name with a patch network, of any size: its card says how images are read.
Exams are fresh ones of a phantom population with exactly one malignant finding, which shows, and something benign that
shows in the same breast, however faint it is (--beside rival: no less conspicuous than the cancer);
phantom_localisation_exams has the rule. The largest value of the malignant map over all views
of that breast must lie in the finding's mask. Beside it, by the same rule:

    blob detector   Laplacians of Gaussians of 3 to 12 mm over the breast, which knows nothing of malignancy
    drawn weights   the same network with three newly drawn sets of weights: what architecture and geometry give
    chance          the mean share of the breast's pixels that lie in the finding

FROC: all local maxima of the malignant map in all four images of each exam are marks, and those that do not lie in the
malignant finding are false, also those in something benign. A finding is found by a mark in any of its views.

Required: the network hits at least 80 of 100, the blob detector and each drawn set at most 20. Exit status 1 if not.
--pictures draws the breast of the first eight exams with its findings, the map, and where the two observers point.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.phantom_localisation_exams import NO_PIXELS, Beside, choose_planned
from benchmarks.phantom_localisation_maps import (
    BLOBS,
    RANDOM_SEEDS,
    SCREEN_SEED,
    TRAINED,
    find_patch_weights,
    name_random,
    open_observers,
)
from benchmarks.phantom_localisation_marks import APART_MM, Observe, ObservedExam, join_marks
from benchmarks.phantom_localisation_pictures import PICTURES, draw_pictures
from benchmarks.phantom_localisation_table import describe, localisation_table
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.phantom_views import digest_sources
from fourview.evaluate.froc import lesion_sensitivities
from fourview.evaluate.proportion import proportion
from fourview.phantom import Recipe, load_recipe
from fourview.phantom.recipe import DIFFICULTIES, GENERATOR
from fourview.report.document_json import plain_value
from fourview.spread import spread

NAME = "phantom_localisation"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
RECIPE, DIFFICULTY, SCALE, SEED, EXAMS = "training", "medium", 0.25, 6000, 100
RATES = (0.125, 0.25, 0.5, 1.0)  # false marks per image
LEAST, MOST = 0.80, 0.20  # share of exams that the network must hit, and that the others may


def take_exams(
    work: Observe, *, wanted: int, jobs: int, beside: Beside = "rival"
) -> tuple[list[ObservedExam], Counter[str]]:
    """The first exams of the stream that are taken, and why those before the last of them were not."""
    passed_over: Counter[str] = Counter()
    planned = choose_planned(work.recipe, seed=work.seed, wanted=wanted, passed_over=passed_over, beside=beside)
    taken: list[ObservedExam] = []
    while len(taken) < wanted:
        batch = list(islice(planned, wanted - len(taken)))
        with closing(spread(work, batch, jobs=jobs)) as results:
            for observed in results:
                if observed is None:
                    passed_over[NO_PIXELS] += 1
                else:
                    taken.append(observed)
                    sys.stderr.write(f"{len(taken)} of {wanted} exams\n" if len(taken) % 10 == 0 else "")
    return taken, passed_over


def judge(exams: Sequence[ObservedExam]) -> list[dict[str, Any]]:
    """One row per observer: how often its largest value hits, whether that is what is required, and FROC."""
    rows = []
    for name in (TRAINED, BLOBS, *(name_random(seed) for seed in RANDOM_SEEDS)):
        hits = [exam.is_hit(name) for exam in exams]
        share = proportion(hits, unit="exam", name=f"{name}: the largest value lies in the malignant finding")
        passes = share.value >= LEAST if name == TRAINED else share.value <= MOST
        marked = join_marks(exams, name)
        found = lesion_sensitivities(marked, kind="malignant", by="finding", rates=RATES)[: len(RATES)]
        rows.append(
            {
                "observer": name,
                "hits": plain_value(share),
                "passes": passes,
                "froc": [{"rate": rate, **plain_value(e)} for rate, e in zip(RATES, found, strict=True)],
                "images": len(marked.image_exam),
                "marks": len(marked.mark_score),
                "unread": sum(exam.marks[name] is None for exam in exams),
            }
        )
    return rows


def measure(
    weights: str,
    *,
    recipe: Recipe,
    beside: Beside = "rival",
    exams: int = EXAMS,
    seed: int = SEED,
    scale: float = SCALE,
    jobs: int = 1,
    device: str = "auto",
    pictures: Path | None = None,
) -> dict[str, Any]:
    """The stored result: rows of the table, what was taken and passed over, and every exam's place and hits."""
    started = time.perf_counter()
    folder = find_patch_weights(weights)
    observers = open_observers(folder, device)
    card = observers.card
    work = Observe(folder, recipe, seed, scale, device)
    taken, passed_over = take_exams(work, wanted=exams, jobs=jobs, beside=beside)
    rows = judge(taken)
    if pictures is not None:
        draw_pictures(pictures, work, taken[:PICTURES])
    options = {"weights": card.name, "exams": exams, "recipe": recipe.name, "difficulty": recipe.difficulty}
    options |= {"beside": beside, "scale": f"{scale:g}", "seed": seed, "jobs": jobs}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return {
        "command": shlex.join(["python", "-m", f"benchmarks.{NAME}", *words]),
        "weights": {"name": card.name, "hash": card.weights_hash, "patch_hash": card.patch_hash},
        "network": None if card.patch is None else card.patch.model_dump(mode="json"),
        "spacing_mm": card.input.spacing_mm,
        "engine": observers.engine,
        "recipe": recipe.name,
        "difficulty": recipe.difficulty,
        "hash": recipe.hash,
        "generator": GENERATOR,
        "sources": digest_sources(),
        "beside": beside,
        "seed": seed,
        "scale": scale,
        "seed_of_grids": SCREEN_SEED,
        "seeds_of_drawn_weights": RANDOM_SEEDS,
        "apart_mm": APART_MM,
        "required": {"network at least": LEAST, "others at most": MOST},
        "exams": len(taken),
        "planned": taken[-1].index + 1,
        "passed_over": dict(passed_over.most_common()),
        "shown_in_both_views": sum(len(exam.shown_in) == 2 for exam in taken),
        "benign_in_the_breast": float(np.mean([exam.benign for exam in taken])),
        "chance": float(np.mean([exam.share for exam in taken])),
        "rows": rows,
        "passes": all(row["passes"] for row in rows),
        "cases": [_case(exam) for exam in taken],
        "seconds": round(time.perf_counter() - started),
        "jobs": jobs,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }


def _case(exam: ObservedExam) -> dict[str, Any]:
    peaks = {name: exam.find_peak(name) for name in exam.marks}
    return {
        "index": exam.index,
        "side": exam.side.value,
        "kind": exam.kind,
        "radius_mm": exam.radius_mm,
        "benign": exam.benign,
        "shown_in": [view.value for view in exam.shown_in],
        "share": round(exam.share, 5),
        "peaks": {name: plain_value(peak) for name, peak in peaks.items()},
        "problem": exam.problem,
    }


def main() -> None:
    parser = make_parser(NAME, "Does the malignant map point at the cancer?", seed=SEED, jobs=2)
    parser.add_argument("--weights", help="weights folder or installed name with a patch network")
    parser.add_argument("--exams", type=int, default=EXAMS, help="that are taken")
    parser.add_argument("--recipe", default=RECIPE, help="of phantoms: a built-in name or a TOML file")
    parser.add_argument("--difficulty", choices=DIFFICULTIES, default=DIFFICULTY)
    parser.add_argument("--beside", choices=get_args(Beside), default="any", help="what else must show")
    parser.add_argument("--scale", type=float, default=SCALE, help="of the images; 1: the units' own pixels")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--pictures", type=Path, help=f"folder for pictures of the first {PICTURES} exams")
    given = parser.parse_args()
    if given.weights is None and not given.show:
        parser.error("found no --weights; need a weights folder (or --show)")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result = find_result(
        given,
        NAME,
        STORED,
        lambda: measure(
            given.weights,
            recipe=load_recipe(given.recipe, difficulty=given.difficulty),
            beside=given.beside,
            exams=given.exams,
            seed=given.seed,
            scale=given.scale,
            jobs=given.jobs,
            device=given.device,
            pictures=given.pictures,
        ),
    )
    sys.stdout.write(f"{localisation_table(result)}\n\n{describe(result)}\n")
    sys.stdout.write(f"{result['command']}: {result['seconds']} s, {'passes' if result['passes'] else 'FAILS'}\n")
    raise SystemExit(0 if result["passes"] else 1)


if __name__ == "__main__":
    main()
