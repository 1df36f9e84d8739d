"""Checkpoints: tensors and progress in folders that appear whole or not at all; safetensors and JSON, nothing else.

checkpoints/
    last-00003-000120/  after 3 epochs and 120 steps: tensors.safetensors (weights, optimiser, average), progress.json
    best-00002/         of the best epoch: tensors.safetensors (as they are judged), judgement.json, table.parquet

`last` names the `best` that belongs to it, and both are written before their predecessors are removed: whenever a run
is killed, a pair that belongs together is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from fourview.exam import SetupError
from fourview.train.progress import Progress, read_progress
from fourview.train.stage import Judgement
from fourview.whole_files import PART, remove_parts, whole_folder

TENSORS, PROGRESS, JUDGEMENT, TABLE, SUMS = (
    "tensors.safetensors",
    "progress.json",
    "judgement.json",
    "table.parquet",
    "sha256.json",
)


@dataclass(frozen=True, eq=False)
class Last:
    """What a run goes on from. tensors: of trainee.Trainee, on the CPU."""

    progress: Progress
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return f"last-{self.progress.epoch:05d}-{self.progress.step:06d}"


@dataclass(frozen=True, eq=False)
class Best:
    """What a run has come to. epoch: from 1; tensors: the network's state, as it was judged, on the CPU."""

    epoch: int
    judgement: Judgement
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return _name_best(self.epoch)


def write_checkpoint(folder: Path, last: Last, best: Best | None) -> None:
    """Keep both, then remove what was there before. Raises OSError; what was there before then stays, whole."""
    folder.mkdir(parents=True, exist_ok=True)
    if best is not None and not (folder / best.name).exists():
        _write(folder / best.name, best.tensors, _judgement_files(best.judgement))
    if not (folder / last.name).exists():
        _write(folder / last.name, last.tensors, {PROGRESS: last.progress.to_json().encode()})
    _remove_others(folder, {last.name, best.name if best else ""})


def read_last(folder: Path) -> Last | None:
    """The newest one; None if there is none. Raises SetupError if it is damaged."""
    found = sorted(folder.glob("last-*"))
    if not found:
        return None
    files, tensors = _read(found[-1], (PROGRESS,))
    try:
        return Last(read_progress(files[PROGRESS].decode()), tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise SetupError(f"{found[-1]}: found a checkpoint of another version ({error}); need a new run") from error


def read_best(folder: Path, epoch: int) -> Best:
    """The one of an epoch (from 1). Raises SetupError if it is missing or damaged."""
    files, tensors = _read(folder / _name_best(epoch), (JUDGEMENT, TABLE))
    values = json.loads(files[JUDGEMENT])
    judgement = Judgement(values["score"], values["metrics"], pl.read_parquet(io.BytesIO(files[TABLE])))
    return Best(epoch, judgement, tensors)


def clean_checkpoints(folder: Path, last: Last | None) -> None:
    """Only `last` and its best: nothing unfinished, and no best whose `last` was never written. Raises OSError."""
    if folder.is_dir():
        remove_parts(folder)
        best = None if last is None else last.progress.best_epoch
        _remove_others(folder, {last.name if last else "", _name_best(best) if best else ""})


def _remove_others(folder: Path, names: set[str]) -> None:
    for old in sorted(folder.iterdir()):
        if old.name.startswith(("last-", "best-")) and old.name not in names:
            gone = old.with_name(f".{old.name}{PART}")  # a folder with a real name is always whole
            old.rename(gone)
            shutil.rmtree(gone)


def _name_best(epoch: int) -> str:
    return f"best-{epoch:05d}"


def _judgement_files(judgement: Judgement) -> dict[str, bytes]:
    table = io.BytesIO()
    judgement.table.write_parquet(table)
    text = json.dumps({"score": judgement.score, "metrics": dict(judgement.metrics)}, indent=1) + "\n"
    return {JUDGEMENT: text.encode(), TABLE: table.getvalue()}


def _write(folder: Path, tensors: Mapping[str, Tensor], files: Mapping[str, bytes]) -> None:
    """A whole folder, on the disk and not only in its cache when it has its name."""
    contents = {TENSORS: save(dict(tensors)), **files}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[SUMS] = (json.dumps(sums, indent=1) + "\n").encode()
    with whole_folder(folder) as building:
        for name, content in contents.items():
            with (building / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _sync_folder(building)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _read(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, bytes], dict[str, Tensor]]:
    try:
        sums = json.loads((folder / SUMS).read_bytes())
        contents = {name: (folder / name).read_bytes() for name in (TENSORS, *names)}
        if wrong := [name for name in contents if hashlib.sha256(contents[name]).hexdigest() != sums.get(name)]:
            raise SetupError(f"{folder}: found {wrong[0]} changed or damaged; need the checkpoint as it was written")
        return contents, load(contents[TENSORS])
    except (OSError, ValueError, SafetensorError) as error:
        raise SetupError(f"{folder}: found no readable checkpoint ({error}); need one, or a new run") from error
