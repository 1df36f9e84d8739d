"""Whom a network has learned from, kept beside it as numbers, so that nobody measures it on them unnoticed.

A number is the beginning of a SHA-256: of a woman's key, which in a set of one's own is a keyed hash already; of
phantoms, whose ids are alike in every population, of the image's pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from fourview.exam import SetupError

FILE = "learned.safetensors"
Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Learned:
    """train: who moved the weights;  validation: who chose the epoch. Sorted int64, each number once."""

    train: Numbers
    validation: Numbers

    @classmethod
    def join(cls, several: Iterable[Learned]) -> Learned:
        """Of a network that was made from others."""
        every = list(several)
        parts = [[getattr(one, part) for one in every] for part in ("train", "validation")]
        return cls(*(np.unique(np.concatenate([number_of([]), *part])) for part in parts))

    def count_known(self, keys: Iterable[str]) -> int:
        """How many of these women (store.women.key_women) it has learned from, or was chosen by."""
        return int(np.isin(number_of(keys), np.union1d(self.train, self.validation)).sum())

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return save({"train": self.train, "validation": self.validation})


def number_of(keys: Iterable[str]) -> Numbers:
    """A number for each different key, sorted."""
    found = [int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little", signed=True) for key in set(keys)]
    return np.array(sorted(found), np.int64)


def load_learned(folder: Path, expected: str | None) -> Learned | None:
    """What lies beside a network. expected: SHA-256 of the file; None: nobody wrote it down. Raises SetupError."""
    if expected is None:
        return None
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SetupError(f"{path}: cannot be read ({error.strerror}); the card asks for it") from error
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        raise SetupError(f"{path}: SHA-256 is {found}; the card says {expected}: the file is damaged or was exchanged")
    try:
        tensors = load_file(path)
        return Learned(tensors["train"], tensors["validation"])
    except (SafetensorError, KeyError) as error:
        raise SetupError(f"{path}: not a list of who was learned from: {error}") from error
