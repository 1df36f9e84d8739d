"""A flow diagram: how many units each step left, and beside it what was left out and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.transforms import IdentityTransform

from fourview.report.plots.canvas import (
    FAINT,
    LEADING,
    PAPER,
    SMALL,
    drawing,
    new_sheet,
    rule,
    to_svg,
    wrap,
    write,
)

_EDGE, _PAD, _GAP, _BETWEEN, _MARGIN = 6.0, 9.0, 34.0, 40.0, 8.0
_MAIN, _SIDE = 250.0, 400.0  # widths of the boxes
_MOST_LINES = 3  # of one reason
_HEAD = 4.0  # half the width of an arrow's head


@dataclass(frozen=True)
class FlowStep:
    """One box of the diagram.

    title     what stands here, e.g. "Images that the set lists"
    lines     counts with their units, below the title
    left_out  what does not reach the next step: a heading, then one text per reason with its count; empty: nothing
    """

    title: str
    lines: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.left_out) == 1:
            raise ValueError(f"step {self.title}: a heading of what is left out, and no reason below it")


@dataclass(frozen=True)
class _Box:
    """A frame and its lines of text, the first `bold` of them in bold."""

    left: float
    width: float
    lines: tuple[str, ...]
    bold: int

    @property
    def height(self) -> float:
        return 2 * _PAD + LEADING * len(self.lines)


def draw_flow(steps: Sequence[FlowStep]) -> str:
    """The steps below each other, joined by arrows; what each leaves out in a box to the right, as SVG.

    Raises ValueError if the last step leaves something out: there is no step that it would not reach.
    """
    if steps and steps[-1].left_out:
        raise ValueError(f"step {steps[-1].title}: the last one cannot leave anything out")
    with drawing():
        main = [_box(step.title, step.lines, left=_EDGE, width=_MAIN) for step in steps]
        sides = [_side(step) for step in steps]
        tops = [_EDGE]
        for box, side in zip(main, sides, strict=True):
            tops.append(tops[-1] + box.height + (_GAP if side is None else max(_GAP, side.height + 2 * _MARGIN)))
        width = _EDGE + _MAIN + (_BETWEEN + _SIDE if any(sides) else 0) + _EDGE
        sheet = new_sheet(round(width), round(tops[-1] - _GAP + _EDGE) if steps else round(2 * _EDGE))
        middle = _EDGE + _MAIN / 2
        for number, (box, side) in enumerate(zip(main, sides, strict=True)):
            bottom, following = tops[number] + box.height, tops[number + 1]
            if number + 1 < len(main):
                _arrow(sheet, (middle, bottom), (middle, following))
            if side is not None:
                y = (bottom + following) / 2
                _arrow(sheet, (middle, y), (side.left, y))
                _draw(sheet, side, top=y - side.height / 2)
            _draw(sheet, box, top=tops[number])
        return to_svg(sheet)


def _side(step: FlowStep) -> _Box | None:
    if not step.left_out:
        return None
    return _box(step.left_out[0], step.left_out[1:], left=_EDGE + _MAIN + _BETWEEN, width=_SIDE)


def _box(title: str, lines: Sequence[str], *, left: float, width: float) -> _Box:
    inner = width - 2 * _PAD
    heading = wrap(title, inner, lines=_MOST_LINES, size=SMALL, bold=True)
    rest = [part for line in lines for part in wrap(line, inner, lines=_MOST_LINES, size=SMALL)]
    return _Box(left, width, (*heading, *rest), len(heading))


def _draw(sheet: Figure, box: _Box, *, top: float) -> None:
    height = sheet.get_size_inches()[1] * 72
    corner = box.left, height - top - box.height
    place = IdentityTransform()
    sheet.add_artist(
        Rectangle(corner, box.width, box.height, transform=place, facecolor=PAPER, edgecolor=FAINT, linewidth=1)
    )
    for number, line in enumerate(box.lines):
        y = top + _PAD + (number + 0.5) * LEADING
        write(sheet, box.left + _PAD, y, line, size=SMALL, bold=number < box.bold)


def _arrow(sheet: Figure, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Straight down or to the right."""
    rule(sheet, (start[0], end[0]), (start[1], end[1]), color=FAINT, linewidth=1)
    height = sheet.get_size_inches()[1] * 72
    x, y = end[0], height - end[1]
    down = start[0] == end[0]
    corners = (
        [(x, y), (x - _HEAD, y + 2 * _HEAD), (x + _HEAD, y + 2 * _HEAD)]
        if down
        else [(x, y), (x - 2 * _HEAD, y + _HEAD), (x - 2 * _HEAD, y - _HEAD)]
    )
    sheet.add_artist(Polygon(corners, closed=True, transform=IdentityTransform(), color=FAINT, linewidth=0))
