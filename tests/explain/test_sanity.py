"""Tests of maps: they pass maps that show what a network does and fail those that do not."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview.explain.attributions import gradient, integrated_gradients
from fourview.explain.located import judge_localisation, localise
from fourview.explain.sanity import (
    CONTROLS,
    STEPS,
    Curve,
    compare_with_drawn,
    delete_and_insert,
    draw_anew,
    is_tested,
    judge_curves,
    map_drawn,
    shows_something,
)
from fourview.explain.target import with_network
from fourview.networks.densenet import DenseNet
from tests.explain.small_targets import LinearTarget, MapTarget, draw_input

SHAPE = (96, 64)
ALL = np.ones(SHAPE, bool)


def smooth_weights(seed: int) -> Tensor:
    """A blob."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    row, col = rng.integers(20, 76), rng.integers(16, 48)
    return torch.from_numpy(np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 200.0).astype(np.float32))[None]


def summing(seed: int = 0) -> LinearTarget:
    return LinearTarget(nn.ParameterDict({"x": smooth_weights(seed)}))


def test_drawing_anew_keeps_a_layers_values_and_loses_their_order() -> None:
    torch.manual_seed(0)
    network = DenseNet(classes=4, blocks=(2,), growth=4, stem=4).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn_like(buffer))
    drawn, again, other = (draw_anew(network, seed=seed) for seed in (1, 1, 2))
    pairs = list(zip(network.state_dict().items(), drawn.state_dict().values(), strict=True))
    for (name, before), after in pairs:
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values), name
    conv = "features.denseblock1.denselayer1.conv2.weight"
    assert not torch.equal(network.state_dict()[conv], drawn.state_dict()[conv])
    assert torch.equal(again.state_dict()[conv], drawn.state_dict()[conv])
    assert not torch.equal(other.state_dict()[conv], drawn.state_dict()[conv])


def test_a_gradient_passes_and_an_edge_map_of_the_image_fails_the_draw_of_weights() -> None:
    torch.manual_seed(5)
    body = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 5, padding=2), nn.ReLU())
    target = MapTarget(body, torch.randn(8))
    inputs = {"x": draw_input(0, shape=SHAPE)}
    drawn = [with_network(target, draw_anew(target.network, seed=seed)) for seed in range(3)]
    others = [gradient(one, inputs)["x"] for one in drawn]
    check = compare_with_drawn(gradient(target, inputs)["x"], others, ALL, signed=False)
    assert check.passed
    assert check.value < 0.5
    edges = np.abs(inputs["x"][0, 0].numpy())  # whatever the network, the same map
    failed = compare_with_drawn(edges, [edges, edges], ALL, signed=False)
    assert failed.passed is False
    assert "hardly depends on the weights: rank correlation 1.00" in failed.says
    assert "2 networks" in failed.says


def test_networks_without_knowledge_whose_maps_show_nothing_are_no_test() -> None:
    """An empty map is unlike any other: a test against it would be passed by the edges of the image too."""
    edges = np.random.default_rng(0).random(SHAPE, np.float32)
    nothing = np.zeros(SHAPE, np.float32)
    check = compare_with_drawn(edges, [nothing, -edges], ALL, signed=False)
    assert check.passed is None
    assert "show nothing here" in check.says
    assert not is_tested([check])
    assert compare_with_drawn(edges, [nothing, edges], ALL, signed=False).passed is False
    tried = []

    def make(seed: int) -> NDArray[np.float32]:
        tried.append(seed)
        return edges if seed % 3 == 0 else nothing

    def shows(one: NDArray[np.float32]) -> set[str]:
        return {"often", *(["seldom"] if shows_something(one, ALL) else [])}

    found = map_drawn(make, shows, ["often", "seldom"], count=2, seed=0)
    assert [len(found[key]) for key in ("often", "seldom")] == [2, 2]  # each image has its own, from what draws it can
    assert all(one is edges for one in found["seldom"])
    assert tried == [1, 2, 3, 4, 5, 6]
    assert map_drawn(lambda _: nothing, lambda _: set(), ["never"], count=2, seed=0) == {"never": []}


def curves_of(found: NDArray[np.float32]) -> tuple[bool | None, bool | None]:
    target = summing()
    inputs, baselines = {"x": torch.ones((1, 1, *SHAPE))}, {"x": torch.zeros((1, 1, *SHAPE))}
    deletion, insertion = delete_and_insert(target, "x", found, inputs, baselines=baselines, tissue=ALL)
    total = float(smooth_weights(0).double().sum())
    for curve, ends in ((deletion, (total, 0.0)), (insertion, (0.0, total))):
        np.testing.assert_allclose(curve.scores[[0, -1]], ends, atol=1e-2)
        assert curve.controls.shape == (CONTROLS, STEPS + 1)
        for control in curve.controls:
            np.testing.assert_allclose(control[[0, -1]], ends, atol=1e-2)
    first, second = judge_curves([deletion], [insertion])
    return first.passed, second.passed


def test_what_a_true_map_shows_matters_and_what_a_false_one_shows_does_not() -> None:
    true = smooth_weights(0)[0].numpy()
    assert curves_of(true) == (True, True)
    assert curves_of(-true) == (False, False)


def test_a_map_passes_if_it_beats_every_order_without_knowledge() -> None:
    shares = np.linspace(0, 1, 3)
    controls = np.array([[0.0, 0.2, 1.0], [0.0, 0.4, 1.0], [0.0, 0.9, 1.0]])
    good, fair = (Curve(shares, np.array([0.0, height, 1.0]), controls) for height in (0.95, 0.6))
    assert judge_curves([good], [good])[1].passed is True
    beaten = judge_curves([fair], [fair])  # better than their mean, and than two of three
    assert [check.passed for check in beaten] == [False, False]
    assert "no more than one of 3 orders without knowledge" in beaten[1].says
    assert judge_curves([Curve(shares, np.array([0.0, 0.1, 1.0]), controls)], [fair])[0].passed is True
    assert judge_curves([good, fair], [good, fair])[1].passed is False  # of several inputs, their means


def test_squares_without_tissue_are_never_hidden() -> None:
    target = LinearTarget(nn.ParameterDict({"x": torch.ones((1, *SHAPE))}))
    inputs, baselines = {"x": torch.ones((1, 1, *SHAPE))}, {"x": torch.zeros((1, 1, *SHAPE))}
    tissue = np.zeros(SHAPE, bool)
    tissue[:, :32] = True
    found = np.random.default_rng(0).random(SHAPE, np.float32)
    deletion, _ = delete_and_insert(target, "x", found, inputs, baselines=baselines, tissue=tissue)
    assert deletion.scores[-1] == SHAPE[0] * 32


def test_deletion_of_one_input_leaves_the_others() -> None:
    weights = nn.ParameterDict({"x": smooth_weights(0), "y": smooth_weights(1)})
    target = LinearTarget(weights)
    inputs = {name: torch.ones((1, 1, *SHAPE)) for name in ("x", "y")}
    baselines = {name: torch.zeros((1, 1, *SHAPE)) for name in ("x", "y")}
    found = integrated_gradients(target, inputs, baselines=baselines, steps=2)["x"]
    deletion, _ = delete_and_insert(target, "x", found, inputs, baselines=baselines, tissue=ALL)
    np.testing.assert_allclose(deletion.scores[-1], float(smooth_weights(1).sum()), rtol=1e-4)


def test_shares_and_pointing_against_chance() -> None:
    mask = np.zeros((224, 224), bool)
    mask[100:140, 100:140] = True
    tissue = np.zeros((224, 224), bool)
    tissue[:, :112] = True  # the outline is half outside: 40 x 12 of 224 x 112 count
    found = np.zeros((224, 224), np.float32)
    found[110:114, 100:104] = 3.0
    found[20:24, 20:24] = 1.0
    found[60:80, 60:80] = -9.0  # what lowers the score is no evidence for it
    local = localise(found, mask, tissue)
    assert local is not None
    assert local.hit
    assert local.share == 0.75
    assert local.chance == 40 * 12 / (224 * 112)
    assert local.chance_hit > local.chance
    pointing, share = judge_localisation(local)
    assert pointing.passed is None
    assert share.passed
    assert "75% of what the map shows lies in outlined lesions" in share.says
    elsewhere = localise(np.roll(found, -90, axis=0), mask, tissue)
    assert elsewhere is not None
    assert not elsewhere.hit
    assert judge_localisation(elsewhere)[1].passed is False
    assert localise(found, np.zeros_like(mask), tissue) is None


def test_a_place_just_beside_an_outline_points_at_it() -> None:
    mask = np.zeros((224, 224), bool)
    mask[100:140, 100:140] = True
    found = np.zeros((224, 224), np.float32)
    for col, hits in ((85, True), (84, False)):  # 15 and 16 pixels beside it
        found[:] = 0
        found[120, col] = 1
        local = localise(found, mask, np.ones_like(mask))
        assert local is not None
        assert local.hit == hits
