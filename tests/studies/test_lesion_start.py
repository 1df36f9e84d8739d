"""What lesion networks begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fourview.exam import SetupError
from fourview.networks.resnet import ResNet
from fourview.studies.lesion.start import open_start
from tests.studies.planted_lesions import planted_recipe

RESNET = ("network.architecture=resnet18", "crop.side_px=64")
BOTH = ("CC", "MLO")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as torchvision's are."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("imagenet") / "resnet18.pth"
    torch.save(ResNet("resnet18").state_dict(), path)
    return path


def test_a_network_for_photographs_sees_of_a_grey_crop_what_it_saw_in_three_equal_colours(photographs: Path) -> None:
    recipe = planted_recipe(*RESNET)
    start = open_start(str(photographs), recipe, images=frozenset())
    begun = start.build(recipe, seed=1, angles=BOTH, number=0).eval()  # type: ignore[arg-type]
    original = ResNet("resnet18").eval()
    original.load_state_dict(torch.load(photographs, weights_only=True))
    grey = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = begun.trunk(grey)[1], original.maps(grey.expand(-1, 3, -1, -1))[1]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert float(ours.std()) > 0.01
    assert "its colours summed to one grey channel" in start.note


def test_who_has_seen_photographs_and_phantoms_has_seen_no_mammogram(photographs: Path) -> None:
    assert open_start(str(photographs), planted_recipe(*RESNET), images=frozenset()).phantoms_only


def test_another_network_or_width_is_refused(photographs: Path) -> None:
    with pytest.raises(SetupError, match="read for resnet18 and resnet50 alone"):
        open_start(str(photographs), planted_recipe(), images=frozenset())
    with pytest.raises(SetupError, match=r"network.width_mult 0.5; need 1"):
        open_start(str(photographs), planted_recipe(*RESNET, "network.width_mult=0.5"), images=frozenset())


def test_without_weights_a_seed_draws_the_network() -> None:
    recipe = planted_recipe()
    start = open_start(None, recipe, images=frozenset())
    first, again, other = (start.build(recipe, seed=seed, angles=BOTH, number=0) for seed in (1, 1, 2))  # type: ignore[arg-type]
    assert torch.equal(first.output.weight, again.output.weight)
    assert not torch.equal(first.output.weight, other.output.weight)
    assert (start.hash, start.learned) == ("", frozenset())
