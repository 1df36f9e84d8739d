"""Where networks start: drawn values, and what is taken from other weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fourview.exam import SetupError
from fourview.networks.birads import BiradsNetwork
from fourview.networks.densenet import DenseNet
from fourview.networks.exam import VIEW_NAMES, WiredNetwork
from fourview.train.initialise import draw_initial, start_from
from fourview.weights.card import Card, ExamNetwork, PatchNetwork, Training
from fourview.weights.convert import convert_file
from fourview.weights.folder import Weights, build_birads, build_exam, build_patch, load_weights

TRAINING = Training(trained=True, data="none")
CLASSES = ("malignant", "benign", "outside", "negative")
SMALL_PATCH = PatchNetwork(blocks=(1, 1), growth=2, stem=2, side_px=32)


def drawn(network: nn.Module, seed: int) -> nn.Module:
    draw_initial(network, seed)
    return network


def network(wiring="view-wise", *, heatmaps=False, width=1, views=VIEW_NAMES, blocks=(1, 1, 1, 1, 1)) -> ExamNetwork:
    return ExamNetwork(wiring=wiring, heatmaps=heatmaps, width=width, views=views, blocks=blocks)


def exam_weights(card: ExamNetwork, *, seed: int = 7) -> Weights:
    built = build_exam(card)
    draw_initial(built, seed)
    patch = SMALL_PATCH if card.heatmaps else None
    return Weights(Card(name="source", exam=card, patch=patch, training=TRAINING, licence=""), built, None)


def birads_weights(card: ExamNetwork, *, seed: int = 7) -> Weights:
    built = build_birads(card)
    draw_initial(built, seed)
    return Weights(Card(name="source", birads=card, training=TRAINING, licence=""), None, None, built)


def values(source: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in source.state_dict().items()}


def changed(before: Mapping[str, Tensor], after: nn.Module) -> set[str]:
    return {name for name, tensor in after.state_dict().items() if not torch.equal(before[name], tensor)}


def test_the_same_seed_draws_the_same_values_whatever_torchs_own_stream() -> None:
    torch.manual_seed(1)
    first = values(drawn(WiredNetwork("view-wise", channels_in=1, width=1), 3))
    torch.manual_seed(2)
    second = drawn(WiredNetwork("view-wise", channels_in=1, width=1), 3)
    assert not changed(first, second)
    assert changed(first, drawn(second, 4))


def test_drawn_networks_keep_signals_alive_and_answer_near_even() -> None:
    exam = drawn(WiredNetwork("view-wise", channels_in=3, width=4), 0).train()
    x = torch.randn((4, 3, 128, 128), generator=torch.Generator().manual_seed(0))
    patch = drawn(DenseNet(blocks=(2, 2), growth=4, stem=8), 0).train()
    with torch.no_grad():
        assert 0.05 < float(exam.column("CC")(x).std()) < 5
        answers = exam(dict.fromkeys(VIEW_NAMES, x))["CC"].exp()
        p = patch(x[:, :1]).softmax(dim=1)
    assert float((answers - 0.5).abs().max()) < 0.2
    assert float((p - 0.25).abs().max()) < 0.2


def test_the_same_wiring_takes_everything() -> None:
    source = exam_weights(network())
    target = drawn(build_exam(network()), 1)
    said = start_from(target, source)
    assert not changed(values(source.exam), target)
    assert said == ("columns cc, mlo of the exam network of source", "its heads")


@pytest.mark.parametrize("wiring", ["image-wise", "side-wise", "joint", "single-image"])
def test_another_wiring_takes_the_columns_and_leaves_its_heads_drawn(wiring) -> None:
    source = exam_weights(network())
    target = drawn(build_exam(network(wiring)), 1)
    before = values(target)
    said = start_from(target, source)
    assert {name.split(".")[0] for name in changed(before, target)} == {"columns"}
    for name, tensor in source.exam.columns.state_dict().items():
        assert torch.equal(tensor, target.columns.state_dict()[name])
    assert said[-1] == "new: heads"


def test_an_exam_network_takes_the_columns_of_birads_pretraining() -> None:
    source = birads_weights(network())
    target = drawn(build_exam(network()), 1)
    before = values(target)
    said = start_from(target, source)
    assert said == ("columns cc, mlo of BI-RADS pretraining of source", "new: heads")
    assert torch.equal(target.columns["cc"].first_conv.weight, source.birads.columns["cc"].first_conv.weight)
    assert {name.split(".")[0] for name in changed(before, target)} == {"columns"}
    again = drawn(build_birads(network()), 2)
    assert start_from(again, source)[-1] == "its heads"
    assert not changed(values(source.birads), again)


def test_the_channels_of_heatmaps_stay_as_they_were_drawn() -> None:
    source = birads_weights(network())
    target = drawn(build_exam(network(heatmaps=True)), 1)
    before = target.columns["mlo"].first_conv.weight.clone()
    said = start_from(target, source)
    after = target.columns["mlo"].first_conv.weight
    assert torch.equal(after[:, :1], source.birads.columns["mlo"].first_conv.weight)
    assert torch.equal(after[:, 1:], before[:, 1:])
    assert bool((after[:, 1:] != 0).any())
    assert said[-1] == "new: channels of the heatmaps in the first convolution of cc, mlo"


def test_a_network_of_one_angle_takes_the_column_of_that_angle() -> None:
    source = exam_weights(network())
    target = drawn(build_exam(network("image-wise", views=("L-MLO", "R-MLO"))), 1)
    said = start_from(target, source)
    assert said[0] == "columns mlo of the exam network of source"
    back = start_from(drawn(build_exam(network()), 1), exam_weights(network("image-wise", views=("L-MLO", "R-MLO"))))
    assert back[1:] == ("new: column cc", "new: heads")


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (network(width=2), r"first_conv.weight of shape \(2, 1, 7, 7\), need \(1, 1, 7, 7\)"),
        (network(blocks=(1, 2, 1, 1, 1)), r"unknown columns.cc.layer_list.1.1"),
        (network(heatmaps=True), r"first_conv.weight of shape \(1, 3, 7, 7\), need \(1, 1, 7, 7\)"),
    ],
)
def test_weights_of_another_shape_are_refused_by_name(other: ExamNetwork, said: str) -> None:
    target = drawn(build_exam(network()), 1)
    before = values(target)
    with pytest.raises(SetupError, match=said):
        start_from(target, exam_weights(other))
    assert not changed(before, target)


def test_shallower_columns_are_refused() -> None:
    with pytest.raises(SetupError, match=r"no columns.cc.layer_list.1.1"):
        start_from(drawn(build_exam(network(blocks=(1, 2, 1, 1, 1))), 1), exam_weights(network()))


def test_weights_without_what_is_needed_are_refused() -> None:
    patch = Card(name="source", patch=SMALL_PATCH, training=TRAINING, licence="")
    with pytest.raises(SetupError, match="no exam network and none of BI-RADS"):
        start_from(build_exam(network()), Weights(patch, None, build_patch(SMALL_PATCH)))
    with pytest.raises(SetupError, match="no patch network"):
        start_from(build_patch(SMALL_PATCH), exam_weights(network()))
    only_cc = exam_weights(network("image-wise", views=("L-CC",)))
    with pytest.raises(SetupError, match="found columns for cc, need one for mlo"):
        start_from(build_exam(network("image-wise", views=("L-MLO",))), only_cc)


def patch_weights(classes: tuple[str, ...]) -> Weights:
    card = SMALL_PATCH.model_copy(update={"classes": classes})
    built = build_patch(card)
    draw_initial(built, 7)
    nn.init.normal_(built.classifier.bias, generator=torch.Generator().manual_seed(0))
    return Weights(Card(name="source", patch=card, training=TRAINING, licence=""), None, built)


def test_a_patch_network_takes_a_patch_network_of_its_classes() -> None:
    source = patch_weights(CLASSES)
    target = drawn(build_patch(SMALL_PATCH), 1)
    assert start_from(target, source, classes=CLASSES) == ("all of the patch network of source",)
    assert not changed(values(source.patch), target)


def test_of_other_classes_the_rows_of_the_same_name_are_taken() -> None:
    source = patch_weights(("benign", "something", "malignant", "else"))
    target = drawn(build_patch(SMALL_PATCH), 1)
    before = target.classifier.weight.clone()
    said = start_from(target, source, classes=CLASSES)
    assert torch.equal(target.classifier.weight[0], source.patch.classifier.weight[2])
    assert torch.equal(target.classifier.bias[1], source.patch.classifier.bias[0])
    assert torch.equal(target.classifier.weight[2:], before[2:])
    assert said[-1] == "classes taken: malignant, benign; new: outside, negative"


def test_words_of_lesions_are_new_beside_the_classes_that_are_taken() -> None:
    source, target = patch_weights(CLASSES), build_patch(SMALL_PATCH, more=5)
    draw_initial(target, 1)
    drawn = target.classifier.weight.clone()
    said = start_from(target, source, classes=CLASSES)
    assert torch.equal(target.classifier.weight[:4], source.patch.classifier.weight)
    assert torch.equal(target.classifier.weight[4:], drawn[4:])
    assert said == ("all of the patch network of source", "new: 5 words of lesions")


def test_birads_networks_have_the_column_names_of_exam_networks() -> None:
    exam, birads = (kind("view-wise", channels_in=1, width=1) for kind in (WiredNetwork, BiradsNetwork))
    assert exam.columns.state_dict().keys() == birads.columns.state_dict().keys()
    assert {n for n in exam.state_dict() if n.startswith("columns.")} == {
        n for n in birads.state_dict() if n.startswith("columns.")
    }


def test_upstreams_weights_are_started_from_like_others(key_weights: Path, tmp_path: Path) -> None:
    convert_file(key_weights / "ImageOnly__ModeImage_weights.p", kind="image-wise", out=tmp_path / "upstream")
    weights = load_weights(tmp_path / "upstream")
    target = drawn(build_exam(ExamNetwork(wiring="view-wise", heatmaps=True)), 1)
    said = start_from(target, weights)
    assert said[0] == "columns cc, mlo of the exam network of upstream"
    assert torch.equal(target.columns["cc"].final_bn.weight, weights.exam.columns["cc"].final_bn.weight)
