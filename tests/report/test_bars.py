"""Bars: as tall as their counts, side by side, each count written above its bar."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from fourview.report.plots import GREEN, RED, Bars, draw_bars

_SVG = "{http://www.w3.org/2000/svg}"


def heights(svg: str, colour: str) -> list[float]:
    """Of the filled rectangles of this colour, left to right."""
    found = []
    for path in ET.fromstring(svg).iter(f"{_SVG}path"):
        if f"fill: {colour}" in path.attrib.get("style", ""):
            places = [float(v) for v in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
            found.append((min(places[::2]), max(places[1::2]) - min(places[1::2])))
    return [height for _, height in sorted(found)]


def test_heights_are_in_proportion_and_every_count_is_written() -> None:
    svg = draw_bars("ab", [Bars("no", [30, 12], GREEN), Bars("yes", [15, 3], RED)], x_label="x", y_label="Images")
    no, yes = heights(svg, GREEN), heights(svg, RED)
    assert no[0] / yes[0] == pytest.approx(2, rel=1e-3)
    assert no[1] / yes[1] == pytest.approx(4, rel=1e-3)
    assert no[0] / no[1] == pytest.approx(2.5, rel=1e-3)
    texts = [text.text for text in ET.fromstring(svg).iter(f"{_SVG}text")]
    assert {"30", "12", "15", "3", "no", "yes", "a", "b"} <= set(texts)
    assert svg == draw_bars(
        "ab", [Bars("no", [30, 12], GREEN), Bars("yes", [15, 3], RED)], x_label="x", y_label="Images"
    )


def test_nothing_to_count_is_still_a_plot_and_a_missing_count_is_refused() -> None:
    assert draw_bars(["1"], [Bars("no", [0], GREEN)], x_label="x", y_label="y").startswith("<svg")
    with pytest.raises(ValueError, match="found 1 counts for 2 groups"):
        draw_bars(["1", "2"], [Bars("no", [0], GREEN)], x_label="x", y_label="y")
