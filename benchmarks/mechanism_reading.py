"""Test exams as the networks of all arms read them, each exam once: breast by breast, what each network says.

What a network sees is what its stage's validation shows it: the exact window (no jitter, no noise) of each view, the
heatmaps of the store, the mean over the heads. `screen` with no jitter says the same (a test holds that), but for the
edges of crops where images are resampled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from benchmarks.mechanism_protocol import NO_MAPS
from fourview.exam import FINDINGS, SetupError
from fourview.networks.birads import SIDES
from fourview.networks.exam import BOTH_SIDES, WiredNetwork
from fourview.store.store import Store
from fourview.train.crops import reading_card
from fourview.train.exam_batch import mean_answers
from fourview.train.exam_cases import ExamCase, list_cases
from fourview.train.exam_samples import ExamSamples, open_samples
from fourview.train.recipe import Recipe
from fourview.train.stage import VALIDATION, Batch, Key, Sample, collate
from fourview.weights.folder import Weights


@dataclass(frozen=True, eq=False)
class Reader:
    """A network that reads the test exams. name: of its run;  halved: its pixels are of twice the size"""

    name: str
    weights: Weights
    reads_heatmaps: bool
    halved: bool

    @property
    def network(self) -> WiredNetwork:
        if self.weights.exam is None:
            raise SetupError(f"{self.name}: found no exam network, need one")
        return self.weights.exam


def read_block(
    store: Store,
    readers: Sequence[Reader],
    exams: range,
    *,
    recipes: Mapping[bool, Recipe],
    patch: Weights,
    on_exam: Callable[[], None] = lambda: None,
) -> pl.DataFrame:
    """Two rows per exam, left and right: exam, patient, side, truth of each finding, "NAME FINDING" of each reader.

    exams    which of the store's, in its order
    recipes  halved or not -> a recipe that says pixels and geometry
    Raises SetupError if the store has fewer exams, or no heatmaps of `patch`.
    """
    table = store.images.with_columns(part=pl.lit("test"))
    heads = readers[0].network.heads
    found = list_cases(table, wiring="joint", heads=heads, unbiopsied="negative", parts=("test",)).cases
    if len(found) < exams.stop:
        raise SetupError(f"{store.path}: found {len(found)} exams with four views, need {exams.stop}")
    cases = found[exams.start : exams.stop]
    samples = {
        halved: _open(store, table, cases, recipe=recipes[halved], patch=None if halved else patch)
        for halved in {reader.halved for reader in readers}
    }
    answers: dict[str, list[NDArray[np.float32]]] = {reader.name: [] for reader in readers}
    for place, case in enumerate(cases):
        batches = {halved: _show(opened, case, place) for halved, opened in samples.items()}
        for reader in readers:
            batch = batches[reader.halved]
            answers[reader.name].append(_ask(reader.network, batch if reader.reads_heatmaps else _image_only(batch)))
        on_exam()
    return _tabulate(cases, {name: np.stack(said) for name, said in answers.items()})


def _open(
    store: Store, table: pl.DataFrame, cases: Sequence[ExamCase], *, recipe: Recipe, patch: Weights | None
) -> ExamSamples:
    """patch: heatmaps are read as well, whether or not a network wants them; None: images only."""
    card = patch.card if patch else None
    recipe = recipe if patch else recipe.with_values([NO_MAPS])
    seen = reading_card(recipe, patch=card.patch if card else None)
    samples, problems = open_samples(recipe, store, table, card=seen, patch=card, cases=cases)
    if problems:
        raise SetupError(f"{store.path}: {len(problems)} exams have no heatmaps; need all")
    return samples


def _show(samples: ExamSamples, case: ExamCase, place: int) -> Batch:
    return collate([Sample(case.exam, samples.read(case, Key(VALIDATION, place, place)), case.finding_targets)])


def _image_only(batch: Batch) -> Batch:
    return Batch(batch.names, {view: window[:, :1] for view, window in batch.inputs.items()}, batch.targets)


def _ask(network: WiredNetwork, batch: Batch) -> NDArray[np.float32]:
    """(4,) probabilities in the order of BOTH_SIDES, as ExamStage.answer."""
    columns = {head.name: [BOTH_SIDES.index(label) for label in head.labels] for head in network.heads}
    with torch.no_grad():
        said = mean_answers(network.eval(), batch, heads=network.heads, columns=columns)
    found: NDArray[np.float32] = said[0, :, 1].numpy()
    return found


def _tabulate(cases: Sequence[ExamCase], answers: Mapping[str, NDArray[np.float32]]) -> pl.DataFrame:
    targets = np.stack([case.finding_targets for case in cases])
    tables = []
    for side in SIDES:
        places = {finding: BOTH_SIDES.index((side, finding)) for finding in FINDINGS}
        columns: dict[str, Any] = {
            "exam": [case.exam for case in cases],
            "patient": [case.patient for case in cases],
            "side": [side] * len(cases),
            **{finding: targets[:, place] for finding, place in places.items()},
        }
        for name, said in answers.items():
            columns |= {f"{name} {finding}": said[:, place] for finding, place in places.items()}
        tables.append(pl.DataFrame(columns))
    return pl.concat(tables)
