"""Curves with their bands, points beside them, a legend to the right: ROC, precision and recall, sweeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fourview.report.plots.canvas import (
    FAINT,
    MARKERS,
    PAPER,
    SMALL,
    TEXT,
    add_axes,
    drawing,
    fit,
    new_sheet,
    plain_ticks,
    rule,
    series_style,
    text_width,
    to_svg,
    write,
)
from fourview.report.plots.legend import Entry, draw_legend, legend_size
from fourview.report.plots.names import write_names
from fourview.report.plots.series import Line, Points, finite

_LEFT, _TOP, _BOTTOM, _RIGHT, _GAP = 58.0, 12.0, 50.0, 12.0, 22.0
_SQUARE = 400.0
_WIDE = (540.0, 330.0)
_MARK_ROW, _WIDEST_MARK = 15.0, 260.0
_EDGE = 2.0  # between the y label and the sheet's edge
_TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1]


def draw_roc(lines: Sequence[Line], *, points: Sequence[Points] = ()) -> str:
    """Sensitivity (y) over 1 - specificity (x), as SVG. points: readers or operating points."""
    with drawing():
        sheet, axes = _sheet(lines, points, size=(_SQUARE, _SQUARE))
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1.5)
        _share_axes(axes, "1 − specificity", "Sensitivity")
        _draw(axes, lines, points)
        return to_svg(sheet)


def draw_precision_recall(lines: Sequence[Line], *, points: Sequence[Points] = (), prevalence: float) -> str:
    """Precision (y) over recall (x), as SVG. prevalence: the share of positives, what chance reaches."""
    chance: dict[str, Any] = {"color": FAINT, "linewidth": 0.8, "linestyle": (0, (2, 3))}
    with drawing():
        # The line's label gives no number: its place says it, and the caller's table has it exactly.
        sheet, axes = _sheet(
            lines, points, size=(_SQUARE, _SQUARE), more=[Entry("share of positives (chance)", chance)]
        )
        axes.axhline(prevalence, zorder=1.5, **chance)
        _share_axes(axes, "Recall (sensitivity)", "Precision (positive predictive value)")
        _draw(axes, lines, points)
        return to_svg(sheet)


def draw_lines(
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    x_limits: tuple[float, float] | None = None,
    y_limits: tuple[float, float] | None = None,
    log_x: bool = False,
    whole_x: bool = False,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Lines over any x (sweeps, decision curves, FROC), as SVG.

    log_x    x that is not positive is not drawn
    whole_x  x counts something: ticks at whole numbers only
    marks    vertical lines: (x, what it is)
    """

    def draw(left: float) -> tuple[Figure, float]:
        """The sheet, and how far its y labels stand out on the left."""
        sheet, axes = _sheet(lines, (), size=_WIDE, above=len(marks) * _MARK_ROW, left=left)
        if log_x:
            axes.set_xscale("log")
        _draw(axes, lines, (), log_x=log_x)
        if x_limits is not None:
            axes.set_xlim(*x_limits)
        if y_limits is not None:
            axes.set_ylim(*y_limits)
        if log_x:
            plain_ticks(axes, "x")
        if whole_x:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(fit(x_label, _WIDE[0]))
        axes.set_ylabel(fit(y_label, _WIDE[1]))
        _draw_marks(sheet, axes, marks)
        box = axes.get_tightbbox()
        return sheet, 0.0 if box is None else max(0.0, _EDGE - float(box.x0))

    with drawing():
        sheet, out = draw(_LEFT)
        return to_svg(sheet if out == 0 else draw(_LEFT + out)[0])


def _sheet(
    lines: Sequence[Line],
    points: Sequence[Points],
    *,
    size: tuple[float, float],
    above: float = 0,
    left: float = _LEFT,
    more: Sequence[Entry] = (),
) -> tuple[Figure, Axes]:
    """Axes of this size with the legend beside them and `above` pixels more room over them."""
    entries = [*_entries(lines, points), *more]
    legend_width, legend_height = legend_size(entries)
    width = left + size[0] + (_GAP + legend_width if entries else 0) + _RIGHT
    top = _TOP + above
    sheet = new_sheet(round(width), round(max(top + size[1] + _BOTTOM, top + legend_height + _TOP)))
    axes = add_axes(sheet, left=left, top=top, width=size[0], height=size[1])
    draw_legend(sheet, entries, left=left + size[0] + _GAP, top=top)
    return sheet, axes


def _entries(lines: Sequence[Line], points: Sequence[Points]) -> Iterator[Entry]:
    for number, line in enumerate(lines):
        yield Entry(line.label, series_style(number))
    for number, group in enumerate(points):
        yield Entry(group.label, _point_style(), MARKERS[number % len(MARKERS)])


def _draw(axes: Axes, lines: Sequence[Line], points: Sequence[Points], *, log_x: bool = False) -> None:
    for number, line in enumerate(lines):
        style = series_style(number)
        x = finite(line.x, above=0 if log_x else None)
        if line.low is not None and line.high is not None:
            axes.fill_between(
                x, finite(line.low), finite(line.high), color=style["color"], alpha=0.16, linewidth=0, zorder=1.8
            )
        axes.plot(x, finite(line.y), zorder=2.5, **style)
    for number, group in enumerate(points):
        axes.plot(
            finite(group.x),
            finite(group.y),
            linestyle="none",
            marker=MARKERS[number % len(MARKERS)],
            zorder=3.5,
            clip_on=False,
            **_point_style(),
        )
    write_names(axes, points)


def _point_style() -> dict[str, Any]:
    return {"color": TEXT, "markerfacecolor": PAPER, "markersize": 6.5, "markeredgewidth": 1.1}


def _share_axes(axes: Axes, x_label: str, y_label: str) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    axes.set_xticks(_TICKS)
    axes.set_yticks(_TICKS)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)


def _draw_marks(sheet: Figure, axes: Axes, marks: Sequence[tuple[float, str]]) -> None:
    """Vertical lines, their texts above the axes: each to the right of its line, in rows so that none is crossed."""
    low, high = axes.get_xlim()
    bottom = axes.get_ylim()[0]
    reach = [float("inf")] * len(marks)  # per row from below: where the next text to the right, or its line, begins
    for x, name in sorted(marks, key=lambda mark: mark[0], reverse=True):
        if not low <= x <= high:
            continue
        at = float(axes.transData.transform((x, bottom))[0])
        text = fit(name, _WIDEST_MARK, size=SMALL)
        width = text_width(text, SMALL)
        row = next((k for k in range(len(reach)) if at + width + 8 < min(reach[k:])), len(reach) - 1)
        reach[: row + 1] = [at] * (row + 1)
        middle = _TOP + (len(marks) - row - 0.5) * _MARK_ROW
        left = min(at + 4, sheet.get_size_inches()[0] * 72 - width - 2)
        write(sheet, left, middle, text, size=SMALL, colour=FAINT)
        ends = middle - _MARK_ROW / 2, _TOP + len(marks) * _MARK_ROW + _WIDE[1]
        rule(sheet, (at, at), ends, color=FAINT, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1.6)
