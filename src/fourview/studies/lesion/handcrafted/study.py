"""A study of baselines: which lesions, in which folds, which classifiers; and its folder.

OUT/settings.json        what it is a study of: --resume goes on with the same only
OUT/parts/ OUT/pieces/   numbers of lesions; what classifiers say, fold by fold
OUT/features.csv         a row per lesion and image: truth, fold, every number but the edges
OUT/lesions.csv          held-out lesions with their probabilities under each baseline, in the networks' columns
OUT/failures.csv         lesions that could not be measured, and why
OUT/report.html results.json estimates.csv plots/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fourview.exam import SetupError
from fourview.report.document_folder import check_report_folder
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.folds import LesionFolds, divide_lesions
from fourview.studies.lesion.handcrafted.numbers import FAMILIES, TITLES, VERSION, list_names
from fourview.studies.lesion.handcrafted.runs import ALL, Reader
from fourview.studies.lesion.handcrafted.store import SCALE, SIDE_PX, LesionNumbers, is_in_mm
from fourview.studies.lesion.held_out import number_folds
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.studies.transfer.steps import Classifier, Method, Selection, read_methods
from fourview.whole_files import write_whole

FORMAT = "fourview lesion baselines 1"
SETTINGS, FEATURES, LESIONS, FAILURES = "settings.json", "features.csv", "lesions.csv", "failures.csv"
FAMILY_METHOD = Method("lr", selection="none")  # of each family alone
TREES: tuple[Classifier, ...] = ("random_forest", "boosting")  # select by themselves
OUTLINES = {  # what the masks of a set are
    PHANTOM: "what was drawn, exactly: no reader and no program outlined it",
    "cbis-ddsm": "of masses a program's refinement of a radiologist's rough outline, of calcifications rough outlines",
    "ddsm": "rough outlines by radiologists",
    "mini-ddsm": "rough outlines by radiologists",
    "inbreast": "outlines by radiologists",
    "mini-mias": "circles: their shape says nothing of the lesion, their size little",
    "embed": "boxes: their shape says nothing of the lesion, their size little",
    "upstream": "masks as the exam list has them",
    "own": "as the site drew them",
}


@dataclass(frozen=True, eq=False)
class BaselineStudy:
    """What is compared, on which lesions. recipe: whose lesions and folds these are;  about: of the data, in words"""

    store: Store
    recipe: LesionRecipe
    folds: LesionFolds
    readers: tuple[Reader, ...]
    inner: int
    about: str

    @property
    def phantoms(self) -> bool:
        """Whether nothing else is among the lesions."""
        return all(view.dataset == PHANTOM for view in self.folds.views)

    @property
    def outlines(self) -> tuple[str, ...]:
        """Which outlines were used, set by set."""
        sets = sorted({view.dataset for view in self.folds.views})
        return tuple(f"{name}: {OUTLINES.get(name, 'as the set has them')}" for name in sets)

    @property
    def in_mm(self) -> bool:
        return is_in_mm(self.folds.views)

    @property
    def settings(self) -> dict[str, Any]:
        """What every part and piece depends on."""
        return {
            "format": FORMAT,
            "features": [VERSION, SCALE, SIDE_PX],
            "lesions": self.folds.hash(self.store),
            "classifiers": [[reader.family, asdict(reader.method)] for reader in self.readers],
            "inner folds": self.inner,
            "seed": self.recipe.seed,
        }


def plan_methods(names: str, selection: Selection) -> tuple[Method, ...]:
    """The methods of classifiers named with commas between; trees see all numbers. Raises SetupError."""
    methods = read_methods(names, selection=selection, imbalance="weights")
    return tuple(replace(method, selection="none") if method.classifier in TREES else method for method in methods)


def open_study(
    store: Store, recipe: LesionRecipe, methods: Sequence[Method], *, inner: int, families: bool, about: str
) -> BaselineStudy:
    """The lesions and folds that networks of this recipe have.

    methods   of all numbers;  inner  folds within the training lesions;  families  each family alone as well

    Raises SetupError: no such lesions, folds that cannot be drawn, a classifier twice.
    """
    if not methods or len({method.classifier for method in methods}) < len(methods):
        raise SetupError("--classifier: found one twice, or none; need each once")
    if inner < 2:
        raise SetupError(f"--inner: found {inner} folds; need at least 2")
    lesions = find_lesions(store, kinds=recipe.kinds, drop_without_callback=recipe.without_callback == "drop")
    folds = divide_lesions(lesions, split=recipe.split, folds=recipe.folds, seed=recipe.seed)
    readers = [Reader(ALL, method) for method in methods]
    readers += [Reader(family, FAMILY_METHOD) for family in FAMILIES if families]
    return BaselineStudy(store, recipe, folds, tuple(readers), inner, about)


def open_folder(out: Path, study: BaselineStudy, *, resume: bool) -> None:
    """The folder, new or of the same study. Raises SetupError: something else is in it; OSError."""
    if not resume or not (out / SETTINGS).is_file():
        check_report_folder(out)
    else:
        _compare(out, study.settings)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / SETTINGS, json.dumps(study.settings, indent=1) + "\n")


def keep_measured(study: BaselineStudy, numbers: LesionNumbers) -> BaselineStudy:
    """The study without the lesions that were not measured, in the same folds. Raises SetupError: one class is left."""
    if not numbers.problems:
        return study
    names = {view.name for view in numbers.views}
    keep = np.array([view.name in names for view in study.folds.views])
    why = sorted({reason for _, reason in numbers.problems})
    notes = (*study.folds.notes, f"left out: {len(numbers.problems)} lesion images, not measured: {'; '.join(why[:3])}")
    views = tuple(view for view in study.folds.views if view.name in names)
    folds = replace(study.folds, views=views, fold=study.folds.fold[keep], notes=notes)
    if not 0 < int(folds.malignant.sum()) < len(views):
        raise SetupError(f"found {len(views)} lesions that can be measured, all of one class; need both")
    return replace(study, folds=folds)


def tabulate_features(study: BaselineStudy, numbers: LesionNumbers) -> pl.DataFrame:
    """A row per lesion and image: whose, truth, fold (from 1; 0: the set's test part), and its numbers."""
    views = study.folds.views
    columns: dict[str, Any] = {
        "image": [view.image for view in views],
        "lesion": [view.lesion for view in views],
        "patient": [view.patient for view in views],
        "angle": [view.angle for view in views],
        "kind": [view.kind for view in views],
        "malignant": [view.malignant for view in views],
        "fold": number_folds(study.folds),
    }
    columns |= {f"{TITLES[f]}: {name}": numbers.values[:, place] for place, (f, name) in enumerate(list_names())}
    return pl.DataFrame(columns)


def tabulate_failures(numbers: LesionNumbers) -> pl.DataFrame:
    """A row per lesion and image that could not be measured."""
    rows = [(view.image, view.lesion, reason) for view, reason in numbers.problems]
    return pl.DataFrame(rows, schema=dict.fromkeys(("image", "lesion", "reason"), pl.String), orient="row")


def _compare(out: Path, settings: dict[str, Any]) -> None:
    try:
        before = json.loads((out / SETTINGS).read_text())
        there = before.get("format")
    except (OSError, ValueError, AttributeError):
        raise SetupError(f"{out}: found no {SETTINGS} to read; need the output of `lesion handcrafted`") from None
    wanted = json.loads(json.dumps(settings))
    if there != wanted["format"] or (other := [name for name in wanted if before.get(name) != wanted[name]]):
        what = "format" if there != wanted["format"] else ", ".join(other)
        raise SetupError(f"{out}: found a study of another {what}; need the same command, or another --out")
