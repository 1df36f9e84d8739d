"""The protocol as pieces of work: populations, patch network, heatmaps, pretraining, arms, readings of test exams.

All is done by fourview's own stages and loop (fourview.train), in one process of one thread. Of each run the weights
are those that it keeps: of the epoch with the best validation, among equally many epochs for every arm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.mechanism_protocol import ARMS, EXPLORED, Arm, Draw, Protocol
from benchmarks.mechanism_reading import Reader, read_block
from benchmarks.work import Piece, Watch
from fourview.engine import choose_engine
from fourview.exam import SetupError
from fourview.phantom.folder import read_about
from fourview.store.phantom_store import draw_store, is_drawn
from fourview.store.splits import make_split
from fourview.store.store import Store
from fourview.train.data import open_data
from fourview.train.devices import launched, open_fabric
from fourview.train.fill_heatmaps import fill_heatmaps
from fourview.train.loop import train
from fourview.train.open_stage import open_stage
from fourview.train.recipe import Recipe
from fourview.train.run_folder import open_run
from fourview.train.weights_out import WEIGHTS, write_run_weights
from fourview.weights.folder import Weights, load_weights

SPLIT = "mechanism"
EXPLORED_AT = "medium"


@dataclass(frozen=True)
class Place:
    """Where everything of one difficulty lies."""

    cache: Path
    protocol: Protocol
    difficulty: str

    @property
    def folder(self) -> Path:
        return self.cache / self.difficulty

    def store(self, part: str) -> Path:
        """part: train, test"""
        return self.folder / part

    def run(self, name: str) -> Path:
        return self.folder / "runs" / name

    def weights(self, name: str) -> Path:
        return self.run(name) / WEIGHTS

    def scores(self, group: str, block: int) -> Path:
        """What networks said of a block of test exams. group: "arms", "explored" """
        return self.folder / "scores" / f"{group}-{block:03d}.parquet"

    @property
    def blocks(self) -> int:
        return -(-self.protocol.test.exams // self.protocol.block)


def list_pieces(protocol: Protocol, cache: Path, *, only: str | None = None, explore: bool = False) -> list[Piece]:
    """All pieces in their order. only: one difficulty; explore: also the exploratory arms"""
    pieces: list[Piece] = []
    for difficulty in protocol.difficulties:
        if only in (None, difficulty):
            place = Place(cache, protocol, difficulty)
            pieces += _list_main(place)
            if explore and difficulty == EXPLORED_AT:
                pieces += _list_explored(place)
    return pieces


def name_run(arm: Arm, seed: int) -> str:
    return f"{arm.name}-{seed}"


def _list_main(place: Place) -> list[Piece]:
    d, seeds = place.difficulty, place.protocol.seeds
    pieces = [
        Piece(f"{d}/draw-train", "draw", (), partial(_draw, place, "train")),
        Piece(f"{d}/draw-test", "draw", (), partial(_draw, place, "test")),
        Piece(f"{d}/patch", "patch", (f"{d}/draw-train",), partial(_train_patch, place)),
        Piece(f"{d}/heatmaps-train", "heatmaps", (f"{d}/patch",), partial(_fill, place, "train")),
    ]
    for seed in seeds:
        for halved in (False, True):
            work = partial(_train_birads, place, seed, halved=halved)
            pieces.append(Piece(f"{d}/{_name_birads(seed, halved)}", "birads", (f"{d}/draw-train",), work))
        pieces += [_arm_piece(place, arm, seed) for arm in ARMS]
    filled = (f"{d}/patch", f"{d}/draw-test")
    pieces.append(Piece(f"{d}/heatmaps-test", "heatmaps", filled, partial(_fill, place, "test")))
    return pieces + _list_readings(place, "arms", [(arm, seed) for seed in seeds for arm in ARMS])


def _list_explored(place: Place) -> list[Piece]:
    seed = place.protocol.seeds[0]
    pieces = [_arm_piece(place, arm, seed, kind="explored") for arm in EXPLORED]
    return pieces + _list_readings(place, "explored", [(arm, seed) for arm in EXPLORED])


def _arm_piece(place: Place, arm: Arm, seed: int, *, kind: str = "exam") -> Piece:
    d = place.difficulty
    needs = [f"{d}/heatmaps-train" if arm.reads_heatmaps else f"{d}/draw-train"]
    if arm.pretrained:
        needs.append(f"{d}/{_name_birads(seed, arm.halved)}")
    return Piece(f"{d}/{name_run(arm, seed)}", kind, tuple(needs), partial(_train_arm, place, arm, seed))


def _list_readings(place: Place, group: str, networks: list[tuple[Arm, int]]) -> list[Piece]:
    d = place.difficulty
    needs = (f"{d}/heatmaps-test", *(f"{d}/{name_run(arm, seed)}" for arm, seed in networks))
    kind = "read" if group == "arms" else "explored"
    return [
        Piece(f"{d}/read-{group}-{block}", kind, needs, partial(_read, place, group, networks, block))
        for block in range(place.blocks)
    ]


def _name_birads(seed: int, halved: bool) -> str:
    return f"birads{'-half' if halved else ''}-{seed}"


def _draw(place: Place, part: str, watch: Watch) -> None:
    protocol, out = place.protocol, place.store(part)
    wanted: Draw = getattr(protocol, part)
    population = protocol.population(place.difficulty)
    out.parent.mkdir(parents=True, exist_ok=True)
    if not is_drawn(out):
        draw_store(
            population,
            out,
            exams=wanted.exams,
            seed=wanted.seed,
            scale=protocol.scale,
            resume=True,
            on_drawn=lambda _done, _total: watch.check(),
            on_prepared=lambda _step: watch.check(),
        )
    about = read_about(out)
    found = (about["recipe_hash"], about["seed"], about["exams"], about["scale"])
    if found != (population.hash, wanted.seed, wanted.exams, protocol.scale):
        raise SetupError(f"{out}: found another population {found}; need a new --cache")
    if part == "train":
        split = make_split(Store.open(out).manifest, fractions=protocol.fractions, stratify="label", seed=wanted.seed)
        split.write(out, SPLIT)


def _train_patch(place: Place, watch: Watch) -> None:
    _train(place, "patch", place.protocol.recipe("patch"), watch)


def _train_birads(place: Place, seed: int, watch: Watch, *, halved: bool) -> None:
    _train(place, _name_birads(seed, halved), place.protocol.recipe("birads", seed=seed, halved=halved), watch)


def _train_arm(place: Place, arm: Arm, seed: int, watch: Watch) -> None:
    init = load_weights(place.weights(_name_birads(seed, arm.halved))) if arm.pretrained else None
    patch = load_weights(place.weights("patch")) if arm.reads_heatmaps else None
    recipe = place.protocol.recipe("exam", seed=seed, arm=arm)
    _train(place, name_run(arm, seed), recipe, watch, init=init, patch=patch)


def _train(
    place: Place,
    name: str,
    recipe: Recipe,
    watch: Watch,
    *,
    init: Weights | None = None,
    patch: Weights | None = None,
) -> None:
    """As `fourview train`, with --resume, on the training population."""
    data = open_data(str(place.store("train")), split=SPLIT, recipe=recipe, cache=place.cache)
    fabric = open_fabric(recipe, accelerator="cpu")
    begun = {"init": init, "patch": patch}
    starts = {role: weights.card.weights_hash for role, weights in begun.items() if weights is not None}
    about: dict[str, Any] = {"data": data.name, "split": data.split, "data_sha256": data.hash}
    with launched(fabric):
        stage = open_stage(recipe, data, init=init, patch=patch)
        run = open_run(place.run(name), recipe, **about, starts=starts, resume=True)
        trained = train(stage, run, fabric=fabric, resume=True, on_step=lambda _step: watch.check())
    write_run_weights(place.weights(name), stage, trained, data=data, questions=(), starts=begun)


def _fill(place: Place, part: str, watch: Watch) -> None:
    """Heatmaps of a store's exams, as `fourview heatmaps`."""
    weights, engine = load_weights(place.weights("patch")), choose_engine("auto", device="cpu")
    filled = fill_heatmaps(Store.open(place.store(part)), weights, engine, on_step=lambda _step: watch.check())
    if filled.problems:
        raise SetupError(f"{len(filled.problems)} exams without heatmaps, first {filled.problems[0]}")


def _read(place: Place, group: str, networks: list[tuple[Arm, int]], block: int, watch: Watch) -> None:
    protocol, patch = place.protocol, load_weights(place.weights("patch"))
    readers = [
        Reader(name_run(arm, seed), load_weights(place.weights(name_run(arm, seed))), arm.reads_heatmaps, arm.halved)
        for arm, seed in networks
    ]
    recipes = {halved: protocol.recipe("exam", halved=halved) for halved in (False, True)}
    exams = range(block * protocol.block, min((block + 1) * protocol.block, protocol.test.exams))
    table = read_block(
        Store.open(place.store("test")), readers, exams, recipes=recipes, patch=patch, on_exam=watch.check
    )
    path = place.scores(group, block)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    table.write_parquet(part)
    part.replace(path)
