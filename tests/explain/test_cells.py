"""Cells of last maps lie where their networks look, measured against what moves them and against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from fourview.exam import Side, View
from fourview.explain.cells import Cells, measure_cells
from fourview.explain.exam_target import ExamTarget
from fourview.explain.target import ClassTarget
from fourview.networks.densenet import DenseNet
from fourview.networks.exam import WiredNetwork
from tests.explain.small_targets import MapTarget


def test_cells_of_a_column_are_64_pixels_apart_and_begin_at_5() -> None:
    """Convolution 7/2 and pooling 3/2 without padding, then strides 1 2 2 2 2 with it: 3 + 2 i, 5 + 4 j, 5 + 64 k."""
    network = WiredNetwork("single-image", channels_in=1, width=2, views=("L-CC",)).eval()
    target = ExamTarget(network, {"L-CC": View.L_CC}, Side.LEFT, "malignant")
    x = torch.zeros((1, 1, 330, 266))
    cells = measure_cells(target, "L-CC", x)
    shape = tuple(target.last_map("L-CC", x).shape[2:])
    np.testing.assert_allclose(cells.rows, 5 + 64 * np.arange(shape[0]), atol=1e-6)
    np.testing.assert_allclose(cells.cols, 5 + 64 * np.arange(shape[1]), atol=1e-6)


def test_cells_of_a_patch_network_know_its_uneven_padding() -> None:
    """SAME padding of 7/2 and 3/2 on even sizes: 1 + 2 i, 3 + 4 j; then averages of two: 5 + 8 k."""
    network = DenseNet(classes=4, blocks=(1, 1), growth=4, stem=4).eval()
    cells = measure_cells(ClassTarget(network, 0, (1, 2, 3), "malignant"), "patch", torch.zeros((1, 1, 64, 64)))
    np.testing.assert_allclose(cells.rows[:-1], 5 + 8 * np.arange(7), atol=1e-6)
    assert cells.rows[-1] == pytest.approx(60.5)  # the last pooling has one pixel less to look at


@pytest.mark.parametrize("padding", [0, 1])
def test_what_a_smooth_mark_moves_lies_about_it(padding: int) -> None:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=padding), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3, stride=2, padding=padding)
    )
    with torch.no_grad():
        for layer in (body[0], body[2]):
            layer.weight.fill_(1)
            layer.bias.zero_()
    target = MapTarget(body, torch.ones(2))
    rows, cols = torch.arange(80.0)[:, None], torch.arange(80.0)
    x = torch.exp(-((rows - 40) ** 2 + (cols - 28) ** 2) / (2 * 7.0**2))[None, None]
    cells = measure_cells(target, "x", x)
    found = target.last_map("x", x).detach().numpy().sum(axis=(0, 1))
    weights = found / found.sum()
    assert (weights.sum(axis=1) * cells.rows).sum() == pytest.approx(40, abs=0.5)
    assert (weights.sum(axis=0) * cells.cols).sum() == pytest.approx(28, abs=0.5)


def test_spread_values_are_those_of_the_cells_at_their_middles_and_beyond_the_outermost() -> None:
    cells = Cells(np.array([5.0, 15.0]), np.array([2.0, 6.0, 10.0]))
    values = np.array([[1, 2, 3], [5, 6, 7]], np.float32)
    spread = cells.spread(values, (20, 12))
    assert spread[5, 2] == 1
    assert spread[15, 10] == 7
    assert spread[10, 4] == pytest.approx((1 + 2 + 5 + 6) / 4)
    assert spread[0, 0] == 1
    assert spread[19, 11] == 7


def test_the_network_itself_stays_as_it_is() -> None:
    network = DenseNet(classes=4, blocks=(1,), growth=4, stem=4).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    measure_cells(ClassTarget(network, 0, (1,), ""), "patch", torch.zeros((1, 1, 32, 32)))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
