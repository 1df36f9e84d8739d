"""A training run, as plain values -> the document of its page: validation, course, inputs, recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.evaluate.proportion import proportion
from fourview.evaluate.question import Question
from fourview.report.document import Cell, Document, Figure, Section, Table, estimate_table
from fourview.report.plots import Line, draw_lines, draw_roc
from fourview.report.training_pictures import TrainingInput, draw_inputs

_HEADED = {"patch": 2}  # questions that head the page, where not all do: those that the stage is chosen by
_BANDS = 3  # more of them hide each other
_STOPPED = {
    "epochs": "all epochs of the recipe are done",
    "patience": "no gain in validation for as many epochs as the recipe waits",
}


@dataclass(frozen=True, eq=False)
class Confusion:
    """What a network with several classes said. true, said  (units,) places in `classes`; cluster  as of a Question"""

    classes: tuple[str, ...]
    true: NDArray[np.int64]
    said: NDArray[np.int64]
    cluster: NDArray[np.str_]
    unit: str


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What is known of a finished run.

    stage       "patch", "birads", "exam"
    history     history.csv: a row per epoch
    stopped     "epochs" or "patience"
    is_judged   False: there was no validation, and the last epoch was kept
    unasked     why a question of this stage could not be put to the validation
    inputs      some training inputs
    facts       of the run: (what, value)
    recipe      (field, value);  deviations  (field, published value, value here, reason), as texts
    phantoms_only  nothing but phantoms was seen
    settings    data, split, weights, hashes: (what, value)
    """

    name: str
    stage: str
    history: pl.DataFrame
    best_epoch: int
    stopped: str
    questions: tuple[Question, ...]
    unasked: tuple[str, ...] = ()
    confusion: Confusion | None = None
    inputs: tuple[TrainingInput, ...] = ()
    facts: tuple[tuple[str, Cell], ...] = ()
    recipe: tuple[tuple[str, str], ...] = ()
    deviations: tuple[tuple[str, str, str, str], ...] = ()
    phantoms_only: bool = False
    is_judged: bool = True
    settings: tuple[tuple[str, str], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


def describe_training(run: TrainingRun) -> Document:
    """The page of a run."""
    areas = tuple(question.area for question in run.questions[: _HEADED.get(run.stage)])
    warnings = [
        "Validation chose the epoch that was kept, so its numbers flatter the network: measure it on a test part "
        "(`fourview screen`, `fourview evaluate`)."
        if run.is_judged
        else "Nothing was judged: how good the network is, only other exams can tell."
    ]
    if run.phantoms_only:
        warnings.insert(0, "Trained on phantoms only: these weights are not for real images.")
    sections = (
        *([_validation(run)] if run.is_judged else []),
        _course(run),
        *([Section("inputs", "Inputs", (draw_inputs(run.inputs, synthetic=run.phantoms_only),))] if run.inputs else []),
        _recipe(run),
    )
    return Document(
        kind="training",
        title=f"Training: {run.stage}, recipe {run.name}",
        headline=areas,
        sections=sections,
        warnings=(*warnings, *run.unasked),
        settings=run.settings,
        versions=run.versions,
    )


def _validation(run: TrainingRun) -> Section:
    parts: list[Table | Figure] = []
    if run.questions:
        areas = [question.area for question in run.questions]
        bands = [question.roc for question in run.questions]
        shown = len(bands) if len(bands) <= _BANDS else _HEADED.get(run.stage, _BANDS)
        lines = [_draw_roc_line(question, banded=number < shown) for number, question in enumerate(run.questions)]
        data = {
            question.name: {"one_minus_specificity": b.x, "sensitivity": b.y, "low": b.low, "high": b.high}
            for question, b in zip(run.questions, bands, strict=True)
        }
        caption = f"Epoch {run.best_epoch}. Bands: 95 %, point by point, what is of one woman resampled together."
        parts = [
            estimate_table("areas", "Areas under the ROC curve", areas),
            Figure("roc", "ROC curves of the validation part", draw_roc(lines), caption, data),
        ]
    if run.confusion is not None:
        parts.append(_confuse(run.confusion))
    text = (f"One row per {run.questions[0].unit} is in predictions.csv.",) if run.questions else ()
    return Section("validation", "Validation", tuple(parts), text)


def _draw_roc_line(question: Question, *, banded: bool) -> Line:
    label, band = f"{question.name.removeprefix('AUC, ')}, AUC {question.area.value:.3f}", question.roc
    low, high = (band.low.tolist(), band.high.tolist()) if banded else (None, None)
    return Line(label, band.x.tolist(), band.y.tolist(), low, high)


def _confuse(confusion: Confusion) -> Table:
    classes, unit = confusion.classes, confusion.unit
    rows: list[tuple[Cell, ...]] = []
    for number, name in enumerate(classes):
        own = confusion.true == number
        said = confusion.said[own]
        right = proportion(said == number, cluster=confusion.cluster[own], unit=unit, name=name) if own.any() else None
        rows.append((name, *(int((said == other).sum()) for other in range(len(classes))), right))
    columns = ("true class", *(f"said {name}" for name in classes), "said rightly")
    note = (
        "What is said is the class with the largest probability; the shares depend on how often each class comes here."
    )
    return Table("confusion", "Confusion matrix", columns, tuple(rows), note)


def _course(run: TrainingRun) -> Section:
    facts: tuple[tuple[str, Cell], ...] = (
        (
            "epochs",
            f"{len(run.history):,}, {'the best is' if run.is_judged else 'kept is the last,'} {run.best_epoch:,}",
        ),
        ("why it ended", _STOPPED.get(run.stopped, run.stopped)),
        *run.facts,
    )
    return Section(
        "course",
        "Course",
        (Table("facts", "The run", ("what", "value"), facts), *_curves(run)),
        text=("The numbers of every epoch are in history.csv; step by step they are in tensorboard/.",),
    )


def _curves(run: TrainingRun) -> Iterator[Figure]:
    """Loss, what validation says, learning rate. One epoch makes no curve, and a constant rate none worth drawing."""
    history = run.history
    if len(history) < 2:
        return
    areas = [name for name in history.columns if name.startswith("auc_") and not name.endswith(("_low", "_high"))]
    areas.sort(key=lambda name: "malignant" not in name)  # what matters most comes first, as elsewhere
    if any(f"{name}_low" in history.columns for name in areas):
        areas = [name for name in areas if f"{name}_low" in history.columns]
    yield _draw_course(run, "loss", ["loss"], title="Training loss", y_label="Mean loss of the epoch's steps")
    if areas:
        yield _draw_course(run, "validation", areas, title="Validation, epoch by epoch", y_label="AUC")
    if history["lr"].n_unique() > 1:
        yield _draw_course(run, "rate", ["lr"], title="Learning rate", y_label="Learning rate, last step of the epoch")


def _draw_course(run: TrainingRun, name: str, columns: list[str], *, title: str, y_label: str) -> Figure:
    """Columns of the history over epochs, with their intervals if it has them, and which epoch was kept."""
    history = run.history
    epochs = history["epoch"].to_list()
    data: dict[str, list[float]] = {}
    lines = []
    for column in columns:
        own = {part: _numbers(history, f"{column}{part}") for part in ("", "_low", "_high")}
        data |= {f"{column}{part}": values for part, values in own.items() if values is not None}
        label = column.removeprefix("auc_").replace("_", " ")
        lines.append(Line(label, epochs, own[""] or [], own["_low"], own["_high"]))
    limits = (min(epochs) - 0.5, max(epochs) + 0.5)
    marks = [(float(run.best_epoch), f"epoch {run.best_epoch}, kept")]
    svg = draw_lines(lines, x_label="Epoch", y_label=y_label, x_limits=limits, whole_x=True, marks=marks)
    caption = "Bands: 95 % intervals." if any(line.low is not None for line in lines) else ""
    return Figure(f"course_{name}", title, svg, caption, {"epoch": epochs, **data})


def _numbers(history: pl.DataFrame, column: str) -> list[float] | None:
    if column not in history.columns:
        return None
    return [math.nan if value is None else float(value) for value in history[column]]


def _recipe(run: TrainingRun) -> Section:
    parts = [Table("recipe", "All values", ("field", "value"), run.recipe)]
    if run.deviations:
        note = "Published: as far as it is known; the comments of the recipe `paper` tell how sure each number is."
        columns = ("field", "published", "here", "why")
        parts.insert(0, Table("deviations", "What is not as published", columns, run.deviations, note))
    return Section("recipe", "Recipe", tuple(parts))


def write_setting(value: object) -> str:
    """A value of a recipe as a page shows it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(write_setting(one) for one in value)
    return str(value)
