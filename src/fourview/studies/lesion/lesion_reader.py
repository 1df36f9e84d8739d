"""Lesion networks that read: a crop, or all views of a lesion, -> the probability that it is malignant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fourview.exam import ExamError, Frame, SetupError
from fourview.studies.lesion.answers import answer_crops
from fourview.studies.lesion.cases import Angle
from fourview.studies.lesion.crops import LesionCrop, cut_from
from fourview.studies.lesion.ensemble import ViewAnswer, mean_answers
from fourview.studies.lesion.lesion_input import standardise
from fourview.studies.lesion.lesion_weights import LesionWeights, load_lesion_weights

_REAL = (
    "found no mark of a phantom, and {name} was trained on phantoms only: not for real images; need other weights (to "
    "look all the same: --allow-phantom-weights)"
)


@dataclass(frozen=True, eq=False)
class LesionReader:
    """Loaded networks on their device."""

    weights: LesionWeights
    device: torch.device
    allow_phantom_weights: bool = False

    @classmethod
    def open(cls, folder: Path, *, device: str = "auto", allow_phantom_weights: bool = False) -> LesionReader:
        """Raises SetupError: a folder that is damaged, a device that is not there."""
        weights = load_lesion_weights(folder)
        chosen = choose_device(device)
        for network in weights.networks:
            network.to(chosen)
        return cls(weights, chosen, allow_phantom_weights)

    @property
    def marks(self) -> tuple[str, ...]:
        """Reasons to distrust every answer."""
        card = self.weights.card
        return (f"not for real images: trained on phantoms only ({card.name})",) if card.phantoms_only else ()

    def refuse_real(self, name: str, *, is_phantom: bool) -> None:
        """Raises ExamError for an image that is no phantom, where the weights are for phantoms only."""
        if self.weights.card.phantoms_only and not is_phantom and not self.allow_phantom_weights:
            raise ExamError(f"{name}: {_REAL.format(name=self.weights.card.name)}")

    def cut(
        self,
        pixels: NDArray[Any],
        mask: NDArray[np.bool_],
        *,
        spacing_mm: float | None,
        frame: Frame,
        name: str,
    ) -> LesionCrop:
        """The crop that the networks read (crops.cut_from). Raises ExamError, also where they need a size in mm."""
        card = self.weights.card
        crop = cut_from(
            pixels,
            mask,
            scale=card.crop.scale,
            side_px=card.crop.side_px,
            spacing_mm=spacing_mm,
            frame=frame,
            name=name,
        )
        if card.network.size and crop.diameter_mm is None:
            raise ExamError(f"{name}: found no pixel size, and {card.name} reads the size in mm; need --spacing-mm")
        return crop

    def read(self, crop: LesionCrop, angle: Angle) -> ViewAnswer:
        """What the networks of this angle say of one crop. Raises ExamError where there are none."""
        card, networks = self.weights.card, self.weights.reading(angle)
        if not networks:
            raise ExamError(f"found a {angle} view, and {card.name} has no network for it")
        crops = torch.from_numpy(standardise(crop.pixels)[None, None]).to(self.device)
        size = None
        if card.network.size and crop.diameter_mm is not None:
            size = torch.tensor([[math.log(crop.diameter_mm)]], dtype=torch.float32, device=self.device)
        said = answer_crops(networks, crops, size, dihedral=card.ensemble.dihedral)
        return ViewAnswer(float(said.p[0]), float(said.logit[0]))

    def join(self, answers: Mapping[Angle, Sequence[ViewAnswer]]) -> float:
        """The probability of a lesion from those of its views: angles count alike, a missing one not at all."""
        merged = [
            ViewAnswer(float(np.mean([one.p for one in own])), float(np.mean([one.logit for one in own])))
            for own in answers.values()
            if own
        ]
        return mean_answers(merged, self.weights.card.ensemble.mean)

    def doubt_kind(self, kind: str) -> tuple[str, ...]:
        """How a lesion of this kind is unlike those that were learned from. "": nobody says what it is"""
        card = self.weights.card
        if not kind or kind in card.kinds or kind.removesuffix("s") in card.kinds:
            return ()
        return (f"{kind}: {card.name} learned from {', '.join(card.kinds)} alone",)

    def doubts(self, *, spacing_mm: float | None, pixel_mode: str) -> tuple[str, ...]:
        """How an image is unlike those that were learned from."""
        card, found = self.weights.card, []
        limits = card.images.spacing_range_mm
        if limits and spacing_mm is not None and not limits[0] * 0.999 <= spacing_mm <= limits[1] * 1.001:
            found.append(
                f"pixel size {spacing_mm:.4g} mm is outside the {limits[0]:g}-{limits[1]:g} mm that {card.name} learned"
                " from"
            )
        if pixel_mode not in ("file", card.images.pixel_mode):
            found.append(f"pixels: {pixel_mode}; {card.name} was trained on {card.images.pixel_mode}")
        return tuple(found)


def choose_device(device: str) -> torch.device:
    """auto: the GPU if there is one. Raises SetupError: a GPU that was asked for and is not there."""
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise SetupError("--device cuda: found no GPU; need one, or --device cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")
