"""Many points in a plane, coloured by a value, positives ringed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from fourview.report.plots.canvas import (
    FAINT,
    SERIES,
    SMALL,
    TEXT,
    add_axes,
    drawing,
    fit,
    new_sheet,
    to_svg,
)
from fourview.report.plots.legend import Entry, draw_legend, legend_size
from fourview.report.plots.series import finite

_LEFT, _TOP, _RIGHT, _BOTTOM, _GAP = 66.0, 12.0, 16.0, 50.0, 20.0
_SIDE = 420.0
_BAR, _BAR_HEIGHT, _BAR_TEXT = 12.0, 180.0, 62.0
# viridis without its ends, which vanish on a white and on a dark page
_COLOURS = ListedColormap(colormaps["viridis"](np.linspace(0.9, 0.25, 256)))
_MOST_SHAPES = 2500  # more points become a picture inside the SVG, or pages weigh megabytes


def draw_scatter(
    x: Sequence[float],
    y: Sequence[float],
    *,
    values: Sequence[float] | None = None,
    positives: Sequence[bool] | None = None,
    x_label: str,
    y_label: str,
    value_label: str,
) -> str:
    """Points as SVG; positives are drawn last, so that none is hidden.

    values     colour of each point, described by value_label; a value that is no number is grey
    positives  which points have a ring
    """
    across, up = finite(x), finite(y)
    ringed = np.zeros(len(across), bool) if positives is None else np.asarray(positives, bool)
    if len({len(across), len(up), len(ringed), len(across if values is None else values)}) != 1:
        raise ValueError("scatter: x, y, values and positives differ in length")
    with drawing():
        ring: dict[str, Any] = {
            "linestyle": "none",
            "color": TEXT,
            "markerfacecolor": "none",
            "markersize": 8,
            "markeredgewidth": 1.2,
        }
        entries = [Entry("positive", ring, "o")] if ringed.any() else []
        beside = max(legend_size(entries)[0], 0.0 if values is None else _BAR + _BAR_TEXT + 16)
        width = _LEFT + _SIDE + _RIGHT + (_GAP + beside if beside else 0)
        sheet = new_sheet(round(width), round(_TOP + _SIDE + _BOTTOM))
        axes = add_axes(sheet, left=_LEFT, top=_TOP, width=_SIDE, height=_SIDE)
        axes.set_xlabel(fit(x_label, _SIDE))
        axes.set_ylabel(fit(y_label, _SIDE))
        order = np.argsort(ringed, kind="stable")
        right = _LEFT + _SIDE + _GAP
        colours: NDArray[np.float64] | None = None if values is None else finite(values)
        known = np.ones(len(across), bool) if colours is None else np.isfinite(colours)
        shapes: dict[str, Any] = {"linewidths": 0, "alpha": 0.8, "rasterized": len(across) > _MOST_SHAPES}
        grey = order[~known[order]]
        axes.scatter(across[grey], up[grey], s=14, color=FAINT, zorder=2.2, **shapes)
        shown = order[known[order]]
        if colours is None:
            axes.scatter(across[shown], up[shown], s=14, color=SERIES[0], zorder=2.4, **shapes)
        else:
            drawn = axes.scatter(across[shown], up[shown], s=14, c=colours[shown], cmap=_COLOURS, zorder=2.4, **shapes)
            bar_top = _TOP + legend_size(entries)[1] + 14
            bar_axes = add_axes(sheet, left=right, top=bar_top, width=_BAR, height=_BAR_HEIGHT)
            bar = sheet.colorbar(drawn, cax=bar_axes)
            bar.set_label(fit(value_label, _BAR_HEIGHT + 40, size=SMALL), size=SMALL)
            bar.outline.set_visible(False)
        axes.plot(across[ringed], up[ringed], marker="o", zorder=3, **ring)
        draw_legend(sheet, entries, left=right, top=_TOP)
        return to_svg(sheet)
