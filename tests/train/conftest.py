"""A small synthetic population as a store, drawn once; recipes small enough for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fourview.phantom.recipe import load_recipe as load_population
from fourview.phantom.recipe import read_recipe_file
from fourview.store.phantom_store import draw_store
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.train.data import TrainingData, open_data
from fourview.train.recipe import Recipe, parse_recipe
from tests.train.exam_recipes import GEOMETRY, RATES
from tests.train.planted_set import make_store

SCALE = 0.1
SPLIT = "parts"
PATCH = f"""
name = "tiny"
stage = "patch"
[patch]
side_px = 32
stride_px = 10
blocks = [1, 1]
growth = 4
stem = 4
classes = ["malignant", "benign", "outside", "negative"]
{GEOMETRY}[patches]
per_epoch = 40
mix = {{ malignant = 0.20, benign = 0.35, outside = 0.05, negative = 0.40 }}
side_px = [16, 48]
rotation_deg = 30.0
mirrored = 0.5
validation = 30
{RATES}[loop]
epochs = 2
patience = 2
batch = 10
micro_batch = 10
workers = 0
[phantoms]
exams = 12
seed = 12
scale = {SCALE}
fractions = [0.5, 0.3, 0.2]
"""


@pytest.fixture(scope="session")
def population(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom recipe whose exams were biopsied or not, and half of the biopsies malignant."""
    text = read_recipe_file("enriched")
    for old, new in (
        ('name = "enriched"', 'name = "mixed"'),
        ("exams = 1.0", "exams = 0.6"),
        ("malignant = 0.138", "malignant = 0.5"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("population") / "mixed.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="session")
def phantom_store(population: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 exams of it with a split SPLIT: each of its parts has malignant, benign and unbiopsied exams. Only read it."""
    out = tmp_path_factory.mktemp("phantoms") / "store"
    draw_store(load_population(population), out, exams=12, seed=12, scale=SCALE)
    split = make_split(Store.open(out).manifest, fractions=(0.5, 0.3, 0.2), stratify="label", seed=12)
    split.write(out, SPLIT)
    return out


@pytest.fixture(scope="session")
def patch_recipe() -> Recipe:
    """A patch network of a few hundred numbers, on that store's pixels."""
    return parse_recipe(PATCH)


@pytest.fixture(scope="session")
def open_phantoms(phantom_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Recipe], TrainingData]:
    """The store as a recipe's data."""

    def call(recipe: Recipe) -> TrainingData:
        return open_data(str(phantom_store), split=SPLIT, recipe=recipe, cache=tmp_path_factory.getbasetemp())

    return call


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A few drawn breasts whose grey levels tell their lesions' kinds. Only read it."""
    folder = tmp_path_factory.mktemp("planted")
    return make_store(folder / "store", folder / "pictures")
