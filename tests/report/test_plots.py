"""Plots: the same bytes for the same numbers, every number where it belongs, any text harmless."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourview.report.plots import (
    Line,
    Points,
    draw_calibration,
    draw_forest,
    draw_lines,
    draw_precision_recall,
    draw_roc,
    draw_scatter,
)
from fourview.report.plots.canvas import PAPER, SERIES, drawing, series_style, text_width, wrap
from tests.report.sample_document import AUC, BAD

_SVG = "{http://www.w3.org/2000/svg}"
_LINES = [
    Line("first", [0, 0.2, 1], [0, 0.6, 1], [0, 0.5, 1], [0, 0.7, 1]),
    Line("second", [0, 0.4, 1], [0, 0.5, 1]),
]
_RNG = np.random.default_rng(0)
_XY = _RNG.random((2, 60))
PLOTS: dict[str, Callable[[str], str]] = {
    "roc": lambda t: draw_roc([*_LINES, Line(t, [0], [1])], points=[Points(t, [0.1, 0.2], [0.3, 0.4], ["A", t])]),
    "precision recall": lambda t: draw_precision_recall([Line(t, [0, 1], [1, 0.1])], prevalence=0.1),
    "calibration": lambda t: draw_calibration([replace(_LINES[0], label=t)], scores=list(_XY[0])),
    "calibration log": lambda t: draw_calibration([replace(_LINES[0], label=t)], scores=list(_XY[0]), log=True),
    "forest": lambda t: draw_forest([t, (t, AUC)], x_label=t, reference=0.5),
    "lines": lambda t: draw_lines(_LINES, x_label=t, y_label=t, marks=[(0.5, t)], log_x=True),
    "scatter": lambda t: draw_scatter(*_XY, values=_XY[0], positives=_XY[1] > 0.5, x_label=t, y_label=t, value_label=t),
}


def _texts(svg: str) -> list[ET.Element]:
    return list(ET.fromstring(svg).iter(f"{_SVG}text"))


def _place(svg: str, text: str) -> tuple[float, float]:
    """x and y of the only text that reads so."""
    (found,) = [t for t in _texts(svg) if t.text == text]
    return float(found.attrib["x"]), float(found.attrib["y"])


def _markers(svg: str, style: str) -> list[tuple[float, float]]:
    """Where markers stand whose style holds this text."""
    uses = [u for u in ET.fromstring(svg).iter(f"{_SVG}use") if style in u.attrib["style"]]
    return [(float(u.attrib["x"]), float(u.attrib["y"])) for u in uses]


def _run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("plot", PLOTS)
def test_the_same_numbers_give_the_same_bytes(plot: str) -> None:
    assert PLOTS[plot]("name") == PLOTS[plot]("name")


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "from fourview.report.plots import *; import hashlib; "
        "svg = draw_roc([Line('a', [0, .3, 1], [0, .7, 1])], points=[Points('p', [.2], [.4], ['R'])]); "
        "print(hashlib.sha256(svg.encode()).hexdigest())"
    )
    assert _run(code) == _run(code)


def test_a_readers_own_matplotlib_settings_neither_matter_nor_change() -> None:
    ordinary = PLOTS["roc"]("name")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path", "axes.grid": False, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert PLOTS["roc"]("name") == ordinary
        assert dict(matplotlib.rcParams) == before


def test_matplotlib_waits_for_the_first_plot_and_pyplot_is_never_loaded() -> None:
    loaded = "print('matplotlib' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    assert _run(f"import sys, fourview.report; {loaded}") == "False False\n"
    assert _run(f"import sys; from fourview.report.plots import *; {loaded}") == "True False\n"


@pytest.mark.parametrize("plot", PLOTS)
def test_a_plot_is_one_element_without_prolog_date_style_sheet_or_loose_ids(plot: str) -> None:
    svg = PLOTS[plot]("name")
    assert svg.startswith("<svg ")
    assert not re.search(r"<\?xml|<!|<style|metadata|<script|\d{4}-\d\d-\d\d", svg)
    ids = re.findall(r' id="([^"]+)"', svg)
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    assert len(ids) == len(set(ids))
    assert set(ids) == used
    assert "DejaVu" not in svg
    assert "system-ui" in svg


@pytest.mark.parametrize("plot", PLOTS)
def test_any_text_stays_text(plot: str) -> None:
    root = ET.fromstring(PLOTS[plot](BAD).encode())  # well-formed, no control characters, no lone surrogates
    names = {element.tag.removeprefix(_SVG) for element in root.iter()}
    assert names <= {"svg", "g", "path", "defs", "clipPath", "rect", "use", "text", "image"}
    assert any(t.text and t.text.startswith("</script><img") for t in root.iter(f"{_SVG}text"))
    width = float(root.attrib["width"])
    assert width < 1300  # however long a name is


@pytest.mark.parametrize("plot", [draw_roc, draw_calibration, lambda x: draw_lines(x, x_label="x", y_label="y")])
def test_numbers_that_are_not_finite_are_not_drawn(plot: Callable[[list[Line]], str]) -> None:
    lines = [Line("gaps", [0.1, math.nan, 0.5, math.inf, 0.9], [0.2, 0.3, math.nan, 0.4, 0.8])]
    svg = plot(lines)
    assert not re.search(r"\bnan\b|\binf\b", svg)
    ET.fromstring(plot([Line("nothing", [math.nan], [math.nan])]))
    ET.fromstring(plot([]))


def test_points_stand_where_their_numbers_say() -> None:
    svg = draw_roc(_LINES, points=[Points("readers", [0.2, 0.7], [0.5, 0.9])])
    markers = [place for place in _markers(svg, f"fill: {PAPER}") if place[0] < 458]  # not the legend's
    x, y = np.array([0.2, 0.7]), np.array([0.5, 0.9])
    expected = np.column_stack([58 + (x + 0.01) / 1.02 * 400, 12 + (1.01 - y) / 1.02 * 400])
    np.testing.assert_allclose(markers, expected, atol=0.001)


def test_the_legend_stands_beside_the_axes_and_names_every_line_and_group() -> None:
    svg = draw_roc(_LINES, points=[Points("readers", [0.2], [0.5])])
    places = [_place(svg, name) for name in ("first", "second", "readers")]
    assert all(x > 458 for x, _ in places)
    assert [y for _, y in places] == sorted(y for _, y in places)


def test_42_lines_look_different_without_their_colours_seven_in_a_row_do() -> None:
    styles = [series_style(k) for k in range(42)]
    assert len({(s["color"], str(s["linestyle"])) for s in styles}) == 42
    assert len({str(s["linestyle"]) for s in styles[:7]}) == 7


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_names_of_points_cover_neither_each_other_nor_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.random(14) * 0.2, rng.random(14) * 0.3
    svg = draw_roc([], points=[Points("readers", x, y, [f"R{k}" for k in range(14)])])
    boxes = []
    for text in _texts(svg):
        if re.fullmatch(r"R\d+", text.text or ""):
            middle, half = float(text.attrib["x"]), text_width(str(text.text), 9.5) / 2
            base = float(text.attrib["y"])
            boxes.append((middle - half, base - 7, middle + half, base))
    assert boxes
    for number, a in enumerate(boxes):
        for b in boxes[number + 1 :]:
            assert a[2] <= b[0] + 0.1 or b[2] <= a[0] + 0.1 or a[3] <= b[1] + 0.1 or b[3] <= a[1] + 0.1
        for px, py in _markers(svg, f"fill: {PAPER}"):
            assert not (a[0] < px < a[2] and a[1] < py < a[3])


def test_a_forest_writes_counts_and_interval_of_every_row_in_order() -> None:
    none = replace(AUC, value=0.7, low=math.nan, high=math.nan, positives=5)
    rows = ["Models", ("model", AUC), ("other", none), "Differences", ("b", replace(AUC, value=0.9, p=0.0002))]
    svg = draw_forest(rows, x_label="AUC", reference=0.5)
    names = ["Models", "model", "other", "Differences", "b"]
    heights = [_place(svg, name)[1] for name in names]
    assert np.diff(heights) == pytest.approx(21, abs=1)
    for text, row in (
        ("0.881 (0.837 to 0.915)", 1),
        ("0.700 (no interval)", 2),
        ("0.900 (0.837 to 0.915), p < 0.001", 4),
        ("5 / 1,440", 2),
    ):
        assert _place(svg, text)[1] == pytest.approx(heights[row], abs=1)
    assert len(_markers(svg, f"fill: {SERIES[0]}")) == 2
    assert len(_markers(svg, "fill-opacity: 0")) == 1  # hollow: it has no interval
    bold = [t.text for t in _texts(svg) if "font-weight: 700" in t.attrib["style"]]
    assert bold == ["Models", "Differences"]


def test_a_forest_of_means_counts_units_alone() -> None:
    svg = draw_forest([("a", replace(AUC, positives=None))], x_label="mean")
    assert _place(svg, "1,440")
    assert _place(svg, "n")
    assert "positives" not in svg


def test_a_forest_can_be_empty_or_hold_nothing_finite() -> None:
    ET.fromstring(draw_forest([], x_label="AUC"))
    nothing = replace(AUC, value=math.nan, low=math.nan, high=math.nan)
    assert _place(draw_forest([("none", nothing)], x_label="AUC"), "– (no interval)")


def test_the_text_of_a_mark_is_not_crossed_by_another_mark() -> None:
    marks = [(0.50, "fixed before the study"), (0.52, "best"), (0.9, "last")]
    svg = draw_lines(_LINES, x_label="x", y_label="y", x_limits=(0, 1), marks=marks)
    (first, high), (best, low), (_, last) = (_place(svg, text) for _, text in marks)
    assert first < best
    assert high < low == last  # the first stands above, so that the line of the second ends below it


def test_marks_outside_the_limits_are_left_out() -> None:
    svg = draw_lines(_LINES, x_label="x", y_label="y", x_limits=(0, 1), marks=[(2, "far away")])
    assert "far away" not in svg


def test_on_a_logarithmic_plot_bins_without_a_positive_stand_on_the_lower_edge() -> None:
    line = Line("tenths", [0.02, 0.1, 0.4], [0, 0.08, 0.5], [0, 0.02, 0.3], [0.05, 0.2, 0.7])
    svg = draw_calibration([line], log=True)
    (place,) = _markers(svg, f"fill: {PAPER}")
    decades = math.log10(0.02) + 2  # the axes begin at 0.01
    assert place == pytest.approx((66 + decades / 2 * 380, 12 + 380), abs=0.01)
    assert len(_markers(svg, f"fill: {SERIES[0]}")) == 2
    assert len(_markers(draw_calibration([line]), f"fill: {SERIES[0]}")) == 3


def test_a_calibration_curve_of_many_points_has_a_band_instead_of_bars() -> None:
    x = np.linspace(0, 1, 100)
    svg = draw_calibration([Line("smooth", x, x, x * 0.9, x * 1.1)])
    assert not _markers(svg, f"fill: {SERIES[0]}; stroke")
    assert "fill-opacity: 0.16" in svg


def test_scores_below_a_logarithmic_axis_stand_in_the_first_bar() -> None:
    line = Line("tenths", [0.02, 0.4], [0.01, 0.5])
    within = draw_calibration([line], scores=[0.0101, 0.0101, 0.0101, 0.5], log=True)
    assert draw_calibration([line], scores=[0.0101, 0.0, 0.001, 0.5], log=True) == within
    assert draw_calibration([line], scores=[0.0101, 0.5], log=True) != within


def test_calibration_axes_are_as_long_as_the_numbers_need() -> None:
    small = draw_calibration([Line("tenths", [0.01, 0.08], [0, 0.09])])
    ticks = [float(t.text) for t in _texts(small) if re.fullmatch(r"0\.\d+", t.text or "")]
    assert max(ticks) == 0.1


def test_every_positive_of_a_scatter_has_a_ring_and_unknown_values_are_grey() -> None:
    x, y = np.arange(6.0), np.arange(6.0)
    values = [0.1, 0.2, math.nan, 0.4, 0.5, 0.6]
    svg = draw_scatter(x, y, values=values, positives=x > 3, x_label="x", y_label="y", value_label="p")
    rings = [place for place in _markers(svg, "fill-opacity: 0;") if place[0] < 486]
    assert len(rings) == 2
    assert svg.count("fill: #5b6671; fill-opacity: 0.8") == 1


def test_thousands_of_points_become_a_picture() -> None:
    x = np.linspace(0, 1, 20_000)
    svg = draw_scatter(x, x, x_label="x", y_label="y", value_label="")
    assert "data:image/png;base64," in svg
    assert len(svg) < 200_000


def test_what_differs_in_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"found \[2, 1\] numbers"):
        Line("a", [1, 2], [1])
    with pytest.raises(ValueError, match="need both or none"):
        Line("a", [1], [1], low=[1])
    with pytest.raises(ValueError, match="differ in length"):
        Points("a", [1, 2], [1, 2], ["one"])
    with pytest.raises(ValueError, match="differ in length"):
        draw_scatter([1, 2], [1, 2], positives=[True], x_label="", y_label="", value_label="")


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=120), st.integers(40, 300), st.integers(1, 3))
def test_wrapped_text_fits_and_nothing_but_spaces_is_lost_without_an_ellipsis(
    text: str, width: int, lines: int
) -> None:
    with drawing():
        found = wrap(text, width, lines=lines)
        assert 1 <= len(found) <= lines
        assert all(text_width(line) <= width or len(line) <= 2 for line in found)
    if not found[-1].endswith("…"):
        kept = "".join(found).replace(" ", "")
        assert len(kept) == len("".join(text.encode("utf-8", "backslashreplace").decode().split()))


def test_long_tick_labels_do_not_push_the_y_label_off_the_sheet() -> None:
    import re

    def left_of_axes(limits: tuple[float, float]) -> float:
        svg = draw_lines([Line("a", [0, 1], [0, limits[1]])], x_label="x", y_label="net benefit", y_limits=limits)
        width = re.search(r'width="([\d.]+)', svg)
        assert width is not None
        return float(width.group(1))

    assert left_of_axes((-0.0012, 0.0049)) > left_of_axes((0, 1))
