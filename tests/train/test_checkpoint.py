"""Checkpoints: whole or not at all, and what belongs together stays together."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import polars as pl
import pytest
import torch

from fourview.exam import SetupError
from fourview.train.checkpoint import Best, Last, clean_checkpoints, read_best, read_last, write_checkpoint
from fourview.train.progress import Progress
from fourview.train.stage import Judgement


def best(epoch: int) -> Best:
    table = pl.DataFrame({"name": ["a"], "p": pl.Series([1 / 3], dtype=pl.Float32), "target": [1]})
    return Best(epoch, Judgement(1 / 3, {"auc": float("nan"), "loss": 0.1}, table), {"w": torch.full((2,), 1 / epoch)})


def last(epoch: int, step: int = 0, *, best_epoch: int | None = None) -> Last:
    progress = Progress(epoch=epoch, step=step, steps=9, loss_sum=1 / 3, rows=({"epoch": 1},), best_epoch=best_epoch)
    return Last(progress, {"network.w": torch.full((2,), 0.1 * epoch), "optimiser.0.step": torch.tensor(3.0)})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_goes_there_and_back_bit_by_bit(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, last(3, 7, best_epoch=2), best(2))
    found = read_last(tmp_path)
    assert found is not None
    assert found.progress == last(3, 7, best_epoch=2).progress
    assert {name: tensor.tolist() for name, tensor in found.tensors.items()} == {
        name: tensor.tolist() for name, tensor in last(3, 7).tensors.items()
    }
    kept, written = read_best(tmp_path, 2), best(2)
    assert kept.judgement.table.equals(written.judgement.table)
    assert kept.judgement.table.schema == written.judgement.table.schema
    assert kept.judgement.score == written.judgement.score
    assert torch.equal(kept.tensors["w"], written.tensors["w"])


def test_a_new_checkpoint_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, last(1, best_epoch=1), best(1))
    write_checkpoint(tmp_path, last(1, 5, best_epoch=1), best(1))
    assert names(tmp_path) == ["best-00001", "last-00001-000005"]
    write_checkpoint(tmp_path, last(2, best_epoch=2), best(2))
    assert names(tmp_path) == ["best-00002", "last-00002-000000"]


@pytest.mark.parametrize("works", [0, 2, 5, 9])
def test_a_full_disk_leaves_the_one_before_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: int) -> None:
    write_checkpoint(tmp_path, last(1, best_epoch=1), best(1))
    sync, left = os.fsync, [works]

    def full(number: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(number)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path, last(2, best_epoch=2), best(2))
    monkeypatch.undo()
    found = read_last(tmp_path)
    assert found is not None
    assert found.progress.epoch in (1, 2)
    assert found.progress.best_epoch is not None
    assert read_best(tmp_path, found.progress.best_epoch).epoch == found.progress.best_epoch
    assert not [name for name in names(tmp_path) if name.endswith(".part")]
    write_checkpoint(tmp_path, last(2, best_epoch=2), best(2))
    assert names(tmp_path) == ["best-00002", "last-00002-000000"]


def put(folder: Path, name: str) -> None:
    """A whole checkpoint beside others."""
    epoch = int(name[5:10])
    write_checkpoint(folder / "other", last(epoch, int(name[11:] or 0), best_epoch=1), best(epoch))
    (folder / "other" / name).rename(folder / name)
    shutil.rmtree(folder / "other")


def test_the_newest_counts_and_what_does_not_belong_to_it_is_removed(tmp_path: Path) -> None:
    assert read_last(tmp_path) is None
    for name in ("last-00001-000000", "last-00002-000009", "last-00002-000010", "best-00001", "best-00003"):
        put(tmp_path, name)
    (tmp_path / ".last-00009-000000.0a1b.part").mkdir()
    found = read_last(tmp_path)
    assert found is not None
    assert found.progress.step == 10
    clean_checkpoints(tmp_path, found)
    assert names(tmp_path) == ["best-00001", "last-00002-000010"]


def test_without_a_last_no_best_counts(tmp_path: Path) -> None:
    put(tmp_path, "best-00001")  # killed between the two
    clean_checkpoints(tmp_path, read_last(tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["tensors.safetensors", "progress.json", "sha256.json"])
def test_a_damaged_checkpoint_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path, last(1), None)
    path = tmp_path / "last-00001-000000" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SetupError, match="last-00001-000000"):
        read_last(tmp_path)


def test_a_missing_best_is_an_error(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, last(1), None)
    with pytest.raises(SetupError, match="best-00004"):
        read_best(tmp_path, 4)
