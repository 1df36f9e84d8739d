"""A fine-tuning study as a document: the held-out part, the phases, what became of the features, inputs, recipe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fourview.evaluate.question import Question
from fourview.report.document import Cell, Document, Figure, Gallery, GalleryItem, Section, Table, estimate_table
from fourview.report.meaning import in_words
from fourview.report.plots import Line, draw_lines, draw_roc
from fourview.report.training_document import write_setting
from fourview.report.training_pictures import PATCH, TrainingInput, draw_inputs
from fourview.report.versions import package_versions
from fourview.studies.finetune.features_similarity import Similarity
from fourview.studies.finetune.image_network import IMAGE
from fourview.studies.finetune.judgement import Said
from fourview.studies.finetune.phase_settings import PhaseSettings
from fourview.studies.finetune.study import Outcome, Study
from fourview.train.trained import Trained

_STOPPED = {"epochs": "all its epochs", "patience": "no gain for as long as the recipe waits"}
_FEW = 40  # images of a class below which single ones move the numbers


@dataclass(frozen=True, eq=False)
class Shown:
    """What else is on the page. similarity: of the held-out features; panel: (name, JPEG) of Figure 2; None: none"""

    similarity: Similarity
    inputs: tuple[TrainingInput, ...]
    panel: tuple[str, bytes] | None
    settings: tuple[tuple[str, str], ...]


def describe_study(study: Study, outcome: Outcome, shown: Shown) -> Document:
    """The page of a finished study."""
    said = outcome.held_out
    return Document(
        kind="fine-tuning",
        title=f"Fine-tuning: {study.model}, recipe {study.recipe.name}",
        headline=(said.area, said.balanced, said.accuracy, said.majority),
        sections=(
            _held_out(study, said),
            _course(study, outcome.trained),
            _similarity(study, shown.similarity),
            *_pictures(shown, synthetic=study.cases.phantoms),
            _recipe(study),
        ),
        warnings=tuple(_warn(study, said)),
        settings=shown.settings,
        versions=package_versions(),
    )


def make_inputs(study: Study, outcome: Outcome) -> tuple[TrainingInput, ...]:
    """Some training images of the last phase as the network sees them. Raises ExamError."""
    found = []
    for sample in study.stage(study.phases[-1], outcome.tensors).pictures():
        truth = study.cases.targets.classes[int(sample.targets[0])]
        ((name, pixels),) = sample.inputs.items()
        lines = (truth,) if name == IMAGE else (name, truth)
        found.append(TrainingInput(sample.name, lines, {PATCH: pixels[:1]}))
    return tuple(found)


def _warn(study: Study, said: Said) -> Iterator[str]:
    start = study.start
    if study.cases.phantoms:
        yield "Learned and measured on phantoms only: nothing here is about women."
    elif start.phantoms_only:
        yield f"{start.name} had seen nothing but phantoms before."
    if study.model != "scratch" and start.trained is not True:
        doubt = "was not trained" if start.trained is False else "may not have been trained: nobody can tell"
        yield f"Untrained start: {start.name} {doubt}. The numbers say nothing about pretrained networks."
    if said.is_binary:
        yield f"Positive means: {study.cases.targets.positive}."
    rarer = min(int((said.y == k).sum()) for k in np.unique(said.y))
    if rarer < _FEW:
        yield (
            f"The rarest class has {rarer} held-out images. Networks that differ by less than their intervals are wide "
            "have not been told apart."
        )


def _held_out(study: Study, said: Said) -> Section:
    parts: list[Table | Figure] = [
        estimate_table("held_out", "Held-out images", (said.area, *said.numbers, said.majority), note=_say_how(said)),
        _confuse(said),
    ]
    lines = [_draw_line(question, banded=said.is_binary) for question in said.questions]
    data = {q.name: {"one_minus_specificity": q.roc.x, "sensitivity": q.roc.y} for q in said.questions}
    caption = "Band: 95 %, point by point, patients resampled." if said.is_binary else ""
    parts.append(Figure("roc", "ROC curves of the held-out part", draw_roc(lines), caption, data))
    if not said.is_binary:
        parts.append(estimate_table("classes", "Each category against all others", [q.area for q in said.questions]))
    patients = len(np.unique(said.patients))
    targets = study.cases.targets
    text = (
        f"{targets.name}: {targets.positive}. {len(said.y):,} images of {patients:,} patients, none of whom was "
        "trained on or chose anything; read once, by the network that is kept. Image by image: predictions.csv.",
    )
    return Section("held_out", "Held-out part", tuple(parts), text)


def _draw_line(question: Question, *, banded: bool) -> Line:
    """Of one curve; bands of several hide each other."""
    label, band = f"{question.name.removeprefix('AUC, ')}, AUC {question.area.value:.3f}", question.roc
    low, high = (band.low.tolist(), band.high.tolist()) if banded else (None, None)
    return Line(label, band.x.tolist(), band.y.tolist(), low, high)


def _say_how(said: Said) -> str:
    if said.is_binary:
        return (
            "Called positive: a probability of one half or more, which weighting makes the point of even error rates."
        )
    return (
        "AUC: the mean of one category against all others, over the categories that come here. Balanced accuracy: the "
        "mean share that is said rightly, over the same."
    )


def _confuse(said: Said) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for k, name in enumerate(said.classes):
        own = said.called[said.y == k]
        if len(own):
            rows.append((name, *(int((own == other).sum()) for other in range(len(said.classes))), len(own)))
    columns = ("truth", *(f"said {name}" for name in said.classes), "images")
    return Table("confusion", "Confusion matrix, images", columns, tuple(rows))


def _course(study: Study, trained: tuple[Trained, ...]) -> Section:
    rows = tuple(_row(study, phase, done) for phase, done in zip(study.phases, trained, strict=True))
    columns = ("phase", "learns", "pixels", "batch", "rate", "epochs", "kept", "it ended after", "validation", "time")
    note = "Validation chose the epoch, so its AUC flatters the network."
    if study.model == "nyu":
        note += " Pixels do not count here: this network reads its own windows."
    facts: tuple[tuple[str, Cell], ...] = (
        ("network", study.model),
        ("numbers that it has", sum(p.numel() for p in study.start.network.parameters())),
        ("began with", study.start.name or "nothing"),
        *(("note", note) for note in (*study.start.notes, *study.cases.notes)),
        *((f"{part} part", _count(study, part)) for part in ("train", "validation", "test")),
        ("on", trained[-1].on),
    )
    history = join_histories(study, trained)
    return Section(
        "course",
        "Course",
        (
            Table("phases", "Phases", columns, rows, note),
            Table("facts", "The run", ("what", "value"), facts),
            *_curves(history),
        ),
        text=("The numbers of every epoch are in history.csv of each phase's folder.",),
    )


def _row(study: Study, phase: PhaseSettings, done: Trained) -> tuple[Cell, ...]:
    lr = f"{phase.optimiser.lr:g}"
    return (
        phase.name,
        "all layers" if phase.trains_all else "the last layer",
        phase.size_px,
        phase.loop.batch,
        lr if phase.lr_first is None else f"{phase.lr_first:g} to {lr}",
        len(done.history),
        done.best_epoch,
        _STOPPED[done.stopped],
        _validation(study, done).area,
        in_words(done.seconds),
    )


def _validation(study: Study, done: Trained) -> Said:
    """What the best epoch of a phase said of the validation part."""
    classes, table = study.cases.targets.classes, done.best.table
    y = np.array([classes.index(name) for name in table["truth"]], np.int64)
    if len(classes) == 2:
        p = np.stack([1 - table["p_positive"].to_numpy(), table["p_positive"].to_numpy()], axis=1)
    else:
        p = table.select(f"p_{name}" for name in classes).to_numpy()
    return Said(classes, tuple(table["image"]), y, p, table["patient"].to_numpy().astype(np.str_), 0)


def _count(study: Study, part: str) -> str:
    places = study.cases.of(part)
    counts = np.bincount(study.cases.y[places], minlength=len(study.cases.targets.classes))
    said = ", ".join(f"{name}: {count}" for name, count in zip(study.cases.targets.classes, counts, strict=True))
    return f"{len(places):,} images of {len(np.unique(study.cases.patients(places))):,} patients ({said})"


def join_histories(study: Study, trained: tuple[Trained, ...]) -> pl.DataFrame:
    """All epochs of all phases in a row, with a column phase."""
    tables = [
        done.history.with_columns(phase=pl.lit(phase.name)) for phase, done in zip(study.phases, trained, strict=True)
    ]
    return pl.concat(tables, how="diagonal").with_columns(epoch=pl.int_range(1, pl.len() + 1))


def _curves(history: pl.DataFrame) -> Iterator[Figure]:
    """Loss, validation and rate over all phases."""
    if len(history) < 2:
        return
    epochs = history["epoch"].to_list()
    names = history["phase"].to_list()
    marks = [(place + 0.5, names[place]) for place in range(1, len(names)) if names[place] != names[place - 1]]
    shown = (
        ("loss", "Training loss", "Mean loss of the epoch's steps"),
        ("auc", "Validation, epoch by epoch", "AUC"),
        ("lr", "Learning rate of the last layers", "Learning rate, last step of the epoch"),
    )
    for column, title, label in shown:
        values = history[column].to_list()
        line = Line(title, epochs, values)
        svg = draw_lines([line], x_label="Epoch of all phases", y_label=label, marks=marks, whole_x=True)
        yield Figure(f"course_{column}", title, svg, "", {"epoch": epochs, column: values})


def _similarity(study: Study, found: Similarity) -> Section:
    table = Table(
        "similarity",
        "What the last layer sees, before and after",
        ("", "linear CKA", "of shuffled images"),
        (("held-out images, start and end", found.found, found.chance),),
        note="1: the same but for rotation and scale. Few images and many features give a CKA above 0 by chance alone.",
    )
    scratch = study.model == "scratch"
    text = ("From drawn values to learned ones." if scratch else "How far fine-tuning moved the features.",)
    return Section("similarity", "Features before and after", (table,), text)


def _pictures(shown: Shown, *, synthetic: bool) -> Iterator[Section]:
    if shown.panel is not None:
        name, picture = shown.panel
        item = GalleryItem(name, ("view, crop, network input, heatmaps",), images=((f"Figure 2 of {name}", picture),))
        note = "A store keeps the crop alone, so the view is dark outside of it. Full size: figure2.png."
        yield Section("figure2", "From view to network", (Gallery("figure2", "One image", (item,), note, large=True),))
    yield Section("inputs", "Inputs", (draw_inputs(shown.inputs, synthetic=synthetic),))


def _recipe(study: Study) -> Section:
    rows = tuple((name, write_setting(value)) for name, value in study.recipe.flat().items())
    text = ("The paper names phases, batch sizes and progressive sizes, and gives no values: all of these are ours.",)
    return Section("recipe", "Recipe", (Table("recipe", "All values", ("field", "value"), rows),), text)
