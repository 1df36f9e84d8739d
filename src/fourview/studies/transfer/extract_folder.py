"""The folder that features are extracted into: what is in it before, while and after they come.

FEATURES/run.json          what is extracted, by which weights: --resume goes on with the same only
FEATURES/parts/KEY.npy     one image's numbers, until the set is written; KEY: weights, settings, image
FEATURES/features.json rows.csv values.npy    the set (feature_set.py); rows.csv has the keys, so it is its own cache
FEATURES/failures.csv      images without features, and why
"""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fourview.exam import SetupError
from fourview.studies.transfer.feature_set import CARD, FeatureSet, load_features, save_features
from fourview.whole_files import remove_parts, write_whole

RUN, PARTS, FAILURES = "run.json", "parts", "failures.csv"
KEY = "key"  # column of rows.csv
Array = NDArray[np.float32]


@dataclass(frozen=True)
class ExtractFolder:
    """The folder. It pickles; several processes may write parts at once."""

    path: Path

    def open(self, about: Mapping[str, Any], *, resume: bool) -> None:
        """Ready to be written to. about: for run.json

        Raises SetupError if something else is in it: an earlier run without `resume`, or one of another task.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(about, indent=1) + "\n"
        if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            if not resume:
                raise SetupError(f"output {self.path}: the folder is not empty; name a new one, or add --resume")
            self._compare(json.loads(text))
        write_whole(self.path / RUN, text)
        (self.path / PARTS).mkdir(exist_ok=True)
        remove_parts(self.path)
        remove_parts(self.path / PARTS)

    def _compare(self, about: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.path / RUN).read_bytes())
        except (OSError, ValueError):
            raise SetupError(
                f"--resume: {self.path} holds no run of `fourview features`; name another folder"
            ) from None
        for name, value in about.items():
            if before.get(name) != value:
                raise SetupError(
                    f"--resume: {self.path} was made with {name} {before.get(name)}, now it is {value}; need the same, "
                    "or a new folder"
                )

    def read_there(self, keys: Mapping[str, str], *, dimension: int) -> dict[str, Array]:
        """image -> (dimension,) of the images that earlier runs have read. keys: image -> key"""
        kept: dict[str, Array] = {}
        if (self.path / CARD).is_file():
            before = load_features(self.path)
            if KEY in before.rows.columns:
                kept = dict(zip(before.rows[KEY], before.values, strict=True))
        there = {}
        for image, key in keys.items():
            found = kept.get(key)
            if found is None and self._part(key).is_file():
                found = self._read_whole_part(key)
            if found is not None and found.shape == (dimension,):
                there[image] = found
        return there

    def _part(self, key: str) -> Path:
        return self.path / PARTS / f"{key}.npy"

    def _read_whole_part(self, key: str) -> Array | None:
        """None for a file that a failing disk has cut short."""
        try:
            return self.read_part(key)
        except (OSError, ValueError):
            return None

    def read_part(self, key: str) -> Array:
        """One image's numbers, float32. Raises OSError, ValueError."""
        return np.asarray(np.load(self._part(key), allow_pickle=False), np.float32)

    def write_part(self, key: str, values: Array) -> None:
        """One image's numbers, whole or not at all. Raises OSError."""
        content = io.BytesIO()
        np.save(content, values, allow_pickle=False)
        write_whole(self._part(key), content.getvalue())

    def close(self, features: FeatureSet, problems: Sequence[tuple[str, str]]) -> None:
        """The set and failures.csv in place of the parts. problems: (image, why it has no features). Raises OSError."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(("image", "reason"))
        lines.writerows(problems)
        write_whole(self.path / FAILURES, text.getvalue())
        save_features(self.path, features)
        shutil.rmtree(self.path / PARTS)
