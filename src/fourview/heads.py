"""Features of images -> what every head of a network says; answers of a patch network alone, as if heads gave them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fourview.exam import Finding, HeadScore, Side, View
from fourview.networks.exam import Head, WiredNetwork
from fourview.prepare import Prepared


def read_heads(
    network: WiredNetwork,
    images: Sequence[Prepared],
    features: Mapping[int, NDArray[np.float32]],
    *,
    member: int,
    window: int,
) -> Iterator[HeadScore]:
    """The answers of every head that has its views: one for every combination of one image per view.

    features  (features,) per image, by the image's place in `images`
    """
    by_view: dict[View, list[int]] = defaultdict(list)
    for place in sorted(features):
        by_view[images[place].mammogram.view].append(place)
    for head in network.heads:
        views = tuple(map(View, head.views))
        if not set(views) <= set(by_view):
            continue
        for combination in itertools.product(*(by_view[view] for view in views)):
            names = tuple(images[place].mammogram.name for place in combination)
            vectors = {view.value: features[place] for view, place in zip(views, combination, strict=True)}
            for side, finding, p in _ask(network, head, vectors):
                yield HeadScore(member, window, head.name, names, side, finding, p, views)


def read_patch_scores(
    images: Sequence[Prepared], scores: Sequence[Mapping[Finding, float]], *, member: int
) -> Iterator[HeadScore]:
    """The score of every image as a head of its view would give it, from one window. scores: per image"""
    for image, found in zip(images, scores, strict=True):
        view, name = image.mammogram.view, image.mammogram.name
        for finding, p in found.items():
            yield HeadScore(member, 0, view.value, (name,), view.side, finding, p, (view,))


def mean_features(windows: Sequence[Mapping[int, NDArray[np.float32]]]) -> dict[int, NDArray[np.float32]]:
    """(features,) per image, by its place: the mean over the windows that show it.

    windows  per window, the features of the images by their places
    """
    shown: dict[int, list[NDArray[np.float32]]] = defaultdict(list)
    for window in windows:
        for place, vector in window.items():
            shown[place].append(vector)
    return {
        place: np.stack(vectors).mean(axis=0, dtype=np.float64).astype(np.float32) for place, vectors in shown.items()
    }


def join_features(members: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32] | None:
    """The features of one image, one member's after the other's; None if a member did not see it in any window."""
    seen = [vector for vector in members if vector is not None]
    return np.concatenate(seen) if len(seen) == len(members) else None


def _ask(
    network: WiredNetwork, head: Head, vectors: Mapping[str, NDArray[np.float32]]
) -> Iterator[tuple[Side, Finding, float]]:
    """Heads are small: they always run in torch on the CPU, in float32."""
    with torch.inference_mode():
        rows = network.read_head(head, {view: torch.from_numpy(vector[None]) for view, vector in vectors.items()})
    for (side, finding), p in zip(head.labels, rows[0, :, 1].exp().tolist(), strict=True):
        yield Side(side), "benign" if finding == "benign" else "malignant", p
