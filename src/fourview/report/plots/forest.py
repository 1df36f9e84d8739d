"""Estimates below each other, with their intervals drawn and written."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fourview.evaluate import Estimate
from fourview.report.number_text import write_estimate, write_p
from fourview.report.plots.canvas import (
    FAINT,
    SERIES,
    SMALL,
    TEXT,
    add_axes,
    drawing,
    fit,
    new_sheet,
    plain_ticks,
    text_width,
    to_svg,
    write,
)

_ROW, _HEAD, _BOTTOM, _EDGE = 21.0, 26.0, 46.0, 6.0
_PLOT, _GAP, _WIDEST_LABEL = 330.0, 18.0, 300.0
_PADDING = 0.05  # of the range of all intervals, to either side

Row = tuple[str, Estimate] | str


def draw_forest(rows: Sequence[Row], *, x_label: str, reference: float | None = None) -> str:
    """One line per estimate: its label, n and positives, the interval drawn, the numbers written, as SVG.

    rows       (label, estimate), or a text alone: the heading of the rows below it
    reference  where a vertical line stands, e.g. 0 for differences

    An estimate without an interval is a hollow marker.
    """
    with drawing():
        estimates = [row[1] for row in rows if not isinstance(row, str)]
        labels = [_label(row) for row in rows]
        counts = [_counts(row) for row in rows]
        numbers = [_numbers(row) for row in rows]
        bold = [isinstance(row, str) for row in rows]
        label_width = max((text_width(t, bold=b) for t, b in zip(labels, bold, strict=True)), default=0.0)
        counted = "n" if all(e.positives is None for e in estimates) else "positives / n"
        count_width = max(text_width(text, SMALL) for text in (*counts, counted))
        number_width = max(text_width(text, SMALL) for text in (*numbers, "estimate (95 % interval)"))
        plot_left = _EDGE + label_width + _GAP + count_width + _GAP
        plot_right = plot_left + _PLOT
        sheet = new_sheet(round(plot_right + _GAP + number_width + _EDGE), round(_HEAD + _ROW * len(rows) + _BOTTOM))
        write(sheet, plot_left - _GAP, _HEAD / 2, counted, size=SMALL, colour=FAINT, align="right")
        write(sheet, plot_right + _GAP, _HEAD / 2, "estimate (95 % interval)", size=SMALL, colour=FAINT)
        for number, (label, count, text) in enumerate(zip(labels, counts, numbers, strict=True)):
            middle = _HEAD + (number + 0.5) * _ROW
            write(sheet, _EDGE, middle, label, bold=bold[number])
            write(sheet, plot_left - _GAP, middle, count, size=SMALL, colour=FAINT, align="right")
            write(sheet, plot_right + _GAP, middle, text, size=SMALL)
        axes = add_axes(sheet, left=plot_left, top=_HEAD, width=_PLOT, height=max(1.0, _ROW * len(rows)))
        _frame(axes, estimates, x_label=x_label, reference=reference, rows=len(rows))
        for number, row in enumerate(rows):
            if not isinstance(row, str):
                _draw_estimate(axes, row[1], number + 0.5)
        return to_svg(sheet)


def _label(row: Row) -> str:
    heading = isinstance(row, str)
    text = row if isinstance(row, str) else row[0]
    return fit(text, _WIDEST_LABEL, bold=heading)


def _counts(row: Row) -> str:
    if isinstance(row, str):
        return ""
    positives = row[1].positives
    return f"{row[1].n:,}" if positives is None else f"{positives:,} / {row[1].n:,}"


def _numbers(row: Row) -> str:
    if isinstance(row, str):
        return ""
    p = row[1].p
    return write_estimate(row[1]) + ("" if p is None else f", {write_p(p)}")


def _frame(axes: Axes, estimates: Sequence[Estimate], *, x_label: str, reference: float | None, rows: int) -> None:
    ends = [v for e in estimates for v in (e.value, e.low, e.high) if math.isfinite(v)]
    ends += [] if reference is None else [reference]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    room = (high - low) * _PADDING or 0.05
    axes.set_xlim(low - room, high + room)
    axes.set_ylim(max(rows, 1), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    plain_ticks(axes, "x")
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(fit(x_label, _PLOT))
    if reference is not None:
        axes.axvline(reference, color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1.6)


def _draw_estimate(axes: Axes, estimate: Estimate, y: float) -> None:
    if not math.isfinite(estimate.value):
        return
    known = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    if known:
        axes.plot([estimate.low, estimate.high], [y, y], color=TEXT, linewidth=1.2, zorder=2.5)
    axes.plot(
        [estimate.value],
        [y],
        marker="s",
        markersize=6,
        color=SERIES[0],
        markerfacecolor=SERIES[0] if known else "none",
        markeredgewidth=1.2,
        zorder=3,
        clip_on=False,
    )
