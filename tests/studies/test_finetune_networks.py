"""What networks begin with, which layers learn how fast, and that they read back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fourview.exam import SetupError
from fourview.networks.squeezenet import SqueezeNetKind
from fourview.studies.finetune.finetuned import FinetunedCard, load_finetuned, save_finetuned
from fourview.studies.finetune.image_network import IMAGE, ImageNetwork, Model, rate_shares
from fourview.studies.finetune.rates import rates_by_depth
from fourview.studies.finetune.recipe import load_recipe
from fourview.studies.finetune.start import Shape, build_network, copy_tensors, open_start
from fourview.train.optimise import load_optimiser, optimiser_tensors, set_rate
from fourview.weights.folder import load_weights
from fourview.weights.imagenet import load_imagenet
from tests.studies.small_weights import write_small
from tests.test_patch_network_alone import write_patch

RECIPE = load_recipe("phantom")


def draw_windows(*, views: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """One image of each view: a row each, NaN in the others' rows."""
    generator = torch.Generator().manual_seed(1)
    found = {}
    for row, view in enumerate(views):
        shape = (150, 110) if view.endswith("CC") else (160, 100)
        found[view] = torch.full((len(views), 1, *shape), torch.nan)
        found[view][row] = torch.randn((1, *shape), generator=generator)
    return found


@pytest.mark.parametrize(("model", "start"), [("resnet18", "resnet18"), ("squeezenet", "squeezenet1_1")])
def test_layers_of_photographs_give_what_they_gave_and_the_last_one_is_new(model: Model, start: str) -> None:
    network = open_start(model, "random:3", RECIPE, outputs=1).network.eval()
    source = load_imagenet("random:3", "squeezenet" if start.startswith("s") else "resnet18").network
    x = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(network.see({IMAGE: x}), source.pooled(x))
        assert network({IMAGE: x}).shape == (2, 1)
    assert not any("fc." in name or "classifier" in name for name in network.state_dict())


def test_without_a_file_the_error_names_one_and_where_it_is_from() -> None:
    with pytest.raises(SetupError, match=r"resnet50-11ad3fa6\.pth from https://download\.pytorch\.org"):
        open_start("resnet50", None, RECIPE, outputs=1)
    with pytest.raises(SetupError, match="need an exam network"):
        open_start("nyu", None, RECIPE, outputs=1)
    with pytest.raises(SetupError, match="starts from nothing"):
        open_start("scratch", "random:0", RECIPE, outputs=1)


def test_a_file_that_is_not_there_is_an_error_and_never_a_random_network(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="found no such file"):
        open_start("resnet18", str(tmp_path / "resnet18.pth"), RECIPE, outputs=1)


def test_matched_reads_each_image_by_the_layers_of_its_own_view(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w")
    network = open_start("nyu", str(folder), RECIPE, outputs=1).network.eval()
    source = load_weights(folder).exam
    assert source is not None
    views = ("L-CC", "R-MLO", "R-CC")
    windows = draw_windows(views=views)
    with torch.inference_mode():
        seen = network.see(windows)
        for row, view in enumerate(views):
            hidden = source.head_layers[view].hidden(source.features(view, windows[view][row : row + 1]))  # type: ignore[operator]
            assert torch.allclose(seen[row], hidden[0], atol=1e-6)


def test_one_views_layers_read_the_images_of_all_views(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w")
    recipe = RECIPE.with_values(["nyu.view_init=R-CC"])
    network = open_start("nyu", str(folder), recipe, outputs=1).network.eval()
    source = load_weights(folder).exam
    assert source is not None
    assert list(network.trunks) == ["cc"]
    assert list(network.hidden) == ["R-CC"]
    windows = draw_windows(views=("L-MLO",))
    with torch.inference_mode():
        hidden = source.head_layers["R-CC"].hidden(source.features("R-CC", windows["L-MLO"]))  # type: ignore[operator]
        assert torch.allclose(network.see(windows), hidden, atol=1e-6)


def test_of_a_network_that_sees_heatmaps_the_image_alone_is_taken_and_said(tmp_path: Path) -> None:
    folder = write_small(tmp_path / "w", wiring="view-wise", heatmaps=True)
    start = open_start("nyu", str(folder), RECIPE, outputs=1)
    source = load_weights(folder).exam
    assert source is not None
    windows = draw_windows(views=("L-CC",))
    with_none = torch.cat([windows["L-CC"], torch.zeros((1, 2, 150, 110))], dim=1)
    with torch.inference_mode():
        assert torch.allclose(start.network.eval().see(windows), source.features("L-CC", with_none), atol=1e-6)
    assert "as if these were 0 everywhere" in " ".join(start.notes)
    assert "heads read several views" in " ".join(start.notes)


def test_weights_without_an_exam_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="need weights of an exam network"):
        open_start("nyu", str(write_patch(tmp_path / "patch")), RECIPE, outputs=1)


@pytest.mark.parametrize("model", ["resnet50", "resnet18", "squeezenet", "scratch"])
def test_first_layers_learn_slowest_and_the_last_at_the_full_rate(model: Model) -> None:
    width = 4 if model == "scratch" else None
    variant: SqueezeNetKind | None = "squeezenet1_1" if model == "squeezenet" else None
    network = build_network(Shape(model=model, outputs=1, width=width, variant=variant))
    shares = rate_shares(network, lr=1e-4, lr_first=1e-5)
    names = [name for name, _ in network.named_parameters()]
    assert set(shares) == set(names)
    assert shares[names[0]] == pytest.approx(0.1)
    assert shares["output.weight"] == 1
    in_order = [shares[name] for name in names]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) >= 4


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.output = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.output(torch.relu(self.first(x)))
        return found


def take_steps(network: Toy, optimiser: torch.optim.Optimizer, *, first: int, last: int) -> None:
    """As the loop does: one rate for all groups, then a step."""
    for number in range(first, last):
        x = torch.randn((5, 4), generator=torch.Generator().manual_seed(number))
        optimiser.zero_grad()
        network(x).square().mean().backward()
        set_rate(optimiser, 1e-2 * (number + 1))
        optimiser.step()


def test_rates_by_depth_are_those_of_an_optimiser_with_groups_also_after_a_checkpoint() -> None:
    torch.manual_seed(0)
    whole, grouped, resumed = Toy(), Toy(), Toy()
    for other in (grouped, resumed):
        other.load_state_dict(whole.state_dict())
    shares = {name: 0.1 if name.startswith("first") else 1.0 for name, _ in whole.named_parameters()}
    optimiser = torch.optim.AdamW(whole.parameters(), weight_decay=0.1)
    with rates_by_depth(whole, shares):
        take_steps(whole, optimiser, first=0, last=2)
        kept = {name: tensor.clone() for name, tensor in optimiser_tensors(optimiser).items()}
        resumed.load_state_dict(whole.state_dict())
        take_steps(whole, optimiser, first=2, last=4)
    again = torch.optim.AdamW(resumed.parameters(), weight_decay=0.1)
    load_optimiser(again, kept)
    with rates_by_depth(resumed, shares):
        take_steps(resumed, again, first=2, last=4)
    groups = [{"params": list(grouped.first.parameters())}, {"params": list(grouped.output.parameters())}]
    reference = torch.optim.AdamW(groups, weight_decay=0.1)
    for number in range(4):
        x = torch.randn((5, 4), generator=torch.Generator().manual_seed(number))
        reference.zero_grad()
        grouped(x).square().mean().backward()
        for group, share in zip(reference.param_groups, (0.1, 1.0), strict=True):
            group["lr"] = 1e-2 * (number + 1) * share
        reference.step()
    for name, tensor in grouped.state_dict().items():
        assert torch.allclose(whole.state_dict()[name], tensor, atol=1e-7)
        assert torch.equal(resumed.state_dict()[name], whole.state_dict()[name])


def test_outside_the_block_and_for_other_networks_the_rate_is_the_one_given() -> None:
    torch.manual_seed(0)
    own, other, alone = Toy(), Toy(), Toy()
    alone.load_state_dict(other.state_dict())
    with rates_by_depth(own, dict.fromkeys(dict(own.named_parameters()), 0.0)):
        take_steps(other, torch.optim.AdamW(other.parameters()), first=0, last=2)
    take_steps(alone, torch.optim.AdamW(alone.parameters()), first=0, last=2)
    assert torch.equal(other.first.weight, alone.first.weight)


def test_a_frozen_trunk_has_no_gradient() -> None:
    network: ImageNetwork = open_start("scratch", None, RECIPE, outputs=3).network
    network.freeze_trunk()
    assert [name for name, weight in network.named_parameters() if weight.requires_grad] == [
        "output.weight",
        "output.bias",
    ]


def test_a_fine_tuned_network_reads_back_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    start = open_start("nyu", str(write_small(tmp_path / "w")), RECIPE, outputs=1)
    card = FinetunedCard(
        name="n",
        shape=start.shape,
        classes=("negative", "positive"),
        labels="malignant",
        positive="malignant",
        size_px=64,
        card=start.card,
        start_trained=False,
        phantoms_only=True,
        data="d",
        data_sha256="d",
        recipe="r",
        recipe_sha256="r",
        terms="",
    )
    save_finetuned(tmp_path / "network", card, copy_tensors(start.network))
    loaded = load_finetuned(tmp_path / "network")
    windows = draw_windows(views=("L-CC", "L-MLO"))
    with torch.inference_mode():
        assert torch.equal(loaded.network(windows), start.network.eval()(windows))
    assert build_network(loaded.card.shape).outputs == 1
    file = tmp_path / "network/network.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(SetupError, match="damaged"):
        load_finetuned(tmp_path / "network")
