"""What the benchmark of small data runs on mini-MIAS: weights, features of every film, and the pieces of a study.

Everything is kept in a folder, the cache: what is finished is not done again, what was interrupted goes on.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fourview.datasets import DATASETS
from fourview.exam import SetupError
from fourview.spread import spread
from fourview.store.prepare import prepare
from fourview.studies.transfer.extract import Task as Extraction
from fourview.studies.transfer.extract import extract_features
from fourview.studies.transfer.feature_set import FeatureSet, load_features
from fourview.studies.transfer.pieces import Piece, Task, do_tasks
from fourview.studies.transfer.study import Study
from fourview.weights.card import ExamNetwork, PatchNetwork
from fourview.weights.convert import convert_file
from fourview.weights.folder import build_exam, build_patch, load_card
from fourview.weights.untrained import write_untrained
from fourview.whole_files import write_whole

QUARTER, UPSTREAM = 0.25, "upstream's layout, drawn by name"
_VIEWS = ("nyu_gap256", "nyu_matched_gap256", "nyu_matched_fc1_256", "nyu_flat4096", "nyu_avg_flat4096")


@dataclass(frozen=True)
class Arm:
    """One feature set. name: of its row and its folder; what: where the numbers come from; weights: of --weights"""

    name: str
    extractor: str
    what: str
    weights: str | None = None


@dataclass(frozen=True)
class Protocol:
    """What is run. phantom_weights: folders of networks that were trained on phantoms; full: published sizes as well;
    only: arms whose names begin so, () for all"""

    films: Path
    cache: Path
    phantom_weights: tuple[Path, ...] = ()
    full: bool = False
    only: tuple[str, ...] = ()
    jobs: int = 1

    @property
    def store(self) -> Path:
        return self.cache / "store"


def list_arms(protocol: Protocol) -> list[Arm]:
    """The feature sets; texture, which needs nothing, first. Weights that are drawn are written here."""
    folder = protocol.cache / "weights"
    drawn = f"drawn, {QUARTER:g} of the published size"
    arms = [Arm("texture", "texture", "hand-made"), Arm("noise", "noise", "drawn numbers, no film")]
    for weights in protocol.phantom_weights:
        arms += [
            Arm(f"{extractor} of {_name(weights)}", extractor, "trained on phantoms", str(weights))
            for extractor in _list_extractors(weights)
        ]
    photographs = ("imagenet_resnet50_2048", "imagenet_resnet18_512", "imagenet_squeezenet_512")
    arms += [Arm(f"{name} random", name, "drawn, published size", "random:0") for name in photographs]
    arms += [Arm(f"{name} quarter", name, drawn, str(folder / "quarter")) for name in _VIEWS]
    arms.append(Arm("patch_1024 quarter", "patch_1024", drawn, str(folder / "quarter-patch")))
    if protocol.full:
        arms += [Arm(f"{name} upstream", name, UPSTREAM, str(folder / "upstream")) for name in _VIEWS]
        arms.append(Arm("patch_1024 upstream", "patch_1024", UPSTREAM, str(folder / "upstream-patch")))
    chosen = [arm for arm in arms if not protocol.only or arm.name.startswith(protocol.only)]
    for arm in chosen:
        if arm.weights is not None and Path(arm.weights).parent == folder and not Path(arm.weights).exists():
            _make_weights(Path(arm.weights))
    return chosen


def _name(weights: Path) -> str:
    """Of the folder; a member of an ensemble has its name too."""
    return f"{weights.parent.name} {weights.name}" if (weights.parent / "ensemble.json").is_file() else weights.name


def _list_extractors(weights: Path) -> tuple[str, ...]:
    """Those that these weights have the networks for. Every film is an MLO view: matched is the MLO network's."""
    card = load_card(weights)
    views = () if card.exam is None else ("nyu_matched_gap256", "nyu_matched_flat4096")
    return (*views, *(() if card.patch is None else ("patch_1024",)))


def _make_weights(out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.name.startswith("quarter"):
        write_untrained(out, wiring="image-wise", heatmaps=out.name.endswith("patch"), scale=QUARTER)
        return
    file = out.with_suffix(".p")
    if out.name.endswith("patch"):
        torch.save(draw_by_name(build_patch(PatchNetwork())), file)
        convert_file(file, kind="patch", out=out)
    else:
        torch.save(name_as_upstream(draw_by_name(build_exam(ExamNetwork(wiring="image-wise", heatmaps=False)))), file)
        convert_file(file, kind="image-wise", out=out)


def draw_by_name(network: nn.Module) -> dict[str, Tensor]:
    """Tensors of a network, each drawn from its name: who has the published names can draw the same again."""
    drawn = {}
    for name, tensor in network.state_dict().items():
        rng, kind = np.random.default_rng(zlib.crc32(name.encode())), name.rsplit(".", 1)[-1]
        if not tensor.is_floating_point():
            drawn[name] = torch.zeros_like(tensor)
            continue
        if kind == "running_var" or (kind == "weight" and tensor.ndim == 1):
            values = 0.5 + rng.random(tensor.shape)
        elif kind in ("running_mean", "bias"):
            values = 0.1 * rng.standard_normal(tensor.shape)
        else:
            values = rng.standard_normal(tensor.shape) * (2 / tensor[0].numel()) ** 0.5
        drawn[name] = torch.from_numpy(values.astype(np.float32))
    return drawn


def name_as_upstream(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An image-wise network's tensors under the names of upstream's files."""
    named = {}
    for name, tensor in state.items():
        part, of, *rest = name.split(".")
        if part == "columns":
            named[f"four_view_resnet.{of}.{'.'.join(rest)}"] = tensor
        else:
            view = of.replace("-", "").lower()
            key = f"fc1_{view}" if rest[0] == "fc1" else f"output_layer_{view}.fc_layer"
            named[f"{key}.{rest[-1]}"] = tensor
    return named


def prepare_films(protocol: Protocol) -> None:
    """The store, made if it is not there."""
    if not (protocol.store / "manifest.parquet").is_file():
        prepare(DATASETS["mini-mias"], protocol.films, protocol.store, resume=True, jobs=protocol.jobs)


def extract_arms(protocol: Protocol, arms: Sequence[Arm]) -> tuple[dict[str, FeatureSet], dict[str, str]]:
    """name -> features of all films; name -> why there are none."""
    items = [(protocol, arm) for arm in arms]
    problems = dict(zip([arm.name for arm in arms], spread(_extract, items, jobs=protocol.jobs), strict=True))
    found = {arm.name: load_features(_feature_folder(protocol, arm)) for arm in arms if not problems[arm.name]}
    return found, {name: problem for name, problem in problems.items() if problem}


def _feature_folder(protocol: Protocol, arm: Arm) -> Path:
    return protocol.cache / "features" / arm.name.replace(" ", "_")


def _extract(item: tuple[Protocol, Arm]) -> str:
    """One feature set written, in this process. What is wrong with it, "" if nothing."""
    protocol, arm = item
    out = _feature_folder(protocol, arm)
    if (out / "features.json").is_file():
        return ""
    task = Extraction(protocol.store, arm.extractor, arm.weights, allow_phantom_weights=True)
    with Clock(_times(protocol, arm.name)):
        try:
            problems = extract_features(task, out, resume=True).problems
        except SetupError as error:
            return str(error)
    if problems:
        (out / "features.json").unlink()
        return f"{len(problems)} films cannot be read; {problems[0][0]}: {problems[0][1]}"
    return ""


def do_pieces(protocol: Protocol, study: Study, name: str) -> dict[str, Piece]:
    """Every piece of the study. name: of the study's folder. Raises SetupError where it holds pieces of another one."""
    folder = protocol.cache / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    tasks = study.tasks()
    _note_settings(folder / "settings.json", json.loads(json.dumps(study.settings)))
    for _ in spread(_do_piece, [(protocol, folder, task) for task in tasks], jobs=protocol.jobs):
        pass
    return do_tasks(tasks, folder)


def _note_settings(path: Path, now: Mapping[str, Any]) -> None:
    """What the pieces depend on; feature sets of earlier runs stay. Raises SetupError if something has changed."""
    before = json.loads(path.read_text()) if path.is_file() else now
    merged = {}
    for name, value in now.items():
        earlier = before.get(name)
        if name in ("features", "kept"):  # by feature set
            differs = any(value.get(own, one) != one for own, one in earlier.items())
            merged[name] = {**earlier, **value}
        else:
            differs = earlier != value
            merged[name] = value
        if differs:
            raise SetupError(f"{path}: found pieces of other {name}; need another --cache")
    write_whole(path, json.dumps(merged, sort_keys=True, indent=1) + "\n")


def _do_piece(item: tuple[Protocol, Path, Task]) -> None:
    protocol, folder, task = item
    if not (folder / "pieces" / f"{task.key}.json").is_file():
        with Clock(_times(protocol, f"{folder.name}.{task.key}")):
            do_tasks([task], folder)


class Clock:
    """Processor seconds of a block, in a file, added to those of earlier sittings."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._begun = time.process_time()

    def __exit__(self, *_: object) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, f"{read_seconds(self._path) + time.process_time() - self._begun:.3f}\n")


def read_seconds(path: Path) -> float:
    """Of a clock's file; 0 if there is none."""
    return float(path.read_text()) if path.is_file() else 0.0


def seconds_of(protocol: Protocol, name: str) -> float:
    """Processor seconds of an arm's features, or of a study's piece ("STUDY.KEY")."""
    return read_seconds(_times(protocol, name))


def _times(protocol: Protocol, name: str) -> Path:
    return protocol.cache / "times" / f"{name.replace(' ', '_')}.txt"
