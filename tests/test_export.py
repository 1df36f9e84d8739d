"""Exported networks: other programs get the same answers, or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fourview import export as export_module
from fourview.engine.openvino_engine import import_openvino
from fourview.exam import SetupError
from fourview.export import export
from fourview.weights.folder import Weights, load_weights
from fourview.weights.untrained import write_untrained

SCALE = 0.125


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    out = tmp_path_factory.mktemp("weights") / "small"
    write_untrained(out, wiring="view-wise", heatmaps=True, scale=SCALE, seed=1)
    return load_weights(out)


def run(folder: Path, to: str, name: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The exported file through its own runtime, as another program would use it."""
    if to == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
        names = [out.name for out in session.get_outputs()]
        return dict(zip(names, session.run(names, inputs), strict=True))
    core = import_openvino().Core()
    model = core.read_model(str(folder / f"{name}.xml"))
    found = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(inputs)
    return {port.get_any_name(): np.array(found[port.get_any_name()]) for port in model.outputs}


@pytest.mark.parametrize("to", [pytest.param("onnx", marks=pytest.mark.slow), "openvino"])
def test_other_programs_get_the_answers_of_torch(weights, tmp_path: Path, to: str) -> None:
    out = tmp_path / "out"
    parities = export(weights, out, to=to)
    assert [p.network for p in parities] == ["patch", "exam"]
    record = json.loads((out / "export.json").read_text())
    by_name = {network["name"]: network for network in record["networks"]}
    rng = np.random.default_rng(5)
    side = weights.card.patch.side_px
    patches = rng.standard_normal((5, 1, side, side)).astype(np.float32)  # a batch size that was never exported
    found = run(out, to, "patch", {"patches": patches})
    with torch.inference_mode():
        expected = torch.softmax(weights.patch(torch.from_numpy(patches)), dim=1).numpy()
    assert expected.std(axis=0).max() > 1e-4
    np.testing.assert_allclose(found["classes"], expected, atol=1e-5)
    assert by_name["patch"]["outputs"]["classes"] == list(weights.card.patch.classes)

    windows = {
        view: rng.standard_normal((2, *shape[1:])).astype(np.float32)
        for view, shape in by_name["exam"]["inputs"].items()
    }
    with torch.inference_mode():
        expected_heads = weights.exam({view: torch.from_numpy(w) for view, w in windows.items()})
    found = run(out, to, "exam", windows)
    assert set(found) == {"head_CC", "head_MLO"} == {f"head_{name}" for name in expected_heads}
    for head, log_p in expected_heads.items():
        np.testing.assert_allclose(found[f"head_{head}"], log_p[:, :, 1].exp().numpy(), atol=1e-5)
    assert by_name["exam"]["outputs"]["head_CC"] == ["L benign", "R benign", "L malignant", "R malignant"]
    assert record["card"]["training"]["trained"] is False
    assert by_name["exam"]["parity"]["largest_change_of_a_probability"] <= 1e-5


@pytest.mark.parametrize(
    ("wiring", "to"),
    [
        *((wiring, "openvino") for wiring in ("image-wise", "single-image", "side-wise", "joint")),
        *(
            pytest.param(wiring, "onnx", marks=pytest.mark.slow)
            for wiring in ("image-wise", "single-image", "side-wise", "joint")
        ),
    ],
)
def test_every_wiring_can_be_exported(tmp_path: Path, wiring: str, to: str) -> None:
    write_untrained(tmp_path / "w", wiring=wiring, heatmaps=False, scale=SCALE)
    (parity,) = export(load_weights(tmp_path / "w"), tmp_path / "out", to=to)
    assert parity.largest_change < 1e-5


def test_a_network_whose_answers_differ_is_not_exported(weights, tmp_path: Path, monkeypatch) -> None:
    plain = export_module._run_openvino
    monkeypatch.setattr(export_module, "_run_openvino", lambda *a: [out + 1e-3 * (len(out) > 1) for out in plain(*a)])
    with pytest.raises(SetupError, match=r"patch in openvino: a probability differs from torch by 1\.0e-03"):
        export(weights, tmp_path / "out", to="openvino")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_and_a_missing_package_are_refused(weights, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SetupError, match="not an empty folder"):
        export(weights, tmp_path, to="onnx")
    monkeypatch.setattr(export_module, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"onnxscript, onnxruntime not installed; need `pip install"):
        export(weights, tmp_path / "out", to="onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
