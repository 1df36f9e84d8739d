"""What the training loop reads of a recipe, for one phase of fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass

from fourview.studies.finetune.image_network import Model
from fourview.studies.finetune.recipe import FinetuneRecipe
from fourview.studies.finetune.recipe_parts import Phase
from fourview.train.recipe_parts import Loop, Optimiser, Schedule


@dataclass(frozen=True)
class PhaseSettings:
    """One phase, as the loop takes it (the parts of train.recipe.Recipe that it asks for).

    number    from 1;  trains_all  False: the last layer alone
    lr_first  learning rate of the first layers; None: that of all
    """

    number: int
    trains_all: bool
    size_px: int
    optimiser: Optimiser
    schedule: Schedule
    loop: Loop
    lr_first: float | None
    is_judged: bool = True

    @property
    def name(self) -> str:
        """Of its folder, e.g. "2-all-224"."""
        return f"{self.number}-{'all' if self.trains_all else 'head'}-{self.size_px}"


def list_phases(recipe: FinetuneRecipe, model: Model) -> tuple[PhaseSettings, ...]:
    """The phases of a recipe for this network.

    A small network from scratch has no layers worth keeping: all of them learn in every phase, at its own rate, for as
    many epochs on the same sizes as the others. Batch norm keeps its statistics where they could only get worse: while
    the last layer alone learns, and for windows, of which few fit at once.
    """
    return tuple(_make(recipe, model, phase, number) for number, phase in enumerate(recipe.phases, start=1))


def _make(recipe: FinetuneRecipe, model: Model, phase: Phase, number: int) -> PhaseSettings:
    running, scratch = recipe.running, model == "scratch"
    trains_all = scratch or phase.layers == "all"
    kept = not trains_all or model == "nyu" or (running.statistics == "kept" and not scratch)
    most = recipe.nyu.micro_batch if model == "nyu" else running.micro_batch
    return PhaseSettings(
        number=number,
        trains_all=trains_all,
        size_px=phase.size_px,
        optimiser=Optimiser(
            name="adamw",
            lr=recipe.scratch.lr if scratch else phase.lr,
            weight_decay=recipe.weight_decay,
            clip_norm=recipe.clip_norm,
        ),
        schedule=Schedule(
            kind="cosine",
            warm_up_epochs=recipe.cycle.warm_up_share * phase.epochs,
            last_share=recipe.cycle.last_share,
        ),
        loop=Loop(
            epochs=phase.epochs,
            patience=phase.patience,
            batch=phase.batch,
            micro_batch=min(most, phase.batch),
            statistics="kept" if kept else "learned",
            precision=running.precision,
            deterministic=running.deterministic,
            workers=running.workers,
            kept_mb=running.kept_mb,
            checkpoint_minutes=running.checkpoint_minutes,
        ),
        lr_first=None if scratch else phase.lr_first,
    )
