"""A sheet measured in pixels, its colours and type, and how it becomes SVG text that can stand in a page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from unicodedata import east_asian_width

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import IdentityTransform

# Neutral colours and series colours are what page.plot_in_page replaces by its own, which follow light and dark.
TEXT, FAINT, LINE, PAPER = "#1b2127", "#5b6671", "#d5dade", "#ffffff"
# Okabe and Ito's palette without its yellow, which vanishes on white. With the dashes it survives grey print.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_DASHES: tuple[Any, ...] = (
    "solid",
    (0, (6, 2)),
    (0, (2, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (10, 3)),
    (0, (4, 1.5, 1.5, 1.5, 1.5, 1.5)),
    (0, (1, 1.2)),
)
MARKERS = ("o", "s", "^", "D", "v")

TYPE, SMALL = 12.0, 11.0  # px
LEADING = 16.0
# The layout is computed with the font that comes with matplotlib, so that it is the same on every machine; it is wider
# than the fonts that browsers resolve this list to, so text that fits here fits there.
_LAYOUT_FONT = "DejaVu Sans"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_STYLE: dict[str, Any] = {
    "font.family": _LAYOUT_FONT,
    "font.size": TYPE,
    "text.color": TEXT,
    "text.parse_math": False,  # names may hold a $
    "axes.edgecolor": FAINT,
    "axes.labelcolor": TEXT,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.facecolor": PAPER,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelpad": 6.0,
    "axes.labelsize": TYPE,
    "figure.dpi": 72,  # one unit is one pixel
    "figure.facecolor": PAPER,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "butt",
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "fourview",
}


@contextmanager
def drawing() -> Iterator[None]:
    """matplotlib with our style whatever the user's own is; everything is drawn and written inside of it."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        # The layout font lacks letters that browsers have.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def new_sheet(width: float, height: float) -> Figure:
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def add_axes(sheet: Figure, *, left: float, top: float, width: float, height: float) -> Axes:
    """Axes in pixels, counted from the sheet's upper left corner."""
    full_width, full_height = (size * 72 for size in sheet.get_size_inches())
    return sheet.add_axes(
        (left / full_width, 1 - (top + height) / full_height, width / full_width, height / full_height)
    )


def write(
    sheet: Figure,
    left: float,
    top: float,
    text: str,
    *,
    size: float = TYPE,
    colour: str = TEXT,
    align: Literal["left", "center", "right"] = "left",
    bold: bool = False,
) -> None:
    """One line of text, its middle at `top` pixels from above."""
    sheet.text(
        left,
        sheet.get_size_inches()[1] * 72 - top,
        text,
        transform=IdentityTransform(),
        fontsize=size,
        color=colour,
        ha=align,
        va="center_baseline",
        fontweight="bold" if bold else "normal",
    )


def rule(sheet: Figure, x: tuple[float, float], y: tuple[float, float], **style: Any) -> None:
    """A straight line between two points in pixels from the upper left corner."""
    height = sheet.get_size_inches()[1] * 72
    sheet.add_artist(Line2D(x, [height - y[0], height - y[1]], transform=IdentityTransform(), **style))


def series_style(number: int) -> dict[str, Any]:
    """Colour and dashes of a series: 42 differ."""
    return {"color": SERIES[number % len(SERIES)], "linestyle": _DASHES[number % len(_DASHES)]}


def plain_ticks(axes: Axes, which: Literal["x", "y"]) -> None:
    """0.001 rather than a power of ten."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(FuncFormatter(lambda *_: ""))


def text_width(text: str, size: float = TYPE, *, bold: bool = False) -> float:
    """In pixels, of one line. Wide letters (Chinese, Japanese, Korean) fill a square; the layout font has none."""
    font = FontProperties(family=_LAYOUT_FONT, size=size, weight="bold" if bold else "normal")
    narrow = "".join(letter for letter in text if east_asian_width(letter) not in "WF")
    width = float(TextToPath().get_text_width_height_descent(narrow, font, ismath=False)[0]) if narrow else 0.0
    return width + size * (len(text) - len(narrow))


def clean_text(text: str) -> str:
    """The text in one line, without what no SVG may hold (control characters, lone surrogates)."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def wrap(text: str, width: float, *, lines: int, size: float = TYPE, bold: bool = False) -> list[str]:
    """The text in at most this many lines of this width; what is cut off ends in an ellipsis."""
    rest = clean_text(text)
    found: list[str] = []
    while rest:
        if text_width(rest, size, bold=bold) <= width:
            return [*found, rest]
        last = len(found) == lines - 1
        end = _fitting(rest, width - (text_width("…", size) if last else 0), size, bold)
        if last:
            return [*found, rest[:end].rstrip() + "…"]
        space = rest.rfind(" ", 0, end + 1)
        end = space if space > 0 else end
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return found or [""]


def fit(text: str, width: float, *, size: float = TYPE, bold: bool = False) -> str:
    """The text, or as much of it as one line of this width holds."""
    return wrap(text, width, lines=1, size=size, bold=bold)[0]


def to_svg(sheet: Figure) -> str:
    """The sheet as one <svg> element: no prolog, no date, no style sheet, only the ids that are referred to."""
    stream = io.StringIO()
    sheet.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    width, height = (size * 72 for size in sheet.get_size_inches())
    svg = re.sub(
        r"<svg\b[^>]*>",
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}" '
        f'stroke-linejoin="round" stroke-linecap="butt" font-family="{_FONTS}">',
        svg,
        count=1,
    )
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # matplotlib says the two properties above in a style sheet for everything, which would reach the whole page
    svg = re.sub(r"\s*<defs>\s*<style type=\"text/css\">[^<]*</style>\s*</defs>", "", svg)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)  # texts, once more
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(rf" font-family: '{_LAYOUT_FONT}';", "", svg)
    return re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg).strip() + "\n"


def _fitting(text: str, width: float, size: float, bold: bool) -> int:
    """How many of the text's letters fit; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(text[:middle], size, bold=bold) <= width:
            low = middle
        else:
            high = middle - 1
    return low
