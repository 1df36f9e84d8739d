"""A recipe as a TOML file that a user can edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fourview.phantom.recipe import Recipe


def format_recipe(recipe: Recipe) -> str:
    """TOML with every value of the recipe; parse_recipe makes the same recipe of it."""
    return "\n".join(_format_table(recipe.model_dump(mode="json"), "")) + "\n"


def _format_table(values: Mapping[str, Any], prefix: str) -> list[str]:
    """Lines of a table: plain values first, then tables, then lists of tables."""
    lines = [f"{key} = {_format(value)}" for key, value in values.items() if not _holds_tables(value)]
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_format_table(value, f"{name}.")]
        elif _holds_tables(value):
            for item in value:
                lines += ["", f"[[{name}]]", *_format_table(item, f"{name}.")]
    return lines


def _holds_tables(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _format(value: Any) -> str:
    """Texts, numbers and lists of them are written alike in JSON and TOML."""
    return json.dumps(value, ensure_ascii=False)
