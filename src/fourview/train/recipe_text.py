"""A recipe as the text of a TOML file, which reads back as the same recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fourview.train.recipe import Recipe


def format_recipe(recipe: Recipe) -> str:
    """All values, also those that are defaults; what is None is left out."""
    return _format_table(recipe.model_dump(mode="json", exclude_none=True), "")


def _format_table(values: Mapping[str, Any], name: str) -> str:
    own = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{_format_key(key)} = {_format_value(value)}" for key, value in own.items()]
    text = (f"[{name}]\n" if name else "") + "".join(f"{line}\n" for line in lines)
    for key, value in values.items():
        if isinstance(value, Mapping):
            text += "\n" + _format_table(value, f"{name}.{_format_key(key)}" if name else _format_key(key))
    return text


def _format_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)


def _format_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_format_value(item) for item in value)}]"
    if isinstance(value, float):
        return repr(value)  # 1e-05 and 1.0 are TOML, too
    return json.dumps(value, ensure_ascii=False)  # texts, whole numbers, true and false are the same in both
