"""What an evaluation can show if the run that made the readings is at hand: errors, localisation, the map of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.evaluation import Evaluation
from fourview.evaluate.readings_table import Units
from fourview.exam import SetupError
from fourview.report.document import Section
from fourview.report.embedding_section import embedding_section
from fourview.report.errors_section import errors_section
from fourview.report.localisation_section import localisation_section
from fourview.report.located import Located, locate_lesions


@dataclass(frozen=True)
class Extras:
    """Where more than the tables can be found.

    run      output folder of `fourview screen`; None: no pictures, links, localisation, map
    lesions  LESIONS.csv (see report.lesions); margin_px  added around each lesion, source pixels
    umap     draw the map with UMAP instead of principal components
    """

    run: Path | None = None
    lesions: Path | None = None
    margin_px: float = 0.0
    umap: bool = False

    def __post_init__(self) -> None:
        if self.run is None and (self.lesions is not None or self.umap):
            raise SetupError("lesions and maps need the heatmaps and features of a run: give --run SCREEN_OUT")
        if self.run is not None and not (self.run / "exams").is_dir():
            raise SetupError(f"{self.run}: found no folder exams; need the output of `fourview screen`")


def find_run(readings: Path) -> Path | None:
    """The run whose readings.csv this is, if its exams are beside it."""
    beside = readings.parent
    return beside if readings.name == "readings.csv" and (beside / "exams").is_dir() else None


def describe_extras(
    evaluation: Evaluation, extras: Extras, *, out: Path
) -> tuple[tuple[Section, ...], dict[str, pl.DataFrame]]:
    """Sections for the report in the folder `out`, and the tables behind them. Raises SetupError as their makers do."""
    units = evaluation.tasks[0].units
    located: Located | None = None
    if extras.run is not None and extras.lesions is not None:
        located = locate_lesions(
            extras.run, extras.lesions, margin_px=extras.margin_px, exams=set(units.table["exam"].to_list())
        )
    tables = {} if located is None else {"marks": located.marks_table(), "lesions": located.lesions_table()}
    return tuple(_sections(evaluation, extras, located, out=out)), tables


def _sections(evaluation: Evaluation, extras: Extras, located: Located | None, *, out: Path) -> Iterator[Section]:
    if located is not None:
        yield localisation_section(located)
    for task in evaluation.tasks:
        own = task.units
        yield errors_section(
            own.keys,
            own.truth,
            own.scores,
            exams_folder=None if extras.run is None else extras.run / "exams",
            out=out,
            readers=_readers(own),
            of=own.finding if len(evaluation.tasks) > 1 else "",
        )
    if extras.run is not None and (extras.umap or any((extras.run / "exams").glob("*/features.npz"))):
        positive = evaluation.tasks[0].units
        keys = [key for key, yes in zip(positive.keys, positive.truth.tolist(), strict=True) if yes]
        yield embedding_section(extras.run, positives=keys, method="umap" if extras.umap else "pca")


def _readers(units: Units) -> NDArray[np.float64] | None:
    """(readers, units) the columns of numbers of the truth table whose names begin with Reader; NaN where empty.

    None if there are none, or if they say nothing of whole units (readers of breasts, units of exams).
    """
    if units.truth_level != units.unit:
        return None
    columns = []
    for name in units.table.columns:
        texts = units.table[name]
        if name.lower().startswith("reader") and texts.dtype == pl.String:
            numbers = texts.cast(pl.Float64, strict=False)
            if (numbers.is_null() <= (texts.fill_null("") == "")).all():  # no other text
                columns.append(numbers.to_numpy())
    return np.stack(columns) if columns else None
