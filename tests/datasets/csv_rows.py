"""Tables of miniatures: rows as dictionaries, columns in the order in which they were first named."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def rename_column(path: Path, column: str) -> None:
    """Another version of a table: one of its columns has a new name."""
    header, rest = path.read_text().split("\n", 1)
    renamed = [f"{name}_v2" if name.strip() == column else name for name in header.split(",")]
    path.write_text("\n".join([",".join(renamed), rest]))
