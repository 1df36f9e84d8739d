"""Weights of BI-RADS pretraining, and columns of another depth, as folders; hashes of earlier weights stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from fourview.exam import SetupError
from fourview.screen import Screener
from fourview.weights.card import Card, ExamNetwork, Input, PatchNetwork, Training
from fourview.weights.folder import build_birads, build_exam, load_card, load_weights, save_weights

TRAINING = Training(trained=False, data="none")
FILES = {"network.safetensors": "0" * 64, "patch.safetensors": "1" * 64}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = ExamNetwork(wiring="view-wise", heatmaps=False, width=1, blocks=(1, 2, 3, 1, 1))
    card = Card(name="b", birads=network, training=TRAINING, licence="CC0")
    state = build_birads(network).state_dict()
    save_weights(tmp_path / "b", card, birads=state)
    found = load_weights(tmp_path / "b")
    assert found.card.kind == "BI-RADS pretraining, view-wise, image only"
    assert (found.exam, found.patch) == (None, None)
    assert found.birads is not None
    assert all(torch.equal(tensor, found.birads.state_dict()[name]) for name, tensor in state.items())
    with pytest.raises(SetupError, match="need weights of an exam network"):
        Screener([found])


def test_depth_is_on_the_card(tmp_path: Path) -> None:
    network = ExamNetwork(wiring="image-wise", heatmaps=False, width=1, blocks=(1, 1, 1, 1, 1))
    card = Card(name="d", exam=network, training=TRAINING, licence="CC0")
    save_weights(tmp_path / "d", card, exam=build_exam(network).state_dict())
    assert load_card(tmp_path / "d").exam == network
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        ExamNetwork(wiring="image-wise", heatmaps=False, blocks=(1, 1, 0, 1, 1))


def usual_card(**more: object) -> Card:
    network = ExamNetwork(wiring="view-wise", heatmaps=True)
    values = {"exam": network, "patch": PatchNetwork(), "training": TRAINING, "sha256": FILES}
    return Card(name="x", licence="CC0", **{**values, **more})  # type: ignore[arg-type]


def test_weights_without_anything_new_keep_their_hash() -> None:
    assert usual_card().weights_hash == "ed26fe84fc9643d5"  # as before cards had blocks and birads
    deep = ExamNetwork(wiring="view-wise", heatmaps=True, blocks=(2, 2, 2, 2, 3))
    assert usual_card(exam=deep).weights_hash != usual_card().weights_hash
    assert usual_card(birads=deep).weights_hash != usual_card().weights_hash


def test_the_hash_of_a_patch_network_is_of_what_changes_heatmaps() -> None:
    card = usual_card()
    alone = usual_card(exam=None, sha256={"patch.safetensors": "1" * 64})
    assert alone.patch_hash == card.patch_hash
    assert usual_card(input=Input(spacing_range_mm=(0.05, 0.1))).patch_hash == card.patch_hash  # nothing is resampled
    geometry = card.geometry.model_copy(update={"window_cc_px": (10, 10)})
    assert usual_card(geometry=geometry).patch_hash == card.patch_hash
    others = [
        usual_card(patch=PatchNetwork(stride_px=35)),
        usual_card(geometry=card.geometry.model_copy(update={"crop_iterations": 50})),
        usual_card(input=Input(spacing_mm=0.1, resample="always")),
        usual_card(sha256={**FILES, "patch.safetensors": "2" * 64}),
    ]
    assert len({card.patch_hash, *(other.patch_hash for other in others)}) == 5


@pytest.mark.parametrize("part", ["exam", "birads"])
def test_networks_of_heatmaps_need_a_patch_network(part: str) -> None:
    with pytest.raises(ValidationError, match="needs its patch network"):
        Card(
            name="x",
            training=TRAINING,
            licence="",
            **{part: ExamNetwork(wiring="view-wise", heatmaps=True)},  # type: ignore[arg-type]
        )
