"""What "malignant" and "benign" look like to a network: noise, means and lesions, changed until it is sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fourview.exam import ExamError, SetupError
from fourview.explain.exam_document import jpeg_bytes
from fourview.explain.lesion_target import LesionTarget
from fourview.explain.optimise import FROM_LESION, OptimiseSettings, Prototype, draw_noise, make_prototype
from fourview.explain.target import ClassTarget, Target
from fourview.report.document import Document, Gallery, GalleryItem, Section, Table
from fourview.report.versions import package_versions
from fourview.store.sets import PHANTOM
from fourview.store.store import Store
from fourview.studies.lesion.cases import LesionView, find_lesions
from fourview.studies.lesion.crops import cut_lesion
from fourview.studies.lesion.lesion_input import standardise
from fourview.studies.lesion.lesion_weights import LesionWeights
from fourview.studies.lesion.signs.pictures import draw_prototype
from fourview.train.crops import read_crop, read_masks
from fourview.weights.card import Card
from fourview.weights.folder import Weights
from fourview.window import standardise_whole

Array = NDArray[np.float32]
LIMITS = (-2.5, 3.0)  # of a standardised input, where no real ones are at hand
MOST = 200  # lesions that a class mean is made of
_PERCENTILES = (0.1, 99.9)
NOT_MOVED = "the score did not rise on the one way and fall on the other: what is shown is no prototype"
ReadInput = Callable[[LesionView], Array]  # (side, side), standardised as the network sees it


@dataclass(frozen=True, eq=False)
class Start:
    """An input to begin with. settings: how it is changed"""

    name: str
    values: torch.Tensor
    settings: OptimiseSettings


@dataclass(frozen=True, eq=False)
class Inputs:
    """Starts, and the values that real inputs have."""

    starts: tuple[Start, ...]
    limits: tuple[float, float]
    notes: tuple[str, ...] = ()


def lesion_target(weights: LesionWeights, *, member: int, device: torch.device) -> LesionTarget:
    """The log-odds of malignant of one member. Raises SetupError for networks that want a size."""
    if not 1 <= member <= len(weights.networks):
        raise SetupError(f"--member: found {member}, need 1 to {len(weights.networks)}")
    if weights.card.network.size:
        raise SetupError(f"{weights.card.name}: reads the lesion's size too; need a network that sees the crop alone")
    return LesionTarget(weights.networks[member - 1].to(device).eval().requires_grad_(False))


def patch_target(weights: Weights, *, device: torch.device) -> ClassTarget:
    """The logit of malignant minus that of benign of a patch network. Raises SetupError."""
    card = weights.card.patch
    if card is None or weights.patch is None:
        raise SetupError(f"{weights.card.name}: {weights.card.kind}; need weights of a patch or a lesion network")
    plus, minus = (card.classes.index(name) for name in ("malignant", "benign"))
    network = weights.patch.to(device).eval().requires_grad_(False)
    return ClassTarget(network, plus, (minus,), "logit of malignant minus that of benign")


def find_inputs(
    store: Store | None,
    read: ReadInput,
    *,
    kinds: Sequence[Any],
    side_px: int,
    lesions: int,
    steps: int,
    seed: int,
    phantoms_only: bool = False,
) -> Inputs:
    """Noise; with a store the mean of each class and real lesions of both, drawn at random.

    lesions  of each class;  steps  of the optimiser;  phantoms_only  the store may hold nothing else

    Raises SetupError: other lesions than phantoms' where these alone may be read, none that can be read.
    """
    shape = (side_px, side_px)
    settings = OptimiseSettings(steps=steps)
    starts = [Start("noise", draw_noise(shape, seed=seed), settings)]
    if store is None:
        return Inputs(tuple(starts), LIMITS, ("no store was given: values stay within -2.5 to 3",))
    rng = np.random.default_rng(seed)
    views = find_lesions(store, kinds=kinds).views
    others = sum(view.dataset != PHANTOM for view in views)
    if phantoms_only and others:
        raise SetupError(
            f"{store.path}: found {others} lesion images of no phantom, and these weights were trained on phantoms "
            "only: not for real images; need other weights (to look all the same: --allow-phantom-weights)"
        )
    real: dict[bool, list[Array]] = {}
    notes = []
    for malignant, words in ((True, "malignant"), (False, "benign")):
        own = [view for view in views if view.malignant == malignant]
        chosen = [own[int(k)] for k in rng.permutation(len(own))[:MOST]]
        real[malignant] = list(_read_all(read, chosen))
        if not real[malignant]:
            notes.append(f"found no {words} lesion that could be read")
            continue
        mean = np.mean(real[malignant], axis=0)
        name = f"mean of {len(real[malignant])} {words} lesion images"
        starts.append(Start(name, torch.from_numpy(np.asarray(mean, np.float32))[None, None], settings))
    if not any(real.values()):
        raise SetupError(f"{store.path}: found no lesion of {len(views)} that could be read; need one")
    changed = OptimiseSettings(**{**FROM_LESION.__dict__, "steps": steps})
    for malignant, words in ((True, "malignant"), (False, "benign")):
        for number, values in enumerate(real[malignant][:lesions], 1):
            starts.append(Start(f"{words} lesion {number}", torch.from_numpy(values)[None, None], changed))
    sample = np.stack([values for own in real.values() for values in own])
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    return Inputs(tuple(starts), (low, high), tuple(notes))


def lesion_inputs(store: Store, weights: LesionWeights) -> ReadInput:
    """Crops as lesion networks see them."""
    crop = weights.card.crop
    return lambda view: standardise(cut_lesion(store, view, scale=crop.scale, side_px=crop.side_px).pixels)


def patch_inputs(store: Store, card: Card) -> ReadInput:
    """Patches about the middles of lesions as patch networks see them."""
    rows: Mapping[str, Mapping[str, Any]] = {row["image"]: row for row in store.images.iter_rows(named=True)}
    side = card.patch.side_px if card.patch is not None else 0

    def read(view: LesionView) -> Array:
        row = rows[view.image]
        crop = read_crop(store, row, card).crop
        masks = read_masks(store, row, crop.frame)
        if view.lesion not in masks or min(crop.pixels.shape) < side:
            raise ExamError(f"{view.name}: found no outline, or a breast that is smaller than a patch")
        places = np.nonzero(masks[view.lesion])
        top, left = (
            int(np.clip(round(float(place.mean()) - side / 2), 0, length - side))
            for place, length in zip(places, crop.pixels.shape, strict=True)
        )
        pixels = standardise_whole(crop.pixels, std_floor=card.geometry.std_floor)
        return np.ascontiguousarray(pixels[top : top + side, left : left + side])

    return read


def make_prototypes(
    target: Target, inputs: Inputs, *, seed: int, device: torch.device, on_step: Callable[[int, int], None]
) -> tuple[Prototype, ...]:
    """One per start, in order. on_step: done, total; may raise"""
    found = []
    for number, start in enumerate(inputs.starts):
        on_step(number, len(inputs.starts))
        values = start.values.to(device)
        found.append(
            make_prototype(target, values, name=start.name, limits=inputs.limits, settings=start.settings, seed=seed)
        )
    on_step(len(inputs.starts), len(inputs.starts))
    return tuple(found)


def describe_prototypes(
    made: Sequence[Prototype],
    *,
    title: str,
    words: str,
    marks: tuple[str, ...],
    notes: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
) -> Document:
    """The sheet. words: what the score is"""
    items = tuple(_show(one) for one in made)
    rows = tuple((one.name, *one.scores) for one in made)
    columns = ("start", "score of the start", "most malignant", "most benign")
    still = sum(not one.moved for one in made)
    note = (
        "Left: the start. Then the same input, changed until the network says malignant, and until it says benign; all "
        "three in the same greys. Right: the difference of the two, orange where the malignant one is brighter."
    )
    return Document(
        kind="prototypes",
        title=f"What malignant and benign look like to {title}",
        headline=(),
        sections=(
            Section(
                "sheet",
                "Prototypes",
                (
                    Gallery("prototypes", "Inputs", items, note, large=True),
                    Table("scores", "Scores", columns, rows, note=f"Score: {words}."),
                ),
            ),
        ),
        warnings=(
            *marks,
            *((f"{still} of {len(made)} starts: {NOT_MOVED}",) if still else ()),
            "these are inputs that a network likes, not lesions: they show what moves its score, which need not be "
            "what makes a lesion malignant",
        ),
        methods=(
            "Input optimisation, in the spirit of Yi et al. 2017, whose method is not known in detail: Adam on the "
            "standardised input, step 0.02, shifts of up to 8 pixels and left-right flips drawn in every step, a blur "
            "of 0.5 pixels every 4 steps, total variation 0.001, for real lesions the squared distance to the start "
            "0.0001, blur and variation then of the change alone; values stay within those of real inputs. Both ways "
            "have the same shifts and flips.",
        ),
        settings=(*settings, *(("note", text) for text in notes)),
        versions=package_versions(),
    )


def _show(one: Prototype) -> GalleryItem:
    start, malignant, benign = one.scores
    crops = [
        (f"start, score {start:.1f}", one.start),
        (f"most malignant, score {malignant:.1f}", one.malignant),
        (f"most benign, score {benign:.1f}", one.benign),
    ]
    picture = draw_prototype(crops, one.difference)
    lines = () if one.moved else (f"FAILS: {NOT_MOVED}",)
    return GalleryItem(f"from {one.name}", lines, images=((f"from {one.name}", jpeg_bytes(picture)),))


def _read_all(read: ReadInput, views: Sequence[LesionView]) -> Iterator[Array]:
    for view in views:
        try:
            yield np.asarray(read(view), np.float32)
        except ExamError:
            continue
