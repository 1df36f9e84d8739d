"""Which networks may be asked about which lesion: those that have not learned from it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fourview.exam import SetupError
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.cases import Lesions, LesionView, find_lesions
from fourview.studies.lesion.folds import OFFICIAL_TEST, digest_images, divide_lesions, hash_lesions
from fourview.studies.lesion.lesion_weights import LesionCard, LesionWeights
from fourview.studies.lesion.recipe import LesionRecipe
from fourview.studies.lesion.run_folder import RECIPE
from fourview.train.recipe import check_values


@dataclass(frozen=True, eq=False)
class AskedLesion:
    """A lesion image and the networks that are asked: their places in card.members."""

    view: LesionView
    networks: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class AskedLesions:
    """All of a store.

    held_out  these are the lesions of the run: each has the networks alone that did not learn from it
    notes     what was left out, and why
    """

    cases: tuple[AskedLesion, ...]
    held_out: bool
    notes: tuple[str, ...]


def find_asked(store: Store, weights: LesionWeights, folder: Path, *, allow_phantom_weights: bool) -> AskedLesions:
    """The lesions of a store that the weights can be asked about.

    folder  of the weights; beside it the run's recipe says which lesions were held out from which network

    Raises SetupError: no lesion, lesions that were learned from and no recipe beside the weights, real images for
    weights of phantoms, a size in mm that is unknown.
    """
    card = weights.card
    recipe = _load_recipe(folder)
    drop = recipe is not None and recipe.without_callback == "drop"
    lesions = find_lesions(store, kinds=card.kinds, drop_without_callback=drop)
    _refuse(lesions.views, card, store, allow_phantom_weights=allow_phantom_weights)
    if hash_lesions(lesions.views, store) == card.data_sha256:
        if recipe is None:
            raise SetupError(
                f"{folder}: these very lesions were learned from, and found no {RECIPE} of the run beside the weights, "
                "which says which ones were held out; need RUN/weights of `fourview lesion train`, or other lesions"
            )
        if recipe.hash != card.recipe_sha256:
            raise SetupError(
                f"{folder.absolute().parent / RECIPE}: is not the recipe that {card.name} was trained by, so nobody "
                "knows which lesions were held out; need the run's own, or other lesions"
            )
        return _hold_out(lesions, card, recipe)
    known = find_learned(lesions.views, card, store)
    new = [view for view in lesions.views if view.patient not in known]
    cases = tuple(AskedLesion(view, own) for view in new if (own := find_reading(card, view.angle)))
    if not cases:
        raise SetupError(
            f"{store.path}: found no lesion that {card.name} can be asked about ({len(known)} of its "
            f"{len({view.patient for view in lesions.views})} patients were learned from); need others"
        )
    notes = _count_lost(lesions, cases, learned=len(lesions.views) - len(new), patients=len(known))
    return AskedLesions(cases, held_out=False, notes=notes)


def find_learned(views: Sequence[LesionView], card: LesionCard, store: Store) -> frozenset[str]:
    """The patients of whom the networks, or what they began with, have learned from any image.

    The store is another one than that of the run, but it may hold some of the same images.
    """
    women = {view.patient for view in views}
    images: dict[str, set[str]] = defaultdict(set)
    for patient, image in store.images.select("patient", "image").iter_rows():
        if patient in women:
            images[patient].add(image)
    learned = frozenset(card.learned)
    if learned.isdisjoint(digest_images({image for own in images.values() for image in own}, store)):
        return frozenset()
    return frozenset(patient for patient, own in images.items() if not learned.isdisjoint(digest_images(own, store)))


def _hold_out(lesions: Lesions, card: LesionCard, recipe: LesionRecipe) -> AskedLesions:
    folds = divide_lesions(lesions, split=recipe.split, folds=recipe.folds, seed=recipe.seed)
    cases = []
    for view, fold in zip(folds.views, folds.fold.tolist(), strict=True):
        own = find_reading(card, view.angle)
        if recipe.split == "folds":
            own = tuple(place for place in own if card.members[place].fold == fold + 1)
        elif fold != OFFICIAL_TEST:
            own = ()
        if own:
            cases.append(AskedLesion(view, own))
    if not cases:
        raise SetupError(f"{card.name}: found no lesion that was held out from a network of these weights; need some")
    return AskedLesions(tuple(cases), held_out=True, notes=_count_lost(lesions, cases))


def find_reading(card: LesionCard, angle: str) -> tuple[int, ...]:
    """The networks that read views of this angle."""
    return tuple(place for place, member in enumerate(card.members) if angle in member.angles)


def _count_lost(
    lesions: Lesions, cases: Sequence[AskedLesion], *, learned: int = 0, patients: int = 0
) -> tuple[str, ...]:
    lost = len(lesions.views) - len(cases) - learned
    notes = list(lesions.notes)
    if learned:
        notes.append(f"left out: {learned} lesion images of {patients} patients that were learned from")
    if lost:
        notes.append(f"left out: {lost} lesion images that no network here may be asked about")
    return tuple(notes)


def _refuse(views: Sequence[LesionView], card: LesionCard, store: Store, *, allow_phantom_weights: bool) -> None:
    real = sum(view.dataset != PHANTOM for view in views)
    if card.phantoms_only and real and not allow_phantom_weights:
        raise SetupError(
            f"{store.path}: found {real} lesion images of no phantom, and {card.name} was trained on phantoms only: "
            "not for real images; need other weights (to look all the same: --allow-phantom-weights)"
        )
    unknown = sum(view.spacing_mm is None for view in views)
    if card.network.size and unknown:
        raise SetupError(f"{store.path}: {unknown} lesion images have no pixel size, and {card.name} reads sizes in mm")


def _load_recipe(folder: Path) -> LesionRecipe | None:
    """The recipe of the run that the weights lie in; None where they lie alone."""
    path = folder.absolute().parent / RECIPE
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path}: cannot be read ({error}); need the recipe of the run") from error
    return check_values(values, LesionRecipe, where=str(path))


def group_networks(cases: Sequence[AskedLesion]) -> dict[int, np.ndarray]:
    """Network -> places of the lesions that it is asked about."""
    found: dict[int, list[int]] = {}
    for place, case in enumerate(cases):
        for network in case.networks:
            found.setdefault(network, []).append(place)
    return {network: np.array(places) for network, places in sorted(found.items())}
