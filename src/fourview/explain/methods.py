"""The attribution methods by name, and what a map of each says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fourview.explain.attributions import Maps, grad_cam, gradient, integrated_gradients, occlusion, smooth_gradient
from fourview.explain.cells import Cells
from fourview.explain.target import Target, Tensors

MethodName = Literal["gradient", "smoothgrad", "ig", "gradcam", "occlusion"]


@dataclass(frozen=True)
class Method:
    """title and says  in words;  signed  negative values mean something at the scale of a picture"""

    title: str
    says: str
    signed: bool


METHODS: Mapping[MethodName, Method] = {
    "gradient": Method("gradient", "where a little more brightness would raise the score", signed=False),
    "smoothgrad": Method("SmoothGrad", "where a little more brightness would raise the score", signed=False),
    "ig": Method("integrated gradients", "what the detail of each place adds to the score", signed=True),
    "gradcam": Method("Grad-CAM", "where features lie that raise the score", signed=False),
    "occlusion": Method("occlusion", "how far the score falls when a place is hidden", signed=True),
}


def attribute(
    method: MethodName,
    target: Target,
    inputs: Tensors,
    *,
    baselines: Tensors,
    cells: Mapping[str, Cells] | None = None,
    seed: int = 0,
) -> Maps:
    """The maps of one method, with its usual numbers.

    baselines  the inputs without detail (baseline.blur_inputs);  cells  of the last maps, None: they are measured
    seed       of SmoothGrad's noise
    """
    if method == "gradient":
        return gradient(target, inputs)
    if method == "smoothgrad":
        return smooth_gradient(target, inputs, seed=seed)
    if method == "ig":
        return integrated_gradients(target, inputs, baselines=baselines)
    if method == "gradcam":
        return grad_cam(target, inputs, cells=cells)
    return occlusion(target, inputs, baselines=baselines)
