"""A store written by hand, image by image, so that every count and every oddity of it is known."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourview.exam import Box
from fourview.store.image_file import About, Outline, encode_image, hash_pixels, write_image
from fourview.store.labels import classify_birads
from fourview.store.manifest import FORMAT, make_table, write_manifest
from fourview.store.masks import CutMask
from fourview.store.selection import RULES, Selection
from fourview.store.store import Store

ROWS, COLS = 400, 300  # of an ordinary crop
ABOUT = {
    "format": FORMAT,
    "fourview": "0.1.0",
    "dataset": "drawn",
    "title": "Drawn breasts",
    "terms": "free",
    "releases_models": True,
    "source": "this file",
    "read_here": "all of it",
    "crop": {"iterations": 100, "buffer_px": 50},
}


@dataclass(frozen=True)
class Drawn:
    """One row of the manifest, and its pixels if it was prepared.

    pixels   (rows, cols) uint16, crop frame: facing right
    lesions  lesion -> (kind, pathology, mask of the crop or None)
    rule     that took the image out; None: prepared
    more     other columns of the manifest
    """

    image: str
    pixels: NDArray[np.uint16] | None = None
    lesions: Mapping[str, tuple[str, str, NDArray[np.bool_] | None]] = field(default_factory=dict)
    rule: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


def draw_breast(*, seed: int = 0, level: int = 12000) -> NDArray[np.uint16]:
    """A half ellipse at the chest wall with grain, margins above, below and on the nipple side, 0 around it."""
    rng = np.random.default_rng(seed)
    rows, cols = np.ogrid[:ROWS, :COLS]
    inside = ((rows - ROWS / 2) / 170) ** 2 + (cols / 240) ** 2 <= 1
    grain = cv2.GaussianBlur(rng.normal(0, 1, (ROWS, COLS)).astype(np.float32), (0, 0), 4)
    return np.where(inside, level * (1 + 2 * grain) + 30, 0).clip(0, 65535).astype(np.uint16)


def disc(row: float, col: float, radius: float) -> NDArray[np.bool_]:
    """A mask of the ordinary crop."""
    rows, cols = np.ogrid[:ROWS, :COLS]
    return np.asarray((rows - row) ** 2 + (cols - col) ** 2 <= radius**2)


def write_store(
    folder: Path,
    images: Sequence[Drawn],
    *,
    about: Mapping[str, Any] | None = None,
    listing: Sequence[tuple[str, str]] = (),
    selection: Selection | None = None,
) -> Store:
    """The store in `folder`. listing: (case, reason) of what did not become an image."""
    folder.mkdir(parents=True)
    write_manifest(folder, make_table([_row(folder, number, drawn) for number, drawn in enumerate(images)]))
    (folder / "store.json").write_text(json.dumps({**ABOUT, **(about or {})}))
    (folder / "flow.json").write_text(json.dumps({"selection": asdict(selection or Selection())}))
    failed = [f'image,{d.image}.png,{d.image},{d.rule},"why {d.image}"' for d in images if d.rule == "unreadable"]
    lines = ["kind,file,image,rule,reason", *(f'listing,"{case}",,,"{why}"' for case, why in listing), *failed]
    (folder / "failures.csv").write_text("\n".join(lines) + "\n")
    return Store.open(folder)


def _row(folder: Path, number: int, drawn: Drawn) -> dict[str, Any]:
    row: dict[str, Any] = {
        "dataset": "drawn",
        "patient": f"drawn/p{number}",
        "exam": f"e{number}",
        "image": drawn.image,
        "file": f"{drawn.image}.png",
        "side": "L",
        "angle": "CC",
        "view": "L-CC",
        "malignant": False,
        "benign": False,
        "high_risk": False,
        "label_unit": "image",
        "label_source": "biopsy",
        "more": "{}",
        "status": "prepared",
        "lesions": [],
        "warnings": [],
    }
    row["birads_class"] = classify_birads(drawn.more.get("birads"))
    if drawn.pixels is None:
        assert drawn.rule is not None
        status = "failed" if drawn.rule in ("unreadable", "crop failed") else "excluded"
        return row | {"status": status, "rule": drawn.rule, "reason": RULES[drawn.rule], **drawn.more}
    row |= {"vendor": "Maker", "bits": 16, "spacing_mm": 0.07, "faces": "right", "mirrored": False} | dict(drawn.more)
    rows, cols = drawn.pixels.shape
    row = {"source_rows": rows + 100, "source_cols": cols + 100, "crop_top": 50, "crop_left": 0} | row
    row |= {"crop_bottom": row["crop_top"] + rows, "crop_right": row["crop_left"] + cols, "rows": rows, "cols": cols}
    cut = {name: None if mask is None else _cut(mask) for name, (_, _, mask) in drawn.lesions.items()}
    row |= {"pixel_mode": "stored", "gap_px": 0, "pixels_sha256": hash_pixels(drawn.pixels), "lesions": []}
    stem = f"{number:032x}"
    row["blob"] = f"images/{stem[:2]}/{stem}.h5"
    for place, (name, (kind, pathology, _)) in enumerate(drawn.lesions.items()):
        mask = cut[name]
        box = {} if mask is None else {**asdict(mask.box), "mask": place}
        said = {"lesion": name, "kind": kind, "pathology": pathology, "high_risk": False, "descriptors": "{}"}
        row["lesions"].append({**said, **box})
    about = About(
        **{name: row[name] for name in ("source_rows", "source_cols", "bits", "pixel_mode", "spacing_mm", "faces")},
        box=Box(row["crop_top"], row["crop_bottom"], row["crop_left"], row["crop_right"]),
        mirrored=row["mirrored"],
        gap_px=0,
        pixels_sha256=row["pixels_sha256"],
        name=stem,
        outlines=tuple(Outline(name, mask and mask.box) for name, mask in cut.items()),
    )
    write_image(folder / row["blob"], encode_image(drawn.pixels, about, masks=list(cut.values())))
    return row


def _cut(mask: NDArray[np.bool_]) -> CutMask:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = Box(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1)
    return CutMask(box, mask[box.slices], 1.0)
