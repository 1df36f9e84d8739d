"""A folder of lesion networks with drawn values, as a run would have left it."""

from __future__ import annotations

import json
from pathlib import Path

from fourview.store.store import Store
from fourview.studies.lesion.cases import find_lesions
from fourview.studies.lesion.folds import divide_lesions, hash_lesions
from fourview.studies.lesion.lesion_weights import (
    Images,
    LesionCard,
    LesionWeights,
    Member,
    load_lesion_weights,
    save_lesion_weights,
)
from fourview.studies.lesion.recipe_parts import Crop, Ensemble, Network
from fourview.train.initialise import draw_initial
from tests.studies.planted_lesions import planted_recipe

SIDE = 64


def write_lesion_networks(
    run: Path,
    store: Store,
    *,
    gate: str = "none",
    members: int = 3,
    learned: bool = True,
    with_recipe: bool = True,
    phantoms_only: bool = False,
    size: bool = False,
) -> Path:
    """RUN/weights of a network per fold, and RUN/recipe.json. learned: from the lesions of `store`"""
    run.mkdir(parents=True)
    network = Network(architecture="googlenet_light", gate=gate, size=size)  # type: ignore[arg-type]
    tensors = []
    for number in range(members):
        built = network.build(SIDE)
        draw_initial(built, number)
        tensors.append(built.state_dict())
    lesions = find_lesions(store)
    card = LesionCard(
        name="small",
        kinds=("mass",),
        images=Images(
            crop_iterations=5,
            crop_buffer_px=10,
            pixel_mode="stored",
            film=False,
            spacing_range_mm=None,
            phantoms=phantoms_only,
        ),
        network=network,
        crop=Crop(side_px=SIDE),
        ensemble=Ensemble(dihedral=False),
        members=tuple(
            Member(file=f"fold-{k + 1}.safetensors", angles=("CC", "MLO"), fold=k + 1, seed=0, epoch=1)
            for k in range(members)
        ),
        threshold=0.5,
        phantoms_only=phantoms_only,
        data="drawn",
        data_sha256=hash_lesions(divide_lesions(lesions, folds=3).views, store) if learned else "0" * 64,
        recipe="planted",
        recipe_sha256=planted_recipe().hash,
        terms="none",
    )
    save_lesion_weights(run / "weights", card, tensors)
    if with_recipe:
        (run / "recipe.json").write_text(json.dumps(planted_recipe().model_dump(mode="json")))
    return run / "weights"


def load_small(folder: Path) -> LesionWeights:
    return load_lesion_weights(folder)
