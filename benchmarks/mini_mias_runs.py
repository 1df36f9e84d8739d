"""Networks of the benchmark on mini-MIAS: each trained without one fold, which it then reads as `fourview screen` does.

Everything is kept in a folder, the cache: what is finished is not done again, what was interrupted goes on.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from fourview.exam import SetupError
from fourview.ingest import IngestOptions, find_exams
from fourview.screen import Screener
from fourview.store.splits import Split
from fourview.store.store import Store
from fourview.train.recipe import Recipe, load_recipe
from fourview.weights.folder import load_card
from fourview.whole_files import write_whole

RECIPE, SPLIT, SPACING_MM = "film", "five", 0.2
_FOURVIEW = (sys.executable, "-m", "fourview")


@dataclass(frozen=True)
class FilmScores:
    """What one network, or the texture, says about the films of one fold.

    p          film -> (malignant, benign): scores that rank
    processor_s  of training and of reading
    """

    fold: int
    seed: int
    p: dict[str, tuple[float, float]]
    processor_s: tuple[float, float]


@dataclass(frozen=True)
class Protocol:
    """What is run. settings: --set of the recipe; phantom_weights: a patch network to start from"""

    films: Path
    cache: Path
    folds: int
    seeds: tuple[int, ...]
    settings: tuple[str, ...] = ()
    phantom_weights: Path | None = None

    @property
    def store(self) -> Path:
        return self.cache / "store"

    @property
    def recipe(self) -> Recipe:
        return load_recipe(RECIPE, stage="patch").with_values(self.settings)


def prepare_films(protocol: Protocol) -> pl.DataFrame:
    """The store and its folds, made if they are not there; a row per film: image, patient, truths, fold (from 1)."""
    if not (protocol.store / "store.json").is_file():
        _call("data", "prepare", "mini-mias", protocol.films, "--out", protocol.store, "--resume")
    folds, label = ("--folds", protocol.folds), ("--stratify", "label")
    _call("data", "split", protocol.store, *folds, *label, "--name", SPLIT)
    store = Store.open(protocol.store)
    table = Split.load(store.path, SPLIT).assign(store.manifest).filter(status="prepared").sort("image")
    return table.select(
        "image",
        "patient",
        "malignant",
        abnormal=pl.col("malignant") | pl.col("benign"),
        fold=pl.col("part").str.strip_prefix("fold-").cast(pl.Int64),
    )


def run_network(protocol: Protocol, *, fold: int, seed: int, start: Path | None) -> FilmScores:
    """A network trained on all films but those of `fold`, which it then reads. start: weights to start from"""
    recipe = protocol.recipe
    begun = load_card(start).weights_hash if start is not None else "scratch"
    run = protocol.cache / f"{recipe.hash[:8]}-{begun}" / f"fold-{fold}-seed-{seed}"
    kept = run / "scores.json"
    if not kept.is_file():
        before = _children_s()
        given = [f"--set={value}" for value in (*protocol.settings, f"seed={seed}")]
        start_words = [] if start is None else ["--init", start]
        data = ["--data", protocol.store, "--split", f"{SPLIT}:fold-{fold}"]
        _call("train", "patch", RECIPE, *data, *given, *start_words, "--out", run, "--device", "cpu", "--resume")
        trained_s = _children_s() - before
        films = [film for film, part in _parts(protocol.store).items() if part == f"fold-{fold}"]
        before = _own_s()
        p = read_films(run / "weights", protocol.films, films)
        write_whole(
            kept, json.dumps(asdict(FilmScores(fold, seed, p, (trained_s, _own_s() - before))), indent=1) + "\n"
        )
    found = json.loads(kept.read_text())
    return FilmScores(fold, seed, {film: (m, b) for film, (m, b) in found["p"].items()}, tuple(found["processor_s"]))


def read_films(weights: Path, folder: Path, films: Sequence[str]) -> dict[str, tuple[float, float]]:
    """film -> (malignant, benign), read from the set's own files. Raises SetupError for a film that is not read."""
    screener = Screener.load(weights, engine="torch", device="cpu")
    wanted, scores = set(films), {}
    for source in find_exams([folder], IngestOptions(spacing_mm=SPACING_MM)).exams:
        if wanted & {Path(name).stem for name in source.names}:
            for image in screener.read(source.read()).images:
                if image.score is not None:
                    scores[Path(image.name).stem] = (image.score.malignant, image.score.benign)
    if missing := wanted - scores.keys():
        raise SetupError(f"{len(missing)} films were not read, the first {min(missing)}; need all")
    return {film: scores[film] for film in films}


def _parts(store: Path) -> dict[str, str]:
    return Split.load(store, SPLIT).parts


def _call(*words: object) -> None:
    subprocess.run([*_FOURVIEW, *map(str, words)], check=True)


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
