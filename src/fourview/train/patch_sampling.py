"""Which patches make an epoch, and one of them drawn: classes and mix of Wu et al. 2019.

An epoch has exactly the mix of classes. Within a class, lesions (one outline in one image) and images are taken equally
often: each `visits / cases` times, rounded up or down by lot, so a lesion that shows in two views counts twice and a
large one no more than a small one. On a lesion, one of its pixels is drawn and the square laid so that this pixel is
anywhere in it, pushed into the crop where it would leave it; lesions too small to be met so get their pixel in the
middle. Elsewhere the square is anywhere in the crop. Side and angle are uniform. A square that does not meet its
class's conditions is laid again; where none does, another lesion or image of the class is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box, SetupError
from fourview.train.crop_pixels import CropPixels
from fourview.train.patch_cut import PatchCut, cut_marks, cut_pixels, resize_patch
from fourview.train.patch_grey import change_grey
from fourview.train.patch_index import WHOLE, PatchImage, PatchPool
from fourview.train.recipe_parts import PatchSampling

VISITS = 512  # of an epoch whose patches are shuffled together
_TRIES, _CENTRED, _CASES = 20, 10, 20
_MARKS = {"malignant": 1, "benign": 2, "never": 4}


@dataclass(frozen=True, eq=False)
class PatchSource:
    """What patches are drawn from, and how. side_px: of the network's input"""

    pool: PatchPool
    sampling: PatchSampling
    side_px: int
    pixels: CropPixels


@dataclass(frozen=True, eq=False)
class DrawnPatch:
    """One patch: (side, side) float32 of the image standardised as a whole. cut: where it is, working crop frame.

    words  of the lesion that it was laid on, see LesionRegion
    """

    image: str
    cut: PatchCut
    pixels: NDArray[np.float32]
    words: Mapping[str, str]


def plan_epoch(
    pool: PatchPool, sampling: PatchSampling, total: int, *, rng: np.random.Generator
) -> list[tuple[str, int]]:
    """(class, row of the pool's cases) of each of `total` patches, in the order of the epoch."""
    visits: list[tuple[str, int, int]] = []
    for name, count in share_out(total, sampling.mix.model_dump()).items():
        if count:
            visits += [
                (name, case, patches)
                for case, patches in _visit_cases(len(pool.cases[name]), count, sampling.per_visit, rng=rng)
            ]
    visits = [visits[i] for i in rng.permutation(len(visits))]
    plan: list[tuple[str, int]] = []
    for start in range(0, len(visits), VISITS):
        group = [(name, case) for name, case, n in visits[start : start + VISITS] for _ in range(n)]
        plan += [group[i] for i in rng.permutation(len(group))]
    return plan


def share_out(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `total`, by the largest remainder; of equal ones the first gets more."""
    exact = {name: total * share for name, share in shares.items()}
    counts = {name: int(value + 1e-9) for name, value in exact.items()}
    rest = sorted(exact, key=lambda name: counts[name] - exact[name])[: total - sum(counts.values())]
    return {name: count + (name in rest) for name, count in counts.items()}


def draw_patch(source: PatchSource, kind: str, *, case: int, rng: np.random.Generator) -> DrawnPatch:
    """A patch of the class `kind` from a case of the pool.

    Raises SetupError if neither this case nor others of the class give one, ExamError if a stored file is broken.
    """
    cases = source.pool.cases[kind]
    for _ in range(_CASES):
        place, number = (int(value) for value in cases[case])
        patch = _try_case(source, kind, source.pool.images[place], number=number, rng=rng)
        if patch is not None:
            return patch
        case = int(rng.integers(len(cases)))
    raise SetupError(
        f"no patch of the class {kind} found at {_CASES} of {len(cases)} places, tried {_TRIES} times and more; need "
        "larger lesions or breasts, or other values of patches.side_px, lesion_share or dark_share"
    )


def _try_case(
    source: PatchSource, kind: str, image: PatchImage, *, number: int, rng: np.random.Generator
) -> DrawnPatch | None:
    """A patch of one image, on its lesion `number` or WHOLE; None if none of the squares met the conditions."""
    sampling = source.sampling
    lesion = None if number == WHOLE else image.regions[number]
    spots = None if lesion is None else np.flatnonzero(lesion.inside)
    may_be_dark = lesion is None and rng.random() < sampling.dark_patches
    for attempt in range(_TRIES + (_CENTRED if lesion is not None else 0)):
        cut = _draw_cut(image.shape, sampling, rng)
        if lesion is not None and spots is not None:
            row, col = divmod(int(spots[rng.integers(len(spots))]), lesion.box.width)
            spot = lesion.box.top + row, lesion.box.left + col
            cut = _lay_on(spot, cut, image.shape, rng, centred=attempt >= _TRIES)
        box = cut.reach(image.shape)
        if not _is_of(kind, mark_lesions(image, box), cut, box, sampling.lesion_share):
            continue
        patch = cut_pixels(source.pixels.read(image, box), cut, box)
        if not may_be_dark and np.count_nonzero(patch) < (1 - sampling.dark_share) * patch.size:
            continue
        grey = resize_patch(patch, source.side_px).astype(np.float64)
        if sampling.grey is None:
            pixels = (grey - image.mean) / image.deviation
        else:
            pixels = change_grey(grey, sampling.grey, mean=image.mean, deviation=image.deviation, rng=rng)
        return DrawnPatch(image.image, cut, pixels.astype(np.float32), {} if lesion is None else lesion.words)
    return None


def _draw_cut(shape: tuple[int, int], sampling: PatchSampling, rng: np.random.Generator) -> PatchCut:
    """A square anywhere in the crop; a crop that is smaller than the largest side gives smaller ones."""
    least, most = sampling.side_px
    side = int(rng.integers(least, min(most, *shape) + 1))
    top, left = (int(rng.integers(length - side + 1)) for length in shape)
    angle = float(rng.uniform(-sampling.rotation_deg, sampling.rotation_deg)) if sampling.rotation_deg else 0.0
    return PatchCut(top, left, side, angle, mirrored=bool(rng.random() < sampling.mirrored))


def _lay_on(
    spot: tuple[int, int], cut: PatchCut, shape: tuple[int, int], rng: np.random.Generator, *, centred: bool
) -> PatchCut:
    """The square with the spot anywhere in it, or in its middle; pushed into the crop where it would leave it."""
    side = cut.side_px
    offsets = (side // 2, side // 2) if centred else (int(rng.integers(side)), int(rng.integers(side)))
    top, left = (
        min(max(at - offset, 0), length - side) for at, offset, length in zip(spot, offsets, shape, strict=True)
    )
    return replace(cut, top=top, left=left)


def mark_lesions(image: PatchImage, box: Box) -> NDArray[np.uint8] | None:
    """(rows, cols) of the box: sums of 1 (malignant), 2 (benign), 4 (never to be touched); None: no lesion is there."""
    marks = None
    for region in image.regions:
        own = region.box
        top, bottom = max(own.top, box.top), min(own.bottom, box.bottom)
        left, right = max(own.left, box.left), min(own.right, box.right)
        if top < bottom and left < right:
            if marks is None:
                marks = np.zeros((box.height, box.width), np.uint8)
            inside = region.inside[top - own.top : bottom - own.top, left - own.left : right - own.left]
            marks[top - box.top : bottom - box.top, left - box.left : right - box.left] |= inside * np.uint8(
                _MARKS[region.role]
            )
    return marks


def _is_of(kind: str, marks: NDArray[np.uint8] | None, cut: PatchCut, box: Box, lesion_share: float) -> bool:
    """Whether a square is of a class.

    On a lesion: its middle or lesion_share of its pixels is, malignant wins, so that benign touches no malignant one.
    Outside and negative touch none, and nothing touches a lesion that is not to be touched.
    """
    if marks is None:
        return kind in ("outside", "negative")
    turned = cut_marks(marks, cut, box)
    touched = int(np.bitwise_or.reduce(turned, axis=None))
    forbidden = {"malignant": 4, "benign": 4 + 1}.get(kind, 4 + 2 + 1)
    if touched & forbidden:
        return False
    if kind in ("outside", "negative"):
        return True
    on = (turned & _MARKS[kind]) != 0
    middle = cut.side_px // 2
    return bool(on[middle, middle]) or float(on.mean()) >= lesion_share


def _visit_cases(cases: int, patches: int, per_visit: int, *, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(case, patches of the visit): all patches of a class, over as many visits as needed, evenly over the cases."""
    visits = -(-patches // per_visit)
    whole, rest = divmod(visits, cases)
    visited = [*np.repeat(np.arange(cases), whole), *rng.permutation(cases)[:rest]]
    sizes = np.full(visits, patches // visits) + (np.arange(visits) < patches % visits)
    return [(int(case), int(size)) for case, size in zip(visited, sizes, strict=True)]
