"""What a run learns from: a store with its parts, or a synthetic population that is drawn as one first."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from fourview.exam import SetupError
from fourview.phantom.folder import ABOUT_FILE, read_about
from fourview.phantom.recipe import load_recipe
from fourview.store.phantom_store import draw_store, is_drawn
from fourview.store.sets import PHANTOM, count_films
from fourview.store.splits import FOLDER, PARTS, Split, make_split
from fourview.store.store import Store
from fourview.store.women import key_women
from fourview.train.patch_index import NEEDED, count_cases
from fourview.train.recipe import Recipe
from fourview.weights.learned import Learned, Numbers, number_of

DRAW = "phantom:"  # begins the name of a population that is to be drawn
ALL = "all"
LEARNED = ("train", "validation")
_HASHED = (
    "dataset",
    "image",
    "patient",
    "exam",
    "view",
    "faces",
    "spacing_mm",
    "pixels_sha256",
    "malignant",
    "benign",
    "label_unit",
    "label_source",
    "birads_class",
    "lesions",
    "part",
)
_PATHOLOGY = pl.col("more").str.json_path_match("$.pathology").alias("pathology")  # decides labels of breasts
OnStep = Callable[[str, int, int], None]  # what is done, how many, of how many


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Prepared images in parts.

    table          rows of the manifest that were prepared, with a column part: "train", "validation", "test", or null
    name, split    in words, for cards and reports
    hash           SHA-256 of images, pixels, labels and parts: 64 hex digits
    phantoms_only  nothing but phantoms is in it
    """

    store: Store
    table: pl.DataFrame
    name: str
    split: str
    hash: str
    phantoms_only: bool

    def learned(self) -> Learned:
        """Whom a network that is trained on it learns from."""
        return Learned(self.whom("train"), self.whom("validation"))

    def whom(self, part: str) -> Numbers:
        """The women of one part (of phantoms: the images), as weights.learned numbers them."""
        return number_of(key_women(self.rows(part)))

    def rows(self, part: str) -> pl.DataFrame:
        """The rows of one part."""
        return self.table.filter(part=part)


def open_data(
    data: str,
    *,
    split: str | None,
    recipe: Recipe,
    cache: Path,
    jobs: int = 1,
    on_step: OnStep | None = None,
) -> TrainingData:
    """The data, in parts that suit the recipe's stage.

    data   a store's folder; or "phantom:RECIPE", a population of `fourview phantom`: exams, seed and scale are the
           training recipe's, and it is drawn as a store into a folder of `cache` named for all of them, once; a run
           that was stopped is gone on with
    split  a split of the store; of its folds, "NAME:fold-2": fold 2 is test, the next one validation, the others train.
           None: of phantoms, a split by the recipe's fractions, which is kept in the store. Where the recipe judges
           nothing, the other folds train, also the next one; and "all" needs no split: every image trains

    Raises SetupError for data that are not there, a split that is not there or was made for other images, that has a
    patient in two parts or nothing in a part that is needed, and where a part lacks labels that the stage learns.
    """
    if data.startswith(DRAW):
        store = draw_population(
            data, recipe.phantoms, recipe=recipe.name, cache=cache, jobs=jobs, on_step=on_step or (lambda *_: None)
        )
        split = split or _split_phantoms(store, recipe)
    else:
        store = Store.open(Path(data))
    if split is None:
        raise SetupError(f"{data}: found no --split; {_splits_of(store)}")
    table = _assign(store, split, is_judged=recipe.is_judged)
    _check_parts(table, split, learned=_learned(recipe))
    _check_labels(table, recipe)
    _check_films(table, recipe)
    rows = table.select(*_HASHED, _PATHOLOGY).sort("image").to_dicts()
    digest = hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    phantoms_only = set(table["dataset"]) == {PHANTOM}
    return TrainingData(store, table, name_data(store), split, digest, phantoms_only)


class Drawn(Protocol):
    """What a recipe says of its population: exams, seed and scale of `fourview phantom`."""

    @property
    def exams(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def scale(self) -> float: ...


def draw_population(data: str, asked: Drawn | None, *, recipe: str, cache: Path, jobs: int, on_step: OnStep) -> Store:
    """The store of "phantom:RECIPE", drawn into a folder of `cache` named for all that decides it, once.

    asked  None: the training recipe, which is called `recipe`, says nothing of phantoms;  on_step  may raise
    Raises SetupError.
    """
    if asked is None:
        raise SetupError(f"{data}: recipe {recipe} has no section phantoms; need it, or a store")
    population = load_recipe(data.removeprefix(DRAW))
    about = f"{population.name}-{population.difficulty}-{population.hash[:12]}"
    out = cache / f"{about}-seed{asked.seed}-scale{asked.scale:g}-exams{asked.exams}"
    if not is_drawn(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        draw_store(
            population,
            out,
            exams=asked.exams,
            seed=asked.seed,
            scale=asked.scale,
            jobs=jobs,
            resume=True,
            on_drawn=lambda done, total: on_step("drawing exams", done, total),
            on_prepared=lambda step: on_step("preparing images", step.done, step.total),
        )
    return Store.open(out)


def _split_phantoms(store: Store, recipe: Recipe) -> str:
    """The name of the split by the recipe's fractions: made and kept on first use; the seed is the population's."""
    if recipe.phantoms is None:
        raise SetupError(f"recipe {recipe.name} has no section phantoms; need it, or --split")
    fractions = recipe.phantoms.fractions
    name = "fractions-" + "-".join(f"{share:g}" for share in fractions)
    if not (store.path / FOLDER / f"{name}.json").is_file():
        made = make_split(store.manifest, fractions=fractions, stratify="label", seed=recipe.phantoms.seed)
        made.write(store.path, name)
    return name


def _learned(recipe: Recipe) -> tuple[str, ...]:
    """The parts that a run needs."""
    return LEARNED if recipe.is_judged else LEARNED[:1]


def _assign(store: Store, split: str, *, is_judged: bool) -> pl.DataFrame:
    """The prepared rows with their parts; of folds, with the parts that one of them being test makes."""
    name, _, fold = split.partition(":")
    if split == ALL and not is_judged and not (store.path / FOLDER / f"{ALL}.json").is_file():
        return store.images.with_columns(part=pl.lit("train"))
    loaded = Split.load(store.path, name)
    table = loaded.assign(store.manifest).filter(status="prepared")
    folds = [part for part in loaded.names if part not in PARTS]
    if not fold:
        if folds:
            raise SetupError(f"split {name}: found {len(folds)} folds; need one to test on, as in {name}:{folds[0]}")
        return table
    if fold not in folds:
        raise SetupError(f"split {split}: found the parts {', '.join(loaded.names)}; need one of its folds")
    following = folds[(folds.index(fold) + 1) % len(folds)]
    parts = {**dict.fromkeys(folds, "train"), **({following: "validation"} if is_judged else {}), fold: "test"}
    return table.with_columns(part=pl.col("part").replace_strict(parts, default=None, return_dtype=pl.String))


def _check_parts(table: pl.DataFrame, split: str, *, learned: Sequence[str]) -> None:
    """That the parts are there, and no woman is in two of them."""
    rows = table.filter(pl.col("part").is_not_null())
    counts = {part: rows.filter(part=part).height for part in PARTS}
    if empty := [part for part in learned if not counts[part]]:
        said = ", ".join(f"{count} in {part}" for part, count in counts.items())
        need = " and ".join(learned)
        raise SetupError(f"split {split}: found no image in {', '.join(empty)} ({said}); need some in {need}")
    if unknown := rows["patient"].null_count():
        raise SetupError(
            f"split {split}: {unknown} images have no patient; need whose each is, or a woman is in two parts"
        )
    for what, column in (("patients", "patient"), ("exams", "exam")):
        parts = rows.group_by("dataset", column).agg(pl.col("part").n_unique())
        if leaking := parts.filter(pl.col("part") > 1).height:
            raise SetupError(
                f"split {split}: {leaking} {what} are in two parts; need each in one: make the split again"
            )


def _check_labels(table: pl.DataFrame, recipe: Recipe) -> None:
    """That each part has what the stage learns, and what it is judged by."""
    for part in _learned(recipe):
        rows = table.filter(part=part)
        if recipe.stage == "patch":
            _check_patches(rows, part, recipe)
        else:
            _check_exams(rows, part, recipe)


def _check_patches(rows: pl.DataFrame, part: str, recipe: Recipe) -> None:
    if recipe.patches is None:
        raise SetupError(f"recipe {recipe.name}: found no section patches, need one")
    counts = count_cases(rows.to_dicts(), recipe=recipe)
    shares = recipe.patches.mix.model_dump()
    if any(share and not counts[name] for name, share in shares.items()):
        lesions = rows["lesions"].explode().drop_nulls()
        outlined = lesions.struct.field("mask").is_not_null().sum() if len(lesions) else 0
        raise SetupError(
            f"{part}: found {len(lesions)} lesions, {outlined} of them with an outline: {counts['malignant']} of these "
            f"are known to be malignant and {counts['benign']} benign; and {counts['outside']} images for patches "
            f"beside lesions, {counts['negative']} without a biopsy; {NEEDED}"
        )


def _check_exams(rows: pl.DataFrame, part: str, recipe: Recipe) -> None:
    if recipe.stage == "birads":
        found = sorted(rows["birads_class"].drop_nulls().unique())
        if len(found) < 2:
            said = ", ".join(map(str, found)) or "none"
            raise SetupError(f"{part}: found the BI-RADS classes {said}; need images of two or more of 0, 1 and 2")
        return
    positive = {name: int(rows[name].sum()) for name in ("malignant", "benign")}
    others = rows.filter(pl.col("malignant").is_null() | ~pl.col("malignant")).height
    if not positive["malignant"] or not others:
        raise SetupError(
            f"{part}: found {positive['malignant']} malignant images, {positive['benign']} benign, and {others} that "
            "are not malignant or have no label; need malignant ones and others"
        )


def _check_films(table: pl.DataFrame, recipe: Recipe) -> None:
    """What is learned must be what `screen` will see: it cuts films out if the card says film, and only then."""
    rows = table.filter(pl.col("part").is_in(LEARNED))
    films = count_films(rows)
    if 0 < films < rows.height:
        raise SetupError(
            f"found {films} digitised films among {rows.height} images to learn from; need films alone, or none: a "
            "card says of all images whether the background is taken away first"
        )
    if recipe.input.film != (films > 0):
        found, need = ("digitised films", "true") if films else ("no digitised films", "false")
        raise SetupError(
            f"recipe {recipe.name}: found input.film {str(recipe.input.film).lower()} and {found}; need --set "
            f"input.film={need}, so that `screen` reads images as they were learned from"
        )


def _splits_of(store: Store) -> str:
    there = sorted(path.stem for path in (store.path / FOLDER).glob("*.json"))
    return f"need one of {', '.join(there)}" if there else "make one with `fourview data split`"


def name_data(store: Store) -> str:
    """What the data are called: the set, of a drawn population what was drawn."""
    if not (store.path / ABOUT_FILE).is_file():
        return str(store.about["dataset"])
    drawn = read_about(store.path)
    return (
        f"{drawn['exams']} phantom exams of recipe {drawn['recipe']}, {drawn['difficulty']}, seed {drawn['seed']}, "
        f"scale {drawn['scale']:g}"
    )
