"""A fine-tuning study: its images, its start, and the phases of the training loop one after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from fourview.exam import ExamError, SetupError
from fourview.store.store import Store
from fourview.studies.finetune.cases import ImageCases, list_cases
from fourview.studies.finetune.image_input import open_input
from fourview.studies.finetune.image_network import Model, rate_shares
from fourview.studies.finetune.image_stage import ImageStage
from fourview.studies.finetune.judgement import Said
from fourview.studies.finetune.phase_settings import PhaseSettings, list_phases
from fourview.studies.finetune.rates import rates_by_depth
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.studies.finetune.start import Start, build_network, copy_tensors, open_start
from fourview.studies.finetune.study_folder import open_phase
from fourview.train.devices import Accelerator, on_first, open_fabric
from fourview.train.loop import train
from fourview.train.stage import VALIDATION, Key, collate
from fourview.train.trained import Step, Trained

OnStep = Callable[[PhaseSettings, Step], None]


@dataclass(frozen=True, eq=False)
class Study:
    """What is trained and on what. It pickles; no pixels are in it.

    split  in words;  phases  of the loop
    """

    recipe: FinetuneRecipe
    model: Model
    store: Store
    split: str
    cases: ImageCases
    start: Start
    phases: tuple[PhaseSettings, ...]

    def stage(self, phase: PhaseSettings, tensors: Mapping[str, Tensor]) -> ImageStage:
        """A phase whose network begins with `tensors`."""
        network = build_network(self.start.shape)
        network.load_state_dict(dict(tensors))
        if not phase.trains_all:
            network.freeze_trunk()
        read = open_input(
            self.store,
            self.start.card,
            size=phase.size_px,
            augmentation=self.recipe.augmentation,
            jittered=self.recipe.nyu.windows,
            kept_mb=self.recipe.running.kept_mb,
        )
        return ImageStage(self.recipe, phase, self.cases, read, network, self.start.notes)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came out.

    tensors       of the network that is kept: the last phase's best epoch
    trained       of each phase
    held_out      what the network said of the held-out images
    before, after (images, features) of the same images: what the last layer sees, at the start and at the end
    """

    tensors: dict[str, Tensor]
    trained: tuple[Trained, ...]
    held_out: Said
    before: NDArray[np.float32]
    after: NDArray[np.float32]


def open_study(store: Store, split: str, recipe: FinetuneRecipe, model: Model, weights: str | None) -> Study:
    """Raises SetupError: split, labels or weights that do not fit."""
    cases = list_cases(store, split, recipe)
    start = open_start(model, weights, recipe, outputs=cases.targets.outputs)
    small = replace(store, manifest=store.manifest.clear())
    return Study(recipe, model, small, split, cases, start, list_phases(recipe, model))


def open_study_fabric(phases: Sequence[PhaseSettings], *, devices: int, accelerator: Accelerator) -> Fabric:
    """Fabric for all phases, not yet launched. Raises SetupError: devices not there, or that cannot share a batch."""
    fabrics = [open_fabric(phase, devices=devices, accelerator=accelerator) for phase in phases]
    return fabrics[0]


def run_study(
    study: Study,
    out: Path,
    *,
    fabric: Fabric,
    on_step: OnStep = lambda phase, step: None,
) -> tuple[dict[str, Tensor], tuple[Trained, ...]]:
    """The phases, each in a folder of `out`; those that an earlier sitting finished are taken as they are.

    fabric  launched. Raises SetupError and KeyboardInterrupt as train.loop.train does.
    """
    tensors: Mapping[str, Tensor] = copy_tensors(study.start.network)
    trained: list[Trained] = []
    for phase in study.phases:
        done = _run_phase(study.stage(phase, tensors), out, fabric=fabric, on_step=on_step)
        trained.append(done)
        tensors = done.tensors
    return dict(tensors), tuple(trained)


def _run_phase(stage: ImageStage, out: Path, *, fabric: Fabric, on_step: OnStep) -> Trained:
    phase = stage.phase
    folder = on_first(fabric, lambda: open_phase(out, phase))
    shares = rate_shares(stage.network, lr=phase.optimiser.lr, lr_first=phase.lr_first)
    with rates_by_depth(stage.network, shares):
        return train(stage, folder, fabric=fabric, resume=True, on_step=lambda step: on_step(phase, step))


def conclude(
    study: Study, tensors: Mapping[str, Tensor], trained: tuple[Trained, ...], *, device: torch.device
) -> Outcome:
    """The held-out images, read once by the network that is kept. Raises SetupError: one cannot be read."""
    first = study.stage(study.phases[-1], copy_tensors(study.start.network))
    last = study.stage(study.phases[-1], tensors)
    names: list[str] = []
    answers, before, after = [], [], []
    places = study.cases.of("test")
    networks = [stage.network.to(device).eval() for stage in (first, last)]
    most = study.phases[-1].loop.micro_batch
    for begin in range(0, len(places), most):
        keys = [Key(VALIDATION, 0, int(place)) for place in places[begin : begin + most]]
        try:
            batch = collate([last.load(key) for key in keys])
        except ExamError as error:
            raise SetupError(f"a held-out image cannot be read: {error}") from error
        batch = replace(batch, inputs={name: tensor.to(device) for name, tensor in batch.inputs.items()})
        with torch.inference_mode():
            seen = [network.see(batch.inputs).cpu().numpy() for network in networks]
            answers.append(last.answer(networks[1], batch).cpu().numpy())
        before.append(seen[0])
        after.append(seen[1])
        names += batch.names
    said = last.say(names, np.concatenate(answers), study.cases.y[places])
    return Outcome(dict(tensors), trained, said, np.concatenate(before), np.concatenate(after))
