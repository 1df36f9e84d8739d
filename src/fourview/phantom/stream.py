"""A population as a stream of exams with their truth, drawn one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, Exam, SetupError, Side, View
from fourview.phantom.draw import PhantomExam, draw_planned
from fourview.phantom.finding import PhantomFinding
from fourview.phantom.population import PlannedBreast, PlannedExam, plan_exam
from fourview.phantom.recipe import Recipe, load_recipe


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a synthetic exam.

    plan   who, when, what was biopsied and what a reader said
    drawn  the exam with its images as stored, and its masks
    """

    plan: PlannedExam
    drawn: PhantomExam

    @property
    def breasts(self) -> Mapping[Side, PlannedBreast]:
        return self.plan.breasts

    @property
    def findings(self) -> tuple[PhantomFinding, ...]:
        """All that the breasts hold: biopsied, occult, distractors. Their places here number the masks."""
        return self.plan.findings

    @property
    def masks(self) -> dict[tuple[View, int], NDArray[np.bool_]]:
        """(view, place in findings) -> (rows, cols) bool in source pixels; findings that cannot be seen have none."""
        found = {}
        numbers = {id(finding): number for number, finding in enumerate(self.plan.findings)}
        for image in self.drawn.images:
            for finding, mask in zip(image.findings, image.masks, strict=True):
                if mask.any():
                    found[image.view, numbers[id(finding)]] = mask
        return found

    @property
    def boxes(self) -> dict[tuple[View, int], Box]:
        """(view, place in findings) -> the smallest box that holds the mask, in source pixels."""
        return {key: _frame(mask) for key, mask in self.masks.items()}


def phantoms(
    n: int,
    *,
    seed: int = 0,
    scale: float = 0.25,
    recipe: str | Path | Recipe = "screening",
    difficulty: str | None = None,
    start: int = 0,
) -> Iterator[tuple[Exam, Truth]]:
    """Exams `start` to `start + n - 1` of a recipe's population as a reader of their files gets them, and their truth.

    n           how many exams
    seed        another seed is another population
    scale       1 = the pixels of the unit that took them; 0.25: a quarter as many rows and columns
    recipe      "screening", "enriched", "training", a TOML file, or a Recipe
    difficulty  "easy", "medium" or "hard"; None: as the recipe says

    Each exam depends on (recipe, seed, its number) and the scale alone. Raises SetupError.
    """
    if n < 0:
        raise SetupError(f"phantom: found {n} exams, need 0 or more")
    found = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    found = found if difficulty is None else found.at(difficulty)
    for index in range(start, start + n):
        plan = plan_exam(found, seed=seed, index=index)
        drawn = draw_planned(plan, scale=scale)
        yield drawn.to_exam(), Truth(plan, drawn)


def _frame(mask: NDArray[np.bool_]) -> Box:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
