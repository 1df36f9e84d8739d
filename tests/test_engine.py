"""Engines: the same answers from each, precision never in silence. Mechanism, on small networks with drawn values."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fourview.engine import PatchJob, choose, choose_engine, describe
from fourview.engine.openvino_engine import OpenVinoEngine
from fourview.engine.torch_engine import TorchEngine
from fourview.exam import SetupError
from fourview.heatmap import draw_grid, find_empty, slide_patches, spread_over_pixels
from fourview.networks.densenet import DenseNet
from fourview.networks.resnet22 import ResNet22

SIDE = 32
CPU = torch.device("cpu")
ENGINES = {"torch": TorchEngine(CPU), "openvino": OpenVinoEngine()}


def drawn(network: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The network with weights and batch statistics that let the input through, so that outputs differ."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.dim() > 1:
                fan_in = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5)
            elif tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 + (0.8 if "weight" in name else 0))
    return network.eval()


def small_patch_network() -> DenseNet:
    network = drawn(DenseNet(blocks=(2, 2), growth=8, stem=8))
    assert isinstance(network, DenseNet)
    return network


def images(count: int = 2) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((90 + 7 * i, 70)).astype(np.float32) for i in range(count)]


def corners(count: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(count)
    return rng.integers(0, 70 - SIDE, (count, 2))


def patch_by_patch(network: DenseNet, jobs: list[PatchJob]) -> NDArray[np.float32]:
    """The plain loop: one patch at a time."""
    rows = []
    with torch.inference_mode():
        for job in jobs:
            for top, left in job.corners:
                patch = torch.from_numpy(job.image[None, None, top : top + SIDE, left : left + SIDE])
                rows.append(torch.softmax(network(patch), dim=1)[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("counts", [(1,), (2,), (5, 3), (1, 1, 1), (17, 0, 4)])
def test_patches_of_several_images_come_back_in_order(engine, counts) -> None:
    network = small_patch_network()
    jobs = [PatchJob(image, corners(n)) for image, n in zip(images(len(counts)), counts, strict=True)]
    expected = patch_by_patch(network, jobs)
    found = ENGINES[engine].load_patches(network, side_px=SIDE)(iter(jobs))
    assert found.shape == (sum(counts), 4)
    assert len(found) == 1 or found.std(axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_columns_give_the_features_of_torch_at_any_size_and_refuse_another(engine) -> None:
    column = drawn(ResNet22(3, width=4))
    windows = np.random.default_rng(0).standard_normal((3, 3, 301, 203)).astype(np.float32)
    with torch.inference_mode():
        expected = column(torch.from_numpy(windows)).numpy()
    read = ENGINES[engine].load_column(column, (3, 301, 203))
    np.testing.assert_allclose(read(windows), expected, atol=1e-4, rtol=1e-4)
    with pytest.raises((ValueError, RuntimeError)):
        read(windows[:, :, :200])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_patches_give_the_same_bits_whatever_is_read_beside_them(engine) -> None:
    network = small_patch_network()
    read = ENGINES[engine].load_patches(network, side_px=SIDE)
    a, b = images()
    alone = read([PatchJob(a, corners(6))])
    for _ in range(3):
        np.testing.assert_array_equal(read([PatchJob(a, corners(6))]), alone)
    if engine == "openvino":  # torch chooses other kernels for other batch sizes
        np.testing.assert_array_equal(read([PatchJob(b, corners(3)), PatchJob(a, corners(6))])[3:], alone)


def breast(shape: tuple[int, int] = (150, 120)) -> NDArray[np.uint16]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y - 60) / 55) ** 2 + (x / 60) ** 2 < 1
    return np.where(inside, 3000 + np.random.default_rng(1).integers(0, 900, shape), 0).astype(np.uint16)


@pytest.mark.parametrize("engine", ENGINES)
def test_background_patches_are_read_once_and_answer_as_if_each_was_read(engine) -> None:
    network = small_patch_network()
    pixels = breast()
    grid = draw_grid(pixels.shape, side_px=SIDE, stride_px=9, rng=random.Random(0))
    empty = find_empty(pixels, grid)
    assert 5 < empty.sum() < len(grid) - 5
    by_hand = [not pixels[t : t + SIDE, le : le + SIDE].any() for t, le in grid.corners()]
    assert empty.tolist() == by_hand
    plain = ENGINES[engine].load_patches(network, side_px=SIDE)
    seen: list[int] = []

    def counting(jobs):
        jobs = list(jobs)
        seen.extend(len(job.corners) for job in jobs)
        return plain(jobs)

    [p] = slide_patches([pixels], [grid], counting)
    assert seen == [len(grid) - empty.sum() + 1]
    whole = (pixels - pixels.mean()) / pixels.astype(np.float64).std()
    everything = PatchJob(whole.astype(np.float32), np.array(list(grid.corners())))
    np.testing.assert_allclose(p, patch_by_patch(network, [everything]), atol=1e-5)
    assert np.ptp(p[empty], axis=0).max() == 0


def test_crops_without_and_with_nothing_but_background_are_read() -> None:
    network = small_patch_network()
    read = ENGINES["openvino"].load_patches(network, side_px=SIDE)
    full, dark = np.full((50, 40), 7, np.uint16), np.zeros((50, 40), np.uint16)
    grids = [draw_grid((50, 40), side_px=SIDE, stride_px=9, rng=random.Random(0)) for _ in range(2)]
    a, b = slide_patches([full, dark], grids, read)
    assert len(a) == len(b) == len(grids[0])
    np.testing.assert_allclose(a, b, atol=1e-6)  # both are constant, so standardised to zero


def test_spreading_over_pixels_is_the_mean_of_the_patches_that_cover_each() -> None:
    grid = draw_grid((77, 64), side_px=SIDE, stride_px=9, rng=random.Random(2))
    p = np.random.default_rng(0).random(len(grid), np.float32)
    total, count = np.zeros((77, 64)), np.zeros((77, 64))
    for (top, left), value in zip(grid.corners(), p, strict=True):
        total[top : top + SIDE, left : left + SIDE] += value
        count[top : top + SIDE, left : left + SIDE] += 1
    np.testing.assert_allclose(spread_over_pixels(p, grid, (77, 64), spreading=None), total / count, atol=1e-6)


def test_auto_is_openvino_on_a_cpu_and_readings_say_so() -> None:
    engine = choose_engine("auto", device="cpu")
    assert (engine.name, engine.precision) == ("openvino", "fp32")
    assert describe(engine).startswith("openvino 20")
    assert describe(engine).endswith(" on cpu")
    assert describe(choose_engine("torch", device="cpu")) == f"torch {torch.__version__} on cpu"


def test_without_the_package_auto_is_torch_and_openvino_is_an_error(monkeypatch) -> None:
    monkeypatch.setattr(choose, "find_spec", lambda name: None)
    assert choose_engine("auto", device="cpu").name == "torch"
    with pytest.raises(SetupError, match="not installed"):
        choose_engine("openvino")


@pytest.mark.parametrize("name", ["auto", "torch", "openvino"])
def test_bf16_is_refused_where_the_processor_has_no_matrix_unit(name, tmp_path: Path, monkeypatch) -> None:
    flags = tmp_path / "cpuinfo"
    monkeypatch.setattr(choose, "CPU_FLAGS", flags)
    for text in ("flags\t\t: sse avx2\n", "flags\t\t: avx512f avx512_bf16\n", ""):
        flags.write_text(text)
        with pytest.raises(SetupError, match="no matrix unit"):
            choose_engine(name, device="cpu", precision="bf16")
    flags.unlink()
    with pytest.raises(SetupError, match="no matrix unit"):
        choose_engine(name, device="cpu", precision="bf16")
    flags.write_text("processor\t: 0\nflags\t\t: avx512_bf16 amx_bf16 amx_tile\n")
    engine = choose_engine(name, device="cpu", precision="bf16")
    assert engine.precision == "bf16"


@pytest.mark.skipif("avx512_bf16" not in choose.cpu_flags(), reason="this processor has no bf16 instructions")
@pytest.mark.parametrize("engine", [TorchEngine(CPU, "bf16"), OpenVinoEngine("bf16")], ids=["torch", "openvino"])
def test_bf16_moves_probabilities_a_little_and_fp32_does_not(engine) -> None:
    network = small_patch_network()
    jobs = [PatchJob(images(1)[0], corners(9))]
    expected = patch_by_patch(network, jobs)
    moved = np.abs(engine.load_patches(network, side_px=SIDE)(jobs) - expected).max()
    assert 1e-6 < moved < 0.05
    assert np.abs(ENGINES[engine.name].load_patches(network, side_px=SIDE)(jobs) - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "abacus"}, "unknown; need auto, torch or openvino"),
        ({"precision": "int8"}, "unknown; need fp32 or bf16"),
        ({"device": "abacus"}, "unknown; need auto, cpu or cuda"),
        ({"device": "meta"}, "not supported"),
    ],
)
def test_what_is_not_known_is_an_error_that_says_what_is(arguments, message) -> None:
    with pytest.raises(SetupError, match=message):
        choose_engine(**arguments)


def test_openvino_is_loaded_without_its_usage_reports() -> None:
    code = (
        "import sys, torch; from fourview.engine.openvino_engine import convert; "
        "convert(torch.nn.Conv2d(1, 1, 3), (1, 1, 9, 9), trace_px=9); "
        "sys.exit(any(name.startswith('openvino_telemetry.') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
