"""`python -m benchmarks.lesions_mini_mias`: circles of mini-MIAS, benign or malignant, by small networks on real film.

    OMP_NUM_THREADS=1 python -m benchmarks.lesions_mini_mias FOLDER --cache CACHE [--phantom-weights WEIGHTS]
                                                             [--out benchmarks/results/lesions_mini_mias.json]
    python -m benchmarks.lesions_mini_mias --show            the stored tables, as in docs/lesions.md

FOLDER is mini-MIAS (Info.txt and mdbNNN.png or .pgm), WEIGHTS weights/ of a run on phantoms, as benchmarks.lesions
leaves it. Written before any film was read:

    lesions   every circle with a place, of all kinds; five folds by woman, both of her films in one
    arms      scratch; phantoms: begun with WEIGHTS. Both by one recipe (lesion_recipes/film.toml): three networks per
              fold, each by the epoch with the lowest loss on the next fold. Hand-crafted numbers; the kind as Info.txt
              names it
    area      a circle counts by its rank in its fold; accuracy at probability 1/2; intervals know which circles are of
              one woman

All films are MLO views: nothing is said of two views. CACHE keeps every run: what is finished is taken as it is, what
was interrupted goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.lesions_protocol import RECIPES
from benchmarks.lesions_table import join, plain, signed, write
from benchmarks.lesions_work import HANDCRAFTED, run_handcrafted, train
from benchmarks.phantom_result import find_result, make_parser
from benchmarks.work import Piece, Watch, count_hours, work_off
from fourview.datasets import DATASETS
from fourview.evaluate import Estimate, auc, auc_difference, operate, rank_in_folds
from fourview.exam import SetupError
from fourview.store.prepare import prepare
from fourview.studies.lesion.comparison import KEYS, Candidate, load_candidates
from fourview.studies.lesion.lesion_weights import load_lesion_card
from fourview.studies.lesion.measures import HALF, UNIT
from fourview.studies.lesion.recipe import LesionRecipe, load_recipe

NAME = "lesions_mini_mias"
STORED = Path(__file__).parent / "results" / f"{NAME}.json"
SCRATCH, PHANTOMS, CHOSEN, WORDS = "scratch", "phantoms", "hand-crafted", "words"
CLASSIFIERS = "lr,rbf_svm,random_forest"


@dataclass(frozen=True)
class Protocol:
    """What is run. changes: --set of the recipe; phantom_weights: what the second arm begins with"""

    films: Path
    cache: Path
    phantom_weights: Path | None = None
    changes: tuple[str, ...] = ()
    classifiers: str = CLASSIFIERS
    inner: int = 5

    @property
    def store(self) -> Path:
        return self.cache / "store"

    @property
    def recipe(self) -> LesionRecipe:
        return load_recipe(str(RECIPES / "film.toml")).with_values(self.changes)

    @property
    def starts(self) -> dict[str, Path | None]:
        return {SCRATCH: None, **({PHANTOMS: self.phantom_weights} if self.phantom_weights else {})}

    def run_of(self, arm: str) -> Path:
        """An arm's folder; of phantoms one per weights."""
        start = self.starts.get(arm)
        begun = "" if start is None else f"-{load_lesion_card(start).weights_hash}"
        return self.cache / "runs" / f"{self.recipe.hash[:8]}-{arm}{begun}"


def run(protocol: Protocol) -> dict[str, Any]:
    """The stored result."""
    pieces = list_pieces(protocol)
    work_off(pieces, protocol.cache)
    tables = gather(protocol)
    first = next(iter(tables.values()))
    pairs = [(PHANTOMS, SCRATCH), (PHANTOMS, CHOSEN), (SCRATCH, CHOSEN)]
    start = protocol.phantom_weights
    return {
        "recipe": protocol.recipe.hash,
        "started_from": None if start is None else load_lesion_card(start).weights_hash,
        "folds": protocol.recipe.folds,
        "networks_per_fold": protocol.recipe.ensemble.seeds,
        "circles": first.height,
        "malignant": int(first["malignant"].sum()),
        "women": first["patient"].n_unique(),
        "areas": {arm: plain(measure(table)) for arm, table in tables.items()},
        "accuracies": {arm: plain(accuracy_of(table)) for arm, table in tables.items()},
        "differences": [plain(compare(tables, *pair)) for pair in pairs if set(pair) <= tables.keys()],
        "hours": count_hours(protocol.cache, pieces),
        "scores": {
            "lesion": first["lesion"].to_list(),
            "fold": first["fold"].to_list(),
            **{arm: [round(p, 5) for p in table["p"]] for arm, table in tables.items()},
        },
    }


def list_pieces(protocol: Protocol) -> list[Piece]:
    """The store, each arm, hand-crafted numbers."""
    first = Piece("films/prepare", "prepare", (), partial(_prepare, protocol))
    needs = (first.name,)
    arms = [
        Piece(f"films/{protocol.run_of(arm).name}", f"train {arm}", needs, partial(_train, protocol, arm))
        for arm in protocol.starts
    ]
    last = f"films/{protocol.run_of(HANDCRAFTED).name}"
    return [first, *arms, Piece(last, HANDCRAFTED, needs, partial(_measure, protocol))]


def _prepare(protocol: Protocol, watch: Watch) -> None:
    prepare(DATASETS["mini-mias"], protocol.films, protocol.store, resume=True)
    watch.check()


def _train(protocol: Protocol, arm: str, watch: Watch) -> None:
    recipe = protocol.recipe
    folds, init = tuple(range(recipe.folds)), protocol.starts[arm]
    train(protocol.store, recipe, protocol.run_of(arm), watch, folds=folds, init=init)


def _measure(protocol: Protocol, watch: Watch) -> None:
    run_handcrafted(
        protocol.store,
        protocol.run_of(HANDCRAFTED),
        recipe=RECIPES / "film.toml",
        changes=protocol.changes,
        classifiers=protocol.classifiers,
        inner=protocol.inner,
    )
    watch.check()


def gather(protocol: Protocol) -> dict[str, pl.DataFrame]:
    """arm -> held-out circles, the same rows in one order. Raises SetupError: other lesions or folds in an arm."""
    found: dict[str, Candidate] = {arm: load_candidates(protocol.run_of(arm))[0] for arm in protocol.starts}
    for one in load_candidates(protocol.run_of(HANDCRAFTED)):
        if one.kind in (CHOSEN, WORDS):  # the first of a kind: what the inner folds chose; how it looks
            found.setdefault(one.kind, one)
    tables = {arm: one.table.sort(KEYS) for arm, one in found.items()}
    same = [*KEYS, "malignant", "fold"]
    first = next(iter(tables.values())).select(same)
    if other := [arm for arm, table in tables.items() if not table.select(same).equals(first)]:
        raise SetupError(f"{other[0]}: found other circles or folds than of {SCRATCH}; need a new --cache")
    return tables


def ranks(table: pl.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(circles,) the rank of each in its fold."""
    return rank_in_folds(table["p"].to_numpy(), table["fold"].to_numpy())


def measure(table: pl.DataFrame) -> Estimate:
    """AUC of one arm."""
    return auc(table["malignant"].to_numpy(), ranks(table), cluster=table["patient"].to_list(), unit=UNIT)


def accuracy_of(table: pl.DataFrame) -> Estimate:
    """At probability 1/2."""
    patients = table["patient"].to_list()
    found = operate(table["malignant"].to_numpy(), table["p"].to_numpy(), HALF, cluster=patients, unit=UNIT)
    return next(one for one in found if one.name == "accuracy")


def compare(tables: Mapping[str, pl.DataFrame], first: str, second: str) -> Estimate:
    """The AUC of the first arm minus that of the second."""
    one, other = tables[first], tables[second]
    name, patients = f"{first} - {second}", one["patient"].to_list()
    truth = one["malignant"].to_numpy()
    return auc_difference(truth, ranks(one), ranks(other), cluster=patients, unit=UNIT, name=name)


def arm_table(result: dict[str, Any]) -> str:
    """Markdown: a row per arm, and per difference."""
    lines = ["| | AUC (95 %) | accuracy at .5 |", "|---|--:|--:|"]
    for arm, area in result["areas"].items():
        lines.append(f"| {arm} | {write(area)} | {write(result['accuracies'][arm])} |")
    lines += [f"| {one['name']} | {signed(one)} | |" for one in result["differences"]]
    return "\n".join(lines)


def show(result: dict[str, Any]) -> str:
    """All tables."""
    head = (
        f"{result['circles']} circles of {result['women']} women, {result['malignant']} malignant; {result['folds']} "
        f"folds, {result['networks_per_fold']} networks each; hours of processor time: {result['hours']}"
    )
    return join(iter((head, arm_table(result))))


def main(words: Sequence[str] | None = None) -> None:
    parser = make_parser(NAME, "Circles of mini-MIAS, benign or malignant.", seed=None, jobs=None)
    parser.add_argument("films", type=Path, nargs="?", help="folder of mini-MIAS")
    parser.add_argument("--cache", type=Path, help="folder for the store and the runs")
    parser.add_argument("--phantom-weights", type=Path, help="weights/ of a run on phantoms, of the same network")
    given = parser.parse_args(words)
    if not given.show and (given.films is None or given.cache is None):
        parser.error("need FOLDER and --cache, or --show")
    command = f"python -m benchmarks.{NAME} FOLDER" + (" --phantom-weights WEIGHTS" if given.phantom_weights else "")
    protocol = Protocol(given.films, given.cache, given.phantom_weights)

    def measure_all() -> dict[str, Any]:
        return {"command": command, **run(protocol)}  # without the paths of this machine

    result = find_result(given, NAME, STORED, measure_all)
    sys.stdout.write(show(result))


if __name__ == "__main__":
    main()
