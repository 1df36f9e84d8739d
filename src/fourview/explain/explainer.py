"""Explainer: Exam -> ExplainedExam. Where in each image a network's score comes from, and whether the maps hold."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fourview.engine import choose_engine
from fourview.exam import Exam, ExamError, Finding, Side
from fourview.explain.attributions import Maps
from fourview.explain.baseline import blur_inputs
from fourview.explain.cells import Cells, measure_cells
from fourview.explain.exam_inputs import ExamImage, cut_exam, stack_inputs, view_names
from fourview.explain.exam_target import ExamTarget
from fourview.explain.explained import ExplainedExam, ScoreMaps, ViewMap
from fourview.explain.located import judge_localisation, localise
from fourview.explain.methods import METHODS, MethodName, attribute
from fourview.explain.patch_inputs import PatchImage, PatchTarget, find_patches, stack_patches
from fourview.explain.sanity import (
    Check,
    Curve,
    compare_with_drawn,
    delete_and_insert,
    draw_anew,
    judge_curves,
    map_drawn,
    shows_something,
)
from fourview.explain.source_map import SourceMap
from fourview.explain.target import Target, Tensors, score, with_network
from fourview.prepare import Prepared
from fourview.report.reading_json import image_keys
from fourview.screen import Screener
from fourview.weights.folder import Weights

Outlines = Mapping[str, NDArray[np.bool_]]  # image's name -> (rows, cols) of its file
PATCHES = 5  # of an image, that are explained where a patch network reads alone
Report = Callable[[str], None]  # called with what is done next


@dataclass(frozen=True)
class MapTests:
    """How maps are tested. drawn: networks with weights drawn anew; curves: deletion and insertion as well"""

    drawn: int = 1
    curves: bool = True


@dataclass(frozen=True, eq=False)
class _Asked:
    """One score to be explained: inputs, and what is known of them. tissue: per input"""

    target: Target
    inputs: Tensors
    tissue: Mapping[str, NDArray[np.bool_]]
    side: Side
    finding: Finding


class Explainer:
    """Loaded weights, a method, and how maps are tested.

    finding  whose score is explained;  patches  of an image, where a patch network reads alone
    tests    None: maps are not tested, and say so
    seed     of patch grids, noise, drawn weights and controls
    """

    def __init__(
        self,
        weights: Weights,
        *,
        method: MethodName,
        finding: Finding = "malignant",
        tests: MapTests | None = MapTests(),
        patches: int = PATCHES,
        engine: str = "auto",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        seed: int = 0,
        allow_phantom_weights: bool = False,
    ) -> None:
        self._engine = choose_engine(engine, device=device)
        self.device = torch.device("cuda" if self._engine.device.startswith("cuda") else "cpu")
        own = weights.exam or weights.patch
        self._network = None if own is None else copy.deepcopy(own).to(self.device).eval().requires_grad_(False)
        self.weights, self.method, self.finding = weights, method, finding
        self.tests, self.patches, self.seed = tests, patches, seed
        self._cells: dict[str, Cells] = {}
        self.screener = Screener(
            [weights], engine=self._engine, jitter=0, seed=seed, allow_phantom_weights=allow_phantom_weights
        )

    def explain(self, exam: Exam, *, outlines: Outlines | None = None, report: Report | None = None) -> ExplainedExam:
        """The maps of every score of the finding: of each breast, or of each image (a patch network alone).

        outlines  of lesions with this finding, where they are known

        Raises ExamError if the exam cannot be read.
        """
        report = report or (lambda _: None)
        report("reading")
        prepared = self.screener.prepare(exam)
        reading = self.screener.read(exam, prepared)
        images, keys = prepared.images[0], image_keys(reading)
        outlines = outlines or {}
        if self.weights.exam is not None:
            scores = self._explain_breasts(images, keys, outlines, report)
        else:
            scores = self._explain_images(images, keys, outlines, report)
        return ExplainedExam(exam, reading, self.method, tuple(scores))

    def _explain_breasts(
        self, images: Sequence[Prepared], keys: Sequence[str], outlines: Outlines, report: Report
    ) -> Iterator[ScoreMaps]:
        cut = cut_exam(images, keys, self.weights, self._engine, seed=self.seed)
        names = view_names(cut)
        for side in Side:
            target = ExamTarget(self._network, names, side, self.finding)  # type: ignore[arg-type]
            seen = set(target.seen)
            own = tuple(image for image in cut if image.key in seen)
            if not own:
                continue
            asked = _Asked(
                replace(target, views=view_names(own)),
                stack_inputs(own, self.device),
                {image.key: image.tissue for image in own},
                side,
                self.finding,
            )
            yield self._map(asked, own, outlines, report)

    def _explain_images(
        self, images: Sequence[Prepared], keys: Sequence[str], outlines: Outlines, report: Report
    ) -> Iterator[ScoreMaps]:
        card = self.weights.card.patch
        if card is None:
            raise ExamError(f"{self.weights.card.name}: no patch network")
        found = find_patches(
            images, keys, self.weights, self._engine, finding=self.finding, most=self.patches, seed=self.seed
        )
        for image in found:
            tissue = {name: np.asarray(one, np.bool_) for name, one in image.cut(image.tissue).items()}
            target = PatchTarget(self._network, card.classes.index(self.finding), self.finding)  # type: ignore[arg-type]
            asked = _Asked(target, stack_patches(image, self.device), tissue, image.view.side, self.finding)
            yield self._map(asked, (image,), outlines, report)

    def _map(
        self, asked: _Asked, images: Sequence[ExamImage | PatchImage], outlines: Outlines, report: Report
    ) -> ScoreMaps:
        where = images[0].key if len(images) == 1 else f"{asked.side.value} breast"
        report(f"{where}: {self.method}")
        baselines = blur_inputs(asked.inputs, asked.tissue)
        maps = self._attribute(asked.target, asked.inputs, baselines)
        drawn = self._map_drawn(asked, images, baselines, lambda: report(f"{where}: weights drawn anew"))
        placed = {image.key: _place(image, maps) for image in images}
        total = sum(float(np.maximum(found.inside, 0).sum(dtype=np.float64)) for found in placed.values())
        views = []
        for image in images:
            mine = [image.key] if isinstance(image, ExamImage) else list(image.corners)
            curves = []
            if self.tests is not None and self.tests.curves:
                report(f"{where}: deletion and insertion, {image.key}")
                curves = [
                    delete_and_insert(
                        asked.target,
                        name,
                        maps[name],
                        asked.inputs,
                        baselines=baselines,
                        tissue=asked.tissue[name],
                        seed=self.seed,
                    )
                    for name in mine
                ]
            views.append(
                self._judge(
                    image,
                    placed[image.key],
                    maps=maps,
                    drawn=drawn[image.key],
                    curves=curves,
                    outlines=outlines,
                    side=asked.side,
                    total=total,
                )
            )
        with torch.inference_mode():
            value = float(score(asked.target, asked.inputs)[0])
        return ScoreMaps(asked.target.words, value, asked.side, asked.finding, tuple(views))

    def _map_drawn(
        self, asked: _Asked, images: Sequence[ExamImage | PatchImage], baselines: Tensors, report: Callable[[], None]
    ) -> dict[str, list[Maps]]:
        """By image."""

        def make(seed: int) -> Maps:
            report()
            anew = with_network(asked.target, draw_anew(asked.target.network, seed=seed))
            return self._attribute(anew, asked.inputs, baselines)

        def shows(maps: Maps) -> set[str]:
            return {image.key for image in images if shows_something(*_flat(image, maps))}

        count = 0 if self.tests is None else self.tests.drawn
        return map_drawn(make, shows, [image.key for image in images], count=count, seed=self.seed)

    def _judge(
        self,
        image: ExamImage | PatchImage,
        found: SourceMap,
        *,
        maps: Maps,
        drawn: Sequence[Maps],
        curves: Sequence[tuple[Curve, Curve]],
        outlines: Outlines,
        side: Side,
        total: float,
    ) -> ViewMap:
        positive = float(np.maximum(found.inside, 0).sum(dtype=np.float64))
        checks = [] if positive > 0 else [_EMPTY]
        if self.tests is not None and self.tests.drawn:
            own, tissue = _flat(image, maps)
            others = [_flat(image, other)[0] for other in drawn]
            checks.append(compare_with_drawn(own, others, tissue, signed=METHODS[self.method].signed))
        if curves:
            checks += judge_curves([pair[0] for pair in curves], [pair[1] for pair in curves])
        mammogram = image.prepared.mammogram
        localisation = None
        if mammogram.name in outlines and image.view.side is side:
            box = found.box.slices
            tissue = (mammogram.pixels > 0) & _looked_at(image, found)
            localisation = localise(found.inside, outlines[mammogram.name][box], tissue[box])
            if localisation is not None:
                checks += judge_localisation(localisation)
        return ViewMap(
            image.key,
            mammogram.name,
            image.view,
            found,
            positive / total if total > 0 else 0.0,
            tuple(checks),
            tuple(curves),
            localisation,
        )

    def _attribute(self, target: Target, inputs: Tensors, baselines: Tensors) -> Maps:
        cells = None
        if self.method == "gradcam":
            cells = {name: self._find_cells(target, name, inputs) for name in inputs}
        return attribute(self.method, target, inputs, baselines=baselines, cells=cells, seed=self.seed)

    def _find_cells(self, target: Target, name: str, inputs: Tensors) -> Cells:
        """Where cells lie depends on the kind of network and on the shape of the input alone."""
        shape = f"{type(target).__name__} {tuple(inputs[name].shape[1:])}"
        if shape not in self._cells:
            self._cells[shape] = measure_cells(target, name, inputs[name])
        return self._cells[shape]


_EMPTY = Check("empty", False, 0.0, 0.0, "shows nothing: nothing here raises the score")


def _place(image: ExamImage | PatchImage, maps: Maps) -> SourceMap:
    return image.place(maps[image.key]) if isinstance(image, ExamImage) else image.place(maps)


def _looked_at(image: ExamImage | PatchImage, found: SourceMap) -> NDArray[np.bool_]:
    """(rows, cols) of the file: where the network looked; of patches, what they fill of their box."""
    seen = np.zeros(found.source_shape, bool)
    seen[found.seen.slices] = True
    if isinstance(image, PatchImage):
        ones = np.ones((image.side_px, image.side_px), np.float32)
        seen[found.box.slices] &= image.place(dict.fromkeys(image.corners, ones)).inside > 0
    return seen


def _flat(image: ExamImage | PatchImage, maps: Maps) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The image's map before it is put back, and where there is tissue; of patches, the part of the crop they fill."""
    if isinstance(image, ExamImage):
        return maps[image.key], image.tissue
    crop, box = image.place_in_crop(maps)
    filled, _ = image.place_in_crop({name: np.ones_like(one) for name, one in maps.items()})
    return crop[box.slices], ((filled > 0) & image.tissue)[box.slices]
