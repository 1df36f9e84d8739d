"""What every file of settings has in common: sections that are checked, and words for what is wrong in one."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Unknown and missing keys are errors, texts are no numbers, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def complain(problem: Any) -> str:
    """One of pydantic's errors in our words: "loop.batch: found 0, need: input should be at least 1"."""
    key = ".".join(map(str, problem["loc"]))
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{key}: found an unknown key, need only those that a recipe has"
    if problem["type"] == "missing":
        return f"{key}: found nothing, need a value"
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: found {problem['input']!r}, need: {message[0].lower()}{message[1:]}"
