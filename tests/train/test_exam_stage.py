"""The exam stage: its samples are what `screen` feeds a network, its loss and judgement count what is known."""

from __future__ import annotations

import math
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fourview.engine.torch_engine import TorchEngine
from fourview.exam import Exam, ExamError, SetupError
from fourview.networks.exam import BOTH_SIDES, HEADS, VIEW_NAMES
from fourview.phantom.stream import phantoms
from fourview.screen import Screener
from fourview.store.heatmaps import FOLDER
from fourview.store.store import Store
from fourview.train.data import TrainingData
from fourview.train.exam_batch import mean_answers, mean_loss
from fourview.train.exam_judgement import judge_findings
from fourview.train.exam_stage import ExamStage, open_exam_stage
from fourview.train.fill_heatmaps import fill_heatmaps
from fourview.train.open_stage import open_stage
from fourview.train.recipe import Recipe
from fourview.train.stage import UNKNOWN, VALIDATION, Batch, Key, Sample, Stage, collate
from fourview.weights.folder import Weights, build_exam
from tests.train.conftest import SCALE
from tests.train.exam_recipes import exam_recipe
from tests.train.tiny_patch import SeeingEngine, tiny_patch

CPU = TorchEngine(torch.device("cpu"))
STILL = ("exams.windows=false", "exams.noise=0.0")
Open = Callable[[Recipe], TrainingData]


@pytest.fixture(scope="module")
def patch(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return tiny_patch(tmp_path_factory.mktemp("weights") / "tiny")


@pytest.fixture(scope="module")
def filled(phantom_store: Path, patch: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The population with heatmaps."""
    out = tmp_path_factory.mktemp("filled") / "store"
    shutil.copytree(phantom_store, out)
    fill_heatmaps(Store.open(out), patch, CPU)
    return out


def with_store(data: TrainingData, path: Path) -> TrainingData:
    return TrainingData(Store.open(path), data.table, data.name, data.split, data.hash, data.phantoms_only)


def draw_exam(population: Path, stage: ExamStage, key: Key) -> Exam:
    """The exam of a key as a reader of its files gets it."""
    folder = stage.data.case(key).images["L-CC"][0].split("/")[0]
    start = int(folder.removeprefix("exam_"))
    return next(exam for exam, _ in phantoms(1, seed=12, scale=SCALE, recipe=population, start=start))


@pytest.mark.parametrize("heatmaps", [False, True])
def test_a_sample_without_noise_is_what_screen_feeds_the_network(
    open_phantoms: Open, filled: Path, patch: Weights, population: Path, heatmaps: bool
) -> None:
    small = ("geometry.window_cc_px=[120,60]", "geometry.window_mlo_px=[150,50]")  # so that all of a centre matters
    recipe = exam_recipe(f"exam.heatmaps={str(heatmaps).lower()}", *STILL, *small)
    stage = open_exam_stage(recipe, with_store(open_phantoms(recipe), filled), patch=patch)
    card = stage.card(name="x", judgement=None, data="phantoms").model_copy(update={"input": recipe.input})
    engine = SeeingEngine()
    screener = Screener([Weights(card, build_exam(card.exam), patch.patch)], engine=engine, jitter=0)
    for key in [stage.validation()[0], stage.epoch(0)[0]]:
        sample = stage.load(key)
        engine.windows.clear()
        screener.read(draw_exam(population, stage, key))
        assert len(engine.windows) == 4
        for view, window in zip(VIEW_NAMES, engine.windows, strict=True):
            assert sample.inputs[view].shape == window.shape == (3 if heatmaps else 1, *window.shape[1:])
            np.testing.assert_array_equal(sample.inputs[view], window)


def test_a_sample_depends_on_its_key_alone(open_phantoms: Open) -> None:
    stage = open_stage(recipe := exam_recipe(), open_phantoms(recipe))
    first, second = stage.epoch(0)[:2]
    once, other, again = stage.load(first), stage.load(second), stage.load(first)
    travelled: Stage = pickle.loads(pickle.dumps(stage))
    for view in VIEW_NAMES:
        np.testing.assert_array_equal(once.inputs[view], again.inputs[view])
        np.testing.assert_array_equal(once.inputs[view], travelled.load(first).inputs[view])
    assert once.name != other.name
    moved = stage.load(Key(1, first.place, first.case))
    assert not np.array_equal(once.inputs["L-CC"], moved.inputs["L-CC"])


def test_noise_is_gaussian_on_every_channel_of_training_samples_alone(
    open_phantoms: Open, filled: Path, patch: Weights
) -> None:
    recipe = exam_recipe("exam.heatmaps=true", "exams.windows=false", "exams.noise=0.05")
    stage = open_exam_stage(recipe, with_store(open_phantoms(recipe), filled), patch=patch)
    key = stage.epoch(0)[0]
    exact = stage.load(Key(VALIDATION, 0, key.case)).inputs["L-MLO"]
    noisy = stage.load(key).inputs["L-MLO"]
    assert not np.array_equal(exact, noisy)
    for channel in noisy - exact:
        assert abs(float(channel.mean())) < 0.005
        assert float(channel.std()) == pytest.approx(0.05, rel=0.05)


def test_windows_are_jittered_in_training_alone(open_phantoms: Open) -> None:
    stage = open_stage(recipe := exam_recipe("exams.noise=0.0"), open_phantoms(recipe))
    case = stage.epoch(0)[0].case
    exact = [stage.load(Key(VALIDATION, place, case)).inputs["R-CC"] for place in (0, 1)]
    jittered = [stage.load(Key(0, place, case)).inputs["R-CC"] for place in (0, 1)]
    np.testing.assert_array_equal(*exact)
    assert not np.array_equal(*jittered)
    assert exact[0].shape == jittered[0].shape == (1, 268, 194)


def test_of_several_images_of_a_view_one_is_drawn_in_training_and_the_first_validated(open_phantoms: Open) -> None:
    recipe = exam_recipe(*STILL)
    data = open_phantoms(recipe)
    spare = data.table.filter(view="L-CC", part="train")["image"].to_list()[:2]
    exam = data.table.filter(image=spare[0])["exam"][0]
    doubled = data.table.with_columns(exam=pl.when(pl.col("image") == spare[1]).then(pl.lit(exam)).otherwise("exam"))
    stage = open_exam_stage(recipe, TrainingData(data.store, doubled, "", "", "0" * 64, phantoms_only=True))
    place, case = next((p, c) for p, c in enumerate(stage.data.cases.cases) if c.exam == exam)
    assert case.images["L-CC"] == tuple(spare)
    seen = [stage.load(Key(0, draw, place)).inputs["L-CC"] for draw in range(12)]
    kinds = {window.tobytes() for window in seen}
    assert len(kinds) == 2
    judged_by = {stage.load(Key(VALIDATION, draw, place)).inputs["L-CC"].tobytes() for draw in range(12)}
    assert len(judged_by) == 1
    assert judged_by < kinds
    first = open_exam_stage(recipe, data)
    key = next(Key(VALIDATION, 0, p) for p, c in enumerate(first.data.cases.cases) if c.exam == exam)
    np.testing.assert_array_equal(stage.load(Key(VALIDATION, 0, place)).inputs["L-CC"], first.load(key).inputs["L-CC"])


class Says(nn.Module):
    """A network of given answers: head -> (rows, labels) probabilities of yes; counts its calls."""

    def __init__(self, p: dict[str, Tensor]) -> None:
        super().__init__()
        self.p = nn.ParameterDict({name.replace("-", "_"): nn.Parameter(tensor) for name, tensor in p.items()})
        self.seen: list[dict[str, Tensor]] = []

    def forward(self, windows: dict[str, Tensor]) -> dict[str, Tensor]:
        self.seen.append(windows)
        answers = {}
        for name, yes in self.p.items():
            head = name.replace("_", "-")
            if head in windows or head in ("CC", "MLO"):
                rows = len(windows.get(head, yes))
                answers[head] = torch.stack([1 - yes[:rows], yes[:rows]], dim=2).log()
        return answers


def batch_of(samples: list[tuple[list[str], list[int]]]) -> Batch:
    return collate(
        [
            Sample(str(n), {v: np.full((1, 2, 2), n, np.float32) for v in views}, np.array(targets, np.int64))
            for n, (views, targets) in enumerate(samples)
        ]
    )


def columns_of(wiring: str) -> dict[str, list[int]]:
    return {head.name: [BOTH_SIDES.index(label) for label in head.labels] for head in HEADS[wiring]}


def test_the_loss_is_the_mean_over_heads_and_known_labels() -> None:
    batch = batch_of([([*VIEW_NAMES], [1, 0, UNKNOWN, 1]), ([*VIEW_NAMES], [UNKNOWN] * 4)])
    cc, mlo = torch.tensor([[0.9, 0.2, 0.3, 0.6], [0.5] * 4]), torch.tensor([[0.7, 0.1, 0.3, 0.8], [0.5] * 4])
    network = Says({"CC": cc, "MLO": mlo})
    found = mean_loss(network, batch, heads=HEADS["view-wise"], columns=columns_of("view-wise"))
    expected = -np.mean([math.log(p) for p in (0.9, 0.8, 0.6, 0.7, 0.9, 0.8)])
    assert float(found.detach()) == pytest.approx(expected, rel=1e-6)
    assert len(network.seen) == 1


def test_a_label_counts_once_however_many_heads_speak_of_it() -> None:
    batch = batch_of([(["L-CC", "L-MLO"], [1, UNKNOWN, 0, UNKNOWN]), (["R-CC"], [UNKNOWN, 1, UNKNOWN, UNKNOWN])])
    network = Says(
        {"L-CC": torch.tensor([[0.6, 0.1]]), "L-MLO": torch.tensor([[0.3, 0.2]]), "R-CC": torch.full((1, 2), 0.7)}
    )
    loss = mean_loss(network, batch, heads=HEADS["image-wise"], columns=columns_of("image-wise"))
    labels = [(math.log(0.6) + math.log(0.3)) / 2, (math.log(0.9) + math.log(0.8)) / 2, math.log(0.7)]
    assert float(loss.detach()) == pytest.approx(-np.mean(labels), rel=1e-6)


def test_a_batch_of_unknown_labels_costs_nothing_and_teaches_nothing() -> None:
    network = Says({"CC": torch.full((1, 4), 0.3), "MLO": torch.full((1, 4), 0.3)})
    loss = mean_loss(
        network, batch_of([([*VIEW_NAMES], [UNKNOWN] * 4)]), heads=HEADS["view-wise"], columns=columns_of("view-wise")
    )
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(bool((p.grad == 0).all()) for p in network.parameters())


def test_a_view_that_an_exam_lacks_is_not_shown_and_its_heads_say_nothing() -> None:
    batch = batch_of([(["L-CC", "L-MLO"], [1, UNKNOWN, 0, UNKNOWN]), (["L-CC", "R-CC"], [0, 1, 0, 1])])
    p = {view: torch.tensor([[0.6, 0.1], [0.3, 0.2]]) for view in VIEW_NAMES}
    network = Says(p)
    heads, columns = HEADS["image-wise"], columns_of("image-wise")
    answers = mean_answers(network, batch, heads=heads, columns=columns).detach()[:, :, 1]
    shown = {view: window[:, 0, 0, 0].tolist() for view, window in network.seen[0].items()}
    assert shown == {"L-CC": [0, 1], "L-MLO": [0], "R-CC": [1]}
    torch.testing.assert_close(answers[1], torch.tensor([0.3, 0.6, 0.2, 0.1]))
    assert answers[0].isnan().tolist() == [False, True, False, True]
    loss = mean_loss(network, batch, heads=heads, columns=columns)
    terms = [0.6, 0.9, 0.7, 0.6, 0.8, 0.1]  # of what happened, label by label: L-CC and L-MLO say the same here
    assert float(loss.detach()) == pytest.approx(-np.mean(np.log(terms)), rel=1e-6)
    loss.backward()
    assert all(weight.grad is not None for weight in network.parameters())  # that of R-MLO too, which nobody showed


def test_a_label_is_the_mean_of_its_heads(open_phantoms: Open) -> None:
    stage = open_exam_stage(recipe := exam_recipe(), open_phantoms(recipe))
    batch = collate([stage.load(key) for key in stage.validation()])
    stage.network.eval()
    with torch.no_grad():
        p = {head: answer.exp()[:, :, 1] for head, answer in stage.network(batch.inputs).items()}
        torch.testing.assert_close(stage.answer(stage.network, batch), (p["CC"] + p["MLO"]) / 2)


def test_training_moves_the_loss_down(open_phantoms: Open) -> None:
    stage = open_exam_stage(recipe := exam_recipe(*STILL), open_phantoms(recipe))
    batch = collate([stage.load(key) for key in stage.epoch(0)[:4]])
    network = stage.network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = stage.loss(network, batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def judged(p_of: Callable[[int, int], float], targets: list[list[int]]):
    names = [f"e{number}" for number in range(len(targets))]
    answers = np.array([[p_of(row, column) for column in range(4)] for row in range(len(targets))], np.float32)
    return judge_findings(names, names, answers, np.array(targets, np.int64))


def test_the_score_is_the_mean_of_the_four_labels_areas() -> None:
    targets = [[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 0, 1]]
    p = np.array([[0.9, 0.9, 0.1, 0.2], [0.1, 0.2, 0.5, 0.1], [0.2, 0.3, 0.4, 0.3]])
    found = judged(lambda row, column: p[row, column], targets)
    areas = {name: found.metrics[f"auc_{name}"] for name in ("left_benign", "right_benign", "left_malignant")}
    assert areas == {"left_benign": 1, "right_benign": 1, "left_malignant": 0}
    assert found.metrics["auc_right_malignant"] == 1
    assert found.score == pytest.approx(3 / 4)
    assert (found.metrics["malignant_n"], found.metrics["malignant_positives"]) == (6, 3)
    assert found.metrics["auc_malignant"] == pytest.approx(2.5 / 9)


def test_labels_without_both_classes_and_unknown_ones_are_left_out() -> None:
    found = judged(lambda row, _: row / 9, [[0, UNKNOWN, 0, 1], [0, UNKNOWN, 0, 0], [1, 1, UNKNOWN, 0]])
    assert [name for name in found.metrics if name.startswith(("auc_left", "auc_right"))] == [
        "auc_left_benign",
        "auc_right_malignant",
    ]
    assert found.score == pytest.approx((1 + 0) / 2)
    with pytest.raises(SetupError, match="no label of which there are breasts with and without"):
        judged(lambda row, _: row / 9, [[0, 0, 0, 0], [0, 0, 0, 0]])


def test_the_table_has_a_row_per_breast_that_was_shown() -> None:
    found = judged(
        lambda row, column: math.nan if (row, column % 2) == (1, 1) else 0.25, [[1, 0, UNKNOWN, 0], [0, 1, 0, 1]]
    )
    rows = {(row["exam"], row["side"]): row for row in found.table.iter_rows(named=True)}
    assert set(rows) == {("e0", "L"), ("e0", "R"), ("e1", "L")}
    assert (rows["e0", "L"]["benign"], rows["e0", "L"]["malignant"], rows["e0", "L"]["p_benign"]) == (1, None, 0.25)


def test_exams_that_cannot_be_used_are_in_the_notes(open_phantoms: Open) -> None:
    recipe = exam_recipe()
    data = open_phantoms(recipe)
    first = data.table.filter(part="train")["exam"][0]
    fewer = data.table.filter((pl.col("exam") != first) | (pl.col("view") != "L-CC"))
    stage = open_exam_stage(recipe, TrainingData(data.store, fewer, "", "", "0" * 64, phantoms_only=True))
    assert stage.notes[0] == "1 exams left out: without L-CC"
    assert first not in {case.exam for case in stage.data.cases.cases}
    wise = exam_recipe("exam.wiring=image-wise")
    kept = open_exam_stage(wise, TrainingData(data.store, fewer, "", "", "0" * 64, phantoms_only=True))
    place = next(p for p, case in enumerate(kept.data.cases.cases) if case.exam == first)
    assert set(kept.load(Key(0, 0, place)).inputs) == {"R-CC", "L-MLO", "R-MLO"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (pl.lit(value=False), "train: benign: found 0 breasts with and 12 without.*malignant: found 0 breasts with"),
        (pl.lit(None, pl.Boolean), "train: benign: found 0 breasts with"),
    ],
)
def test_parts_without_both_classes_are_refused(open_phantoms: Open, change: pl.Expr, said: str) -> None:
    recipe = exam_recipe()
    data = open_phantoms(recipe)
    table = data.table.with_columns(malignant=change, benign=change)
    with pytest.raises(SetupError, match=said):
        open_exam_stage(recipe, TrainingData(data.store, table, "", "", "0" * 64, phantoms_only=True))


def test_a_network_of_heatmaps_needs_their_weights_and_a_store_that_was_filled(
    open_phantoms: Open, patch: Weights, tmp_path: Path
) -> None:
    recipe = exam_recipe("exam.heatmaps=true")
    data = open_phantoms(recipe)
    with pytest.raises(SetupError, match="its network reads heatmaps; need --patch"):
        open_stage(recipe, data)
    with pytest.raises(SetupError, match=r"found \d+ of \d+ exams without heatmaps of tiny .*fourview heatmaps"):
        open_stage(recipe, data, patch=patch)
    other = tiny_patch(tmp_path / "other", crop_iterations=12)
    with pytest.raises(SetupError, match="crops with crop_iterations 12; need crop_iterations 10"):
        open_stage(recipe, data, patch=other)


def test_an_exam_of_which_no_heatmaps_can_be_made_is_left_out_with_the_reason(
    open_phantoms: Open, filled: Path, patch: Weights, tmp_path: Path
) -> None:
    shutil.copytree(filled, tmp_path / "store")
    recipe = exam_recipe("exam.heatmaps=true")
    data = with_store(open_phantoms(recipe), tmp_path / "store")
    blob = data.table.filter(part="train")["blob"][0]
    path = tmp_path / "store" / FOLDER / patch.card.patch_hash / Path(blob).parent.name / Path(blob).name
    path.unlink()
    path.with_suffix(".txt").write_text("too small")
    stage = open_exam_stage(recipe, data, patch=patch)
    assert stage.notes[0] == "1 exams left out: without heatmaps: too small"


def test_a_broken_file_is_named_when_it_is_read(
    open_phantoms: Open, filled: Path, patch: Weights, tmp_path: Path
) -> None:
    shutil.copytree(filled, tmp_path / "store")
    recipe = exam_recipe("exam.heatmaps=true")
    stage = open_exam_stage(recipe, with_store(open_phantoms(recipe), tmp_path / "store"), patch=patch)
    for path in (tmp_path / "store" / FOLDER).rglob("*.h5"):
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ExamError, match="missing or broken; fill the store"):
        stage.load(stage.validation()[0])


def test_the_card_says_what_was_trained_and_how(open_phantoms: Open, filled: Path, patch: Weights) -> None:
    recipe = exam_recipe("exam.heatmaps=true", "exam.wiring=image-wise")
    stage = open_exam_stage(recipe, with_store(open_phantoms(recipe), filled), patch=patch)
    card = stage.card(name="mine", judgement=None, data="12 phantoms")
    assert (card.name, card.exam, card.patch, card.geometry) == ("mine", recipe.exam, patch.card.patch, recipe.geometry)
    assert (card.training.data, card.training.recipe_sha256) == ("12 phantoms", recipe.hash)
    assert card.model_copy(update={"sha256": patch.card.sha256}).patch_hash == patch.card.patch_hash


def test_the_stage_that_starts_from_heatmap_weights_takes_their_patch_network(
    open_phantoms: Open, filled: Path, patch: Weights
) -> None:
    recipe = exam_recipe("exam.heatmaps=true")
    data = with_store(open_phantoms(recipe), filled)
    card = patch.card.model_copy(update={"exam": recipe.exam})
    init = Weights(card, build_exam(recipe.exam), patch.patch)
    stage = open_stage(recipe, data, init=init)
    for name, tensor in stage.network.state_dict().items():
        assert torch.equal(tensor, init.exam.state_dict()[name])
    assert stage.load(stage.validation()[0]).inputs["L-CC"].shape[0] == 3


def test_pictures_are_inputs_of_the_first_epoch(open_phantoms: Open) -> None:
    stage = open_exam_stage(recipe := exam_recipe(), open_phantoms(recipe))
    pictures = stage.pictures()
    assert [picture.name for picture in pictures] == [stage.load(key).name for key in stage.epoch(0)[:2]]
