"""torchvision's ResNets and SqueezeNets written down a second time: names and shapes of tensors, and what is computed.

From the papers' tables and torchvision's published names, without a module of the package: functions of a state dict.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, cat

from tests.networks.key_drawn import Shape

State = Mapping[str, Tensor]
RESNETS = {"resnet18": ((2, 2, 2, 2), False), "resnet50": ((3, 4, 6, 3), True)}
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
}
# number of the layer in `features`: channels in, squeezed, expanded by each of two
FIRES = {
    "squeezenet1_0": {
        3: (96, 16, 64),
        4: (128, 16, 64),
        5: (128, 32, 128),
        7: (256, 32, 128),
        8: (256, 48, 192),
        9: (384, 48, 192),
        10: (384, 64, 256),
        12: (512, 64, 256),
    },
    "squeezenet1_1": {
        3: (64, 16, 64),
        4: (128, 16, 64),
        6: (128, 32, 128),
        7: (256, 32, 128),
        9: (256, 48, 192),
        10: (384, 48, 192),
        11: (384, 64, 256),
        12: (512, 64, 256),
    },
}
POOLS = {"squeezenet1_0": (2, 6, 11), "squeezenet1_1": (2, 5, 8)}


def shapes_of(kind: str, *, classes: int = 1000) -> dict[str, Shape]:
    """Names and shapes of all tensors."""
    if kind in RESNETS:
        return _resnet_shapes(kind, classes)
    first = (96, 3, 7, 7) if kind == "squeezenet1_0" else (64, 3, 3, 3)
    shapes: dict[str, Shape] = {"features.0.weight": first, "features.0.bias": first[:1]}
    for number, (wide, squeezed, expanded) in FIRES[kind].items():
        for name, shape in (
            ("squeeze", (squeezed, wide, 1, 1)),
            ("expand1x1", (expanded, squeezed, 1, 1)),
            ("expand3x3", (expanded, squeezed, 3, 3)),
        ):
            shapes[f"features.{number}.{name}.weight"] = shape
            shapes[f"features.{number}.{name}.bias"] = shape[:1]
    return shapes | {"classifier.1.weight": (classes, 512, 1, 1), "classifier.1.bias": (classes,)}


def _resnet_shapes(kind: str, classes: int) -> dict[str, Shape]:
    counts, deep = RESNETS[kind]
    shapes = {"conv1.weight": (64, 3, 7, 7), **_norm_shapes("bn1", 64)}
    wide = 64
    for stage, count in enumerate(counts, start=1):
        inner = 32 * 2**stage
        outer = 4 * inner if deep else inner
        for block in range(count):
            at = f"layer{stage}.{block}"
            kernels = ((inner, wide, 1), (inner, inner, 3), (outer, inner, 1)) if deep else None
            for number, (out, into, side) in enumerate(kernels or ((inner, wide, 3), (inner, inner, 3)), start=1):
                shapes[f"{at}.conv{number}.weight"] = (out, into, side, side)
                shapes |= _norm_shapes(f"{at}.bn{number}", out)
            if wide != outer:
                shapes[f"{at}.downsample.0.weight"] = (outer, wide, 1, 1)
                shapes |= _norm_shapes(f"{at}.downsample.1", outer)
            wide = outer
    return shapes | {"fc.weight": (classes, wide), "fc.bias": (classes,)}


def _norm_shapes(name: str, channels: int) -> dict[str, Shape]:
    each = {f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean", "running_var")}
    return {**each, f"{name}.num_batches_tracked": ()}


def compute_features(kind: str, state: State, x: Tensor) -> Tensor:
    """(batch, features): the last map, averaged."""
    x = _last_map(kind, state, x)
    return x.flatten(2).sum(-1) / x[0, 0].numel()


def compute_logits(kind: str, state: State, x: Tensor) -> Tensor:
    """(batch, classes)"""
    if kind in RESNETS:
        return compute_features(kind, state, x) @ state["fc.weight"].T + state["fc.bias"]
    classes = F.conv2d(_last_map(kind, state, x), state["classifier.1.weight"], state["classifier.1.bias"])
    return classes.clamp(min=0).flatten(2).mean(-1)


def _last_map(kind: str, state: State, x: Tensor) -> Tensor:
    return _resnet_map(kind, state, x) if kind in RESNETS else _squeezenet_map(kind, state, x)


def _resnet_map(kind: str, state: State, x: Tensor) -> Tensor:
    counts, deep = RESNETS[kind]
    x = _normed(state, "conv1", "bn1", x, stride=2, padding=3).clamp(min=0)
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, count in enumerate(counts, start=1):
        for block in range(count):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            if deep:  # "v1.5": the 3x3 strides
                y = _normed(state, f"{at}.conv1", f"{at}.bn1", x).clamp(min=0)
                y = _normed(state, f"{at}.conv2", f"{at}.bn2", y, stride=stride, padding=1).clamp(min=0)
                y = _normed(state, f"{at}.conv3", f"{at}.bn3", y)
            else:
                y = _normed(state, f"{at}.conv1", f"{at}.bn1", x, stride=stride, padding=1).clamp(min=0)
                y = _normed(state, f"{at}.conv2", f"{at}.bn2", y, padding=1)
            if f"{at}.downsample.0.weight" in state:
                x = _normed(state, f"{at}.downsample.0", f"{at}.downsample.1", x, stride=stride)
            x = (x + y).clamp(min=0)
    return x


def _normed(state: State, conv: str, norm: str, x: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    x = F.conv2d(x, state[f"{conv}.weight"], None, stride, padding)
    mean, variance, scale, shift = (
        state[f"{norm}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def _squeezenet_map(kind: str, state: State, x: Tensor) -> Tensor:
    x = F.conv2d(x, state["features.0.weight"], state["features.0.bias"], 2).clamp(min=0)
    for number in range(2, 13):
        if number in POOLS[kind]:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        else:
            at = f"features.{number}"
            x = F.conv2d(x, state[f"{at}.squeeze.weight"], state[f"{at}.squeeze.bias"]).clamp(min=0)
            one = F.conv2d(x, state[f"{at}.expand1x1.weight"], state[f"{at}.expand1x1.bias"])
            three = F.conv2d(x, state[f"{at}.expand3x3.weight"], state[f"{at}.expand3x3.bias"], padding=1)
            x = cat([one, three], 1).clamp(min=0)
    return x
