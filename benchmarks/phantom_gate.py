"""`python -m benchmarks.phantom_gate`: the gate before anybody trains on phantoms. Nothing trivial may tell cancer.

    python -m benchmarks.phantom_gate [--recipe enriched] [--jobs 2] [--exams 3000] [--plans 24000] [--other-exams 250]
                                      [--scale 0.1] [--seed 0] [--cache FOLDER]
                                      [--out benchmarks/results/phantom_gate_enriched.json]
    python -m benchmarks.phantom_gate [--recipe training] --show     the stored tables, as in docs/phantoms.md

The recipe (`enriched` or `training`) is taken at medium difficulty; observers besides at easy and hard. Nothing is
trained on tissue:

    lesions   visible biopsied ones, malignant against benign, each the mean over its views. A blob detector (Laplacian
              of Gaussian, radii of 3 to 12 mm) at the lesion and over its breast, brightness, contrast, size
    breasts   malignant against all others, each the mean over its views
    nuisance  everything about the acquisition: sizes, spacing, markers, noise of air and of breast, all tags of the
              DICOM file, its size. Logistic regression and gradient boosting, 5 folds by woman, against the label.
              Besides, on all planned exams, what of it is known without drawing: many more, so a narrower answer

An observer knows its units: what it measures is standardised within profile and view, without the labels.

Sample: --exams of --plans planned exams, taken at random, are drawn and count in full; so that cancers are many enough
for narrow intervals, of all other planned exams those with a malignant breast are drawn too, and of these the malignant
breasts and malignant lesions alone count. Within each class units are a random sample of the recipe's population, and
the AUC does not depend on how many there are of each class. At easy and hard four times --other-exams are planned.

Exit status 1 if an AUC leaves its limits. With --cache, an interrupted run goes on where it was.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sklearn
from numpy.typing import NDArray

from benchmarks.phantom_nuisance import Columns, Floats, code_columns, list_columns, train_models
from benchmarks.phantom_observers import Nuisance, Record, list_setup, measure_exam
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.phantom_views import digest_sources
from fourview.evaluate import Estimate, auc
from fourview.phantom import Recipe, load_recipe, plan_exam
from fourview.phantom.recipe import DIFFICULTIES, GENERATOR

NAME = "phantom_gate"
RESULTS = Path(__file__).parent / "results"
RECIPES, MAIN = ("enriched", "training"), "medium"
SEED, SCALE = 0, 0.1
EXAMS, PLANS, OTHER_EXAMS = 3000, 24000, 250
LESION_LIMITS, BREAST_LIMITS = (0.35, 0.65), (0.30, 0.70)
NUISANCE_LIMIT = 0.53  # for the upper end of the interval
TRAITS = ("PatientAge", "DerivationDescription")  # tags of the woman (age, density), not of the acquisition
_MEASURES = ("observers", "views")  # the files that decide what is measured

Unit = tuple[Record, dict[str, Any]]  # the exam, and one of its breasts or lesions


@dataclass(frozen=True)
class Row:
    """One line of the gate's table.

    limits     of the value, or of the upper end of its interval; None: not gated
    """

    level: str
    difficulty: str
    observer: str
    units: str
    estimate: Estimate
    limits: tuple[float, float] | None
    upper_end: bool = False

    @property
    def passes(self) -> bool | None:
        if self.limits is None:
            return None
        value = self.estimate.high if self.upper_end else self.estimate.value
        return bool(self.limits[0] <= value <= self.limits[1])


def choose_exams(recipe: Recipe, *, exams: int, plans: int, seed: int = SEED) -> tuple[list[int], list[int]]:
    """(exams that count in full, taken at random; those of the rest that have a malignant breast), of all planned."""
    order = np.random.default_rng([seed, 8]).permutation(plans)
    rest = sorted(int(i) for i in order[exams:])
    more = [i for i in rest if any(b.malignant for b in plan_exam(recipe, seed=seed, index=i).breasts.values())]
    return sorted(int(i) for i in order[:exams]), more


def measure_exams(
    recipe: Recipe,
    indices: Sequence[int],
    *,
    seed: int,
    scale: float,
    tags: bool,
    jobs: int,
    cache: Path | None,
    sources: str,
) -> list[Record]:
    """The records of these exams, in their order; kept in and taken from a file of the cache.

    sources  digest of the code that draws: another one's records are not taken
    """
    work = partial(measure_exam, recipe=recipe, seed=seed, scale=scale, tags=tags)
    if cache is None:
        return list(_spread_out(work, indices, jobs))
    name = f"{recipe.name}-{recipe.difficulty}-{recipe.hash[:8]}-{sources[:12]}-{_digest_self()}"
    path = cache / f"{name}-{seed}-{scale:g}-{'tags' if tags else 'plain'}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    known = {r["index"]: r for r in (json.loads(line) for line in lines if line.endswith("\n"))}
    if lines and not lines[-1].endswith("\n"):  # cut off while it was written
        path.write_text("".join(lines[:-1]))
    with path.open("a") as file:
        for record in _spread_out(work, [i for i in indices if i not in known], jobs):
            known[record["index"]] = record
            file.write(json.dumps(record) + "\n")
            file.flush()
    return [known[i] for i in indices]


def _digest_self() -> str:
    return f"{zlib.crc32(b''.join(Path(__file__).with_name(f'phantom_{n}.py').read_bytes() for n in _MEASURES)):08x}"


def _spread_out(work: Callable[[int], Record], indices: Sequence[int], jobs: int) -> Iterator[Record]:
    if jobs == 1:
        yield from map(work, indices)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, indices, chunksize=4)


def judge_observers(
    full: Sequence[Record], more: Sequence[Record], *, difficulty: str, kinds: bool = True
) -> list[Row]:
    """Lesions and breasts. full  exams that count in full;  more  those of which only what is malignant counts"""
    lesions = pick_units(full, more, "lesions")
    rows = _judge("lesion", difficulty, "all", lesions, LESION_LIMITS)
    for kind in ("mass", "calcifications") if kinds else ():
        rows += _judge("lesion", difficulty, kind, [pair for pair in lesions if pair[1]["kind"] == kind], None)
    return rows + _judge("breast", difficulty, "all", pick_units(full, more, "breasts"), BREAST_LIMITS)


def pick_units(full: Sequence[Record], more: Sequence[Record], what: Literal["breasts", "lesions"]) -> list[Unit]:
    """(exam, breast or lesion) of all that counts."""
    units = [(record, unit) for record in full for unit in record[what]]
    return units + [(record, unit) for record in more for unit in record[what] if unit["malignant"]]


def _judge(
    level: str, difficulty: str, which: str, units: Sequence[Unit], limits: tuple[float, float] | None
) -> list[Row]:
    truth = [unit["malignant"] for _, unit in units]
    patients = [record["patient"] for record, _ in units]
    rows = []
    for name in sorted({name for _, unit in units for view in unit["views"].values() for name in view}):
        estimate = auc(truth, _score(units, name), cluster=patients, unit=level, name=name)
        rows.append(Row(level, difficulty, name, which, estimate, limits))
    return rows


def _score(units: Sequence[Unit], name: str) -> Floats:
    """Per unit the mean over its views of what was measured, in standard deviations of its profile and view."""
    groups: dict[tuple[str, str], list[float]] = {}
    for record, unit in units:
        for angle, view in unit["views"].items():
            groups.setdefault((record["profile"], angle), []).append(view[name])
    norm = {key: (float(np.mean(values)), float(np.std(values)) or 1.0) for key, values in groups.items()}
    scores = []
    for record, unit in units:
        own = [(view[name], norm[record["profile"], angle]) for angle, view in unit["views"].items()]
        scores.append(float(np.mean([(value - mean) / sd for value, (mean, sd) in own])))
    return np.array(scores)


def judge_nuisance(full: Sequence[Record], more: Sequence[Record], *, seed: int = SEED) -> list[Row]:
    """Can the acquisition alone tell a malignant breast from any other? Age and density apart: they are the woman."""
    found = pick_units(full, more, "breasts")
    truth = np.array([b["malignant"] for _, b in found])
    patients = np.array([r["patient"] for r, _ in found])
    columns = list_columns([b["nuisance"] | {"side": b["side"]} for _, b in found])
    acquisition = {n: v for n, v in columns.items() if not n.endswith(TRAITS)}
    rows = _judge_models(acquisition, truth, patients, which="drawn", seed=seed)
    for name, values in (
        ("age", [r["age"] for r, _ in found]),
        ("density", ["abcd".index(r["density"]) for r, _ in found]),
    ):
        rows.append(Row("woman", MAIN, name, "alone", auc(truth, values, cluster=patients, name=name), None))
    return rows


def judge_plans(recipe: Recipe, *, plans: int, seed: int = SEED) -> list[Row]:
    """The same with what is known of an acquisition before anything is drawn, on many more exams."""
    features: list[Nuisance] = []
    truth, patients = [], []
    for index in range(plans):
        plan = plan_exam(recipe, seed=seed, index=index)
        known = list_setup(plan)
        for side, breast in plan.breasts.items():
            features.append(known | {"side": side.value})
            truth.append(breast.malignant)
            patients.append(plan.patient)
    columns = list_columns(features)
    return _judge_models(columns, np.array(truth), np.array(patients), which="planned", seed=seed)


def _judge_models(
    columns: Columns, truth: NDArray[np.bool_], patients: NDArray[Any], *, which: str, seed: int
) -> list[Row]:
    units = f"{which} exams, {len(columns)} features"
    limits = (-np.inf, NUISANCE_LIMIT)
    return [
        Row("nuisance", MAIN, estimate.name, units, estimate, limits, upper_end=True)
        for estimate in train_models(columns, truth, patients, seed=seed)
    ]


def rank_features(full: Sequence[Record], more: Sequence[Record], *, most: int = 8) -> list[tuple[str, Estimate]]:
    """The single features of the acquisition whose AUC lies farthest from a half: where to look if the gate fails."""
    found = pick_units(full, more, "breasts")
    truth = np.array([b["malignant"] for _, b in found])
    patients = [r["patient"] for r, _ in found]
    matrix = code_columns(columns := list_columns([b["nuisance"] for _, b in found]))
    single = [(n, auc(truth, matrix[:, k], cluster=patients, name=n)) for k, n in enumerate(columns)]
    return sorted(single, key=lambda pair: -abs(pair[1].value - 0.5) / max(pair[1].se, 1e-9))[:most]


def run_gate(
    name: str,
    *,
    exams: int = EXAMS,
    plans: int = PLANS,
    other_exams: int = OTHER_EXAMS,
    seed: int = SEED,
    scale: float = SCALE,
    jobs: int = 1,
    cache: Path | None = None,
) -> dict[str, Any]:
    """The stored result: rows of the table, what was drawn, of which recipe at which difficulty. name: of the recipe"""
    started, sources = time.perf_counter(), digest_sources()
    rows: list[Row] = []
    drawn = {}
    hashes = {}
    single: list[tuple[str, Estimate]] = []
    for difficulty in (MAIN, *(d for d in DIFFICULTIES if d != MAIN)):
        recipe = load_recipe(name, difficulty=difficulty)
        hashes[difficulty] = recipe.hash
        main = difficulty == MAIN
        chosen, cancers = choose_exams(
            recipe, exams=exams if main else other_exams, plans=plans if main else 4 * other_exams, seed=seed
        )
        records = measure_exams(
            recipe, [*chosen, *cancers], seed=seed, scale=scale, tags=main, jobs=jobs, cache=cache, sources=sources
        )
        full, more = records[: len(chosen)], records[len(chosen) :]
        drawn[difficulty] = {"exams in full": len(full), "more exams with cancer": len(more)}
        if main:
            rows += judge_nuisance(full, more, seed=seed) + judge_plans(recipe, plans=plans, seed=seed)
            single = rank_features(full, more)
        rows += judge_observers(full, more, difficulty=difficulty, kinds=main)
    return {
        "recipe": name,
        "hashes": hashes,
        "generator": GENERATOR,
        "sources": sources,
        "seed": seed,
        "scale": scale,
        "drawn": drawn,
        "limits": {"lesion": LESION_LIMITS, "breast": BREAST_LIMITS, "nuisance, upper end": NUISANCE_LIMIT},
        "passes": all(row.passes is not False for row in rows),
        "rows": [_as_json(row) for row in rows],
        "single_features": [_numbers(estimate) for _, estimate in single],
        "seconds": round(time.perf_counter() - started),
        "jobs": jobs,
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__},
    }


def _as_json(row: Row) -> dict[str, Any]:
    return {
        "level": row.level,
        "difficulty": row.difficulty,
        "observer": row.observer,
        "units": row.units,
        "gated": row.limits is not None,
        "passes": row.passes,
        **_numbers(row.estimate),
    }


def _numbers(estimate: Estimate) -> dict[str, Any]:
    kept = ("name", "value", "low", "high", "se", "n", "positives", "clusters", "method")
    found = {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(estimate).items() if k in kept}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in found.items()}


def _interval(row: dict[str, Any]) -> str:
    if row["low"] is None:
        return f"{row['value']:.3f} (no interval)"
    return f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def gate_table(result: dict[str, Any], level: str) -> str:
    """Markdown of one level: "nuisance" (with age and density), "lesion" or "breast"."""
    levels = ("nuisance", "woman") if level == "nuisance" else (level,)
    heads = {"nuisance": "model or trait", "lesion": "observer", "breast": "observer"}
    lines = [
        f"| {heads[level]} | difficulty | of | AUC (95 %) | malignant / others | gate |",
        "|---|---|---|---|--:|---|",
    ]
    for row in result["rows"]:
        if row["level"] not in levels:
            continue
        units = {"all": f"all {level}s", "mass": "masses"}.get(row["units"], row["units"])
        verdict = {True: "passes", False: "FAILS", None: "shown only"}[row["passes"]]
        lines.append(
            f"| {row['observer']} | {row['difficulty']} | {units} | {_interval(row)} "
            f"| {row['positives']} / {row['n'] - row['positives']} "
            f"| {verdict} |"
        )
    return "\n".join(lines)


def _complain(result: dict[str, Any]) -> Iterable[str]:
    for row in result["rows"]:
        if row["passes"] is False:
            yield f"fails: {row['level']} {row['difficulty']} {row['observer']}, {row['units']}: {_interval(row)}"


def main() -> None:
    parser = make_parser(NAME, "Does anything trivial tell?", seed=SEED, jobs=1)
    parser.add_argument("--recipe", choices=RECIPES, default=RECIPES[0])
    parser.add_argument("--exams", type=int, default=EXAMS, help="drawn in full, at medium difficulty")
    parser.add_argument("--plans", type=int, default=PLANS, help="planned exams, of whose rest cancers are drawn too")
    parser.add_argument("--other-exams", type=int, default=OTHER_EXAMS, help="drawn in full, at easy and at hard")
    parser.add_argument("--scale", type=float, default=SCALE, help="of the images")
    parser.add_argument("--cache", type=Path, help="folder where measurements of exams are kept")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result = find_result(
        given,
        NAME,
        RESULTS / f"{NAME}_{given.recipe}.json",
        lambda: run_gate(
            given.recipe,
            exams=given.exams,
            plans=given.plans,
            other_exams=given.other_exams,
            seed=given.seed,
            scale=given.scale,
            jobs=given.jobs,
            cache=given.cache,
        ),
    )
    for level in ("nuisance", "lesion", "breast"):
        sys.stdout.write(f"{gate_table(result, level)}\n\n")
    sys.stdout.write("single features farthest from a half:\n")
    for one in result["single_features"]:
        sys.stdout.write(f"  {one['name']}: {_interval(one)}\n")
    sys.stdout.writelines(f"{line}\n" for line in _complain(result))
    sys.stdout.write(
        f"recipe {result['recipe']}, generator {result['generator']}, {result['drawn']}, {result['seconds']} s: "
        f"{'passes' if result['passes'] else 'FAILS'}\n"
    )
    raise SystemExit(0 if result["passes"] else 1)


if __name__ == "__main__":
    main()
