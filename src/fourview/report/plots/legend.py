"""The legend: to the right of the axes, where it covers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import IdentityTransform

from fourview.report.plots.canvas import LEADING, SMALL, rule, text_width, wrap, write

_WIDEST, _MOST_LINES, _SAMPLE, _GAP = 230.0, 3, 26.0, 8.0


@dataclass(frozen=True)
class Entry:
    """A label and how its sample is drawn: a line, or a marker."""

    label: str
    style: dict[str, Any]
    marker: str | None = None


def legend_size(entries: Sequence[Entry]) -> tuple[float, float]:
    """Width and height in pixels."""
    texts = [_lines(entry) for entry in entries]
    width = max((text_width(line, SMALL) for lines in texts for line in lines), default=0.0)
    height = sum(len(lines) * LEADING + 3 for lines in texts)
    return (_SAMPLE + _GAP + width if entries else 0.0), height


def draw_legend(sheet: Figure, entries: Sequence[Entry], *, left: float, top: float) -> None:
    """The entries below each other, from the upper left corner given in pixels."""
    for entry in entries:
        middle = top + LEADING / 2
        if entry.marker is None:
            rule(sheet, (left, left + _SAMPLE), (middle, middle), **entry.style)
        else:
            y = sheet.get_size_inches()[1] * 72 - middle
            sheet.add_artist(
                Line2D([left + _SAMPLE / 2], [y], transform=IdentityTransform(), marker=entry.marker, **entry.style)
            )
        for line in _lines(entry):
            write(sheet, left + _SAMPLE + _GAP, top + LEADING / 2, line, size=SMALL)
            top += LEADING
        top += 3


def _lines(entry: Entry) -> list[str]:
    return wrap(entry.label, _WIDEST, lines=_MOST_LINES, size=SMALL)
