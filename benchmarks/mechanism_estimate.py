"""What the mechanism check would take, from steps measured here on a few exams that nobody reads for results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from benchmarks.mechanism_pieces import SPLIT
from benchmarks.mechanism_protocol import ARMS, Arm, Protocol
from benchmarks.mechanism_reading import Reader, read_block
from fourview.engine import choose_engine
from fourview.phantom import plan_exam
from fourview.store.phantom_store import draw_store
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.train import dry_run
from fourview.train.crops import reading_card
from fourview.train.data import open_data
from fourview.train.devices import launched, open_fabric
from fourview.train.fill_heatmaps import fill_heatmaps
from fourview.train.initialise import draw_initial
from fourview.train.open_stage import open_stage
from fourview.train.recipe import Recipe
from fourview.weights.folder import Weights, build_exam, build_patch, load_weights, save_weights

SEED, EXAMS = 7900, 40  # women of the pilot
Value = TypeVar("Value")


def estimate_hours(protocol: Protocol, folder: Path) -> dict[str, float]:
    """Part -> hours of processor time, of all difficulties; measured in `folder`, a new one.

    Seconds are of processor time, so other programs on the machine cost little of their truth.
    """
    population, out = protocol.population(protocol.difficulties[0]), folder / "store"
    drawn = protocol.train.exams + protocol.test.exams
    _, seconds = _timed(lambda: draw_store(population, out, exams=EXAMS, seed=SEED, scale=protocol.scale))
    split = make_split(Store.open(out).manifest, fractions=(0.5, 0.4, 0.1), stratify="label", seed=SEED)
    split.write(out, SPLIT)
    hours = {"draw": drawn * seconds / EXAMS}
    hours["patch"] = _train_s(protocol, protocol.recipe("patch"), out, patch=None)
    patch = make_patch(protocol.recipe("patch"), folder / "patch")
    store, engine = Store.open(out), choose_engine("auto", device="cpu")
    _, seconds = _timed(lambda: fill_heatmaps(store, patch, engine))
    hours["heatmaps"] = drawn * seconds / EXAMS
    for halved in (False, True):
        recipe = protocol.recipe("birads", halved=halved)
        hours["birads"] = hours.get("birads", 0.0) + len(protocol.seeds) * _train_s(protocol, recipe, out, patch=None)
    for arm in ARMS:
        wanted = patch if arm.reads_heatmaps else None
        of_arm = _train_s(protocol, protocol.recipe("exam", arm=arm), out, patch=wanted)
        hours["exam"] = hours.get("exam", 0.0) + len(protocol.seeds) * of_arm
    readers = [_make_reader(protocol, arm, seed) for arm in ARMS for seed in protocol.seeds]
    recipes = {halved: protocol.recipe("exam", halved=halved) for halved in (False, True)}
    _, seconds = _timed(lambda: read_block(store, readers, range(EXAMS), recipes=recipes, patch=patch))
    hours["read"] = protocol.test.exams * seconds / EXAMS
    return {part: round(len(protocol.difficulties) * value / 3600, 3) for part, value in hours.items()}


def _timed(work: Callable[[], Value]) -> tuple[Value, float]:
    """What it gives, and its seconds of processor time."""
    start = time.process_time()
    value = work()
    return value, time.process_time() - start


def _train_s(protocol: Protocol, recipe: Recipe, store: Path, *, patch: Weights | None) -> float:
    """Seconds of processor time of a whole run: its steps and judgements, as many as the training population gives."""
    data = open_data(str(store), split=SPLIT, recipe=recipe, cache=store.parent)
    fabric = open_fabric(recipe, accelerator="cpu")
    with launched(fabric):
        stage = open_stage(recipe, data, patch=patch)
        for key in (*stage.epoch(0), *stage.validation())[: 0 if recipe.patches else None]:
            stage.load(key)  # later epochs find them in memory
        with _counting_processor_time():
            found = dry_run.measure_run(stage, fabric=fabric)
    samples, judged = _count_samples(protocol, recipe)
    per_sample = found.step_s / found.samples_per_step + found.sample_s
    per_judged = found.judge_s / found.judged + found.sample_s
    return recipe.loop.epochs * (samples * per_sample + judged * per_judged)


@contextmanager
def _counting_processor_time() -> Iterator[None]:
    """In the block, the dry run's clock stands still while other programs have the processor."""
    changed: Any = dry_run
    changed.time = SimpleNamespace(perf_counter=time.process_time)
    try:
        yield
    finally:
        changed.time = time


def _count_samples(protocol: Protocol, recipe: Recipe) -> tuple[float, float]:
    """Samples of an epoch, and of a judgement, of the training population."""
    if recipe.patches is not None:
        return recipe.patches.per_epoch, recipe.patches.validation
    learned, validated = (share * protocol.train.exams for share in protocol.fractions[:2])
    if recipe.stage == "birads" or recipe.exams is None:
        return learned, validated
    population, draw = protocol.population(protocol.difficulties[0]), protocol.train
    plans = [plan_exam(population, seed=draw.seed, index=index) for index in range(draw.exams)]
    positive = sum(any(b.malignant or b.benign for b in plan.breasts.values()) for plan in plans) / draw.exams
    return learned * positive * (1 + recipe.exams.others_per_positive), validated


def make_patch(recipe: Recipe, folder: Path) -> Weights:
    """A patch network that has learned nothing: it takes as long."""
    if recipe.patch is None:
        raise ValueError("the recipe has no patch network")
    network = build_patch(recipe.patch)
    draw_initial(network, 0)
    save_weights(folder, reading_card(recipe), patch=network.state_dict())
    return load_weights(folder)


def _make_reader(protocol: Protocol, arm: Arm, seed: int) -> Reader:
    recipe = protocol.recipe("exam", arm=arm, seed=seed)
    if recipe.exam is None:
        raise ValueError("the recipe has no exam network")
    network = build_exam(recipe.exam)
    draw_initial(network, seed)
    card = reading_card(recipe, patch=protocol.recipe("patch").patch if arm.reads_heatmaps else None)
    return Reader(f"{arm.name}-{seed}", Weights(card, network, None, None), arm.reads_heatmaps, arm.halved)
