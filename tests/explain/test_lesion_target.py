"""Lesion networks: the score that is explained, gates, and where the cells of every trunk lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fourview.explain.attributions import grad_cam
from fourview.explain.cells import measure_cells
from fourview.explain.lesion_target import LesionTarget
from fourview.explain.target import score
from fourview.networks.lesion import ARCHITECTURES, Architecture, Gate, LesionNetwork
from tests.explain.small_targets import draw_input


def build(architecture: Architecture = "googlenet_light", *, gate: Gate = "none", size: bool = False) -> LesionNetwork:
    torch.manual_seed(0)
    width = 1.0 if architecture == "googlenet_light" else 0.05
    return LesionNetwork(architecture, width_mult=width, side_px=96, gate=gate, size=size).eval()


@pytest.mark.parametrize("gate", ["none", "attention", "mask"])
@pytest.mark.parametrize("size", [False, True])
def test_the_score_is_the_difference_of_the_networks_logits(gate: Gate, size: bool) -> None:
    network = build(gate=gate, size=size)
    diameter = torch.tensor([[2.3]]) if size else None
    x = torch.cat([draw_input(seed, shape=(96, 96)) for seed in range(3)])
    with torch.inference_mode():
        logits = network(x, None if diameter is None else diameter.expand(3, 1))
        found = score(LesionTarget(network, diameter), {"crop": x})
        other = score(LesionTarget(network, diameter, swapped=True), {"crop": x})
    torch.testing.assert_close(found, logits[:, 1] - logits[:, 0])
    torch.testing.assert_close(other, -found)


@pytest.mark.parametrize("gate", ["attention", "mask"])
def test_a_gate_does_not_bend_the_places_of_cells(gate: Gate) -> None:
    x = torch.zeros((1, 1, 96, 96))
    plain, gated = (measure_cells(LesionTarget(build(gate=which)), "crop", x) for which in ("none", gate))
    np.testing.assert_array_equal(plain.rows, gated.rows)
    np.testing.assert_array_equal(plain.cols, gated.cols)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_cells_of_every_trunk_rise_by_their_stride_within_the_crop(architecture: Architecture) -> None:
    target = LesionTarget(build(architecture))
    x = draw_input(1, shape=(96, 96))
    cells = measure_cells(target, "crop", x)
    assert (len(cells.rows), len(cells.cols)) == tuple(target.last_map("crop", x).shape[2:])
    np.testing.assert_allclose(cells.rows, cells.cols)
    steps = np.diff(cells.rows)
    assert (steps[1:] > 20).all()  # padding cuts what a cell at the border looks at
    assert (steps <= 32 + 1e-6).all()
    assert cells.rows[0] >= 0
    assert cells.rows[-1] <= 95
    assert grad_cam(target, {"crop": x}, cells={"crop": cells})["crop"].shape == (96, 96)


def test_a_gate_is_asked_for_and_is_a_share_per_cell() -> None:
    x = draw_input(2, shape=(96, 96))
    assert LesionTarget(build()).gate(x) is None
    for gate in ("attention", "mask"):
        found = LesionTarget(build(gate=gate)).gate(x)  # type: ignore[arg-type]
        assert found is not None
        assert found.shape == (1, 3, 3)
        assert 0 <= float(found.min()) <= float(found.max()) <= 1
