"""Files of torchvision's networks: read, told apart, and refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from fourview.exam import SetupError
from fourview.networks.squeezenet import SqueezeNet
from fourview.weights import imagenet
from fourview.weights.folder import sha256_file
from fourview.weights.imagenet import IMAGENET_TERMS, load_imagenet
from tests.networks.key_drawn import draw_images, draw_state
from tests.networks.torchvision_networks import compute_features, shapes_of

IMAGE = draw_images(1, 64)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return draw_state(shapes_of("resnet18", classes=5))


def save(state: dict[str, Tensor], path: Path) -> str:
    torch.save(state, path)
    return str(path)


def test_a_pth_and_a_safetensors_file_give_the_same_network(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "a.safetensors")
    with torch.inference_mode():
        expected = compute_features("resnet18", state, IMAGE)
        for path in (save(state, tmp_path / "a.pth"), str(tmp_path / "a.safetensors")):
            loaded = load_imagenet(path, "resnet18")
            torch.testing.assert_close(loaded.network.pooled(IMAGE), expected, rtol=1e-3, atol=1e-4)
            assert not loaded.network.training
            assert (loaded.name, loaded.trained) == (Path(path).name, None)
            assert "none of torchvision's files" in loaded.terms


def test_files_from_before_2018_lack_counters_and_load_all_the_same(state: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(state)
    loaded = load_imagenet(save(old, tmp_path / "old.pth"), "resnet18")
    assert torch.equal(loaded.network.state_dict()["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])


@pytest.mark.parametrize("kind", ["squeezenet1_0", "squeezenet1_1"])
def test_which_squeezenet_it_is_is_told_from_the_file(kind: str, tmp_path: Path) -> None:
    loaded = load_imagenet(save(draw_state(shapes_of(kind, classes=3)), tmp_path / "net.pth"), "squeezenet")
    assert isinstance(loaded.network, SqueezeNet)
    assert loaded.network.classifier[1].out_channels == 3
    assert loaded.network.features[0].out_channels == (96 if kind == "squeezenet1_0" else 64)


def test_a_file_is_known_by_its_hash_and_by_nothing_else(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "resnet18-f37072fd.pth"  # the name alone says nothing
    save(state, path)
    assert load_imagenet(str(path), "resnet18").trained is None
    monkeypatch.setitem(imagenet.RELEASES, sha256_file(path)[:8], "resnet18-known")
    loaded = load_imagenet(str(path), "resnet18")
    assert (loaded.name, loaded.trained, loaded.terms) == ("resnet18-known", True, IMAGENET_TERMS)
    assert loaded.hash == sha256_file(path)[:16]


def test_wrong_files_are_refused_with_what_differs(state: dict[str, Tensor], tmp_path: Path) -> None:
    good = save(state, tmp_path / "a.pth")
    with pytest.raises(SetupError, match=r"a.pth as torchvision's resnet50: weights for another network"):
        load_imagenet(good, "resnet50")
    with pytest.raises(SetupError, match=r"found no last layer classifier.1.weight"):
        load_imagenet(good, "squeezenet")
    without = {name: tensor for name, tensor in state.items() if name != "layer3.0.conv1.weight"}
    with pytest.raises(SetupError, match=r"missing layer3.0.conv1.weight"):
        load_imagenet(save(without, tmp_path / "b.pth"), "resnet18")
    wrong = state | {"conv1.weight": state["conv1.weight"][:, :1]}
    with pytest.raises(SetupError, match=r"conv1.weight has shape \(64, 1, 7, 7\), need \(64, 3, 7, 7\)"):
        load_imagenet(save(wrong, tmp_path / "c.pth"), "resnet18")
    with pytest.raises(SetupError, match=r"found no such file; need torchvision's resnet18"):
        load_imagenet(str(tmp_path / "none.pth"), "resnet18")
    (tmp_path / "d.safetensors").write_bytes(b"no")
    with pytest.raises(SetupError, match="not a safetensors file"):
        load_imagenet(str(tmp_path / "d.safetensors"), "resnet18")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("loaded"),))  # type: ignore[return-value]


def test_what_a_file_wants_to_run_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": _Harmful()}, tmp_path / "a.pth")
    with pytest.raises(SetupError, match="not a file of plain tensors"):
        load_imagenet("a.pth", "resnet18")
    assert not (tmp_path / "loaded").exists()


def test_random_networks_are_the_same_for_the_same_seed_and_keep_images_apart() -> None:
    one, same, other = (load_imagenet(name, "squeezenet") for name in ("random", "random:0", "random:1"))
    assert (one.hash, one.trained, one.name) == (same.hash, False, "random:0")
    assert other.hash != one.hash
    with torch.inference_mode():
        features = one.network.pooled(draw_images(2, 64))
    assert float(features.abs().max()) < 100
    assert float((features[0] - features[1]).abs().max() / features.abs().max()) > 0.01
