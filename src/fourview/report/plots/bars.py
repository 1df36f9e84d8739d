"""Bars side by side in groups, each with its count above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from fourview.report.plots.canvas import (
    FAINT,
    SERIES,
    SMALL,
    add_axes,
    drawing,
    fit,
    new_sheet,
    plain_ticks,
    text_width,
    to_svg,
)
from fourview.report.plots.legend import Entry, draw_legend, legend_size

GREEN, RED = SERIES[2], SERIES[1]  # told apart by those who cannot see red and green
_LEFT, _TOP, _BOTTOM, _RIGHT, _GAP = 62.0, 22.0, 50.0, 12.0, 22.0
_HEIGHT, _GROUP, _LEAST = 300.0, 62.0, 260.0
_SHARE = 0.8  # of a group's width that its bars fill


@dataclass(frozen=True)
class Bars:
    """One bar per group: counts, in a colour of the canvas's SERIES."""

    label: str
    counts: Sequence[int]
    colour: str


def draw_bars(groups: Sequence[str], bars: Sequence[Bars], *, x_label: str, y_label: str) -> str:
    """Counts (y) by group (x), as SVG. Raises ValueError if a series has not one count per group."""
    for series in bars:
        if len(series.counts) != len(groups):
            raise ValueError(f"bars {series.label}: found {len(series.counts)} counts for {len(groups)} groups")
    entries = [Entry(b.label, {"color": b.colour, "linewidth": 9.0, "linestyle": "solid"}) for b in bars]
    with drawing():
        width = max(_LEAST, _GROUP * len(groups))
        legend_width, legend_height = legend_size(entries)
        height = max(_TOP + _HEIGHT + _BOTTOM, _TOP + legend_height + _TOP)
        sheet = new_sheet(round(_LEFT + width + _GAP + legend_width + _RIGHT), round(height))
        axes = add_axes(sheet, left=_LEFT, top=_TOP, width=width, height=_HEIGHT)
        draw_legend(sheet, entries, left=_LEFT + width + _GAP, top=_TOP)
        each = _SHARE / max(1, len(bars))
        for number, series in enumerate(bars):
            for place, count in enumerate(series.counts):
                x = place + (number - (len(bars) - 1) / 2) * each
                axes.bar(x, count, width=each * 0.92, color=series.colour, zorder=2)
                axes.annotate(
                    f"{count:,}",
                    (x, count),
                    xytext=(0, 3),
                    textcoords="offset points",
                    ha="center",
                    fontsize=SMALL - 1,
                    color=FAINT,
                )
        axes.set_xlim(-0.5, max(1, len(groups)) - 0.5)
        axes.set_ylim(0, 1.08 * max([1, *(count for series in bars for count in series.counts)]))
        room = width / max(1, len(groups)) - 4
        shown = [fit(group, room, size=SMALL) if text_width(group, SMALL) > room else group for group in groups]
        axes.set_xticks(range(len(groups)), shown)
        axes.grid(axis="x", visible=False)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        plain_ticks(axes, "y")
        axes.set_xlabel(fit(x_label, width))
        axes.set_ylabel(fit(y_label, _HEIGHT))
        return to_svg(sheet)
