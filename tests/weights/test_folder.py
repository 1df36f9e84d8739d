"""Weights folders: what is written can be read, and what is wrong is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fourview.exam import SetupError
from fourview.weights.convert import convert_file, read_state
from fourview.weights.folder import build_exam, load_card, load_weights, save_weights, sha256_file
from fourview.weights.untrained import untrained_card, write_untrained


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "small"
    write_untrained(out, wiring="view-wise", heatmaps=True, scale=0.125)
    return out


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def rewrite(folder: Path, file_name: str, change) -> None:
    """Change the tensors of a folder and its card's hash with them."""
    tensors = load_file(folder / file_name)
    change(tensors)
    save_file(tensors, folder / file_name)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"][file_name] = sha256_file(folder / file_name)
    (folder / "card.json").write_text(json.dumps(card))


def test_the_same_seed_writes_the_same_weights(folder, tmp_path) -> None:
    again = write_untrained(tmp_path / "again", wiring="view-wise", heatmaps=True, scale=0.125)
    other = write_untrained(tmp_path / "other", wiring="view-wise", heatmaps=True, scale=0.125, seed=1)
    assert again.weights_hash == load_card(folder).weights_hash != other.weights_hash


def test_whoever_may_read_the_card_may_read_the_tensors(folder) -> None:
    modes = {path.name: path.stat().st_mode for path in folder.iterdir()}
    assert len(modes) > 1
    assert set(modes.values()) == {modes["card.json"]}


def test_a_damaged_file_is_refused(copy) -> None:
    content = bytearray((copy / "network.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "network.safetensors").write_bytes(content)
    with pytest.raises(SetupError, match="damaged or was exchanged"):
        load_weights(copy)


def test_nan_in_weights_is_refused(copy) -> None:
    rewrite(copy, "patch.safetensors", lambda t: t["classifier.bias"].fill_(np.nan))
    with pytest.raises(SetupError, match=r"1 tensors hold NaN or infinity, first classifier.bias"):
        load_weights(copy)


def test_weights_for_another_wiring_are_refused(copy) -> None:
    card = json.loads((copy / "card.json").read_text())
    card["exam"]["wiring"] = "joint"
    (copy / "card.json").write_text(json.dumps(card))
    with pytest.raises(SetupError, match=r"weights for another network: missing head_layers.all"):
        load_weights(copy)


def test_a_card_with_an_unknown_key_or_without_its_patch_network_is_refused(copy) -> None:
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "colour": "blue"}))
    with pytest.raises(SetupError, match="colour: Extra inputs"):
        load_card(copy)
    (copy / "card.json").write_text(json.dumps({**card, "patch": None}))
    with pytest.raises(SetupError, match="needs its patch network"):
        load_card(copy)


def test_a_missing_file_or_folder_is_named(copy, tmp_path) -> None:
    (copy / "patch.safetensors").unlink()
    with pytest.raises(SetupError, match=r"patch.safetensors: missing"):
        load_weights(copy)
    with pytest.raises(SetupError, match=r"no readable card.json"):
        load_card(tmp_path / "nowhere")


def test_a_failed_write_leaves_nothing(tmp_path) -> None:
    card = untrained_card("bad", heatmaps=False, scale=0.125)
    state = build_exam(card.exam).state_dict()
    state.popitem()
    with pytest.raises(SetupError, match="missing"):
        save_weights(tmp_path / "bad", card, exam=state)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_not_overwritten(folder) -> None:
    with pytest.raises(SetupError, match="exists already"):
        write_untrained(folder)


def test_a_pickle_that_is_not_plain_tensors_is_refused_unread(tmp_path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "exploded").touch, ())

    torch.save({"model": Bomb()}, tmp_path / "bomb.p")
    with pytest.raises(SetupError, match="not a file of plain tensors"):
        read_state(tmp_path / "bomb.p")
    assert not (tmp_path / "exploded").exists()
    (tmp_path / "text.p").write_text("hello")
    with pytest.raises(SetupError, match=r"text.p"):
        read_state(tmp_path / "text.p")


def test_upstream_files_of_the_wrong_kind_are_refused(key_weights, tmp_path) -> None:
    with pytest.raises(SetupError, match="no classifier of 4 classes"):
        convert_file(key_weights / "sample_image_model.p", kind="patch", out=tmp_path / "a")
    with pytest.raises(SetupError, match="weights for another network"):
        convert_file(key_weights / "sample_image_model.p", kind="image-wise", out=tmp_path / "b")
    with pytest.raises(SetupError, match="needs its patch network"):
        convert_file(key_weights / "sample_imageheatmaps_model.p", kind="view-wise", out=tmp_path / "c")
    with pytest.raises(SetupError, match=r"unknown tensor features.conv0"):
        convert_file(key_weights / "sample_patch_model.p", kind="view-wise", out=tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_a_one_view_file_becomes_single_image_weights_for_that_view(key_weights, tmp_path) -> None:
    state = read_state(key_weights / "ImageOnly__ModeImage_weights.p")
    one_view = {
        **{k.replace("four_view_resnet.mlo", "view_resnet"): v for k, v in state.items() if ".mlo." in k},
        "fc1.weight": state["fc1_rmlo.weight"],
        "fc1.bias": state["fc1_rmlo.bias"],
        "output_layer.fc_layer.weight": state["output_layer_rmlo.fc_layer.weight"][:4],
        "output_layer.fc_layer.bias": state["output_layer_rmlo.fc_layer.bias"][:4],
    }
    assert len(one_view) == 135
    torch.save(one_view, tmp_path / "one.p")
    with pytest.raises(SetupError, match="need --view"):
        convert_file(tmp_path / "one.p", kind="single-image", out=tmp_path / "one")
    convert_file(tmp_path / "one.p", kind="single-image", out=tmp_path / "one", view="R-MLO")
    convert_file(key_weights / "ImageOnly__ModeImage_weights.p", kind="single-image", out=tmp_path / "four")
    one, four = load_weights(tmp_path / "one").exam, load_weights(tmp_path / "four").exam
    x = {"R-MLO": torch.randn(2, 1, 203, 203, generator=torch.Generator().manual_seed(0))}
    with torch.inference_mode():
        torch.testing.assert_close(one(x)["R-MLO"], four(x)["R-MLO"])


def test_fp16_takes_half_the_room_and_is_loaded_as_float32_with_statistics_untouched(folder, tmp_path) -> None:
    whole = load_weights(folder)
    card = save_weights(
        tmp_path / "half", whole.card, exam=whole.exam.state_dict(), patch=whole.patch.state_dict(), storage="fp16"
    )
    assert (load_card(folder).storage, card.storage, load_card(tmp_path / "half").storage) == ("fp32", "fp16", "fp16")
    sizes = [(path / "network.safetensors").stat().st_size for path in (folder, tmp_path / "half")]
    assert sizes[1] < 0.6 * sizes[0]
    half = load_weights(tmp_path / "half")
    for name, tensor in half.exam.state_dict().items():
        before = whole.exam.state_dict()[name]
        assert tensor.dtype == before.dtype
        if tensor.ndim < 2:
            torch.testing.assert_close(tensor, before, rtol=0, atol=0)
        else:
            torch.testing.assert_close(tensor, before.half().float(), rtol=0, atol=0)
    again = save_weights(
        tmp_path / "again", half.card, patch=half.patch.state_dict(), exam=half.exam.state_dict(), storage="fp16"
    )
    assert again.sha256 == card.sha256  # what was stored once is stored the same ever after


def test_what_fp16_cannot_hold_is_refused(tmp_path) -> None:
    card = untrained_card("large", heatmaps=False, scale=0.125)
    state = build_exam(card.exam).state_dict()
    state["head_layers.CC.fc1.weight"][0, 0] = 70_000
    with pytest.raises(SetupError, match=r"head_layers.CC.fc1.weight: found values up to 70000, need at most 65504"):
        save_weights(tmp_path / "large", card, exam=state, storage="fp16")
    assert list(tmp_path.iterdir()) == []
