"""Weights folder -> ONNX or OpenVINO files for other programs, and how far their answers differ from torch's."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fourview import __version__
from fourview.engine.openvino_engine import TRACE_PX, convert, import_openvino
from fourview.exam import SetupError, View
from fourview.networks.densenet import DenseNet
from fourview.networks.exam import WiredNetwork
from fourview.weights.card import Card
from fourview.weights.folder import Weights
from fourview.whole_files import whole_folder

Format = Literal["onnx", "openvino"]
TOLERANCE = 1e-5  # of probabilities: between two kernels of one library it is about 1e-6
Arrays = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """How one exported network compares with torch on `inputs` drawn inputs: the largest change of a probability."""

    network: str
    file: str
    inputs: int
    largest_change: float


class PatchProbabilities(nn.Module):
    """(batch, 1, side, side) -> (batch, classes) probabilities."""

    def __init__(self, network: DenseNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        return torch.softmax(self.network(patches), dim=1)


class ExamProbabilities(nn.Module):
    """One window (batch, channels, rows, cols) per view of `views` -> per head (batch, labels) probabilities."""

    def __init__(self, network: WiredNetwork) -> None:
        super().__init__()
        self.network = network
        self.views = tuple(dict.fromkeys(view for head in network.heads for view in head.views))

    def forward(self, *windows: Tensor) -> tuple[Tensor, ...]:
        features = {v: self.network.features(v, w) for v, w in zip(self.views, windows, strict=True)}
        return tuple(self.network.read_head(head, features)[:, :, 1].exp() for head in self.network.heads)


def export(weights: Weights, out: Path, *, to: Format) -> tuple[Parity, ...]:
    """The networks of a weights folder in the new folder `out`, with export.json, which says how to feed them.

    Inputs are named by view, outputs head_<name of the head>, since some heads are called as a view is. Raises
    SetupError if a package is missing, if `out` is not empty, or if an exported network differs from torch by more than
    1e-5; then nothing is left behind.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SetupError(f"output {out}: exists and is not an empty folder; name a new one")
    write = {"onnx": _write_onnx, "openvino": _write_openvino}[to]
    run = {"onnx": _run_onnx, "openvino": _run_openvino}[to]
    suffix = {"onnx": ".onnx", "openvino": ".xml"}[to]
    networks, found = _networks(weights), []
    with whole_folder(out) as part:
        for network in networks:
            file = part / f"{network.name}{suffix}"
            write(network, file)
            parity = _compare(network, file, run)
            if parity.largest_change > TOLERANCE:
                raise SetupError(
                    f"{network.name} in {to}: a probability differs from torch by {parity.largest_change:.1e}, "
                    f"more than {TOLERANCE:g}; nothing was exported"
                )
            found.append(parity)
        record = _describe(weights.card, to, networks, found)
        (part / "export.json").write_text(json.dumps(record, indent=1) + "\n")
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _Network:
    """A network to export.

    inputs    by name, (channels, rows, cols)
    channels  what each channel holds
    labels    per output, what its columns are
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, tuple[int, int, int]]
    channels: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.labels)

    def draw(self, batch: int, *, seed: int = 0) -> list[NDArray[np.float32]]:
        """Inputs like standardised images: smooth blobs with noise."""
        rng = np.random.default_rng(seed)
        drawn = []
        for channels, rows, cols in self.inputs.values():
            y, x = np.linspace(0, 9, rows)[:, None], np.linspace(0, 7, cols)
            waves = [np.sin(y + a) * np.cos(x + b) for a, b in rng.uniform(0, 6, (batch * channels, 2))]
            smooth = np.stack(waves).reshape(batch, channels, rows, cols)
            drawn.append((smooth + 0.3 * rng.standard_normal(smooth.shape)).astype(np.float32))
        return drawn


def _networks(weights: Weights) -> list[_Network]:
    card, found = weights.card, []
    if weights.patch is not None and card.patch is not None:
        side = card.patch.side_px
        channels = ("image: the whole crop standardised to mean 0, deviation 1, then cut",)
        module: nn.Module = PatchProbabilities(weights.patch)
        found.append(_Network("patch", module, {"patches": (1, side, side)}, channels, {"classes": card.patch.classes}))
    if weights.exam is not None and card.exam is not None:
        exam = ExamProbabilities(weights.exam)
        planes = ["image: the window standardised to mean 0, deviation 1; breast facing right"]
        if card.exam.heatmaps:
            planes += ["benign heatmap, 0 to 1", "malignant heatmap, 0 to 1"]
        shapes = {view: (len(planes), *card.geometry.window_px(View(view).angle)) for view in exam.views}
        labels = {
            f"head_{h.name}": tuple(f"{side} {finding}" for side, finding in h.labels) for h in weights.exam.heads
        }
        found.append(_Network("exam", exam, shapes, tuple(planes), labels))
    for network in found:
        network.module.eval()
    return found


def _compare(network: _Network, file: Path, run: Callable[[Path, _Network, Arrays], Arrays]) -> Parity:
    """The exported file against torch, for one and for several inputs at a time."""
    largest, count = 0.0, 0
    for seed, batch in enumerate((1, 3) if network.name == "patch" else (1, 2)):
        inputs = network.draw(batch, seed=seed)
        with torch.inference_mode():
            out = network.module(*(torch.from_numpy(array) for array in inputs))
        expected = [t.numpy() for t in (out if isinstance(out, tuple) else (out,))]
        for a, b in zip(run(file, network, inputs), expected, strict=True):
            largest = max(largest, float(np.abs(a - b).max()))
        count += batch
    return Parity(network.name, file.name, count, largest)


def _write_onnx(network: _Network, file: Path) -> None:
    _need("onnxscript", "onnxruntime")
    example = tuple(torch.zeros(2, *shape) for shape in network.inputs.values())
    batch = torch.export.Dim("batch")
    dynamic: Any = tuple({0: batch} for _ in example)
    if isinstance(network.module, ExamProbabilities):
        dynamic = (dynamic,)  # forward takes them as *windows
    with warnings.catch_warnings(), _quiet("torch.onnx"):
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.onnx.export(
            network.module,
            example,
            dynamo=True,
            verbose=False,
            dynamic_shapes=dynamic,
            input_names=list(network.inputs),
            output_names=list(network.outputs),
        )
    if program is None:
        raise SetupError(f"{network.name}: torch gave no ONNX program")
    program.save(str(file), external_data=False)


def _run_onnx(file: Path, network: _Network, inputs: Arrays) -> Arrays:
    import onnxruntime  # noqa: PLC0415 - only where it is used

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found: Arrays = session.run(list(network.outputs), dict(zip(network.inputs, inputs, strict=True)))
    return found


def _write_openvino(network: _Network, file: Path) -> None:
    _need("openvino")
    shapes = [(-1, *shape) for shape in network.inputs.values()]
    traces = [shape[1] if network.name == "patch" else min(TRACE_PX, *shape[1:]) for shape in network.inputs.values()]
    model = convert(network.module, *shapes, trace_px=min(traces))
    for port, name in zip(model.inputs, network.inputs, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, network.outputs, strict=True):
        port.get_tensor().set_names({name})
    import_openvino().save_model(model, str(file), compress_to_fp16=False)


def _run_openvino(file: Path, network: _Network, inputs: Arrays) -> Arrays:
    model = import_openvino().Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = model(dict(zip(network.inputs, inputs, strict=True)))
    return [np.array(found[name]) for name in network.outputs]


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Errors only, in a library that warns of what it does not need."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _need(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise SetupError(
            f"export: {', '.join(missing)} not installed; need `pip install '.[export]'` in fourview's checkout"
        )


def _describe(card: Card, to: Format, networks: Sequence[_Network], parities: Sequence[Parity]) -> dict[str, Any]:
    return {
        "format": "fourview export 1",
        "to": to,
        "fourview": __version__,
        "meaning": "probabilities from 0 to 1 of a biopsied finding; see the card for calibration and licence",
        "networks": [
            {
                "name": network.name,
                "file": parity.file,
                "inputs": {name: ["batch", *shape] for name, shape in network.inputs.items()},
                "channels": network.channels,
                "outputs": network.labels,
                "parity": {
                    "against": f"torch {torch.__version__}, fp32",
                    "inputs": parity.inputs,
                    "largest_change_of_a_probability": parity.largest_change,
                },
            }
            for network, parity in zip(networks, parities, strict=True)
        ],
        "card": card.model_dump(mode="json"),
    }
