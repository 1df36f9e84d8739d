"""The work of the lesion networks' benchmark, piece by piece, each by fourview's own stages: draw, train, measure."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer

from benchmarks.lesions_protocol import RECIPES, Arm, Protocol
from benchmarks.work import Piece, Watch
from fourview.cli.app import INTERRUPTED
from fourview.cli.lesion_handcrafted import handcrafted
from fourview.exam import SetupError
from fourview.store.phantom_store import draw_store, is_drawn
from fourview.store.store import Store
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.studies.lesion.run import run_study
from fourview.studies.lesion.run_folder import measure_greys, open_folder
from fourview.studies.lesion.study import open_study
from fourview.studies.lesion.write_run import write_run
from fourview.train.data import name_data
from fourview.train.devices import launched, open_fabric

DRAW, HANDCRAFTED = "draw", "handcrafted"


def list_pieces(protocol: Protocol, cache: Path) -> list[Piece]:
    """All of them, the longest networks first, so that two processes end together."""
    pieces = [Piece(f"{protocol.name}/{DRAW}", DRAW, (), partial(draw, protocol, cache))]
    needs = (pieces[0].name,)
    for arm in reversed(protocol.arms):
        work = partial(train_arm, protocol, arm, cache)
        pieces.append(Piece(f"{protocol.name}/{arm.name}", f"train {arm.name}", needs, work))
    work = partial(measure_handcrafted, protocol, cache)
    return [*pieces, Piece(f"{protocol.name}/{HANDCRAFTED}", HANDCRAFTED, needs, work)]


def store_of(cache: Path) -> Path:
    return cache / "store"


def run_of(cache: Path, name: str) -> Path:
    """The folder of a run. name: of an arm, or HANDCRAFTED"""
    return cache / "runs" / name


def draw(protocol: Protocol, cache: Path, watch: Watch) -> None:
    """The population as a store."""
    out = store_of(cache)
    if not is_drawn(out):
        draw_store(
            protocol.population,
            out,
            exams=protocol.exams,
            seed=protocol.seed,
            scale=protocol.scale,
            resume=True,
            on_drawn=lambda done, total: watch.check(),
            on_prepared=lambda step: watch.check(),
        )


def train_arm(protocol: Protocol, arm: Arm, cache: Path, watch: Watch) -> None:
    """The run of one architecture, as `fourview lesion train` leaves it."""
    folds = protocol.folds_of(arm)
    train(store_of(cache), protocol.recipe(arm), run_of(cache, arm.name), watch, folds=folds)


def train(
    path: Path, recipe: LesionRecipe, out: Path, watch: Watch, *, folds: tuple[int, ...], init: Path | None = None
) -> None:
    """The same of any store. init: weights to begin with. Raises SetupError; KeyboardInterrupt when time is up."""
    store = Store.open(path)
    study = open_study(store, recipe, None if init is None else str(init), about=name_data(store))
    out.parent.mkdir(parents=True, exist_ok=True)
    open_folder(out, study, folds, resume=True)
    read = study.reader(measure_greys(out, store, study.images, on_image=lambda done, total: watch.check()))
    fabric = open_fabric(recipe, accelerator="cpu")
    with launched(fabric):
        outcome = run_study(study, out, folds, read, fabric=fabric, on_step=lambda plan, step: watch.check())
    write_run(outcome, store, read, out)


def measure_handcrafted(protocol: Protocol, cache: Path, watch: Watch) -> None:
    """Hand-crafted numbers, words and ceiling in the networks' folds, as `fourview lesion handcrafted` leaves them."""
    run_handcrafted(
        store_of(cache),
        run_of(cache, HANDCRAFTED),
        recipe=RECIPES / "networks.toml",
        changes=protocol.changes,
        classifiers=protocol.classifiers,
        inner=protocol.inner,
    )
    watch.check()


def run_handcrafted(
    store: Path, out: Path, *, recipe: Path, changes: tuple[str, ...], classifiers: str, inner: int
) -> None:
    """The command itself, in this process. Raises SetupError if it says that something could not be measured."""
    try:
        handcrafted(
            str(store),
            out=out,
            recipe=str(recipe),
            set_values=list(changes),
            classifier=classifiers,
            inner=inner,
            families=False,
            resume=out.is_dir(),
        )
    except typer.Exit as end:
        if end.exit_code == INTERRUPTED:
            raise KeyboardInterrupt from None
        raise SetupError(f"{out}: hand-crafted numbers ended with status {end.exit_code}; need 0") from None
