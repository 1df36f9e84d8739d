"""What each observer marks in one exam, and whether it lies in the malignant finding.

Marks are the local maxima of a map, no two nearer than APART_MM (in rows and in columns). Maps of patches are constant
over small areas, so a maximum is an area: its place is the middle of that area (of the pixels within 1e-6 of the
maximum, the one that is nearest to their centroid), as everywhere in fourview (report.page.hot_places). The finding's
mask is asked only then: a mark hits if the mask holds its pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.phantom_localisation_exams import cancer_views, find_cancer, shows_pixels
from benchmarks.phantom_localisation_maps import BLOBS, TRAINED, map_blobs, open_observers
from benchmarks.phantom_views import see, turn
from fourview.evaluate.froc import MarkedImages
from fourview.exam import ExamError, Heatmap, Side, View
from fourview.phantom import Recipe, Truth, draw_planned, plan_exam
from fourview.report.page.hot_places import find_hot_places

APART_MM = 17.92  # 256 pixels of 0.07 mm: the side of the paper's patches, for every observer
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Mark:
    """A local maximum: source pixels, the map's value, and whether the malignant finding's mask holds it."""

    view: View
    row: int
    col: int
    value: float
    hits: bool


@dataclass(frozen=True)
class ObservedExam:
    """One exam that was taken.

    index, kind, radius_mm, side  of the exam in its population, and of its malignant finding
    benign    benign findings that show in the same breast
    shown_in  views in which the finding has pixels
    share     of the breast's pixels that lie in the finding, over all its views: what chance hits
    marks     per observer, of all images, the largest of each image first; None: it could not read the exam
    problem   why not
    """

    index: int
    kind: str
    radius_mm: float
    side: Side
    benign: int
    shown_in: tuple[View, ...]
    share: float
    marks: Mapping[str, tuple[Mark, ...] | None]
    problem: str = ""

    def find_peak(self, observer: str) -> Mark | None:
        """The largest mark in the views of the finding's breast, CC before MLO if they are equal."""
        own = [mark for mark in self.marks[observer] or () if mark.view.side is self.side]
        return max(own, key=lambda mark: (mark.value, mark.view.angle == "CC"), default=None)

    def is_hit(self, observer: str) -> bool:
        peak = self.find_peak(observer)
        return peak is not None and peak.hits


@dataclass(frozen=True)
class Observe:
    """The work of one process: index of an exam -> what was observed; None if it does not show its finding."""

    weights: Path
    recipe: Recipe
    seed: int
    scale: float
    device: str

    def draw(self, index: int) -> Truth:
        plan = plan_exam(self.recipe, seed=self.seed, index=index)
        return Truth(plan, draw_planned(plan, scale=self.scale))

    def __call__(self, index: int) -> ObservedExam | None:
        cv2.setNumThreads(1)
        truth = self.draw(index)
        return observe(truth, self.map_exam(truth)) if shows_pixels(truth) else None

    def map_exam(self, truth: Truth) -> dict[str, Mapping[View, Heatmap] | str]:
        """Per observer its maps, or why there are none."""
        observers = open_observers(self.weights, self.device)
        maps: dict[str, Mapping[View, Heatmap] | str] = {}
        try:
            maps |= observers.map_exam(truth.drawn.to_exam())
        except ExamError as error:
            maps |= dict.fromkeys(observers.screeners, str(error))
        maps[BLOBS] = {image.view: map_blobs(see(image), image) for image in truth.drawn.images}
        return maps


def observe(truth: Truth, maps: Mapping[str, Mapping[View, Heatmap] | str]) -> ObservedExam:
    """What the maps of each observer mark. maps  per observer; a text: why it made none"""
    place = find_cancer(truth.plan)
    cancer, masks = truth.findings[place], truth.masks
    shown = cancer_views(truth)
    benign = {n for _, n in masks if n != place and truth.findings[n].side is cancer.side}
    in_finding, in_breast = 0, 0
    spacings = {}
    for image in truth.drawn.images:
        spacings[image.view] = image.spacing_mm
        if image.view.side is cancer.side:
            seen = see(image)
            breast = turn(seen.breast) if image.faces == "left" else seen.breast
            in_breast += int(breast.sum())
            in_finding += int((breast & masks[image.view, place]).sum()) if image.view in shown else 0
    marks: dict[str, tuple[Mark, ...] | None] = {}
    for name, own in maps.items():
        marks[name] = (
            None
            if isinstance(own, str)
            else tuple(
                mark
                for view, heatmap in own.items()
                for mark in find_marks(heatmap, masks.get((view, place)), view=view, spacing_mm=spacings[view])
            )
        )
    problem = maps[TRAINED]
    return ObservedExam(
        index=truth.plan.index,
        kind=cancer.kind,
        radius_mm=round(cancer.radius_mm, 2),
        side=cancer.side,
        benign=len(benign),
        shown_in=shown,
        share=in_finding / max(in_breast, 1),
        marks=marks,
        problem=problem if isinstance(problem, str) else "",
    )


def find_marks(heatmap: Heatmap, mask: Mask | None, *, view: View, spacing_mm: float) -> list[Mark]:
    """All local maxima of the malignant map, however small, the largest first. mask  source pixels; None: nothing"""
    most = heatmap.box.height * heatmap.box.width
    places = find_hot_places(heatmap, "malignant", radius_px=APART_MM / spacing_mm, least=0.0, most=most)
    return [
        Mark(view, place.row, place.col, place.value, mask is not None and bool(mask[place.row, place.col]))
        for place in places
    ]


def join_marks(exams: Sequence[ObservedExam], observer: str) -> MarkedImages:
    """The marks of one observer in all images of all exams, as evaluate.froc counts them.

    The lesions are the malignant finding in each view where it has pixels: a mark in anything benign is a false one.
    Images of an exam that could not be read are not counted, and its finding is missed.
    """
    images: list[tuple[int, View]] = []
    lesions: list[tuple[int, View]] = []
    scores: list[float] = []
    of_image: list[int] = []
    hits: list[tuple[int, int]] = []
    for exam in exams:
        first = len(lesions)
        lesions += [(exam.index, view) for view in exam.shown_in]
        marks = exam.marks[observer]
        if marks is None:
            continue
        place = {view: len(images) + number for number, view in enumerate(View)}
        images += [(exam.index, view) for view in View]
        for mark in marks:
            if mark.hits:
                hits.append((len(scores), first + exam.shown_in.index(mark.view)))
            scores.append(mark.value)
            of_image.append(place[mark.view])
    where = {image: number for number, image in enumerate(images)}
    return MarkedImages(
        image_exam=np.array([str(index) for index, _ in images]),
        mark_image=np.array(of_image, np.int64),
        mark_score=np.array(scores, np.float64),
        hits=np.array(hits, np.int64).reshape(-1, 2),
        lesion_image=np.array([where.get(lesion, -1) for lesion in lesions], np.int64),
        lesion_exam=np.array([str(index) for index, _ in lesions]),
        lesion_finding=np.array(["malignant"] * len(lesions)),
        lesion_malignant=np.ones(len(lesions), np.bool_),
    )
