"""The patch stage: what the training loop gets from it."""

from __future__ import annotations

import copy
import json
import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from fourview.exam import SetupError
from fourview.store.splits import make_split
from fourview.train.data import TrainingData, open_data
from fourview.train.patch_stage import INPUT, PatchStage
from fourview.train.recipe import CLASSES, Recipe, load_recipe
from fourview.train.stage import VALIDATION, Batch, Key, collate
from fourview.train.trainee import Trainee
from tests.train.planted_set import Planted, make_store, on_planted


@pytest.fixture(scope="module")
def stage(patch_recipe: Recipe, open_phantoms: Callable[[Recipe], TrainingData]) -> PatchStage:
    return PatchStage.open(patch_recipe, open_phantoms(patch_recipe))


def test_an_epoch_is_the_recipes_mix_and_no_epoch_is_like_another(stage: PatchStage) -> None:
    keys = stage.epoch(3)
    assert [key.place for key in keys] == list(range(40))
    assert {key.epoch for key in keys} == {3}
    assert Counter(key.kind for key in keys) == {"malignant": 8, "benign": 14, "outside": 2, "negative": 16}
    assert stage.epoch(3) == keys
    assert [(key.kind, key.case) for key in stage.epoch(4)] != [(key.kind, key.case) for key in keys]
    key = keys[0]
    later = Key(4, key.place, key.case, key.kind)
    assert not np.array_equal(stage.load(key).inputs[INPUT], stage.load(later).inputs[INPUT])


def test_validation_reads_the_same_patches_every_time_and_only_validation_images(
    stage: PatchStage, phantom_store: Path, open_phantoms: Callable[[Recipe], TrainingData]
) -> None:
    keys = stage.validation()
    assert len(keys) == 30
    assert {key.epoch for key in keys} == {VALIDATION}
    assert stage.validation() == keys
    table = open_phantoms(stage.recipe).table
    part_of = dict(zip(table["image"], table["part"], strict=True))
    assert {part_of[stage.load(key).name] for key in keys} == {"validation"}
    assert {part_of[stage.load(key).name] for key in stage.epoch(0)} == {"train"}


def test_a_sample_is_the_same_from_a_copy_of_the_stage_in_any_order(stage: PatchStage) -> None:
    copy = pickle.loads(pickle.dumps(stage))
    keys = [*stage.epoch(0)[:10], *stage.validation()[:10]]
    here = {key: stage.load(key) for key in keys}
    for key in reversed(keys):
        there = copy.load(key)
        assert there.inputs[INPUT].tobytes() == here[key].inputs[INPUT].tobytes()
        assert there.name == here[key].name
        assert CLASSES[int(there.targets[0])] == key.kind
        assert there.inputs[INPUT].shape == (1, 32, 32)
        assert there.inputs[INPUT].dtype == np.float32


def test_another_seed_is_another_network_and_other_patches(
    stage: PatchStage, open_phantoms: Callable[[Recipe], TrainingData]
) -> None:
    recipe = stage.recipe.with_values(["seed=1"])
    other = PatchStage.open(recipe, open_phantoms(recipe))
    key = stage.epoch(0)[0]
    assert not np.array_equal(stage.load(key).inputs[INPUT], other.load(key).inputs[INPUT])
    weights = [net.state_dict()["features.conv0.weight"] for net in (stage.network, other.network)]
    assert not torch.equal(*weights)


def test_right_answers_have_areas_of_one_and_swapped_classes_do_not(stage: PatchStage) -> None:
    targets = np.repeat(np.arange(4), 5)[:, None]
    names = [f"image {number}" for number in range(20)]
    right = np.full((20, 4), 0.1, np.float32)
    right[np.arange(20), targets[:, 0]] = 0.7
    judged = stage.judge(names, right, targets)
    assert judged.score == 1
    assert all(judged.metrics[f"auc_{name}"] == 1 for name in CLASSES)
    assert judged.metrics["validation_loss"] == pytest.approx(-np.log(0.7), rel=1e-6)
    assert judged.metrics["malignant_as_malignant"] == judged.metrics["n_malignant"] == 5
    swapped = stage.judge(names, right[:, [1, 0, 2, 3]], targets)
    assert swapped.score < 0.5
    assert swapped.metrics["malignant_as_benign"] == swapped.metrics["benign_as_malignant"] == 5
    assert swapped.metrics["malignant_as_malignant"] == 0
    assert swapped.metrics["auc_outside"] == 1
    row = swapped.table.row(0, named=True)
    assert (row["image"], row["class"], row["said"]) == ("image 0", "malignant", "benign")
    assert row["p_benign"] == pytest.approx(0.7)


def test_a_class_without_a_validation_patch_has_no_area_and_a_finding_must_have_some(stage: PatchStage) -> None:
    answers = np.full((6, 4), 0.25, np.float32)
    judged = stage.judge(list("abcdef"), answers, np.array([[0], [0], [1], [1], [3], [3]]))
    assert "auc_outside" not in judged.metrics
    assert judged.metrics["n_outside"] == 0
    with pytest.raises(SetupError):
        stage.judge(list("abcdef"), answers, np.array([[1], [1], [1], [1], [3], [3]]))


def test_the_card_says_what_was_trained_on_what_and_how_well(
    stage: PatchStage, open_phantoms: Callable[[Recipe], TrainingData]
) -> None:
    keys = stage.validation()
    batch = collate([stage.load(key) for key in keys])
    answers = stage.answer(stage.network.eval(), batch).detach().numpy()
    assert np.allclose(answers.sum(axis=1), 1, atol=1e-6)
    judged = stage.judge(batch.names, answers, batch.targets.numpy())
    card = stage.card(name="tiny-1", judgement=judged, data="12 phantom exams")
    assert (card.name, card.patch, card.exam) == ("tiny-1", stage.recipe.patch, None)
    assert card.geometry == stage.recipe.geometry
    assert card.training.trained is True
    assert card.training.phantoms_only
    assert card.training.recipe_sha256 == stage.recipe.hash
    assert card.training.data_sha256 == open_phantoms(stage.recipe).hash
    low, high = card.input.spacing_range_mm or (0, 0)
    assert 0.6 < low <= high < 0.9  # mm: a tenth of the units' pixels
    found = {metric.name: metric for metric in card.metrics}
    malignant = found["AUC, malignant patches against others"]
    assert malignant.value == pytest.approx(judged.metrics["auc_malignant"])
    assert (malignant.unit, malignant.n, malignant.positives) == ("patch", 30, 6)
    assert not stage.card(name="tiny-1", judgement=None, data="").metrics


def test_pictures_show_every_class(stage: PatchStage) -> None:
    pictures = stage.pictures()
    shown = Counter(picture.name.partition(":")[0] for picture in pictures)
    assert shown == {"malignant": 4, "benign": 4, "outside": 2, "negative": 4}
    assert all(CLASSES[int(p.targets[0])] == p.name.partition(":")[0] for p in pictures)


def test_the_stage_can_be_learned(tmp_path: Path, patch_recipe: Recipe) -> None:
    images = tuple(
        Planted(f"e{number}", view, lesions)
        for number in range(12)
        for view, lesions in (
            (("L-CC", {"malignant": (120, 60)}), ("R-MLO", {"benign": (180, 70)})),
            (("L-MLO", {}), ("R-CC", {})),
        )[number % 2]
    )
    store = make_store(tmp_path / "store", tmp_path / "pictures", images)
    make_split(store.manifest, fractions=(0.5, 0.3, 0.2), stratify="label").write(store.path, "parts")
    recipe = on_planted(patch_recipe, "patches.per_epoch=400", "patches.validation=80")
    data = open_data(str(store.path), split="parts", recipe=recipe, cache=tmp_path)
    stage = PatchStage.open(recipe, data)
    network = stage.network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    keys = [key for epoch in range(4) for key in stage.epoch(epoch)]
    for start in range(0, len(keys), 20):
        batch = collate([stage.load(key) for key in keys[start : start + 20]])
        optimiser.zero_grad()
        stage.loss(network, batch).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    batch = collate([stage.load(key) for key in stage.validation()])
    answers = stage.answer(network.eval(), batch).detach().numpy()
    judged = stage.judge(batch.names, answers, batch.targets.numpy())
    assert judged.score > 0.9, judged.metrics


WORDS = 'patches.words={ descriptors = ["shape", "calc_type"], weight = 0.5 }'


@pytest.fixture(scope="module")
def wordy(patch_recipe: Recipe, open_phantoms: Callable[[Recipe], TrainingData]) -> PatchStage:
    recipe = patch_recipe.with_values([WORDS, 'patches.distractors="benign"'])
    return PatchStage.open(recipe, open_phantoms(recipe))


def test_a_patch_on_a_lesion_has_its_words_as_targets_and_another_has_none(wordy: PatchStage) -> None:
    table = {row["image"]: row for row in wordy._data.table.to_dicts()}
    known = wordy._words
    assert all(list(words) == sorted(set(words)) for words in known.values())
    seen = 0
    for key in wordy.epoch(0):
        sample = wordy.load(key)
        codes = dict(zip(known, sample.targets[1:], strict=True))
        said = {name: {known[name][code]} if code >= 0 else set() for name, code in codes.items()}
        there = _said([table[sample.name]], pathology=key.kind)
        assert all(said[name] <= set(there[name]) for name in known), (key, said, there)
        seen += sum(map(len, said.values()))
        if key.kind in ("outside", "negative"):
            assert not any(said.values())
    assert seen > 10


def _said(rows: Iterable[Mapping[str, Any]], *, pathology: str = "") -> dict[str, list[str | None]]:
    lesions = [lesion for row in rows for lesion in row["lesions"] if pathology in ("", lesion["pathology"])]
    words = [json.loads(lesion["descriptors"]) for lesion in lesions if lesion["mask"] is not None]
    return {name: [found.get(name) for found in words] for name in ("shape", "calc_type")}


def test_words_add_their_share_to_the_loss_and_nothing_to_the_answer(wordy: PatchStage, stage: PatchStage) -> None:
    batch = collate([wordy.load(key) for key in wordy.epoch(0)])
    network = wordy.network.eval()
    with torch.no_grad():
        answers = network(batch.inputs[INPUT])
        parts = torch.split(answers, [4, *map(len, wordy._words.values())], dim=1)
        expected = torch.nn.functional.cross_entropy(parts[0], batch.targets[:, 0]).item()
        for part, codes in zip(parts[1:], batch.targets.T[1:], strict=True):
            logs = torch.log_softmax(part, dim=1)
            expected -= 0.5 * sum(logs[i, code].item() for i, code in enumerate(codes) if code >= 0) / len(codes)
        assert wordy.loss(network, batch).item() == pytest.approx(expected, rel=1e-5)
        assert torch.equal(wordy.answer(network, batch), torch.softmax(parts[0], dim=1))
    kept, plain = wordy.kept(network.state_dict()), stage.network.state_dict()
    assert {name: tensor.shape for name, tensor in kept.items()} == {n: tensor.shape for n, tensor in plain.items()}


def test_words_that_the_lesions_do_not_have_are_named(
    patch_recipe: Recipe, open_phantoms: Callable[[Recipe], TrainingData]
) -> None:
    recipe = patch_recipe.with_values(['patches.words={ descriptors = ["colour"], weight = 1.0 }'])
    with pytest.raises(SetupError, match="colour: none; need two or more"):
        PatchStage.open(recipe, open_phantoms(recipe))


def test_a_recipe_without_words_keeps_the_hash_that_it_had(patch_recipe: Recipe) -> None:
    assert patch_recipe.with_values([WORDS]).hash != patch_recipe.hash
    paper = load_recipe("paper", stage="patch").hash
    assert paper == "169dbcee50999de6581fb289a13596245eeef75a2d560fd6cc4d8007a207ecb5"


def test_patches_with_words_count_alike_however_a_batch_is_divided(wordy: PatchStage) -> None:
    keys = [*wordy.epoch(0)]
    keys.sort(key=lambda key: key.kind in ("outside", "negative"))  # lesions, which have words, come first
    batch = collate([wordy.load(key) for key in keys[:16] + keys[-16:]])
    said = (batch.targets[:, 1:] >= 0).any(1)
    assert said[:16].sum() > said[16:].sum() + 4

    def step(portion: int) -> tuple[float, torch.Tensor]:
        network = copy.deepcopy(wordy.network)
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.launch()
        settings = [f"loop.batch={32}", f"loop.micro_batch={portion}", "loop.statistics=kept", "optimiser.name=sgd"]
        recipe = wordy.recipe.with_values([*settings, "optimiser.lr=1.0", "optimiser.weight_decay=0.0"])
        stage = copy.copy(wordy)
        stage.recipe, stage.network = recipe, network
        before = torch.cat([weight.detach().flatten().clone() for weight in network.parameters()])
        parts = iter(
            Batch(
                batch.names[a : a + portion],
                {INPUT: batch.inputs[INPUT][a : a + portion]},
                batch.targets[a : a + portion],
            )
            for a in range(0, 32, portion)
        )
        trainee = Trainee(stage, fabric)
        taken = trainee.step(
            tuple(keys[:portion] for _ in range(32 // portion)), lambda: next(parts), rate=1.0, steps=0
        )
        after = torch.cat([weight.detach().flatten() for weight in network.parameters()])
        return taken.loss, after - before

    whole, halves = step(32), step(16)
    assert halves[0] == pytest.approx(whole[0], rel=1e-5)
    torch.testing.assert_close(halves[1], whole[1], rtol=1e-3, atol=1e-5)
