"""Lesion networks: their sizes, gates and dropout, and that a crop's answer is its own."""

from __future__ import annotations

import pytest
import torch

from fourview.networks.lesion import ARCHITECTURES, Architecture, Gate, LesionNetwork, drop
from fourview.train.initialise import draw_initial

SLIM: dict[Architecture, float] = {"googlenet": 0.1, "googlenet_light": 1.0}


def build(
    architecture: Architecture = "googlenet_light", *, gate: Gate = "none", size: bool = False, side_px: int = 64
) -> LesionNetwork:
    width = SLIM.get(architecture, 0.0625)
    network = LesionNetwork(architecture, width_mult=width, side_px=side_px, gate=gate, size=size)
    draw_initial(network, 3)
    return network.eval()


def crops(count: int, side_px: int = 64) -> torch.Tensor:
    return torch.randn((count, 1, side_px, side_px), generator=torch.Generator().manual_seed(1))


def count_numbers(network: LesionNetwork) -> int:
    return sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "numbers"),
    [
        ("googlenet", 5_976_610),
        ("googlenet_light", 57_675),
        # torchvision's counts (vgg16 with batch norm), less 998 classes and two colours
        ("inception_v3", 23_834_568 - 998 * 2049 - 2 * 288),
        ("vgg16", 138_365_992 - 998 * 4097 - 2 * 576),
        ("resnet18", 11_689_512 - 998 * 513 - 2 * 3136),
        ("resnet50", 25_557_032 - 998 * 2049 - 2 * 3136),
    ],
)
def test_networks_have_as_many_numbers_as_their_tables_say(architecture: Architecture, numbers: int) -> None:
    with torch.device("meta"):
        assert count_numbers(LesionNetwork(architecture)) == numbers


def test_the_light_googlenet_is_a_tenth_of_the_full_one() -> None:
    light, tenth = LesionNetwork("googlenet_light"), LesionNetwork("googlenet", width_mult=0.1)
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (light, tenth)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("gate", ["none", "attention", "mask"])
def test_every_network_answers_a_crop_whatever_else_is_in_the_batch(architecture: Architecture, gate: Gate) -> None:
    network, batch = build(architecture, gate=gate), crops(5)
    with torch.no_grad():
        together = network(batch)
        alone = torch.cat([network(one[None]) for one in batch])
    assert together.shape == (5, 2)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert together.std(dim=0).min() > 0  # and not the same to all


@pytest.mark.parametrize("architecture", ["googlenet_light", "inception_v3", "alexnet", "vgg11", "resnet18"])
@pytest.mark.parametrize("side_px", [48, 100])
def test_crops_of_other_sizes_are_read(architecture: Architecture, side_px: int) -> None:
    network = build(architecture, side_px=side_px)
    with torch.no_grad():
        assert network(crops(2, side_px)).shape == (2, 2)


def test_a_gate_multiplies_the_last_map_and_is_shown() -> None:
    for gate in ("attention", "mask"):
        network = build(gate=gate)
        with torch.no_grad():
            look = network.look(crops(3))
            _, last = network.trunk(crops(3))
        assert look.gate is not None
        assert look.gate.shape == (3, 1, *last.shape[2:])
        assert 0 <= float(look.gate.min()) <= float(look.gate.max()) <= 1
        torch.testing.assert_close(look.last, last * look.gate)
        torch.testing.assert_close(network.judge(look.last), look.logits)
    assert build().look(crops(1)).gate is None


def test_a_mask_gate_opens_where_its_own_pixels_say_lesion() -> None:
    network = build(gate="mask")
    with torch.no_grad():
        look = network.look(crops(2))
    assert look.mask_logits is not None
    assert look.mask_logits.shape == (2, 2, 64, 64)
    lesion = torch.softmax(look.mask_logits, dim=1)[:, 1]
    blocks = lesion.reshape(2, 2, 32, 2, 32).mean(dim=(2, 4))
    assert look.gate is not None
    torch.testing.assert_close(look.gate[:, 0], blocks)
    with pytest.raises(ValueError, match="need a multiple of 32"):
        LesionNetwork("googlenet_light", side_px=112, gate="mask")


def test_a_network_that_reads_the_size_answers_by_it_and_asks_for_it() -> None:
    network, batch = build(size=True), crops(2)
    with torch.no_grad():
        small, large = (network(batch, torch.full((2, 1), value)) for value in (1.0, 4.0))
    assert not torch.allclose(small, large)
    with pytest.raises(ValueError, match="no diameters"):
        network(batch)


@pytest.mark.parametrize("architecture", ["googlenet_light", "vgg11"])
def test_dropout_is_decided_by_each_crops_own_draw(architecture: Architecture) -> None:
    network, batch = build(architecture), crops(4)
    maps = network.trunk(batch)[1].detach()
    draws = torch.tensor([[5.0], [6.0], [7.0], [2.0**24 - 1]])
    network.train()
    with torch.no_grad():
        together = network.penultimate(maps, draws=draws)
        alone = torch.cat([network.penultimate(maps[k : k + 1], draws=draws[k : k + 1]) for k in range(4)])
        others = network.penultimate(maps, draws=draws + 8)
        plain = network.penultimate(maps)
    torch.testing.assert_close(together, alone)
    assert not torch.allclose(together, others)
    assert (together == 0).float().mean() > (plain == 0).float().mean() + 0.2
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network.penultimate(maps, draws=draws), plain)


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    seen = torch.ones(20, 5000)
    dropped = drop(seen, 0.25, torch.arange(20.0)[:, None])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)
    assert drop(seen, 0.25, None) is seen


def test_the_same_seed_draws_the_same_network() -> None:
    first, again = build(), build()
    other = build()
    draw_initial(other, 4)
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(first.output.weight, other.output.weight)


def test_a_gpu_answers_as_the_processor_does() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    for architecture in ARCHITECTURES:
        network, batch = build(architecture, gate="attention"), crops(3)
        with torch.no_grad():
            here = network(batch)
            there = network.cuda()(batch.cuda()).cpu()
        torch.testing.assert_close(here, there, atol=1e-3, rtol=1e-3)
