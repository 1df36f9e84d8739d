"""A prepared set, opened: its manifest, crops, patches and masks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fourview.exam import Box, SetupError
from fourview.store import image_file
from fourview.store.manifest import FORMAT, read_manifest

ABOUT_FILE = "store.json"


@dataclass(frozen=True, eq=False)
class Store:
    """One prepared set. Everything is read from disk when it is asked for; safe to use from several processes.

    manifest  one row per image, also of those that were excluded or failed (column status); the set's other columns are
              in `more`: manifest.filter(pl.col("more").str.json_path_match("$['site']") == "north")
    about     store.json: the set's name, its terms of use, how it was prepared
    """

    path: Path
    manifest: pl.DataFrame
    about: dict[str, Any]
    _stored: dict[str, tuple[str, str]] = field(repr=False)  # image -> its file, and the hash of its pixels

    @classmethod
    def open(cls, path: Path) -> Store:
        """The store in a folder. Raises SetupError if it is none, unfinished, or of another version."""
        about = read_about_store(path)
        manifest = read_manifest(path)
        stored = manifest.filter(pl.col("blob").is_not_null()).select("image", "blob", "pixels_sha256")
        return cls(path, manifest, about, {image: (blob, pixels) for image, blob, pixels in stored.iter_rows()})

    def only(self, image: str) -> Store:
        """The store with this image alone and no manifest: what reads it, small enough to be sent with every task."""
        stored = {image: self._stored[image]} if image in self._stored else {}
        return Store(self.path, self.manifest.clear(), self.about, stored)

    @property
    def images(self) -> pl.DataFrame:
        """The rows of the manifest that were prepared."""
        return self.manifest.filter(status="prepared")

    def read_crop(self, image: str) -> NDArray[np.uint16]:
        """(rows, cols) uint16, the breast facing right, values as ingest reads them (8-bit files stay 0..255).

        Raises ExamError if its stored file is missing, broken or another image's, SetupError for an image without one.
        All that reads an image checks that its file and its row of the manifest are of the same pixels.
        """
        path, pixels = self._find(image)
        return image_file.read_pixels(path, pixels_sha256=pixels)

    def read_patch(self, image: str, top: int, left: int, rows: int, cols: int) -> NDArray[np.uint16]:
        """(rows, cols) uint16 of the crop from (top, left) on; 0, the background, where it leaves the crop."""
        path, pixels = self._find(image)
        return image_file.read_pixels(path, Box(top, top + rows, left, left + cols), pixels_sha256=pixels)

    def read_masks(self, image: str, box: Box | None = None) -> dict[str, NDArray[np.bool_]]:
        """Per lesion with an outline in the crop (rows, cols) bool of the crop, or of a box of it."""
        path, pixels = self._find(image)
        return image_file.read_masks(path, box, pixels_sha256=pixels)

    def read_muscle(self, image: str) -> NDArray[np.bool_] | None:
        """(rows, cols) bool of the crop, the pectoral muscle; None where the set has no outline of it."""
        path, pixels = self._find(image)
        return image_file.read_muscle(path, pixels_sha256=pixels)

    def _find(self, image: str) -> tuple[Path, str]:
        """The stored file, and the hash of the pixels that must be in it."""
        if image not in self._stored:
            raise SetupError(f"{self.path}: no prepared image {image!r}; the manifest says what became of it")
        blob, pixels = self._stored[image]
        return self.path / blob, pixels


def read_about_store(path: Path) -> dict[str, Any]:
    """What store.json says. Raises SetupError if the folder is no store, or one of another version."""
    try:
        about = json.loads((path / ABOUT_FILE).read_bytes())
        found = about["format"]
    except (OSError, ValueError, KeyError, TypeError):
        raise SetupError(
            f"{path}: no store (no readable {ABOUT_FILE}); make one with `fourview data prepare`"
        ) from None
    if found != FORMAT:
        raise SetupError(f"{path}: found the format {found!r}, need {FORMAT!r}: prepare the set again")
    return dict(about)
