"""Hand-crafted numbers, words alone, and the ceiling: each as a table of lesions, measured as the networks are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate import Estimate
from fourview.store.store import Store
from fourview.studies.lesion.ceiling import read_planted
from fourview.studies.lesion.descriptors.store import find_inputs, list_words, predict_held_out
from fourview.studies.lesion.ensemble import ViewAnswer, tabulate_lesions
from fourview.studies.lesion.folds import LesionFolds
from fourview.studies.lesion.handcrafted.numbers import TITLES
from fourview.studies.lesion.handcrafted.runs import ALL, Reader, Said
from fourview.studies.lesion.held_out import find_held_out, number_folds
from fourview.studies.lesion.measures import ANSWERS, Worth, compare_columns, compare_views, measure_lesions
from fourview.studies.lesion.pairs import pair_views
from fourview.studies.transfer.candidates import pick_first_best
from fourview.studies.transfer.choice import CHOSEN
from fourview.studies.transfer.steps import NAMES

Floats = NDArray[np.float64]
Sort = Literal["hand-crafted", "family", "words", "ceiling"]
HAND_CRAFTED: Sort = "hand-crafted"


@dataclass(frozen=True, eq=False)
class Baseline:
    """One row of the table.

    table   held-out lesions (ensemble.LESION_COLUMNS);  worth  by view;  added  what the second view adds
    """

    sort: Sort
    title: str
    table: pl.DataFrame
    worth: tuple[Worth, ...]
    added: tuple[Estimate, ...]

    def of(self, name: str) -> Worth:
        """The worth of that name: "CC", "MLO", "CC and MLO"; each also ", lesions with both views"."""
        return next(one for one in self.worth if one.name == name)


@dataclass(frozen=True, eq=False)
class Results:
    """All baselines of a study.

    rows         in the order of the table;  said  of each reader, fold by fold
    differences  of AUC, hand-crafted minus others
    """

    rows: tuple[Baseline, ...]
    said: Mapping[Reader, tuple[Said, ...]]
    differences: tuple[Estimate, ...]

    def of_sort(self, sort: Sort) -> tuple[Baseline, ...]:
        return tuple(row for row in self.rows if row.sort == sort)

    @property
    def chosen(self) -> Baseline:
        """What the inner folds chose among the classifiers; of one, that one."""
        return self.of_sort(HAND_CRAFTED)[0]


def gather(store: Store, folds: LesionFolds, said: Mapping[Reader, tuple[Said, ...]]) -> Results:
    """Every baseline on the same held-out lesions. Raises SetupError."""
    whole = {reader: own for reader, own in said.items() if reader.family == ALL}
    rows = [_read_baseline(folds, NAMES[reader.method.classifier], own) for reader, own in whole.items()]
    if len(whole) > 1:
        rows.insert(0, _read_baseline(folds, CHOSEN, choose_by_inner(list(whole.values()))))
    for reader, own in said.items():
        if reader.family != ALL:
            rows.append(_read_baseline(folds, TITLES[reader.family], own, sort="family"))  # type: ignore[index]
    words = list_words(store, folds.views)
    rows += [
        make_baseline(folds, "words", inputs.title, predict_held_out(folds, words, inputs))
        for inputs in find_inputs(words)
    ]
    planted = read_planted(folds.views)
    if planted is not None:
        rows.append(make_baseline(folds, "ceiling", "label ceiling", planted))
    others = [row for row in rows if row.sort in ("words", "ceiling")]
    return Results(tuple(rows), said, tuple(_compare(rows[0], other) for other in others))


def choose_by_inner(said: Sequence[Sequence[Said]]) -> tuple[Said, ...]:
    """Of each fold, what the reader with the largest AUC in the inner folds says; of equals, the one named first.

    said  per reader, fold by fold
    """
    return tuple(own[pick_first_best([one.area for one in own])] for own in zip(*said, strict=True))


def make_baseline(
    folds: LesionFolds, sort: Sort, title: str, p: Floats, thresholds: Mapping[int, float] | None = None
) -> Baseline:
    """Probabilities of views as a baseline.

    p           (views,) of the folds' views; those that are not held out do not count
    thresholds  fold, as the networks' tables count them -> threshold of probabilities
    """
    held = find_held_out(folds)
    views = tuple(view for view, own in zip(folds.views, held, strict=True) if own)
    answers = {
        view.name: [ViewAnswer(float(value), float(value))] for view, value in zip(views, p[held], strict=True)
    }  # the mean is of probabilities
    fold_of = {view.name: int(own) for view, own in zip(folds.views, number_folds(folds), strict=True)}
    table = tabulate_lesions(pair_views(views), answers, mean="probability", fold_of=fold_of)
    chosen = {fold: dict.fromkeys(ANSWERS, value) for fold, value in (thresholds or {}).items()}
    return Baseline(sort, title, table, measure_lesions(table, chosen), compare_views(table))


def tabulate_baselines(results: Results) -> pl.DataFrame:
    """Every lesion under every baseline: columns `sort`, `baseline`, then those of the networks' tables."""
    return pl.concat(
        [
            row.table.select(pl.lit(row.sort).alias("sort"), pl.lit(row.title).alias("baseline"), pl.all())
            for row in results.rows
        ]
    )


def _read_baseline(folds: LesionFolds, title: str, said: Sequence[Said], *, sort: Sort = HAND_CRAFTED) -> Baseline:
    p = np.full(len(folds.views), np.nan)
    for own in said:
        p[own.rows] = own.p
    official = folds.split == "official"
    thresholds = {0 if official else own.fold + 1: own.threshold for own in said}
    return make_baseline(folds, sort, title, p, thresholds)


def _compare(first: Baseline, other: Baseline) -> Estimate:
    """AUC of the first minus the other's, both views, on the same lesions."""
    keys = ["patient", "exam", "side", "lesion"]
    both = first.table.join(other.table.select(*keys, other="p"), on=keys)
    return compare_columns(both, "p", "other", name=f"hand-crafted minus {other.title}")
