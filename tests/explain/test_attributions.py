"""Attribution methods on networks whose maps can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fourview.explain.attributions import (
    grad_cam,
    gradient,
    integrated_gradients,
    occlusion,
    smooth_gradient,
    square_side,
)
from fourview.explain.baseline import blur_inputs
from fourview.explain.target import score
from tests.explain.small_targets import LinearTarget, MapTarget, draw_input


def draw_linear(*, channels: int = 1) -> tuple[LinearTarget, dict[str, Tensor], dict[str, Tensor]]:
    """A weighted sum of two inputs, the inputs, and other ones."""
    weights = {name: draw_input(seed, channels=channels)[0] for seed, name in enumerate(("a", "b"), 10)}
    target = LinearTarget(nn.ParameterDict(weights))
    inputs = {name: draw_input(seed, channels=channels) for seed, name in enumerate(("a", "b"))}
    others = {name: draw_input(seed, channels=channels) for seed, name in enumerate(("a", "b"), 20)}
    return target, inputs, others


def curved() -> tuple[MapTarget, dict[str, Tensor]]:
    """A network that is not linear, and two inputs."""
    torch.manual_seed(3)
    body = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    return MapTarget(body, torch.randn(6)), {"a": draw_input(1), "b": draw_input(2)}


def test_the_gradient_of_a_weighted_sum_is_its_weights() -> None:
    target, inputs, _ = draw_linear()
    for maps in (gradient(target, inputs), smooth_gradient(target, inputs)):
        assert list(maps) == ["a", "b"]
        for name, found in maps.items():
            np.testing.assert_allclose(found, target.network[name][0].detach(), atol=1e-6)


def test_of_several_channels_the_gradient_is_that_of_the_image() -> None:
    target, inputs, _ = draw_linear(channels=3)
    np.testing.assert_allclose(gradient(target, inputs)["b"], target.network["b"][0].detach(), atol=1e-6)


def test_integrated_gradients_of_a_weighted_sum_are_weights_times_differences_over_all_channels() -> None:
    target, inputs, others = draw_linear(channels=3)
    maps = integrated_gradients(target, inputs, baselines=others)
    for name, found in maps.items():
        expected = (target.network[name] * (inputs[name] - others[name])[0]).sum(dim=0)
        np.testing.assert_allclose(found, expected.detach(), atol=1e-5)


def test_integrated_gradients_add_up_to_the_difference_of_scores_over_all_inputs() -> None:
    target, inputs = curved()
    baselines = blur_inputs(inputs)
    maps = integrated_gradients(target, inputs, baselines=baselines)
    expected = float((score(target, inputs) - score(target, baselines)).detach())
    assert abs(expected) > 0.01
    assert sum(float(found.sum()) for found in maps.values()) == pytest.approx(expected, rel=0.01)


def test_portions_that_fit_into_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    target, inputs = curved()
    baselines = blur_inputs(inputs)

    def run() -> list[np.ndarray]:
        return [
            *smooth_gradient(target, inputs, seed=4).values(),
            *integrated_gradients(target, inputs, baselines=baselines).values(),
            *occlusion(target, inputs, baselines=baselines).values(),
        ]

    together = run()
    monkeypatch.setattr("fourview.explain.attributions._BATCH_PX", 7 * 40 * 30)
    for one, other in zip(together, run(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_noise_of_smoothgrad_is_that_of_its_seed() -> None:
    target, inputs = curved()
    first, again, other = (smooth_gradient(target, inputs, seed=seed)["a"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-4


def test_heatmap_channels_get_no_noise() -> None:
    """The score is the square of the second channel: its gradient by that channel moves with noise there alone."""

    class Square(LinearTarget):
        def last_map(self, name: str, x: Tensor) -> Tensor:
            return super().last_map(name, x[:, 1:] ** 2 * x[:, :1])

    target = Square(nn.ParameterDict({"a": torch.ones((1, 8, 8))}))
    x = torch.cat([torch.linspace(0, 4, 64).reshape(1, 1, 8, 8), torch.full((1, 1, 8, 8), 0.01)], dim=1)
    found = smooth_gradient(target, {"a": x}, seed=0)["a"]
    np.testing.assert_allclose(found, 0.01**2, rtol=1e-4)  # by the image: the square of the heatmap as it is


def test_occlusion_finds_the_planted_square_and_only_in_its_input() -> None:
    target = LinearTarget(nn.ParameterDict({name: torch.ones((1, 70, 60)) for name in ("a", "b")}))
    inputs = {name: torch.zeros((1, 1, 70, 60)) for name in ("a", "b")}
    inputs["b"][0, 0, 20:30, 41:51] = 5.0
    baselines = {name: torch.zeros_like(x) for name, x in inputs.items()}
    maps = occlusion(target, inputs, baselines=baselines, side_px=10, stride_px=5)
    assert not maps["a"].any()
    row, col = np.unravel_index(int(maps["b"].argmax()), (70, 60))
    assert 20 <= row < 30
    assert 40 <= col < 51
    assert maps["b"][:, :30].max() == 0
    # the square at (20, 40) hides 9 columns of the mark: the score falls by 450
    covered = [450.0 if left == 40 else 5.0 * 10 * {35: 4, 45: 6}[left] for left in (35, 40, 45)]
    expected = np.mean([covered[1], covered[2]])  # of two columns of squares; those above and below hide half
    assert maps["b"][24, 47] == pytest.approx(np.mean([expected, expected / 2]), rel=1e-5)


def test_the_square_of_occlusion_grows_with_the_input() -> None:
    assert square_side((224, 224)) == 32
    assert square_side((2677, 1942)) == 277


def test_grad_cam_of_one_known_channel_lies_where_that_channel_does() -> None:
    body = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.AvgPool2d(4))
    with torch.no_grad():
        body[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))  # bright, dark
    x = torch.zeros((1, 1, 40, 32))
    x[0, 0, 4:12, 20:28] = 3.0  # bright
    x[0, 0, 24:32, 4:12] = -3.0  # dark
    bright = grad_cam(MapTarget(body, torch.tensor([1.0, 0.0])), {"x": x})["x"]
    dark = grad_cam(MapTarget(body, torch.tensor([0.0, 1.0])), {"x": x})["x"]
    against = grad_cam(MapTarget(body, torch.tensor([-1.0, 0.0])), {"x": x})["x"]
    weight = 1 / (10 * 8)  # the derivative of the mean over the map
    assert bright[4:12, 20:28].min() > 0
    assert bright[7:9, 23:25] == pytest.approx(3.0 * weight)
    assert bright[20:, :16].max() == 0
    assert dark[24:32, 4:12].min() > 0
    assert dark[:16, 16:].max() == 0
    assert against.max() == 0


def test_inputs_that_share_an_encoder_have_maps_of_their_own() -> None:
    target, inputs = curved()
    maps = grad_cam(target, inputs)
    assert not np.allclose(maps["a"], maps["b"])
    for name, x in inputs.items():  # alone, each has the map that it has beside the other
        np.testing.assert_allclose(grad_cam(target, {name: x})[name], maps[name], atol=1e-6)
    turned = grad_cam(target, {"b": inputs["b"], "a": inputs["a"]})
    np.testing.assert_allclose(turned["a"], maps["a"], atol=1e-6)
