"""The map of images: what the columns made of them, in two dimensions, coloured by predicted malignancy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fourview.evaluate.embedding import Embedding, principal_components, umap
from fourview.exam import SetupError, View
from fourview.report.document import Figure, Section, Table
from fourview.report.exam_folder import load_features
from fourview.report.plots import draw_scatter
from fourview.report.reading_json import image_keys, load_reading

Method = Literal["pca", "umap"]
_METHODS: dict[Method, Callable[[NDArray[np.float32]], Embedding]] = {"pca": principal_components, "umap": umap}


@dataclass(frozen=True, eq=False)
class RunFeatures:
    """The features of every image of a run.

    exams, keys  per image, e.g. "3f2a..." and "L-CC_2";  views  its view
    matrix       (images, members x features) float32
    malignant    (images,) predicted: of the image where the model reads images, else of its breast; NaN if unread
    run_marks    reasons to distrust the run's readings
    """

    exams: tuple[str, ...]
    keys: tuple[str, ...]
    views: tuple[View, ...]
    matrix: NDArray[np.float32]
    malignant: NDArray[np.float64]
    run_marks: tuple[str, ...]


def load_run_features(run: Path) -> RunFeatures:
    """The features that `fourview screen` kept in a run's exam folders, exams in the order of their ids.

    Raises SetupError if there are none (--files readings, or a run of an older version), or of different lengths.
    """
    exams: list[str] = []
    keys: list[str] = []
    views: list[View] = []
    vectors: list[NDArray[np.float32]] = []
    malignant: list[float] = []
    marks: dict[str, None] = {}
    for file in sorted((run / "exams").glob("*/features.npz")):
        reading = load_reading(file.parent).reading
        features = load_features(file.parent)
        marks |= dict.fromkeys(reading.marks)
        for key, image in zip(image_keys(reading), reading.images, strict=True):
            if key in features:
                score = image.score or reading.breasts.get(image.view.side)
                exams.append(reading.exam_id)
                keys.append(key)
                views.append(image.view)
                vectors.append(features[key])
                malignant.append(np.nan if score is None else score.malignant)
    if not vectors:
        raise SetupError(f"{run}: found no features.npz of an exam; need the output of `fourview screen --files all`")
    lengths = Counter(len(vector) for vector in vectors)
    if len(lengths) > 1:
        found = ", ".join(f"{count} images of {length}" for length, count in lengths.items())
        raise SetupError(f"{run}: found features of different lengths ({found}); need one run of the same weights")
    return RunFeatures(
        tuple(exams), tuple(keys), tuple(views), np.stack(vectors), np.array(malignant, np.float64), tuple(marks)
    )


def embedding_section(run: Path, *, positives: Collection[str] = (), method: Method = "pca") -> Section:
    """A map of the CC and one of the MLO images: columns of the two angles are different networks.

    run        output folder of `fourview screen`
    positives  breasts to ring, "EXAM L" or "EXAM R"

    Raises SetupError as load_run_features and evaluate.embedding do; an angle with fewer than three images has no map.
    """
    features = load_run_features(run)
    figures, rows = [], []
    for angle in ("CC", "MLO"):
        places = [number for number, view in enumerate(features.views) if view.angle == angle]
        if len(places) < 3:
            continue
        found = _METHODS[method](features.matrix[places])
        ringed = [f"{features.exams[n]} {features.views[n].side}" in positives for n in places]
        figures.append(_draw(features, places, found, ringed, angle))
        shares = (None, None) if found.shares is None else found.shares
        rows.append((angle, len(places), sum(ringed), found.used, *shares))
    if not figures:
        raise SetupError(f"{run}: found {len(features.keys)} images with features; need three of one angle")
    columns = ("angle", "images", "of positive breasts", "features that vary", "share of axis 1", "share of axis 2")
    table = Table("embedding", "What the maps show", columns, tuple(rows))
    length = features.matrix.shape[1]
    text = (
        f"Each point is one image: its {length} features (the last pooled values of the network's column, the mean "
        "over windows, all members side by side) laid out in two dimensions. Images that lie together look alike to "
        "the network. The axes have no meaning of their own, and distances in them are no test of anything.",
    )
    return Section("embedding", "Map of images", (*figures, table), text, features.run_marks)


def _draw(features: RunFeatures, places: list[int], found: Embedding, ringed: list[bool], angle: str) -> Figure:
    x, y = found.places.T.tolist()
    malignant = features.malignant[places]
    first, second = ("", "") if found.shares is None else (f" ({100 * share:.1f} %)" for share in found.shares)
    svg = draw_scatter(
        x,
        y,
        values=malignant.tolist(),
        positives=ringed if any(ringed) else None,
        x_label=f"axis 1{first}",
        y_label=f"axis 2{second}",
        value_label="predicted malignancy",
    )
    data = {
        "exam": [features.exams[n] for n in places],
        "image": [features.keys[n] for n in places],
        "x": x,
        "y": y,
        "malignant": [None if np.isnan(value) else float(value) for value in malignant],
        "positive": ringed,
    }
    rings = ", images of positive breasts ringed" if any(ringed) else ""
    caption = f"{found.method}, coloured by predicted malignancy{rings}."
    return Figure(f"embedding_{angle.lower()}", f"{angle} images", svg, caption, data)
