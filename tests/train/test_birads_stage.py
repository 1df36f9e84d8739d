"""BI-RADS pretraining: three classes per breast, and columns that exam networks take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from fourview.exam import SetupError
from fourview.networks.birads import BiradsNetwork
from fourview.networks.exam import VIEW_NAMES
from fourview.train.data import TrainingData
from fourview.train.exam_judgement import judge_birads
from fourview.train.exam_stage import open_exam_stage
from fourview.train.initialise import draw_initial
from fourview.train.open_stage import open_stage
from fourview.train.recipe import Recipe
from fourview.train.stage import UNKNOWN, collate
from fourview.weights.folder import Weights
from tests.train.exam_recipes import exam_recipe

WIRINGS = ["view-wise", "image-wise", "single-image", "side-wise", "joint"]
Open = Callable[[Recipe], TrainingData]


@pytest.mark.parametrize("wiring", WIRINGS)
def test_every_wiring_gives_a_class_per_breast_that_heads_average(open_phantoms: Open, wiring: str) -> None:
    recipe = exam_recipe(f"exam.wiring={wiring}", stage="birads")
    stage = open_exam_stage(recipe, open_phantoms(recipe))
    batch = collate([stage.load(key) for key in stage.validation()[:2]])
    assert batch.targets.shape == (2, 2)
    stage.network.eval()
    with torch.no_grad():
        p = stage.answer(stage.network, batch)
        said = {head: answer.exp() for head, answer in stage.network(batch.inputs).items()}
        loss = float(stage.loss(stage.network, batch))
    assert p.shape == (2, 2, 3)
    torch.testing.assert_close(p.sum(dim=2), torch.ones(2, 2))
    of_left = [said[head.name][:, 0] for head in stage.heads if head.labels[0][0] == "L"]
    torch.testing.assert_close(p[:, 0], torch.stack(of_left).mean(dim=0))
    assert 0.3 < loss < 3


@pytest.mark.parametrize("wiring", ["image-wise", "side-wise"])
def test_heads_of_one_side_do_not_see_the_other(wiring) -> None:
    network = BiradsNetwork(wiring, channels_in=1, width=4).eval()
    draw_initial(network, 0)
    generator = torch.Generator().manual_seed(0)
    windows = {view: torch.randn((1, 1, 128, 128), generator=generator) for view in VIEW_NAMES}
    with torch.no_grad():
        before = network(windows)
        after = network({v: w if v[0] == "L" else -3 * w for v, w in windows.items()})
    for name, answer in before.items():
        assert torch.equal(answer, after[name]) == (name[0] == "L")


def test_an_epoch_is_all_exams_or_as_many_as_the_recipe_says(open_phantoms: Open) -> None:
    recipe = exam_recipe(stage="birads")
    stage = open_exam_stage(recipe, open_phantoms(recipe))
    cases = [key.case for key in stage.epoch(0)]
    assert sorted(cases) == sorted(set(cases)) == list(stage.data.cases.of("train"))
    fewer = open_exam_stage(few := exam_recipe("exams.per_epoch=3", stage="birads"), open_phantoms(few))
    assert len(fewer.epoch(0)) == 3


def test_the_score_is_the_mean_of_each_class_against_the_others() -> None:
    targets = np.array([[0, 1], [2, UNKNOWN], [0, 2], [1, 0]])
    p = np.full((4, 2, 3), 0.1, np.float32)
    for exam, side in np.ndindex(4, 2):
        p[exam, side, max(targets[exam, side], 0)] = 0.8
    names = list("abcd")
    assert judge_birads(names, names, p, targets).score == 1
    p[0, 0] = [0.05, 0.9, 0.05]
    found = judge_birads(names, names, p, targets)
    areas = [found.metrics[f"auc_birads_{number}"] for number in range(3)]
    assert areas == pytest.approx([8 / 12, 1 - 2 / 10, 1])
    assert found.score == pytest.approx(np.mean(areas))
    assert len(found.table) == 8
    assert found.table.filter(exam="b", side="R")["birads_class"].to_list() == [None]


def test_a_class_that_nobody_has_is_left_out_and_one_class_alone_refused() -> None:
    p = np.random.default_rng(0).dirichlet([1, 1, 1], (3, 2)).astype(np.float32)
    found = judge_birads(list("abc"), list("abc"), p, np.array([[1, 2], [2, 1], [1, 1]]))
    assert "auc_birads_0" not in found.metrics
    with pytest.raises(SetupError, match="of one BI-RADS class only"):
        judge_birads(list("abc"), list("abc"), p, np.ones((3, 2), np.int64))


def test_a_part_with_one_class_is_refused(open_phantoms: Open) -> None:
    recipe = exam_recipe(stage="birads")
    data = open_phantoms(recipe)
    table = data.table.with_columns(birads_class=pl.lit(1, pl.Int8))
    with pytest.raises(SetupError, match=r"train: found breasts of the BI-RADS classes \[1\], need two or more"):
        open_exam_stage(recipe, TrainingData(data.store, table, "", "", "0" * 64, phantoms_only=True))


def test_exam_networks_start_from_its_columns(open_phantoms: Open) -> None:
    recipe = exam_recipe(stage="birads")
    stage = open_exam_stage(recipe, open_phantoms(recipe))
    nn.init.constant_(stage.network.columns["cc"].final_bn.bias, 0.5)
    card = stage.card(name="pretrained", judgement=None, data="phantoms")
    assert (card.birads, card.exam) == (recipe.exam, None)
    after = exam_recipe()
    exam = open_stage(after, open_phantoms(after), init=Weights(card, None, None, stage.network))
    for name, tensor in stage.network.columns.state_dict().items():
        assert torch.equal(tensor, exam.network.columns.state_dict()[name])
