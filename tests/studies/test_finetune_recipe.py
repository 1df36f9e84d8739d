"""Recipes of fine-tuning: what they refuse, what decides their hash, and what the loop gets of them."""

from __future__ import annotations

import json

import pytest

from fourview.exam import SetupError
from fourview.studies.finetune.phase_settings import list_phases
from fourview.studies.finetune.recipe import BUILT_IN, FinetuneRecipe, load_recipe, parse_recipe

HEAD = 'phases = [{layers = "head", size_px = 64, epochs = 2, patience = 1, batch = 8, lr = 1e-3}'
ALL = '{layers = "all", size_px = 64, epochs = 2, patience = 1, batch = 8, lr = 1e-4, lr_first = 1e-5}'


def parse(more: str = "", *, phases: str = f"{HEAD}, {ALL}]") -> FinetuneRecipe:
    return parse_recipe(f'name = "tiny"\n{phases}\n{more}')


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_recipe_written_out_reads_back_as_the_same(name: str) -> None:
    recipe = load_recipe(name)
    assert FinetuneRecipe.model_validate_json(json.dumps(recipe.model_dump(mode="json"))).hash == recipe.hash


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("depth = 3", "depth: found an unknown key"),
        ("[running]\nmicro_batch = 3", "micro_batch: found 3 for a batch of 8"),
        ("[nyu]\nmicro_batch = 5", "nyu.micro_batch: found 5"),
        ('[nyu]\nview_init = "LCC"', "nyu.view_init: found 'LCC'"),
        ('labels = "birads6"\nbirads3 = "drop"', "birads3: found 'drop' with the labels birads6"),
        ("[augmentation]\nscale = [1.1, 0.9]", "scale: found"),
    ],
)
def test_unknown_keys_and_contradictions_are_errors(more: str, complaint: str) -> None:
    with pytest.raises(SetupError, match="(?s)" + complaint.replace("[", r"\[")):
        parse(more)


@pytest.mark.parametrize(
    ("phases", "complaint"),
    [
        (f"phases = [{ALL}, {HEAD.split('[')[1]}]", "the head alone after all layers"),
        (f"{HEAD}, {ALL.replace('64', '48')}]", "48 pixels after 64"),
        (f"{HEAD.replace('1e-3', '1e-3, lr_first = 1e-4')}]", "one for the head alone"),
        (f"phases = [{ALL.replace('1e-5', '1e-3')}]", "above lr"),
        ("phases = []", "phases: found"),
    ],
)
def test_phases_that_do_not_follow_are_errors(phases: str, complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        parse(phases=phases)


def test_the_hash_changes_with_what_is_learned_and_not_with_how_fast() -> None:
    recipe = parse()
    assert recipe.with_values(["phases.2.lr=2e-4"]).hash != recipe.hash
    assert recipe.with_values(["labels=malignant"]).hash != recipe.hash
    assert recipe.with_values(["running.workers=0", "running.kept_mb=5"]).hash == recipe.hash


@pytest.mark.parametrize("text", ["phases.3.lr=1", "phase.1.lr=1", "nyu.view=L-CC", "seed", "phases.1=2"])
def test_a_set_value_must_be_there(text: str) -> None:
    with pytest.raises(SetupError, match="--set"):
        parse().with_values([text])


def test_the_loop_gets_one_cycle_per_phase_and_keeps_statistics_of_what_stays() -> None:
    head, whole = list_phases(parse(), "resnet18")
    assert (head.name, whole.name) == ("1-head-64", "2-all-64")
    assert head.schedule.warm_up_epochs == pytest.approx(0.6)
    assert (head.loop.statistics, whole.loop.statistics) == ("kept", "learned")
    assert (head.trains_all, head.lr_first, whole.lr_first) == (False, None, 1e-5)


def test_windows_come_few_at_once_and_a_small_network_learns_all_layers_at_its_own_rate() -> None:
    recipe = parse("[nyu]\nmicro_batch = 2")
    assert [phase.loop.micro_batch for phase in list_phases(recipe, "nyu")] == [2, 2]
    assert {phase.loop.statistics for phase in list_phases(recipe, "nyu")} == {"kept"}
    scratch = list_phases(recipe, "scratch")
    assert [(phase.trains_all, phase.optimiser.lr, phase.lr_first) for phase in scratch] == 2 * [(True, 1e-3, None)]
    assert {phase.loop.statistics for phase in scratch} == {"learned"}
