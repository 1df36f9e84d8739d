"""ResNets and SqueezeNets: torchvision's names, sizes and answers, computed a second time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fourview.networks.resnet import ResNet
from fourview.networks.squeezenet import SqueezeNet
from tests.networks.key_drawn import draw_images, draw_state
from tests.networks.torchvision_networks import PARAMETERS, compute_features, compute_logits, shapes_of

FEATURES = {"resnet18": 512, "resnet50": 2048, "squeezenet1_0": 512, "squeezenet1_1": 512}


def build(kind: str, *, classes: int = 1000) -> ResNet | SqueezeNet:
    network = ResNet if kind.startswith("resnet") else SqueezeNet
    return network(kind, classes=classes).eval()  # type: ignore[arg-type]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("kind", list(PARAMETERS))
def test_they_have_the_published_size_and_torchvisions_names_and_shapes(kind: str) -> None:
    network = build(kind)
    assert parameters(network) == PARAMETERS[kind]
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == shapes_of(kind)


@pytest.mark.parametrize("kind", list(PARAMETERS))
@pytest.mark.parametrize("side", [64, 75])
def test_with_drawn_weights_they_answer_as_computed_a_second_time(kind: str, side: int) -> None:
    state = draw_state(shapes_of(kind, classes=10))
    network, images = build(kind, classes=10), draw_images(2, side)
    network.load_state_dict(state)
    with torch.inference_mode():
        features, logits = network.pooled(images), network(images)
        expected = compute_features(kind, state, images)
        answers = compute_logits(kind, state, images)
    assert features.shape == (2, FEATURES[kind])
    scale = float(expected.abs().max())
    np.testing.assert_allclose(features / scale, expected / scale, atol=2e-5)
    np.testing.assert_allclose(logits, answers, rtol=1e-3, atol=2e-5 * float(answers.abs().max()))
    assert float((features[0] - features[1]).abs().max()) / scale > 0.01  # alive through the depth
    assert float(logits.std()) > 0


def test_the_stride_of_a_bottleneck_lies_in_its_3x3_convolution() -> None:
    first = build("resnet50").layer2[0]  # type: ignore[index]
    assert (first.conv1.stride, first.conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(PARAMETERS))
def test_they_answer_so_at_the_size_of_photographs_too(kind: str) -> None:
    state = draw_state(shapes_of(kind))
    network, images = build(kind), draw_images(1, 224)
    network.load_state_dict(state)
    with torch.inference_mode():
        expected = compute_logits(kind, state, images)
        np.testing.assert_allclose(network(images), expected, rtol=1e-3, atol=2e-5 * float(expected.abs().max()))
