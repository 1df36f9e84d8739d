"""A lesion study: its lesions in folds, the networks of each fold, and what they say of lesions they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
import torch
from lightning_fabric import Fabric
from torch import Tensor

from fourview.evaluate import auc
from fourview.exam import ExamError, SetupError
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.answers import answer_views
from fourview.studies.lesion.cases import ANGLES, Angle, LesionView, find_lesions
from fourview.studies.lesion.crops import GreyRange
from fourview.studies.lesion.folds import LesionFolds, digest_images, divide_lesions, hash_lesions
from fourview.studies.lesion.lesion_input import ReadLesion
from fourview.studies.lesion.lesion_stage import LesionStage, LoopNetwork
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.studies.lesion.start import Start, open_start
from fourview.train.kept import Kept
from fourview.train.loop import train
from fourview.train.run_folder import RunFolder
from fourview.train.trained import Step, Trained

_NETWORK = "network."  # begins the tensors' names in the loop
ANSWER_COLUMNS: dict[str, Any] = {
    "image": pl.String,
    "lesion": pl.String,
    "part": pl.String,
    "malignant": pl.Boolean,
    "p": pl.Float64,
    "logit": pl.Float64,
}


@dataclass(frozen=True)
class MemberPlan:
    """One network to be trained.

    number  of the run, from 0;  fold  that is held out from it, from 0;  seed  of its draws;  angles  that it reads
    """

    number: int
    fold: int
    seed: int
    angles: tuple[Angle, ...]

    @property
    def name(self) -> str:
        """Of its folder and file: fold-1-seed-0-cc."""
        which = "both" if len(self.angles) == len(ANGLES) else self.angles[0].lower()
        return f"fold-{self.fold + 1}-seed-{self.seed}-{which}"


@dataclass(frozen=True, eq=False)
class LesionStudy:
    """What is trained and on what. hash: folds.hash_lesions of all lesions;  about: of the data, in words"""

    recipe: LesionRecipe
    store: Store
    folds: LesionFolds
    hash: str
    start: Start
    about: str

    @property
    def phantoms(self) -> bool:
        """Whether nothing else is among the lesions."""
        return all(view.dataset == PHANTOM for view in self.folds.views)

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.start.note, *self.folds.notes)

    @property
    def images(self) -> tuple[str, ...]:
        """Each image with a lesion once."""
        return tuple(dict.fromkeys(view.image for view in self.folds.views))

    def plan(self, folds: Sequence[int]) -> tuple[MemberPlan, ...]:
        """The networks of these folds, each with the number that it has among those of all folds."""
        ensemble = self.recipe.ensemble
        readers: tuple[tuple[Angle, ...], ...] = (ANGLES,) if ensemble.views == "shared" else (("CC",), ("MLO",))
        which = [
            (fold, self.recipe.seed + number, angles)
            for fold in range(self.folds.count)
            for number in range(ensemble.seeds)
            for angles in readers
        ]
        return tuple(MemberPlan(number, *one) for number, one in enumerate(which) if one[0] in folds)

    def views_of(self, plan: MemberPlan, part: str) -> tuple[LesionView, ...]:
        """The lesions of a part, in the views that the network reads."""
        parts = self.folds.parts(plan.fold)
        return tuple(
            view for view, own in zip(self.folds.views, parts, strict=True) if own == part and view.angle in plan.angles
        )

    def reader(self, greys: Mapping[str, GreyRange]) -> ReadLesion:
        """What reads their crops; one for all networks, because it keeps what it read."""
        recipe = self.recipe
        return ReadLesion(
            replace(self.store, manifest=self.store.manifest.clear()),
            recipe.crop,
            recipe.augmentation,
            dict(greys),
            with_mask=recipe.network.gate == "mask",
            with_size=recipe.network.size,
            kept=Kept(recipe.loop.kept_mb * 10**6),
        )


def open_study(store: Store, recipe: LesionRecipe, init: str | None, *, about: str) -> LesionStudy:
    """Raises SetupError: no such lesions, folds that cannot be drawn, weights that do not fit, unknown sizes."""
    lesions = find_lesions(store, kinds=recipe.kinds, drop_without_callback=recipe.without_callback == "drop")
    unknown = sum(view.spacing_mm is None for view in lesions.views)
    if recipe.network.size and unknown:
        raise SetupError(
            f"network.size: {unknown} of {len(lesions.views)} lesion images have no pixel size; need it of all, or "
            "size = false"
        )
    folds = divide_lesions(lesions, split=recipe.split, folds=recipe.folds, seed=recipe.seed)
    start = open_start(init, recipe, images=digest_images({view.image for view in folds.views}, store))
    study = LesionStudy(recipe, store, folds, hash_lesions(lesions.views, store), start, about)
    for plan in study.plan(range(folds.count)):
        for part in ("train", "validation"):
            views = study.views_of(plan, part)
            malignant = sum(view.malignant for view in views)
            if not 0 < malignant < len(views):
                raise SetupError(
                    f"{plan.name}, {part}: found {malignant} malignant of {len(views)} lesion images; need both classes"
                )
    return study


def train_member(
    study: LesionStudy,
    plan: MemberPlan,
    read: ReadLesion,
    run: RunFolder,
    *,
    fabric: Fabric,
    on_step: Callable[[Step], None] = lambda step: None,
) -> tuple[Trained, dict[str, Tensor]]:
    """What the loop says, and the network's tensors; of a network that an earlier sitting finished, the same again.

    Raises SetupError and KeyboardInterrupt as train.loop.train does.
    """
    number = plan.number // (1 if study.recipe.ensemble.views == "shared" else 2)  # of its view
    network = study.start.build(study.recipe, seed=plan.seed, angles=plan.angles, number=number)
    stage = LesionStage(
        study.recipe,
        plan.seed,
        study.views_of(plan, "train"),
        study.views_of(plan, "validation"),
        read,
        LoopNetwork(network),
        study.notes,
    )
    trained = train(stage, run, fabric=fabric, resume=True, on_step=on_step)
    return trained, {name.removeprefix(_NETWORK): tensor for name, tensor in trained.tensors.items()}


def answer_member(
    study: LesionStudy, plan: MemberPlan, tensors: Mapping[str, Tensor], read: ReadLesion, *, device: torch.device
) -> pl.DataFrame:
    """What a trained network says of its validation and test lesions (ANSWER_COLUMNS). Raises SetupError."""
    network = study.recipe.network.build(study.recipe.crop.side_px)
    network.load_state_dict(dict(tensors))
    network = network.to(device).eval()
    tables = []
    for part in ("validation", "test"):
        views = study.views_of(plan, part)
        if not views:
            continue
        try:
            said = answer_views([network], views, read, dihedral=study.recipe.ensemble.dihedral, device=device)
        except ExamError as error:
            raise SetupError(f"a lesion of the {part} part cannot be read: {error}") from error
        columns = {
            "image": [view.image for view in views],
            "lesion": [view.lesion for view in views],
            "part": [part] * len(views),
            "malignant": [view.malignant for view in views],
            "p": said.p,
            "logit": said.logit,
        }
        tables.append(pl.DataFrame(columns, schema=ANSWER_COLUMNS))
    return pl.concat(tables)


def member_area(answers: pl.DataFrame) -> float:
    """AUC of one network on the lesion images of its test part; NaN if one class alone is there."""
    test = answers.filter(part="test")
    y = test["malignant"].to_numpy()
    return auc(y, test["p"].to_numpy()).value if 0 < y.sum() < len(y) else float(np.nan)
