"""The folder of a zero-shot reading while it is made: readings.csv so far, and what they were made with."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from fourview.exam import SetupError, join_reasons
from fourview.screen import Screener
from fourview.store.store import Store
from fourview.studies.transfer.zeroshot import ImageResult
from fourview.whole_files import write_whole

FORMAT = "fourview zeroshot 2"
SETTINGS, READINGS = "zeroshot.json", "readings.csv"
_WRITE_EVERY_S = 10.0
_NUMBERS = (
    "p_malignant",
    "p_benign",
    "malignant_sd_windows",
    "benign_sd_windows",
    "malignant_sd_members",
    "benign_sd_members",
)
SCHEMA: dict[str, Any] = {
    "image": pl.String,
    **dict.fromkeys(_NUMBERS, pl.Float64),
    "marks": pl.String,
    "problem": pl.String,
}


def settings_of(store: Store, screener: Screener) -> dict[str, Any]:
    """Everything that decides a number of the readings."""
    images = store.images.select("image", "pixels_sha256").rows()
    return {
        "format": FORMAT,
        "weights": screener.name,
        "weights_hash": screener.weights_hash,
        "jitter": screener.jitter,
        "seed": screener.seed,
        "precision": screener.precision,
        "images_sha256": hashlib.sha256(json.dumps(images).encode()).hexdigest(),
    }


@dataclass(eq=False)
class ZeroshotFolder:
    """readings.csv under way: one row per image that was tried. Written whole every ten seconds and at the end."""

    out: Path
    rows: dict[str, dict[str, Any]]
    written_at: float = field(default_factory=time.perf_counter)

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any]) -> ZeroshotFolder:
        """A new folder, or one that an earlier run of the same reading left. Raises SetupError for any other."""
        if out.exists() and not out.is_dir():
            raise SetupError(f"output {out}: found a file, need a folder")
        if not out.is_dir() or not any(out.iterdir()):
            made = cls(out, {})
            made._write({SETTINGS: json.dumps(dict(settings), indent=1) + "\n"})
            return made
        try:
            found = json.loads((out / SETTINGS).read_bytes())
        except (OSError, ValueError):
            raise SetupError(
                f"output {out}: not empty, and found no readable {SETTINGS} of an earlier run; name a new folder"
            ) from None
        if found != settings:
            other = [name for name in settings if not isinstance(found, dict) or found.get(name) != settings[name]]
            raise SetupError(f"output {out}: of a run with other {', '.join(other) or 'settings'}; name a new folder")
        return cls(out, _read_rows(out / READINGS))

    @property
    def done(self) -> frozenset[str]:
        """The images that have a score: those with a problem are tried again."""
        return frozenset(image for image, row in self.rows.items() if row["problem"] is None)

    @property
    def table(self) -> pl.DataFrame:
        return pl.DataFrame(list(self.rows.values()), schema=SCHEMA, orient="row")

    def add(self, results: Sequence[ImageResult]) -> None:
        for result in results:
            score = result.score
            numbers: dict[str, float | None] = dict.fromkeys(_NUMBERS)
            if score is not None:
                numbers = {name: getattr(score, name.removeprefix("p_")) for name in _NUMBERS}
            self.rows[result.image] = {
                "image": result.image,
                **numbers,
                "marks": join_reasons(result.marks) or None,
                "problem": result.problem or None,
            }
        if time.perf_counter() - self.written_at > _WRITE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Everything so far. Raises SetupError if it cannot be written."""
        self._write({READINGS: self.table.write_csv()})
        self.written_at = time.perf_counter()

    def _write(self, files: Mapping[str, str]) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                write_whole(self.out / name, text)
        except OSError as error:
            raise SetupError(
                f"cannot write {self.out}: {error.strerror or error}; make room or fix it, then run the same command"
            ) from error


def _read_rows(path: Path) -> dict[str, dict[str, Any]]:
    if not path.is_file():
        return {}
    try:
        table = pl.read_csv(path, schema_overrides=SCHEMA).select(list(SCHEMA))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SetupError(f"{path}: cannot be read ({type(error).__name__}); remove it, then run again") from error
    return {row["image"]: row for row in table.iter_rows(named=True)}
