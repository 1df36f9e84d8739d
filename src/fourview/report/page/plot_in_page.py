"""A plot's SVG as part of a page: it follows light and dark, and its ids are its own."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

from fourview.report.plots.canvas import FAINT, LINE, PAPER, SERIES, TEXT

# A plot's fixed colours -> variables of theme.css and document.css.
_COLOURS = {
    TEXT: "var(--text)",
    FAINT: "var(--faint)",
    LINE: "var(--line)",
    PAPER: "var(--panel)",
    **{colour: f"var(--plot-{number})" for number, colour in enumerate(SERIES, 1)},
}
_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile("|".join(_COLOURS))
_ID = re.compile(r'(?<= id=")|(?<=url\(#)|(?<=href="#)')


def embed_plot(svg: str, *, prefix: str, label: str) -> Markup:
    """The <svg> element for a page.

    svg     of report.plots
    prefix  of its ids: another one for each plot of the page
    label   what a screen reader says instead of it
    """

    def change(tag: re.Match[str]) -> str:
        text = _COLOUR.sub(lambda found: _COLOURS[found[0]], tag[0])
        return _ID.sub(prefix, text)

    svg = svg[svg.index("<svg") :]
    changed = _TAG.sub(change, svg)  # only tags: what is written in the plot stays
    return Markup(changed.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1))
