"""Lesions as they were measured: those that the hand-crafted numbers call most and least malignant, right and wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from fourview.report.document import Gallery, GalleryItem
from fourview.report.picture import encode_small
from fourview.studies.lesion.cases import LesionKey, LesionView
from fourview.studies.lesion.crops import cut_lesion
from fourview.studies.lesion.handcrafted.numbers import Family, list_names
from fourview.studies.lesion.handcrafted.results import Results
from fourview.studies.lesion.handcrafted.store import SCALE, SIDE_PX, LesionNumbers
from fourview.studies.lesion.handcrafted.study import BaselineStudy
from fourview.studies.lesion.lesion_picture import draw_lesion
from fourview.studies.lesion.pairs import LesionPair, pair_views

EACH = 3  # lesions of each sort
SIGNS: tuple[tuple[Family, str, str], ...] = (  # family and name of a number, what it is called here
    ("margin", "spiculation, lines of 1.5 px", "spiculation"),
    ("margin", "acutance", "acutance"),
    ("shape", "compactness", "compactness"),
    ("margin", "ring contrast", "contrast to the ring"),
)
_NOTE = (
    "Squares of twice the outline's longer side, as they were measured, facing right; thin line: the outline. Numbers "
    "are ranks among all lesion images, 0 the smallest and 100 the largest, the mean of the views that are shown."
)


def show_lesions(study: BaselineStudy, numbers: LesionNumbers, results: Results) -> Gallery:
    """EACH malignant and benign lesions, by what the chosen classifiers say: the clearest, and the worst mistakes."""
    pairs = {pair.key: pair for pair in pair_views(study.folds.views)}
    ranks = _rank(numbers)
    items = tuple(
        _show(study, pairs[LesionKey(row["patient"], row["exam"], row["side"], row["lesion"])], row, words, ranks)
        for words, row in pick_lesions(results.chosen.table)
    )
    return Gallery("lesions", f"By the hand-crafted numbers: {results.chosen.title}", items, _NOTE)


def pick_lesions(table: pl.DataFrame) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(what it is, its row), no lesion twice. table: held-out lesions (ensemble.LESION_COLUMNS)"""
    ordered = table.sort("p", "patient", "exam", "side", "lesion", descending=[True, False, False, False, False])
    malignant, benign = (list(ordered.filter(malignant=own).iter_rows(named=True)) for own in (True, False))
    most = [min(EACH, len(own) // 2) for own in (malignant, benign)]
    yield from (("malignant, and looks so", row) for row in malignant[: most[0]])
    yield from (("benign, and looks so", row) for row in benign[len(benign) - most[1] :])
    yield from (("benign, looks malignant", row) for row in benign[: most[1]])
    yield from (("malignant, looks benign", row) for row in malignant[len(malignant) - most[0] :])


def _rank(numbers: LesionNumbers) -> Mapping[str, Sequence[int]]:
    """Name of a view -> ranks of SIGNS, 0 to 100."""
    columns = {name: place for place, name in enumerate(list_names())}
    values = numbers.values[:, [columns[family, name] for family, name, _ in SIGNS]]
    below = np.array([[(column < value).sum() for value in column] for column in values.T]).T
    ranks = np.round(100 * below / max(1, len(values) - 1)).astype(int)
    return {view.name: [int(rank) for rank in own] for view, own in zip(numbers.views, ranks, strict=True)}


def _show(
    study: BaselineStudy,
    pair: LesionPair,
    row: Mapping[str, Any],
    words: str,
    ranks: Mapping[str, Sequence[int]],
) -> GalleryItem:
    views: list[LesionView] = [next(view for view in pair.views if view.angle == angle) for angle in pair.angles]
    crops = [(view.angle, cut_lesion(study.store, view, scale=SCALE, side_px=SIDE_PX)) for view in views]
    picture = draw_lesion(crops, synthetic=study.phantoms)
    means = np.mean([ranks[view.name] for view in views], axis=0)
    said = ", ".join(f"{name} {value:.0f}" for (_, _, name), value in zip(SIGNS, means, strict=True))
    title = f"{pair.key.exam} {pair.key.side} {pair.key.lesion}"
    encoded = encode_small(picture, rows=picture.shape[0], cols=picture.shape[1])
    lines = (f"{words}: p {row['p']:.3f}", said)
    return GalleryItem(title, lines, images=((f"{title}, {words}", encoded),))
