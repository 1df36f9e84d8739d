"""What an input is compared with: the same image without detail."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fourview.explain.target import Tensors

BLUR_SHARE = 0.1  # standard deviation of the blur, of the shorter side of the input
_FINE_PX = 8.0  # a blur that is wider is made on a smaller image
Inside = Mapping[str, NDArray[np.bool_]]


def blur_inputs(inputs: Tensors, inside: Inside | None = None, *, share: float = BLUR_SHARE) -> dict[str, Tensor]:
    """Each input blurred, channel by channel: the brightness of a region stays, what stands out of it goes.

    inside  per input (rows, cols): the breast. It is blurred within itself and the rest stays as it is, so that the
            skin line is no difference; None: the whole input is blurred
    share   standard deviation, of the shorter side
    """
    found = {}
    for name, x in inputs.items():
        planes = x.detach().cpu().numpy().astype(np.float32)
        sigma = share * min(planes.shape[2:])
        region = None if inside is None else inside[name]
        blurred = np.stack([[_blur_within(plane, region, sigma) for plane in one] for one in planes])
        found[name] = torch.from_numpy(blurred).to(x.device)
    return found


def _blur_within(plane: NDArray[np.float32], inside: NDArray[np.bool_] | None, sigma: float) -> NDArray[np.float32]:
    if inside is None:
        return _blur(plane, sigma)
    share = _blur(inside.astype(np.float32), sigma)
    means = _blur(np.where(inside, plane, 0).astype(np.float32), sigma) / np.maximum(share, 1e-6)
    return np.where(inside, means, plane).astype(np.float32)


def _blur(plane: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    factor = min(1.0, _FINE_PX / sigma)
    rows, cols = plane.shape
    small = plane
    if factor < 1:
        shape = max(2, round(cols * factor)), max(2, round(rows * factor))
        small = np.asarray(cv2.resize(plane, shape, interpolation=cv2.INTER_AREA), np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma * factor, borderType=cv2.BORDER_REFLECT)
    if factor < 1:
        blurred = cv2.resize(blurred, (cols, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred, np.float32)
