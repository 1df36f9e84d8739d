"""What a run was like, epoch by epoch: history.csv, and curves for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fourview.train.progress import Row


def history_table(rows: Sequence[Row]) -> pl.DataFrame:
    """One row per epoch; the columns in the order in which they first come."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        {name: pl.Series([row.get(name) for row in rows], dtype=_kind(name)) for name in names},
    )


def _kind(name: str) -> Any:
    return pl.Int64 if name in ("epoch", "step") else pl.Float64


class Curves:
    """Event files for TensorBoard. A resumed run writes another one, which voids what the first had from then on."""

    def __init__(self, folder: Path, *, steps: int) -> None:
        """steps: of the run that are done."""
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - half a second that only training needs

        self._writer: Any = SummaryWriter(str(folder), purge_step=steps + 1 if steps else None, flush_secs=20)

    def add(self, values: Mapping[str, float | int | None], *, step: int) -> None:
        """step: of the whole run, from 1."""
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()
