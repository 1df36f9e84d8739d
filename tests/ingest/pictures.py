"""Small PNG exams for tests, written through OpenCV or chunk by chunk."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import View
from tests.ingest.synthetic_dicom import breast

SECRET = b"the secret of a test"


def picture(view: str, seed: int = 0) -> NDArray[np.uint16]:
    """A breast in the usual orientation of a view; different seeds have different pixels."""
    image = breast(faces=View(view).usual_direction)
    return np.where(image > 0, image + seed, 0).astype(np.uint16)


def write_picture(path: Path, pixels: NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, pixels)
    assert ok
    path.write_bytes(data.tobytes())
    return path


def write_views(folder: Path, stems: Sequence[str] = ("L_CC", "R_CC", "L_MLO", "R_MLO"), prefix: str = "") -> None:
    """One PNG per stem, with pixels of its own, in the usual orientation of the view that the stem ends in."""
    for seed, stem in enumerate(stems):
        side, angle = stem.split("_")[:2]
        write_picture(folder / f"{prefix}{stem}.png", picture(f"{side}-{angle}", seed))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
