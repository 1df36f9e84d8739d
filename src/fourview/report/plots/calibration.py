"""Calibration: what was predicted against what was observed, and how the scores are distributed."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fourview.report.plots.canvas import (
    FAINT,
    PAPER,
    add_axes,
    drawing,
    new_sheet,
    plain_ticks,
    series_style,
    to_svg,
)
from fourview.report.plots.legend import Entry, draw_legend, legend_size
from fourview.report.plots.series import Line, finite

_LEFT, _TOP, _RIGHT, _GAP = 66.0, 12.0, 12.0, 22.0
_SIDE, _SPACE, _HISTOGRAM, _BOTTOM = 380.0, 14.0, 78.0, 50.0
_MOST_BARS = 40  # more points than this are a curve with a band, not bins with error bars
_BINS = 40


def draw_calibration(lines: Sequence[Line], *, scores: Sequence[float] | None = None, log: bool = False) -> str:
    """Observed share (y) over predicted probability (x) with the diagonal of perfect calibration, as SVG.

    lines   up to 40 points: bins, with error bars if they have low and high; more: a curve with its band
    scores  all predictions: their histogram stands below, on a logarithmic count axis
    log     both axes; bins without a positive stand on the lower edge, as open triangles
    """
    with drawing():
        low, high = _limits(lines, scores, log=log)
        entries = [Entry(line.label, {**series_style(k), "linewidth": 1.6}) for k, line in enumerate(lines)]
        legend = legend_size(entries)
        height = _TOP + _SIDE + (_SPACE + _HISTOGRAM if scores is not None else 0) + _BOTTOM
        width = _LEFT + _SIDE + _RIGHT + (_GAP + legend[0] if entries else 0)
        sheet = new_sheet(round(width), round(max(height, _TOP + legend[1] + _TOP)))
        axes = add_axes(sheet, left=_LEFT, top=_TOP, width=_SIDE, height=_SIDE)
        draw_legend(sheet, entries, left=_LEFT + _SIDE + _GAP, top=_TOP)
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.plot([low, high], [low, high], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1.5)
        for number, line in enumerate(lines):
            _draw_line(axes, line, number, floor=low if log else None)
        margin = 0 if log else 0.01 * (high - low)
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(low - margin, high + margin)
        if log:
            plain_ticks(axes, "x")
            plain_ticks(axes, "y")
        axes.set_ylabel("Observed share of positives")
        if scores is None:
            axes.set_xlabel("Predicted probability")
        else:
            axes.tick_params(labelbottom=False)
            below = add_axes(sheet, left=_LEFT, top=_TOP + _SIDE + _SPACE, width=_SIDE, height=_HISTOGRAM)
            _draw_histogram(below, finite(scores), (low, high), log=log)
            below.set_xlim(*axes.get_xlim())
        return to_svg(sheet)


def _draw_line(axes: Axes, line: Line, number: int, *, floor: float | None) -> None:
    """floor: the lower edge of a logarithmic plot; None: linear."""
    style = series_style(number)
    x, y = finite(line.x, above=None if floor is None else 0), finite(line.y)
    bins = len(x) <= _MOST_BARS
    if line.low is not None and line.high is not None:
        low, high = finite(line.low), finite(line.high)
        if floor is not None:
            low = np.maximum(low, floor)
        if bins:
            axes.vlines(x, low, high, color=style["color"], linewidth=1.1, zorder=2.2)
        else:
            axes.fill_between(x, low, high, color=style["color"], alpha=0.16, linewidth=0, zorder=1.8)
    below = np.zeros(len(x), bool) if floor is None else y <= 0
    axes.plot(x, np.where(below, np.nan, y), zorder=2.5, linewidth=1.0 if bins else 1.6, **style)
    if bins:
        marker = {"linestyle": "none", "color": style["color"], "markeredgewidth": 1.1, "zorder": 3}
        axes.plot(x, np.where(below, np.nan, y), marker="o", markersize=5, **marker)
        if below.any():
            edge = np.full(int(below.sum()), floor)
            axes.plot(x[below], edge, marker="v", markersize=6, markerfacecolor=PAPER, clip_on=False, **marker)


def _draw_histogram(axes: Axes, scores: NDArray[np.float64], limits: tuple[float, float], *, log: bool) -> None:
    """Counts of the scores, from one half upwards so that one score has a bar; the outer bars hold what is beyond."""
    low, high = limits
    edges = np.geomspace(low, high, _BINS + 1) if log else np.linspace(low, high, _BINS + 1)
    counts, _ = np.histogram(np.clip(scores[np.isfinite(scores)], low, high), edges)
    if log:
        axes.set_xscale("log")
    axes.set_yscale("log")
    full = counts > 0
    axes.bar(
        edges[:-1][full],
        counts[full] - 0.5,
        width=np.diff(edges)[full],
        bottom=0.5,
        align="edge",
        color=FAINT,
        alpha=0.55,
    )
    axes.set_ylim(0.5, max(2.0, float(counts.max()) * 1.6))
    plain_ticks(axes, "y")
    if log:
        plain_ticks(axes, "x")
    axes.set_xlabel("Predicted probability")
    axes.set_ylabel("Scores (log)")


def _limits(lines: Sequence[Line], scores: Sequence[float] | None, *, log: bool) -> tuple[float, float]:
    """The same for both axes: 0 to 1, or less where all is smaller than one half."""
    drawn = [finite(v) for line in lines for v in (line.x, line.y, line.high) if v is not None]
    everything = np.concatenate([*drawn, finite([] if scores is None else scores)])
    largest = float(np.nanmax(everything, initial=0.0))
    if not log:
        return 0.0, 1.0 if largest > 0.5 or largest <= 0 else _round_up(largest)
    inner = np.concatenate([finite(v, above=0) for line in lines for v in (line.x, line.y)] or [np.array([])])
    smallest = float(np.nanmin(inner, initial=0.1))
    return 10.0 ** math.floor(math.log10(smallest)), 1.0


def _round_up(value: float) -> float:
    """To the next of 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 ..."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))
