"""Batch norm's running statistics: what torch does with one portion, and the same for any division of a batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fourview.train.statistics import RunningStatistics, set_training


def one_device(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.2), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(48)
    )


def test_one_portion_moves_them_as_torch_does() -> None:
    own, torchs = network(), network()
    statistics = RunningStatistics(own)
    for seed in range(3):
        batch = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
        statistics.begin()
        own(batch)
        statistics.collect(1.0)
        statistics.move(one_device)
        torchs(batch)
    state = torchs.state_dict()
    for name, tensor in own.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(tensor, state[name])


def test_portions_count_by_their_samples_and_repeating_one_changes_nothing() -> None:
    net = network()
    statistics = RunningStatistics(net)
    large, small = torch.randn(6, 1, 6, 6), torch.randn(2, 1, 6, 6)
    features = net[0]
    statistics.begin()
    net(large)
    net(large)  # as recomputed activations do
    statistics.collect(0.75)
    net(small)
    statistics.collect(0.25)
    statistics.move(one_device)
    means = [features(portion).mean(dim=(0, 2, 3)) for portion in (large, small)]
    expected = 0.2 * (0.75 * means[0] + 0.25 * means[1])
    torch.testing.assert_close(net[1].running_mean, expected)


def test_after_a_step_the_layers_have_their_own_momentum_again() -> None:
    net = network()
    statistics = RunningStatistics(net)
    statistics.begin()
    net(torch.randn(4, 1, 6, 6))
    statistics.collect(1.0)
    statistics.move(one_device)
    assert [layer.momentum for layer in (net[1], net[4])] == [0.2, 0.1]


def test_a_network_without_batch_norm_has_none_to_move() -> None:
    statistics = RunningStatistics(nn.Linear(2, 2))
    statistics.begin()
    statistics.collect(1.0)
    statistics.move(pytest.fail)


def test_kept_statistics_normalise_and_do_not_move() -> None:
    net = network()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    set_training(net, statistics="kept")
    net(torch.randn(4, 1, 6, 6) + 5)
    assert all(bool((tensor == before[name]).all()) for name, tensor in net.state_dict().items())
    assert net.training
    assert not net[1].training
