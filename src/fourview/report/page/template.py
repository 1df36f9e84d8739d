"""Templates of the pages: filled with autoescape, style sheets and scripts put in, data made safe for a <script>."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def fill_template(name: str, **values: Any) -> str:
    """The page; texts in `values` are escaped. A name that the template needs and `values` lacks is an error."""
    template = _environment().get_template(name)
    context = template.new_context(values)
    try:
        text = "".join(template.root_render_func(context))
    finally:  # macros and their context hold each other, and with them an exam's images
        context.vars.clear()
        context.exported_vars.clear()
    # A file's name may hold bytes that are no text (lone surrogates): shown as \udcff, or no file could be written.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def script_json(value: Any) -> Markup:
    """JSON that cannot end its <script>, whatever its texts hold: only ASCII, no <, > or &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


@cache
def own_text(name: str) -> Markup:
    """A style sheet or script of this package, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
