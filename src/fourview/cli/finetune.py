"""fourview finetune."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourview.cli.app import INTERRUPTED, app
from fourview.cli.train import check_installed
from fourview.exam import SetupError

if TYPE_CHECKING:
    from rich.console import Console

    from fourview.studies.finetune.phase_settings import PhaseSettings
    from fourview.studies.finetune.study import Study
    from fourview.train.trained import Step
    from fourview.weights.folder import Weights


@dataclass(frozen=True, eq=False)
class _Begun:
    """What the first process reads before there are others. patch: for Figure 2's panel"""

    study: Study
    patch: Weights | None


@app.command()
def finetune(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What `fourview data prepare` or `phantom` wrote.")],
    recipe: Annotated[str, typer.Argument(metavar="paper|small|phantom|TOML", help="What decides the run.")],
    *,
    model: Annotated[
        Literal["resnet50", "resnet18", "squeezenet", "nyu", "scratch"],
        typer.Option(help="Networks for photographs; one view's layers of an exam network; a small one from nothing."),
    ],
    split: Annotated[str, typer.Option(metavar="NAME", help="Of the store (`data split`); of folds NAME:fold-2.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Output folder: new or empty (or a run to --resume).")],
    weights: Annotated[
        str | None,
        typer.Option(metavar="W", help="torchvision's ImageNet file, or random:SEED; nyu: a weights folder or name."),
    ] = None,
    patch: Annotated[
        str | None, typer.Option(metavar="W", help="Patch network for the two heatmaps of one image on the page.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="GPUs (or CPU processes) of this machine.")] = 1,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")] = "auto",
    set_values: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Instead of the recipe's value.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Fine-tune a network on single images: its last layer, then all; held-out numbers with intervals."""
    check_installed()
    from fourview.cli.train_run import is_first
    from fourview.store.store import Store
    from fourview.studies.finetune.figure2 import check_patch
    from fourview.studies.finetune.phase_settings import list_phases
    from fourview.studies.finetune.recipe import load_recipe
    from fourview.studies.finetune.study import open_study
    from fourview.train.devices import SaidByFirstError
    from fourview.weights.ensemble import resolve_member
    from fourview.weights.folder import load_weights

    chosen = load_recipe(recipe).with_values(set_values or [])

    def begin() -> _Begun:
        if not resume and out.is_dir() and any(out.iterdir()):
            raise SetupError(f"{out}: found a folder that is not empty; need a new one, or --resume")
        study = open_study(Store.open(store), split, chosen, model, weights)
        patches = None if patch is None else load_weights(resolve_member(patch))
        if patches is not None:
            check_patch(patches, synthetic=study.cases.phantoms)
        return _Begun(study, patches)

    try:
        _run(begin, out, list_phases(chosen, model), devices=devices, device=device, resume=resume)
    except SaidByFirstError:  # ends well, or the first process is killed while it speaks
        return
    except KeyboardInterrupt:
        if not is_first():
            return
        typer.echo("fourview: interrupted; what is done stays: run the same command with --resume", err=True)
        raise typer.Exit(INTERRUPTED) from None


def _run(
    begin: Callable[[], _Begun],
    out: Path,
    phases: Sequence[PhaseSettings],
    *,
    devices: int,
    device: Literal["auto", "cpu", "cuda"],
    resume: bool,
) -> None:
    """Train, conclude and write; every process comes here, the first alone reads the data, writes and speaks."""
    from fourview.cli.train_run import is_first
    from fourview.studies.finetune.study import conclude, open_study_fabric, run_study
    from fourview.studies.finetune.study_folder import open_folder
    from fourview.studies.finetune.write_study import card_of_run, write_study
    from fourview.terminal import open_console, show_document
    from fourview.train.devices import launched, on_first

    fabric = open_study_fabric(phases, devices=devices, accelerator=device)
    begun = begin() if is_first() else None

    def hand_out() -> Study:
        if begun is None:
            raise ValueError("only the first process has read the data")
        open_folder(out, card_of_run(begun.study), begun.study.recipe, resume=resume)
        return begun.study

    with launched(fabric):
        study = on_first(fabric, hand_out)
        for note in (*study.start.notes, *study.cases.notes) if fabric.is_global_zero else ():
            typer.echo(f"note: {note}", err=True)
        shown = _Progress(open_console(stderr=True))
        try:
            tensors, trained = run_study(study, out, fabric=fabric, on_step=shown)
        finally:
            shown.close()
    if begun is not None:
        outcome = conclude(study, tensors, trained, device=fabric.device)
        document = write_study(study, outcome, out, patch=begun.patch)
        console = open_console()
        console.print("network/ holds the network. `screen` does not read it: it tells single images, not exams.")
        show_document(console, document, out)


class _Progress:
    """A bar per phase, or lines."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._open = ExitStack()

    def __call__(self, phase: PhaseSettings, step: Step) -> None:
        from fourview.cli.train_show import TrainProgress

        if phase.name != self._phase:
            self.close()
            self._phase = phase.name
            self._console.print(f"phase {phase.name}")
            self._show = self._open.enter_context(TrainProgress(self._console, unit="images", epochs=phase.loop.epochs))
        self._show(step)

    def close(self) -> None:
        self._open.close()
