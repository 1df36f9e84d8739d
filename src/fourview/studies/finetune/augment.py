"""An image turned, scaled and mirrored at random."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.studies.finetune.recipe_parts import Augmentation


def augment(image: NDArray[Any], settings: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """(rows, cols) float32, around the middle; what comes in from outside is 0.

    The order of draws: mirrored, flipped, angle, scale.
    """
    mirrored, flipped = rng.random() < settings.mirrored, rng.random() < settings.flipped
    angle = rng.uniform(-settings.rotation_deg, settings.rotation_deg)
    scale = rng.uniform(*settings.scale)
    image = np.ascontiguousarray(image[:: -1 if flipped else 1, :: -1 if mirrored else 1], np.float32)
    rows, cols = image.shape
    turn = cv2.getRotationMatrix2D(((cols - 1) / 2, (rows - 1) / 2), angle, scale)
    return np.asarray(cv2.warpAffine(image, turn, (cols, rows), flags=cv2.INTER_LINEAR), np.float32)
