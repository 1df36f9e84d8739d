"""Small untrained weights for extractors, and one image that they read."""

from __future__ import annotations

from pathlib import Path

import torch

from fourview.engine.torch_engine import TorchEngine
from fourview.exam import Mammogram, View
from fourview.prepare import Prepared
from fourview.studies.transfer.breast_input import cut_mammogram
from fourview.studies.transfer.extractors import find_extractor
from fourview.studies.transfer.open_extractor import FeatureReader, open_extractor
from tests.studies.inbreast_miniature import CROP, draw_breast

CPU = TorchEngine(torch.device("cpu"))
SPACING_MM = 0.07


def draw_image(view: str = "L-CC", *, seed: int = 1, suspicious: bool = False) -> Mammogram:
    """A drawn mammogram, as its file would hold it."""
    named = View(view)
    points = named.usual_direction
    pixels = draw_breast(seed, suspicious=suspicious, points=points)
    return Mammogram(pixels, named, f"image {seed} {view}", points, spacing_mm=SPACING_MM)


def open_reader(name: str, weights: Path | str | None = None, **options: int | str) -> FeatureReader:
    """The extractor, in torch."""
    return open_extractor(find_extractor(name), None if weights is None else str(weights), CPU, **options)  # type: ignore[arg-type]


def cut(image: Mammogram, reader: FeatureReader) -> Prepared:
    """The image as the reader wants it."""
    return cut_mammogram(image, reader.card, crop=CROP)
