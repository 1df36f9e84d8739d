"""Memory and time of a full-size training step: measured here small, and the stored table as the docs tell it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks import exam_step

from fourview.train.recipe import load_recipe

DOCS = Path(__file__).parents[1] / "docs/training.md"


@pytest.mark.slow
def test_recomputed_activations_and_bf16_take_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("paper", stage="exam")
    geometry = recipe.geometry.model_copy(update={"window_cc_px": (800, 600), "window_mlo_px": (900, 500)})
    monkeypatch.setattr(exam_step, "RECOMPUTED", (0, 2))
    result = exam_step.measure(recipe.model_copy(update={"geometry": geometry}))
    taken = {(row["precision"], row["recomputed"]): row["one_exam_mb"] for row in result["rows"]}
    assert taken["fp32", 2] < 0.8 * taken["fp32", 0]
    assert taken["bf16", 0] < 0.8 * taken["fp32", 0]
    assert all(row["batch_mb"] > 2 * row["one_exam_mb"] for row in result["rows"])


def test_a_full_size_step_fits_and_the_docs_tell_the_stored_table() -> None:
    stored = json.loads(exam_step.STORED.read_text())
    assert stored["recipe_sha256"] == load_recipe("paper", stage="exam").hash
    assert stored["passes"] is all(row["one_exam_mb"] <= exam_step.MOST_MB for row in stored["rows"]) is True
    assert exam_step.tell(stored) in DOCS.read_text()
