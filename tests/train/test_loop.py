"""The loop, with a stage that takes milliseconds."""

from __future__ import annotations

import errno
import json
import logging
import signal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.resnet22 import ResNet22
from fourview.train.devices import open_fabric
from fourview.train.loop import train
from fourview.train.stage import Batch, Key
from fourview.train.trained import Step, Trained
from tests.train.toy_stage import ToyStage, open_toy_run, toy_stage


def run_toy(out: Path, stage: ToyStage, *, resume: bool = False, **more: Any) -> Trained:
    fabric = open_fabric(stage.recipe, accelerator="cpu")
    return train(stage, open_toy_run(out, stage.recipe, resume=resume), fabric=fabric, resume=resume, **more)


def largest_difference(one: Trained, other: Trained) -> float:
    return max(float((tensor - other.tensors[name]).abs().max()) for name, tensor in one.tensors.items())


def checkpoints(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


def test_a_run_learns_and_leaves_its_history_predictions_and_curves(tmp_path: Path) -> None:
    steps: list[Step] = []
    trained = run_toy(tmp_path, toy_stage(), on_step=steps.append)
    history = pl.read_csv(tmp_path / "history.csv")
    assert history["epoch"].to_list() == [1, 2, 3]
    assert history["step"].to_list() == [3, 6, 9]
    assert history["loss"].to_list() == trained.history["loss"].to_list()
    assert history["score"].to_list() == sorted(history["score"])
    assert history.columns == [
        "epoch", "step", "loss", "lr", "score", "accuracy", "samples_per_second", "waiting_share", "seconds",
    ]  # fmt: skip
    assert (trained.best_epoch, trained.stopped) == (3, "epochs")
    assert pl.read_csv(tmp_path / "predictions.csv")["name"].to_list() == trained.best.table["name"].to_list()
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert [(step.epoch, step.step, step.steps) for step in steps[2:5]] == [(1, 3, 3), (2, 1, 3), (2, 2, 3)]
    assert steps[0].score is None
    assert steps[3].score == history["score"][0]
    assert steps[0].seconds_left > steps[7].seconds_left > 0
    assert checkpoints(tmp_path) == ["best-00003", "last-00003-000000"]


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps(tmp_path: Path) -> None:
    losses: list[float] = []
    trained = run_toy(tmp_path, toy_stage("loop.epochs=1"), on_step=lambda step: losses.append(step.loss))
    assert trained.history["loss"][0] == pytest.approx(np.mean(losses))


def test_patience_ends_it_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    stage = toy_stage("loop.epochs=20", "loop.patience=3", "optimiser.lr=0.3")
    trained = run_toy(tmp_path, stage)
    scores = trained.history["score"].to_list()
    assert trained.stopped == "patience"
    assert trained.best_epoch == int(np.argmax(scores)) + 1 == len(scores) - 3
    network = toy_stage().network.eval()
    network.load_state_dict(trained.tensors)
    samples = [stage.load(key) for key in stage.validation()]
    batch = Batch((), {"patch": torch.from_numpy(np.stack([s.inputs["patch"] for s in samples]))}, torch.empty(0))
    with torch.no_grad():
        answers = stage.answer(network, batch).numpy()
    judged = stage.judge([s.name for s in samples], answers, np.stack([s.targets for s in samples]))
    assert judged.score == pytest.approx(max(scores), abs=1e-6)


@pytest.mark.parametrize("unlabelled", [0, 3])
def test_portions_do_not_change_what_is_learned(tmp_path: Path, unlabelled: int) -> None:
    runs = [
        run_toy(
            tmp_path / str(size),
            toy_stage(f"loop.micro_batch={size}", "loop.statistics=kept", unlabelled=unlabelled),
        )
        for size in (8, 4, 1)
    ]
    assert largest_difference(runs[0], runs[1]) < 1e-5
    assert largest_difference(runs[0], runs[2]) < 1e-5
    for run in runs[1:]:
        assert run.history["loss"].to_list() == pytest.approx(runs[0].history["loss"].to_list(), rel=1e-5)


def test_a_step_that_knows_no_target_costs_nothing(tmp_path: Path) -> None:
    trained = run_toy(tmp_path, toy_stage("loop.epochs=1", unlabelled=1))
    assert trained.history["loss"].to_list() == [0]
    assert all(bool(tensor.isfinite().all()) for tensor in trained.tensors.values())


def test_a_batch_that_is_not_full_is_left_out_unless_it_is_all(tmp_path: Path) -> None:
    steps: list[Step] = []
    run_toy(tmp_path / "some", toy_stage("patches.per_epoch=20", "loop.epochs=1"), on_step=steps.append)
    assert steps[-1].steps == 2
    whole = run_toy(tmp_path / "all", toy_stage("patches.per_epoch=7", "loop.epochs=1", "loop.statistics=kept"))
    one = toy_stage("patches.per_epoch=7", "loop.epochs=1", "loop.statistics=kept", "loop.micro_batch=8")
    assert largest_difference(whole, run_toy(tmp_path / "one", one)) < 1e-6


def test_workers_change_nothing(tmp_path: Path) -> None:
    runs = [run_toy(tmp_path / str(n), toy_stage(f"loop.workers={n}")) for n in (0, 2)]
    assert largest_difference(*runs) == 0


def test_time_spent_waiting_is_measured(tmp_path: Path) -> None:
    assert run_toy(tmp_path, toy_stage(pause_s=0.01)).waiting_share > 0.7


def test_bf16_learns_nearly_the_same_and_keeps_its_weights_in_float32(tmp_path: Path) -> None:
    exact = run_toy(tmp_path / "fp32", toy_stage())
    rough = run_toy(tmp_path / "bf16", toy_stage("loop.precision=bf16"))
    assert largest_difference(exact, rough) > 0
    assert rough.best.score == pytest.approx(exact.best.score, abs=0.02)
    assert {tensor.dtype for name, tensor in rough.tensors.items() if "tracked" not in name} == {torch.float32}


def test_clipping_shortens_the_gradient(tmp_path: Path) -> None:
    sgd = ("optimiser.name=sgd", "optimiser.momentum=0.0", "optimiser.weight_decay=0.0", "optimiser.lr=1.0")
    settings = (*sgd, "loop.epochs=1", "patches.per_epoch=8", "optimiser.clip_norm=0.001")
    stage = toy_stage(*settings)
    before = {name: value.detach().clone() for name, value in stage.network.named_parameters()}
    trained = run_toy(tmp_path, stage)
    moved = torch.cat([(trained.tensors[name] - value).flatten() for name, value in before.items()])
    assert float(moved.norm()) == pytest.approx(0.001, rel=1e-3)


def test_a_running_average_is_judged_and_kept(tmp_path: Path) -> None:
    plain = run_toy(tmp_path / "plain", toy_stage("loop.epochs=1"))
    averaged = run_toy(tmp_path / "average", toy_stage("loop.epochs=1", "optimiser.average=0.5"))
    start = toy_stage().network.state_dict()
    for name in ("conv.weight", "head.weight", "norm.running_mean"):
        assert float((averaged.tensors[name] - start[name]).norm()) < float((plain.tensors[name] - start[name]).norm())
    assert averaged.best.score != plain.best.score


class Columns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.column = ResNet22(1, width=2)
        self.head = nn.Linear(self.column.features, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log_softmax(self.head(self.column(nn.functional.interpolate(x, scale_factor=8))), dim=1)


def test_recomputed_activations_change_nothing(tmp_path: Path) -> None:
    runs = []
    for stages in (0, 2):
        stage = toy_stage(f"loop.recomputed={stages}", "loop.epochs=1")
        torch.manual_seed(3)
        stage.network = Columns()
        runs.append(run_toy(tmp_path / str(stages), stage))
        assert stage.network.column.recomputed == stages
    assert largest_difference(*runs) == 0


def test_recomputing_needs_columns(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"loop\.recomputed"):
        run_toy(tmp_path, toy_stage("loop.recomputed=1"))


@pytest.mark.parametrize("deterministic", ["true", "false"])
def test_torch_is_set_as_the_recipe_says_and_back_afterwards(tmp_path: Path, deterministic: str) -> None:
    seen: list[bool] = []
    stage = toy_stage(f"loop.deterministic={deterministic}")
    run_toy(tmp_path, stage, on_step=lambda step: seen.append(torch.are_deterministic_algorithms_enabled()))
    assert set(seen) == {deterministic == "true"}
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    runs = [run_toy(tmp_path / str(n), toy_stage(f"seed={seed}")) for n, seed in enumerate((0, 0, 1))]
    assert largest_difference(runs[0], runs[1]) == 0
    assert largest_difference(runs[0], runs[2]) > 0


def test_a_loss_that_is_no_number_stops_and_names_the_exams(tmp_path: Path) -> None:
    stage = toy_stage(poison="exam 1-13")
    with pytest.raises(
        SetupError, match=r"epoch 2, step 2: found a loss that is nan, with exam 1-12, exam 1-13"
    ) as caught:
        run_toy(tmp_path, stage)
    assert "optimiser.lr" in str(caught.value)
    failure = json.loads((tmp_path / "failure.json").read_text())
    assert failure["names"] == [f"exam 1-{place}" for place in range(8, 16)]
    assert failure["names_of_portions_not_finite"] == [f"exam 1-{place}" for place in range(12, 16)]
    assert (failure["epoch"], failure["step"], failure["lr"], failure["value"]) == (2, 2, 0.01, "nan")
    assert checkpoints(tmp_path) == ["best-00001", "last-00001-000000"]


def test_a_gradient_that_is_no_number_stops_too(tmp_path: Path) -> None:
    class Steep(ToyStage):
        def loss(self, network: nn.Module, batch: Batch) -> Tensor:
            return torch.sqrt(super().loss(network, batch) * 0)

    stage = toy_stage()
    with pytest.raises(SetupError, match="found a gradient that is nan"):
        run_toy(tmp_path, Steep(stage.recipe, stage.network))


def test_a_sample_that_cannot_be_read_stops_with_its_reason(tmp_path: Path) -> None:
    for workers in (0, 1):
        stage = toy_stage(f"loop.workers={workers}", unreadable="exam 1-3")
        with pytest.raises(SetupError, match="exam 1-3: found a broken file, need a whole one"):
            run_toy(tmp_path / str(workers), stage)


def test_a_worker_that_dies_stops_with_what_to_do(tmp_path: Path) -> None:
    stage = toy_stage("loop.workers=1", deadly="exam 1-3")
    with pytest.raises(SetupError, match=r"a worker process that prepares samples died.*--resume.*loop\.workers"):
        run_toy(tmp_path, stage)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), r"loop\.micro_batch \(now 4\)"),
        (MemoryError(), r"loop\.micro_batch \(now 4\)"),
        (torch.AcceleratorError("CUDA error: device-side assert triggered", 710), "device was lost.*--resume"),
        (RuntimeError("CUDA error: unspecified launch failure\nmore"), "device was lost.*--resume"),
        (
            RuntimeError("[../gloo/pair.cc:1] Connection closed by peer [127.0.0.1]"),
            "another process of this run ended",
        ),
    ],
)
def test_errors_of_devices_say_what_to_do(tmp_path: Path, error: Exception, words: str) -> None:
    class Failing(ToyStage):
        def loss(self, network: nn.Module, batch: Batch) -> Tensor:
            raise error

    stage = toy_stage()
    with pytest.raises(SetupError, match=words):
        run_toy(tmp_path, Failing(stage.recipe, stage.network))


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    class Failing(ToyStage):
        def loss(self, network: nn.Module, batch: Batch) -> Tensor:
            raise RuntimeError("shapes cannot be multiplied")

    stage = toy_stage()
    with pytest.raises(RuntimeError, match="shapes"):
        run_toy(tmp_path, Failing(stage.recipe, stage.network))


def test_answers_that_are_no_numbers_stop_with_the_exams_and_what_to_do(tmp_path: Path) -> None:
    class Broken(ToyStage):
        def answer(self, network: nn.Module, batch: Batch) -> Tensor:
            answers = super().answer(network, batch)
            return torch.full_like(answers, torch.nan) if "exam -1-3" in batch.names else answers

    stage = toy_stage("loop.micro_batch=1")
    with pytest.raises(
        SetupError, match=r"epoch 1, validation: found answers that are no numbers, for exam -1-3; .*optimiser\.lr"
    ):
        run_toy(tmp_path, Broken(stage.recipe, stage.network))


def test_an_epoch_or_a_validation_without_samples_is_an_error(tmp_path: Path) -> None:
    class Empty(ToyStage):
        def epoch(self, number: int) -> list[Key]:
            return []

    class Unjudged(ToyStage):
        def validation(self) -> list[Key]:
            return []

    for kind, words in ((Empty, "epoch 1: found no samples"), (Unjudged, "found no samples for validation")):
        stage = toy_stage()
        with pytest.raises(SetupError, match=words):
            run_toy(tmp_path / kind.__name__, kind(stage.recipe, stage.network))


def fill_disk(monkeypatch: pytest.MonkeyPatch, *, full: Any) -> None:
    """Nothing can be written to checkpoints while full() says so."""
    from fourview.train import checkpoint

    write = checkpoint._write

    def try_to_write(folder: Path, *rest: Any) -> None:
        if full():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(folder, *rest)

    monkeypatch.setattr(checkpoint, "_write", try_to_write)


def test_a_full_disk_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[Step] = []
    fill_disk(monkeypatch, full=lambda: 4 <= len(steps) <= 7)
    with caplog.at_level(logging.WARNING):
        trained = run_toy(tmp_path, toy_stage(), on_step=steps.append)
    assert "No space left on device" in caplog.text
    assert trained.best_epoch == 3
    assert checkpoints(tmp_path) == ["best-00003", "last-00003-000000"]


def test_a_disk_that_stays_full_is_an_error_at_the_end_and_the_run_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Step] = []
    with monkeypatch.context() as patch:
        fill_disk(patch, full=lambda: len(steps) >= 4)
        with pytest.raises(
            SetupError, match=r"training is over, and its state could not be written .*No space.*--resume"
        ):
            run_toy(tmp_path, toy_stage(), on_step=steps.append)
    assert len(steps) == 9
    assert checkpoints(tmp_path) == ["best-00001", "last-00001-000000"]
    resumed = run_toy(tmp_path, toy_stage(), resume=True)
    assert largest_difference(resumed, run_toy(tmp_path / "whole", toy_stage())) == 0


def test_tables_that_cannot_be_written_do_not_end_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def block(step: Step) -> None:
        if (step.epoch, step.step) == (1, 1):
            (tmp_path / "history.csv").mkdir()

    with caplog.at_level(logging.WARNING):
        trained = run_toy(tmp_path, toy_stage(), on_step=block)
    assert "cannot write tables" in caplog.text
    assert len(trained.history) == 3


def interrupt_at(place: int, steps: list[Step], how: str) -> Any:
    def on_step(step: Step) -> None:
        steps.append(step)
        if len(steps) == place:
            if how == "raised":
                raise KeyboardInterrupt
            signal.raise_signal(getattr(signal, how))

    return on_step


@pytest.mark.parametrize("how", ["raised", "SIGINT", "SIGTERM"])
def test_an_interrupted_run_goes_on_at_the_same_step_and_ends_the_same(tmp_path: Path, how: str) -> None:
    whole = run_toy(tmp_path / "whole", toy_stage())
    for place in (2, 3, 5):
        out, steps = tmp_path / f"{place}", list[Step]()
        with pytest.raises(KeyboardInterrupt):
            run_toy(out, toy_stage(), on_step=interrupt_at(place, steps, how))
        assert len(steps) == place
        resumed = run_toy(out, toy_stage(), resume=True, on_step=steps.append)
        assert len(steps) == 9
        assert largest_difference(whole, resumed) == 0
        exact = ["epoch", "step", "loss", "lr", "score", "accuracy"]
        assert resumed.history.select(exact).equals(whole.history.select(exact))


@pytest.mark.parametrize("average", [(), ("optimiser.average=0.9",)])
def test_a_stop_during_the_judgement_is_answered_before_its_end(tmp_path: Path, average: tuple[str, ...]) -> None:
    class Asking(ToyStage):
        def answer(self, network: nn.Module, batch: Batch) -> Tensor:
            signal.raise_signal(signal.SIGTERM)
            return super().answer(network, batch)

    stage = toy_stage(*average)
    with pytest.raises(KeyboardInterrupt):
        run_toy(tmp_path, Asking(stage.recipe, stage.network))
    assert checkpoints(tmp_path) == ["last-00000-000003"]
    resumed = run_toy(tmp_path, toy_stage(*average), resume=True)
    assert largest_difference(resumed, run_toy(tmp_path / "whole", toy_stage(*average))) == 0


def test_handlers_of_signals_are_the_same_afterwards(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_toy(tmp_path, toy_stage("loop.epochs=1"))
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_run_that_cannot_be_kept_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_disk(monkeypatch, full=lambda: True)
    with pytest.raises(SetupError, match="training was interrupted, and its state could not be written"):
        run_toy(tmp_path, toy_stage(), on_step=interrupt_at(2, [], "raised"))


def test_a_finished_run_is_read_and_not_trained_again(tmp_path: Path) -> None:
    first = run_toy(tmp_path, toy_stage())
    again = run_toy(tmp_path, toy_stage(unreadable="exam 0-0"), resume=True)
    assert largest_difference(first, again) == 0
    assert again.history.equals(first.history)
    assert again.best.table.equals(first.best.table)
    assert (again.best_epoch, again.stopped, again.best.score) == (first.best_epoch, first.stopped, first.best.score)


def test_a_plateau_lowers_the_rate(tmp_path: Path) -> None:
    settings = (
        "loop.epochs=8",
        "optimiser.lr=0.3",
        "schedule.kind=plateau",
        "schedule.patience=1",
        "schedule.factor=0.5",
    )
    history = run_toy(tmp_path, toy_stage(*settings)).history
    best = -np.inf
    rate = 0.3
    for row in history.iter_rows(named=True):
        assert row["lr"] == pytest.approx(rate)
        rate, best = (rate, row["score"]) if row["score"] > best else (rate / 2, best)
    assert rate < 0.3
