"""What the lesion networks' benchmark would take at most, from work measured here on a few exams that nobody reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.lesions_protocol import Arm, Protocol
from benchmarks.lesions_work import HANDCRAFTED, draw, store_of
from benchmarks.work import Watch
from fourview.phantom import plan_exam
from fourview.store.store import Store
from fourview.studies.lesion.answers import FORMS, answer_crops
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.crops import read_grey_range
from fourview.studies.lesion.handcrafted.store import measure_views
from fourview.studies.lesion.lesion_input import PATCH, ReadLesion
from fourview.studies.lesion.lesion_stage import LesionStage, LoopNetwork
from fourview.train.kept import Kept
from fourview.train.optimise import build_optimiser
from fourview.train.stage import Batch

EXAMS, SEED, STEPS = 12, 9199, 3
_HELD = 0.2  # share of lesions that a fold of five tests; as many choose the epoch


def estimate_hours(protocol: Protocol, folder: Path) -> dict[str, float]:
    """Part -> hours of processor time if no network stops early; measured in `folder`, a new one.

    Classifiers of hand-crafted numbers are not measured: they are counted as long as measuring the numbers takes.
    """
    few = replace(protocol, exams=EXAMS, seed=SEED)
    watch = Watch(folder / "cpu.json", None)
    hours = {"draw": protocol.exams / EXAMS * _time(lambda: draw(few, folder, watch))}
    store = Store.open(store_of(folder))
    views = find_lesions(store).views
    greys = {view.image: read_grey_range(store, view.image) for view in views}
    there = count_views(protocol)
    for arm in protocol.arms:
        recipe = protocol.recipe(arm)
        mask = recipe.network.gate == "mask"
        read = ReadLesion(store, recipe.crop, recipe.augmentation, greys, mask, False, Kept(10**9))
        hours[f"train {arm.name}"] = _train_s(protocol, arm, read, views, there=there)
    seconds = _time(lambda: measure_views(store, views, folder))
    hours[HANDCRAFTED] = 2 * there / len(views) * seconds
    return {part: seconds / 3600 for part, seconds in hours.items()}


def count_views(protocol: Protocol) -> int:
    """Lesion images of the population: each mass that shows, in CC and MLO."""
    plans = (plan_exam(protocol.population, seed=protocol.seed, index=index) for index in range(protocol.exams))
    return 2 * sum(one.biopsied and one.visible for plan in plans for one in plan.findings)


def _train_s(protocol: Protocol, arm: Arm, read: ReadLesion, views: tuple, *, there: int) -> float:  # type: ignore[type-arg]
    """Seconds of all folds of an arm: epochs of training and validation, and the answers in all forms."""
    recipe = protocol.recipe(arm)
    network = recipe.network.build(recipe.crop.side_px)
    loop = LoopNetwork(network)
    stage = LesionStage(recipe, 0, views, (), read, loop)
    optimiser = build_optimiser(loop, recipe.optimiser)
    size = recipe.loop.batch

    def step(number: int) -> None:
        samples = [stage.load(key) for key in [*stage.epoch(number), *stage.epoch(number + 1)][:size]]
        names = samples[0].inputs
        inputs = {name: torch.from_numpy(np.stack([one.inputs[name] for one in samples])) for name in names}
        targets = torch.from_numpy(np.stack([one.targets for one in samples]))
        optimiser.zero_grad()
        stage.loss(loop, Batch(tuple(one.name for one in samples), inputs, targets)).backward()
        optimiser.step()

    def answer(number: int) -> None:
        crops = torch.from_numpy(np.stack([read(view, None)[PATCH] for view in views[:8]]))
        answer_crops([network.eval()], crops)

    per_crop = min(_time(lambda at=at: step(at)) for at in range(STEPS)) / min(size, 2 * len(views))  # type: ignore[misc]
    per_answer = min(_time(lambda at=at: answer(at)) for at in range(STEPS)) / min(8, len(views))  # type: ignore[misc]
    trained = (1 - 2 * _HELD) * there * per_crop + _HELD * there * per_answer / FORMS
    return len(protocol.folds_of(arm)) * (recipe.loop.epochs * trained + 2 * _HELD * there * per_answer)


def _time(work: Callable[[], object]) -> float:
    """Seconds of processor time, so that other programs on the machine cost little of their truth."""
    started = time.process_time()
    work()
    return time.process_time() - started
