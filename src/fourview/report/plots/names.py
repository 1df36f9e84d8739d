"""Names beside points, where there is room for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from fourview.report.plots.canvas import FAINT, PAPER, clean_text, text_width
from fourview.report.plots.series import Points, finite

_SIZE, _HEIGHT, _AWAY, _LONGEST = 9.5, 10.0, 6.0, 24
# From the point: right, left, above, below, and the corners.
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))

Box = tuple[float, float, float, float]  # left, bottom, right, top in pixels


def write_names(axes: Axes, points: Sequence[Points]) -> None:
    """Each point's name on the first side where it covers no point and no other name; left out where there is none."""
    named = [(g, np.column_stack([finite(g.x), finite(g.y)])) for g in points if len(g.x)]
    if not named:
        return
    places: NDArray[np.float64] = axes.transData.transform(np.concatenate([xy for _, xy in named]))
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in places if np.isfinite(x) and np.isfinite(y)]
    frame = axes.bbox.extents
    names = [name for g, _ in named for name in (g.names or [""] * len(g.x))]
    for (x, y), name in zip(places, names, strict=True):
        text = clean_text(name)
        if not text or len(text) > _LONGEST or not (np.isfinite(x) and np.isfinite(y)):
            continue
        width = text_width(text, _SIZE)
        for box in (_beside(x, y, width, side) for side in _SIDES):
            inside = box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
            if inside and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                axes.text(
                    (box[0] + box[2]) / 2,
                    (box[1] + box[3]) / 2,
                    text,
                    transform=None,
                    fontsize=_SIZE,
                    color=FAINT,
                    ha="center",
                    va="center_baseline",
                    zorder=3.2,  # below the points, above the lines
                    bbox={"facecolor": PAPER, "alpha": 0.75, "linewidth": 0, "pad": 0.5},
                )
                break


def _beside(x: float, y: float, width: float, side: tuple[int, int]) -> Box:
    dx, dy = side
    away = _AWAY if not (dx and dy) else _AWAY * 0.7
    middle_x, middle_y = x + dx * (away + width / 2), y + dy * (away + _HEIGHT / 2)
    return middle_x - width / 2, middle_y - _HEIGHT / 2, middle_x + width / 2, middle_y + _HEIGHT / 2


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
