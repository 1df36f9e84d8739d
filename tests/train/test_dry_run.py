"""Dry runs: measured steps, what fits, and an estimate that is a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from fourview.train.data import TrainingData
from fourview.train.devices import open_fabric
from fourview.train.dry_run import DryRun, find_largest, measure_run
from fourview.train.open_stage import open_stage
from fourview.train.peak_memory import PeakMemory, available_mb
from fourview.train.recipe import Recipe
from tests.train.exam_recipes import exam_recipe

MEASURED = DryRun(
    device="a device",
    parameters=10,
    steps=3,
    step_s=2.0,
    steps_per_epoch=5,
    samples_per_step=4,
    sample_s=0.5,
    judge_s=3.0,
    judged=6,
    epochs=10,
    patience=2,
    memory_mb=100.0,
    micro_batch=2,
    largest=8,
    by_trial=False,
    workers=1,
)


@pytest.mark.parametrize("fits", [1, 2, 3, 7, 8, 100])
def test_the_largest_that_fits_is_found_in_few_trials(fits: int) -> None:
    tried: list[int] = []

    def fit(count: int) -> bool:
        tried.append(count)
        return count <= fits

    assert find_largest(fit, most=100) == fits
    assert len(tried) < 16
    assert max(tried) <= max(2 * fits, 2)


def test_nothing_fits_and_everything_fits() -> None:
    assert find_largest(lambda _: False, most=10) == 0
    assert find_largest(lambda _: True, most=10) == 10


def test_samples_are_prepared_beside_the_steps_by_workers_and_between_them_without() -> None:
    assert MEASURED.feeding_share == 1.0
    assert MEASURED.epoch_s == 5 * 2.0 + 3.0
    slow = replace(MEASURED, sample_s=1.0)  # 4 s for the samples of a step of 2 s
    assert slow.epoch_s == 5 * 4.0 + 6.0
    assert replace(slow, workers=2).epoch_s == 5 * 2.0 + 3.0
    assert replace(MEASURED, workers=0).epoch_s == 5 * (2.0 + 2.0) + 3.0 + 3.0
    assert MEASURED.run_s == 10 * MEASURED.epoch_s


def test_a_stage_is_measured_on_its_own_samples(open_phantoms: Callable[[Recipe], TrainingData]) -> None:
    recipe = exam_recipe("loop.epochs=7")
    stage = open_stage(recipe, open_phantoms(recipe))
    fabric = open_fabric(recipe, accelerator="cpu")
    fabric.launch()
    found = measure_run(stage, fabric=fabric)
    assert found.parameters == sum(p.numel() for p in stage.network.parameters())
    assert (found.steps_per_epoch, found.judged) == (len(stage.epoch(0)) // 2, len(stage.validation()))
    assert 0 < found.step_s < 10
    assert 0 < found.sample_s < 10
    assert 2 < found.largest < 1_000_000
    assert found.epochs == 7


def test_the_peak_of_a_block_is_seen_though_it_is_given_back() -> None:
    with PeakMemory(torch.device("cpu")) as memory:
        block = torch.ones(60_000_000)  # 240 MB
        for _ in range(5):
            block.mul_(1.0)
        del block
    assert 200 < memory.taken_mb < 600
    assert memory.peak_mb < available_mb()
