"""What each leak is worth: the published protocol, closed leak by leak, beside the same with noise for features."""

from __future__ import annotations

from collections.abc import Sequence

from fourview.evaluate import Estimate
from fourview.report.document import Cell, Figure, Section, Table
from fourview.report.plots import Line, draw_lines
from fourview.studies.transfer.measures import Measures
from fourview.studies.transfer.results import Results, StageRow
from fourview.studies.transfer.steps import NAMES
from fourview.studies.transfer.tables12 import TABLE_1, TABLE_2, PublishedRow

_STEPS = {
    "smote_in_fold": "SMOTE in the training part",
    "selection_in_fold": "selection too",
    "grouped": "patients apart too",
}


def stage_section(results: Results) -> Section:
    """The stage that was asked for, with the rigorous number beside it, and what was printed."""
    rigorous = {(row.features, row.method): row.measures["image"] for row in results.rows}
    rows: list[tuple[Cell, ...]] = []
    others: list[tuple[Cell, ...]] = []
    for row in results.stages:
        m, own = row.measures, rigorous[row.features, row.method]
        who = row.features, NAMES[row.method.classifier]
        rows.append((*who, round(row.kept), m.balanced_accuracy, m.auc, own.balanced_accuracy, own.auc))
        others.append((*who, m.accuracy, *(row.cv or (None, None)), m.says))
    who_columns = ("features", "classifier")
    columns = (
        *who_columns,
        "kept",
        "balanced_accuracy_hard",
        "AUC of scores",
        "rigorous: balanced accuracy",
        "rigorous: AUC",
    )
    other_columns = (*who_columns, "accuracy", "CV mean", "CV sd", "in words")
    stage = results.stages[0].stage
    note = (
        f"{stage.banner}. balanced_accuracy_hard is what the paper calls AUC. "
        f"{100 * results.stages[0].synthetic_share:.0f} % of the test rows are synthetic."
    )
    tables = (
        Table("stage", f"Protocol {stage.name}, beside the rigorous run", columns, tuple(rows), note),
        Table("stage_others", f"Protocol {stage.name}, its other numbers", other_columns, tuple(others)),
        _printed("table_2", "Table 2 of the paper", TABLE_2),
        _printed("table_1", "Table 1 of the paper, binary", TABLE_1),
    )
    return Section("stage", f"Protocol {stage.name}", tables, warnings=(stage.banner, *stage.leaks))


def ladder_section(results: Results) -> Section:
    """The picture of what becomes of the published number, and its table."""
    row = results.ladder[0]
    last = next(r for r in results.rows if (r.features, r.method) == (row.features, row.method)).measures["image"]
    control = results.controls.get("noise")
    noise_last = None if isinstance(control, str) else control
    names = [_step(stage.stage.name) for stage in results.ladder] + ["rigorous"]
    own = [stage.measures for stage in results.ladder] + [last]
    noise: list[Measures | None] = [*(stage.measures for stage in results.noise_ladder), noise_last]
    known = [(x, m) for x, m in enumerate(noise) if m is not None]
    lines = [
        _line("balanced accuracy, these features", [(x, m.balanced_accuracy) for x, m in enumerate(own)]),
        _line("balanced accuracy, noise", [(x, m.balanced_accuracy) for x, m in known], banded=False),
        _line("AUC, these features", [(x, m.auc) for x, m in enumerate(own)]),
        _line("AUC, noise", [(x, m.auc) for x, m in known], banded=False),
    ]
    figure = Figure(
        "ladder",
        "Why the published number becomes what it becomes",
        draw_lines(
            lines,
            x_label="Leaks closed, one after the other; the last step is nested",
            y_label="Value",
            x_limits=(-0.2, len(names) - 0.2),
            y_limits=(0.35, 1.02),
            whole_x=True,
            marks=[(float(x), name) for x, name in enumerate(names)],
        ),
        f"{row.features}, {NAMES[row.method.classifier]}, per test row. Noise has no signal: what it reaches is leak. "
        "Bands: 95 %, patients together; none where no row was called wrongly. Those of noise are in the table.",
        {"steps": names, **{line.label: {"value": line.y, "low": line.low, "high": line.high} for line in lines}},
    )
    rows: list[tuple[Cell, ...]] = [
        (name, m.balanced_accuracy, m.auc, *((None, None) if n is None else (n.balanced_accuracy, n.auc)), leaks)
        for name, m, n, leaks in zip(
            names, own, noise, [*(", ".join(_short(stage)) for stage in results.ladder), ""], strict=True
        )
    ]
    columns = ("step", "balanced accuracy", "AUC", "noise: balanced accuracy", "noise: AUC", "open")
    alone: tuple[tuple[Cell, ...], ...] = tuple(
        (", ".join(_short(stage)), stage.measures.balanced_accuracy, stage.measures.auc) for stage in results.alone
    )
    parts = (
        figure,
        Table("ladder", "Step by step", columns, tuple(rows)),
        Table("alone", "One leak open at a time", ("open", "balanced accuracy", "AUC"), alone),
    )
    text = (
        "From left to right one leak after the other is closed. Noise features stand beside: Gaussian, half of the "
        "variance shared by the images of a breast, no relation to the labels.",
    )
    return Section("ladder", "What each leak is worth", parts, text)


def _line(label: str, values: Sequence[tuple[int, Estimate]], *, banded: bool = True) -> Line:
    """banded: four bands would hide each other; the noise's intervals are in the table."""
    low, high = ([getattr(e, end) for _, e in values] for end in ("low", "high"))
    x, y = [float(place) for place, _ in values], [e.value for _, e in values]
    return Line(label, x, y, low, high) if banded else Line(label, x, y)


def _step(name: str) -> str:
    """+smote_in_fold+grouped -> what its last part closes."""
    return _STEPS.get(name.rpartition("+")[2], name)


def _short(row: StageRow) -> list[str]:
    return [leak.partition(":")[0] for leak in row.stage.leaks] or ["none"]


def _printed(name: str, title: str, rows: Sequence[PublishedRow]) -> Table:
    """As printed, with the counts behind it and the same numbers from these counts."""
    numbers = tuple(rows[0].printed)
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        computed = row.compute()
        what = f"{row.model}{' + SMOTE' if row.smote else ''}" + (f", {row.extractor}" if row.extractor else "")
        pairs = [cell for number in numbers for cell in (row.printed[number], computed[number])]
        cells.append((what, row.kept or None, row.tp, row.fn, row.tn, row.fp, *pairs))
    heads = [head for number in numbers for head in (f"{number}, printed", "from counts")]
    columns = ("row", "kept", "TP", "FN", "TN", "FP", *heads)
    return Table(name, title, columns, tuple(cells), "The counts were worked out from the printed digits.")
