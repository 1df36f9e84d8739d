"""Does a map show what the network does? It must change with the weights, and hiding what it shows must matter.

Methods: Adebayo et al. 2018 (weights drawn anew), Petsiuk, Das and Saenko 2018 (deletion and insertion).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.evaluate.rank_correlation import rank_correlation
from fourview.explain.target import Target, Tensors

Array = NDArray[np.float32]
Bools = NDArray[np.bool_]
T = TypeVar("T")

MOST_ALIKE = 0.5  # rank correlation with the map of a network without knowledge; above it, the map fails
CELLS = 32  # along the shorter side of an input: what is compared and hidden are such squares, not single pixels
STEPS = 10  # of the deletion and insertion curves
DRAWN_ANEW = "weights drawn anew"
DRAWS = 5  # networks that are drawn at most for one whose map shows anything
CONTROLS = 3  # maps without knowledge that the curves are compared with
_SMOOTH_CELLS = 2.0  # standard deviation of the blur of those maps


@dataclass(frozen=True)
class Check:
    """One test of one map.

    name    "weights drawn anew", "deletion", ...;  passed  None: not to be judged
    value   the number;  against  what it is compared with;  says  both in words
    """

    name: str
    passed: bool | None
    value: float
    against: float
    says: str


def is_tested(checks: Sequence[Check]) -> bool:
    """Whether any of them says that a map shows what the network does; outlines alone do not."""
    return any(check.passed is not None and check.name in (DRAWN_ANEW, "deletion", "insertion") for check in checks)


@dataclass(frozen=True, eq=False)
class Curve:
    """shares  of the tissue's squares that are hidden or shown;  scores  then, of the map;  controls  (n, steps)"""

    shares: NDArray[np.float64]
    scores: NDArray[np.float64]
    controls: NDArray[np.float64]

    @property
    def mean(self) -> float:
        return _area(self.shares, self.scores)

    @property
    def control_means(self) -> NDArray[np.float64]:
        """Of each control."""
        return np.array([_area(self.shares, one) for one in self.controls])


def draw_anew(network: nn.Module, *, seed: int) -> nn.Module:
    """A copy whose weights know nothing: each layer's values in random order, its statistics channel by channel.

    So every layer keeps its scale, and signals neither die nor grow.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = copy.deepcopy(network)
    with torch.no_grad():
        for module in drawn.modules():
            own = [t for t in (*module.parameters(recurse=False), *module.buffers(recurse=False)) if t.ndim]
            if isinstance(module, nn.BatchNorm2d) and own:
                order = torch.randperm(len(own[0]), generator=generator).to(own[0].device)
                for tensor in own:
                    tensor.copy_(tensor[order])
                continue
            for tensor in own:
                order = torch.randperm(tensor.numel(), generator=generator).to(tensor.device)
                tensor.copy_(tensor.flatten()[order].reshape(tensor.shape))
    return drawn


def map_drawn(
    make: Callable[[int], T], shows: Callable[[T], set[str]], keys: Sequence[str], *, count: int, seed: int
) -> dict[str, list[T]]:
    """For each key `count` maps of networks with weights drawn anew, of draws that show anything there; else fewer.

    make   the maps of the networks of a seed;  shows  the keys of the images where they show anything
    A map that shows nothing is unlike any other and tests nothing; of Grad-CAM half are such. At most DRAWS draws are
    made for each map.
    """
    found: dict[str, list[T]] = {key: [] for key in keys}
    for number in range(DRAWS * count):
        if all(len(own) == count for own in found.values()):
            break
        made = make(seed + 1 + number)
        for key in shows(made):
            if len(found[key]) < count:
                found[key].append(made)
    return found


def compare_with_drawn(found: Array, drawn: Sequence[Array], tissue: Bools, *, signed: bool) -> Check:
    """Whether the map changed with the weights.

    found   (rows, cols) of the network;  drawn  of networks with weights drawn anew;  tissue  where they are compared
    signed  negative values are part of the map, see methods.Method; else positive ones alone are compared

    A map that is only turned to its negative is as alike as the same one. Drawn maps that show nothing do not count;
    without any other, nothing is judged.
    """
    drawn = [other for other in drawn if shows_something(other, tissue)]
    if not drawn:
        says = "networks with weights drawn anew show nothing here: how alike their maps are cannot be said"
        return Check(DRAWN_ANEW, None, float("nan"), MOST_ALIKE, says)
    alike = float(np.mean([abs(_correlate(found, other, tissue, signed=signed)) for other in drawn]))
    passed = alike <= MOST_ALIKE
    verdict = "depends on the weights" if passed else "hardly depends on the weights"
    return Check(
        DRAWN_ANEW,
        passed,
        alike,
        MOST_ALIKE,
        f"{verdict}: rank correlation {alike:.2f} with maps of {_count(len(drawn), 'network')} with weights drawn anew "
        f"(at most {MOST_ALIKE:g} passes)",
    )


def delete_and_insert(
    target: Target,
    name: str,
    found: Array,
    inputs: Tensors,
    *,
    baselines: Tensors,
    tissue: Bools,
    seed: int = 0,
    steps: int = STEPS,
    controls: int = CONTROLS,
) -> tuple[Curve, Curve]:
    """The score while one input's squares are hidden, and while they are shown, in the order of its map.

    found      (rows, cols) of the input `name`; its highest squares come first
    baselines  what is there in place of what is hidden
    tissue     (rows, cols): squares without any of it are never touched
    controls   random smooth maps whose orders show what hiding as much anywhere does
    """
    maps = [found, *_smooth_noise(found.shape, controls, seed=seed)]
    orders = [_order_squares(one, tissue) for one in maps]
    shares = np.linspace(0, 1, steps + 1)
    scores = {}
    with torch.inference_mode():
        features = {key: target.last_map(key, x) for key, x in inputs.items()}
        for deletes in (True, False):
            start, end = (inputs, baselines) if deletes else (baselines, inputs)
            scores[deletes] = np.stack(
                [
                    [
                        _score_mixed(target, name, features, start=start[name], end=end[name], changed=order < share)
                        for share in shares
                    ]
                    for order in orders
                ]
            )
    return (
        Curve(shares, scores[True][0], scores[True][1:]),
        Curve(shares, scores[False][0], scores[False][1:]),
    )


def judge_curves(deletions: Sequence[Curve], insertions: Sequence[Curve]) -> tuple[Check, Check]:
    """Whether what the map shows matters more than as much in every one of the orders without knowledge.

    Curves of inputs that make one map. One without knowledge passes by luck: the best of CONTROLS and itself.
    """
    checks = []
    for name, curves, falls in (("deletion", deletions, True), ("insertion", insertions, False)):
        own = float(np.mean([curve.mean for curve in curves]))
        controls = np.mean([curve.control_means for curve in curves], axis=0)
        best = float(controls.min() if falls else controls.max())
        gain = best - own if falls else own - best
        what = "hiding what it shows first" if falls else "showing what it shows first"
        moves = "lowers" if falls else "raises"
        more = f"{moves} the score by {gain:.2g} more than any" if gain > 0 else "moves the score no more than one"
        orders = f"{_count(len(controls), 'order')} without knowledge (log-odds)"
        checks.append(Check(name, gain > 0, own, best, f"{what} {more} of {orders}"))
    return checks[0], checks[1]


def shows_something(found: Array, tissue: Bools) -> bool:
    """Whether a map has a positive value where there is tissue."""
    return bool((found[tissue] > 0).any())


def _score_mixed(
    target: Target, name: str, features: Tensors, *, start: Tensor, end: Tensor, changed: NDArray[np.bool_]
) -> float:
    where = torch.from_numpy(changed).to(start.device)
    mixed = torch.where(where, end, start)
    return float(target.read({**features, name: target.last_map(name, mixed)})[0])


def _order_squares(found: Array, tissue: Bools) -> NDArray[np.float64]:
    """(rows, cols): from 0 on, the place of each pixel's square in the order of the map, as a share; inf: no tissue."""
    means, touched = _squares(found), _squares(tissue.astype(np.float32)) > 0
    places = np.full(means.shape, np.inf)
    values = means[touched]
    order = np.empty(len(values))
    order[np.argsort(-values, kind="stable")] = np.arange(len(values))
    places[touched] = order / max(1, len(values))
    return np.asarray(cv2.resize(places, (found.shape[1], found.shape[0]), interpolation=cv2.INTER_NEAREST), np.float64)


def _squares(values: Array) -> Array:
    """The means of squares, CELLS along the shorter side."""
    rows, cols = values.shape
    side = max(1.0, min(rows, cols) / CELLS)
    shape = max(1, round(cols / side)), max(1, round(rows / side))
    return np.asarray(cv2.resize(values, shape, interpolation=cv2.INTER_AREA), np.float32)


def _correlate(found: Array, other: Array, tissue: Bools, *, signed: bool) -> float:
    inside = _squares(tissue.astype(np.float32)) > 0
    first, second = (_squares(one if signed else np.maximum(one, 0))[inside] for one in (found, other))
    return rank_correlation(first, second)


def _smooth_noise(shape: tuple[int, ...], count: int, *, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    sigma = _SMOOTH_CELLS * max(1.0, min(shape) / CELLS)
    small = [max(2, round(size * min(1.0, 4 / sigma))) for size in shape]
    noise = [rng.normal(size=small).astype(np.float32) for _ in range(count)]
    blurred = [cv2.GaussianBlur(one, (0, 0), max(1.0, sigma * small[0] / shape[0])) for one in noise]
    return [np.asarray(cv2.resize(one, (shape[1], shape[0])), np.float32) for one in blurred]


def _area(shares: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    return float(np.trapezoid(scores, shares))


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
