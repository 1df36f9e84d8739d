"""A patch network of a few hundred drawn numbers for the fixture phantom_store; an engine that keeps what it sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fourview.engine.torch_engine import TorchEngine
from fourview.train.initialise import draw_initial
from fourview.weights.card import Card, PatchNetwork, Training
from fourview.weights.folder import Weights, build_patch, load_weights, save_weights
from tests.train.exam_recipes import exam_recipe

CLASSES = ("malignant", "benign", "outside", "negative")


def tiny_patch(folder: Path, *, seed: int = 3, **geometry: int) -> Weights:
    """Written to and read from `folder`; the geometry is that of exam_recipe."""
    recipe = exam_recipe()
    patch = PatchNetwork(blocks=(1, 1), growth=4, stem=4, side_px=32, stride_px=10, classes=CLASSES)
    card = Card(
        name="tiny",
        patch=patch,
        input=recipe.input,
        geometry=recipe.geometry.model_copy(update=geometry),
        training=Training(trained=False, data="none"),
        licence="CC0",
    )
    network = build_patch(patch)
    draw_initial(network, seed)
    with torch.no_grad():
        network.classifier.weight *= 10  # answers that differ from patch to patch
    save_weights(folder, card, patch=network.state_dict())
    return load_weights(folder)


class SeeingEngine(TorchEngine):
    """torch on the CPU, whose columns only keep the windows that they are shown, in order."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        object.__setattr__(self, "windows", [])

    def load_column(self, network: nn.Module, shape: tuple[int, int, int]):
        def read(windows: NDArray[np.float32]) -> NDArray[np.float32]:
            self.windows.extend(windows.copy())
            return np.zeros((len(windows), network.features), np.float32)

        return read
