"""Columns while they are trained: shared by both sides, deeper or shallower, recomputed to save memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fourview.networks.birads import BiradsNetwork
from fourview.networks.exam import VIEW_NAMES, WiredNetwork
from fourview.networks.resnet22 import ResNet22


def drawn_windows(rows: int = 2) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {v: torch.randn((rows, 1, 96, 80 if "CC" in v else 88), generator=generator) for v in VIEW_NAMES}


def with_statistics(network: nn.Module) -> nn.Module:
    """Running statistics as after some training."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return network


@pytest.mark.parametrize("kind", [WiredNetwork, BiradsNetwork])
@pytest.mark.parametrize("wiring", ["view-wise", "image-wise", "joint"])
def test_each_column_runs_once_for_both_sides(kind, wiring) -> None:
    network = kind(wiring, channels_in=1, width=1)
    calls = []
    for angle, column in network.columns.items():
        column.register_forward_hook(lambda _, x, y, angle=angle: calls.append((angle, len(x[0]))))
    network(drawn_windows())
    assert calls == [("cc", 4), ("mlo", 4)]


def test_reading_views_together_gives_what_reading_them_alone_gives() -> None:
    network = with_statistics(WiredNetwork("view-wise", channels_in=1, width=2)).eval()
    windows = drawn_windows()
    with torch.no_grad():
        together = network(windows)
        alone = {view: network.features(view, x) for view, x in windows.items()}
        for head in network.heads:
            torch.testing.assert_close(together[head.name], network.read_head(head, alone), rtol=1e-5, atol=1e-6)


def test_sides_may_have_different_numbers_of_images() -> None:
    network = with_statistics(WiredNetwork("image-wise", channels_in=1, width=1)).eval()
    windows = drawn_windows(3)
    with torch.no_grad():
        whole = network(windows)
        some = network({"L-CC": windows["L-CC"][:1], "R-CC": windows["R-CC"]})
    assert set(some) == {"L-CC", "R-CC"}
    torch.testing.assert_close(some["L-CC"], whole["L-CC"][:1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(some["R-CC"], whole["R-CC"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recomputed", [1, 3, 5])
def test_recomputed_stages_give_the_same_loss_and_gradients(recomputed: int) -> None:
    networks = []
    for count in (0, recomputed):
        torch.manual_seed(0)
        network = WiredNetwork("view-wise", channels_in=1, width=2).train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0  # as the training loop has it
        for column in network.columns.values():
            column.recomputed = count
        answers = network(drawn_windows())
        sum(-answer[:, :, 1].mean() for answer in answers.values()).backward()
        networks.append(network)
    for kept, again in zip(networks[0].named_parameters(), networks[1].named_parameters(), strict=True):
        assert kept[0] == again[0]
        if kept[1].grad is not None:
            torch.testing.assert_close(kept[1].grad, again[1].grad, rtol=0, atol=0)
    for name, tensor in networks[0].state_dict().items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(tensor, networks[1].state_dict()[name], rtol=0, atol=0)


def test_recomputing_keeps_less() -> None:
    assert count_kept(recomputed=5) < count_kept(recomputed=1) < 0.7 * count_kept(recomputed=0)


def count_kept(*, recomputed: int) -> int:
    """Numbers that a column keeps for the way back."""
    column = ResNet22(1, width=2).train()
    column.recomputed = recomputed
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        column(torch.ones((1, 1, 512, 512)))
    return kept


def test_reading_does_not_recompute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourview.networks.resnet22.checkpoint", lambda *_, **__: pytest.fail("recomputed"))
    column = ResNet22(1, width=1).eval()
    column.recomputed = 5
    with torch.no_grad():
        column(drawn_windows()["L-CC"])
    column.train()
    with torch.no_grad():
        column(drawn_windows()["L-CC"])


def test_depth_is_blocks_per_stage_and_keeps_the_names_of_the_first_ones() -> None:
    usual, deep, shallow = (ResNet22(1, width=1, blocks=b) for b in ((2,) * 5, (2, 3, 4, 6, 3), (1,) * 5))
    for few, many in ((usual, deep), (shallow, usual)):
        smaller, larger = few.state_dict(), many.state_dict()
        assert smaller.keys() < larger.keys()
        assert all(larger[name].shape == tensor.shape for name, tensor in smaller.items())
    assert [len(stage) for stage in deep.layer_list] == [2, 3, 4, 6, 3]
    with torch.no_grad():
        assert deep(drawn_windows()["L-CC"]).shape == (2, 16)


@pytest.mark.parametrize("blocks", [(2, 2, 2, 2), (2, 2, 0, 2, 2)])
def test_impossible_depths_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need 5 numbers above 0"):
        ResNet22(1, blocks=blocks)
