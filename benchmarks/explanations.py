"""`python -m benchmarks.explanations`: do maps of lesion networks lie in lesions, and along spiculated margins?

    python -m benchmarks.explanations --weights RUN [RUN ...] --cache FOLDER [--exams 4000] [--recipe training]
                                      [--difficulty medium] [--scale 0.25] [--seed 7300] [--methods gate gradcam ig ...]
                                      [--most N] [--jobs 2] [--device auto]
                                      [--out benchmarks/results/explanations.json]
    python -m benchmarks.explanations --show      the stored tables, as in docs/explain.md

RUN is a folder of `fourview lesion train`, or its weights. Lesions are those of fresh phantoms, whom no network has
learned from: biopsied ones that show, of the kinds that the networks read. All networks of a RUN are asked about each;
a map is the mean over them. Required, each with a 95 % interval clustered by patient:

    where     at least twice the chance share (outline over tissue of the crop) lies in the outline; of the same
              networks with weights drawn anew, less
    margins   among malignant lesions the share along the margin tells spiculated from circumscribed ones, and better
              than that of the gradient magnitude of the image and of a disc about the middle of the crop (paired)

4,000 exams have some 2,200 images of masses; of malignant ones 470 are spiculated and 160 circumscribed. A lesion image
of 224 pixels takes each network of googlenet_light 5 seconds of one processor; gate, gradcam and gradient alone .1. A
requirement "holds" or "fails" where the whole interval lies on one side, else it is "not shown". The command goes on
where it was stopped. Exit status 1 unless every requirement of every map holds.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.explanations_judge import judge
from benchmarks.explanations_table import describe, margin_table, where_table
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.phantom_views import digest_sources
from fourview.cli.explain_lesions import GATE_OF
from fourview.exam import SetupError
from fourview.explain.methods import METHODS
from fourview.phantom import Recipe, load_recipe
from fourview.phantom.folder import read_about
from fourview.phantom.recipe import DIFFICULTIES, GENERATOR
from fourview.report.document_json import plain_value
from fourview.store.phantom_store import draw_store, is_drawn
from fourview.store.store import Store
from fourview.studies.lesion.lesion_reader import choose_device
from fourview.studies.lesion.lesion_weights import load_lesion_weights
from fourview.studies.lesion.signs.cases import find_asked, find_learned
from fourview.studies.lesion.signs.collect import collect_seen
from fourview.studies.lesion.signs.read import LesionLens, LesionMethod
from fourview.studies.lesion.signs.words import list_tokens
from fourview.weights.home import resolve_lesion_weights

NAME = "explanations"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
RECIPE, DIFFICULTY, SCALE, SEED, EXAMS = "training", "medium", 0.25, 7300, 4000
DRAWN_SEED = 0  # of the weights that are drawn anew
GATE: LesionMethod = "gate"
ALL: tuple[LesionMethod, ...] = (GATE, "gradcam", "ig", "smoothgrad", "gradient", "occlusion")
INTERRUPTED = 130


@dataclass(frozen=True)
class Population:
    """Which phantoms. seed: another one than that of the training"""

    recipe: Recipe
    exams: int = EXAMS
    seed: int = SEED
    scale: float = SCALE


def open_population(population: Population, cache: Path, *, jobs: int = 1) -> Store:
    """CACHE/store, drawn now or before. Raises SetupError if it holds another population."""
    out = cache / "store"
    cache.mkdir(parents=True, exist_ok=True)
    if not is_drawn(out):
        draw_store(
            population.recipe,
            out,
            exams=population.exams,
            seed=population.seed,
            scale=population.scale,
            jobs=jobs,
            resume=True,
        )
    about = read_about(out)
    found = (about["recipe_hash"], about["seed"], about["exams"], about["scale"])
    if found != (population.recipe.hash, population.seed, population.exams, population.scale):
        raise SetupError(
            f"{out}: holds phantoms of (recipe, seed, exams, scale) {found}; need another --cache for these"
        )
    return Store.open(out)


def measure(
    weights: str,
    store: Store,
    cache: Path,
    *,
    methods: Sequence[LesionMethod] = ALL,
    most: int | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """What one RUN's networks do, as JSON. cache: keeps what was read, lesion image by lesion image

    most  lesion images, whole patients, in the order of the store; None: all
    Raises SetupError: no weights, no lesions, phantoms that were learned from.
    """
    folder = resolve_lesion_weights(weights)
    loaded = load_lesion_weights(folder)
    card = loaded.card
    asked = find_asked(store, loaded, folder, allow_phantom_weights=False)
    known = find_learned([case.view for case in asked.cases], card, store)
    if asked.held_out or known or any("learned from" in note for note in asked.notes):
        raise SetupError(f"{card.name}: has learned from these phantoms; need another --seed")
    own = [method for method in methods if method != GATE or card.network.gate != "none"]
    cases = asked.cases
    if most is not None and most < len(cases):
        patients = {case.view.patient for case in cases[:most]}
        cases = tuple(case for case in cases if case.view.patient in patients)
    lens = LesionLens.open(store, loaded, methods=own, device=choose_device(device), seed=DRAWN_SEED)  # type: ignore[arg-type]
    started = time.perf_counter()

    def on_step(done: int, total: int) -> None:
        if done % 25 == 0 or done == total:
            sys.stderr.write(f"{card.name}: {done} of {total} lesion images\n")

    seen = collect_seen(lens, cases, cache / f"seen-{card.weights_hash}", seed=DRAWN_SEED, on_step=on_step)
    if seen.problems:
        raise SetupError(f"{len(seen.problems)} lesion images could not be read; the first: {seen.problems[0][1]}")
    return {
        "weights": f"{card.network.words}, {card.crop.side_px} px",
        "hash": card.weights_hash,
        "architecture": card.network.architecture,
        "gate": GATE_OF.get(card.network.gate),
        "networks": len(card.members),
        "crop": card.crop.model_dump(mode="json"),
        "phantoms_only": card.phantoms_only,
        **judge(seen, list_tokens(store, seen.views), own),
        "seconds": round(time.perf_counter() - started),
    }


def run(
    weights: Sequence[str],
    population: Population,
    cache: Path,
    *,
    methods: Sequence[LesionMethod] = ALL,
    most: int | None = None,
    jobs: int = 1,
    device: str = "auto",
) -> dict[str, Any]:
    """The stored result."""
    store = open_population(population, cache, jobs=jobs)
    parts = [measure(one, store, cache, methods=methods, most=most, device=device) for one in weights]
    recipe = population.recipe
    words = ["--weights", *(Path(one).name for one in weights)]
    options = {"exams": population.exams, "recipe": recipe.name, "difficulty": recipe.difficulty}
    options |= {"scale": f"{population.scale:g}", "seed": population.seed} | ({} if most is None else {"most": most})
    words += [word for key, value in options.items() for word in (f"--{key}", str(value))]
    words += ["--methods", *methods] if tuple(methods) != ALL else []
    return {
        "command": shlex.join(["python", "-m", f"benchmarks.{NAME}", *words]),
        "population": {
            "recipe": recipe.name,
            "difficulty": recipe.difficulty,
            "hash": recipe.hash,
            "exams": population.exams,
            "seed": population.seed,
            "scale": population.scale,
            "generator": GENERATOR,
            "sources": digest_sources(),
        },
        "seed_of_drawn_weights": DRAWN_SEED,
        "parts": plain_value(parts),
        "passes": all(part["passes"] for part in parts),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def show(result: dict[str, Any]) -> str:
    """The tables and what they are of, in Markdown."""
    return f"{where_table(result)}\n\n{margin_table(result)}\n\n{describe(result)}\n"


def main() -> None:
    parser = make_parser(NAME, "Maps of lesion networks against outlines and margins.", seed=SEED, jobs=2)
    parser.add_argument("--weights", nargs="+", metavar="RUN", help="runs of `fourview lesion train`")
    parser.add_argument("--cache", type=Path, help="folder for phantoms and what was read; it is gone on with")
    parser.add_argument("--exams", type=int, default=EXAMS)
    parser.add_argument("--recipe", default=RECIPE, help="of phantoms: a built-in name or a TOML file")
    parser.add_argument("--difficulty", choices=DIFFICULTIES, default=DIFFICULTY)
    parser.add_argument("--scale", type=float, default=SCALE, help="of the images; 1: the units' own pixels")
    parser.add_argument("--methods", nargs="+", choices=(GATE, *METHODS), default=ALL)
    parser.add_argument("--most", type=int, help="lesion images of each RUN, whole patients; default: all")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    given = parser.parse_args()
    if not given.show and (given.weights is None or given.cache is None):
        parser.error("found no --weights or no --cache; need both (or --show)")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    logging.getLogger("fourview").setLevel(logging.WARNING)
    try:
        result = find_result(given, NAME, STORED, lambda: _measure(given))
    except SetupError as error:
        sys.stderr.write(f"{NAME}: {error}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        sys.stderr.write(f"{NAME}: stopped; what is done stays: the same command goes on\n")
        raise SystemExit(INTERRUPTED) from None
    sys.stdout.write(show(result))
    raise SystemExit(0 if result["passes"] else 1)


def _measure(given: argparse.Namespace) -> dict[str, Any]:
    recipe = load_recipe(given.recipe, difficulty=given.difficulty)
    population = Population(recipe, given.exams, given.seed, given.scale)
    return run(
        given.weights,
        population,
        given.cache,
        methods=given.methods,
        most=given.most,
        jobs=given.jobs,
        device=given.device,
    )


if __name__ == "__main__":
    main()
