"""One image of a set -> its row of the manifest: what the set says about it, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fourview.datasets.pathology import UNKNOWN_TERM, label_breast
from fourview.datasets.record import ImageRecord, Lesion
from fourview.store.labels import classify_birads
from fourview.store.prepare_image import Prepared
from fourview.store.writable import writable

PATHOLOGY = "pathology"  # of ImageRecord.more: terms of pathology reports, separated by ";"


def label_record(record: ImageRecord) -> ImageRecord:
    """The record with labels from its pathology terms, where it has terms and no labels."""
    if PATHOLOGY not in record.more or record.malignant is not None or record.benign is not None:
        return record
    labels = label_breast(record.more[PATHOLOGY].split(";"))
    unknown = (f"{UNKNOWN_TERM}{term}" for term in labels.unknown_terms)
    return replace(
        record,
        malignant=labels.malignant,
        benign=labels.benign,
        high_risk=record.high_risk or labels.high_risk,
        warnings=tuple(dict.fromkeys((*record.warnings, *unknown))),  # the importer may have said so before
    )


def make_row(record: ImageRecord, outcome: Prepared, root: Path | None, *, excluded: bool) -> dict[str, Any]:
    """One row of the manifest. root  that file names are below; None: they may name patients and are not written"""
    rule, reason = outcome.problem or (None, None)
    row: dict[str, Any] = {
        "dataset": record.dataset,
        "patient": None if record.patient is None else f"{record.dataset}/{record.patient}",
        "exam": record.exam,
        "image": record.image,
        "file": record.image if root is None else _relative(record.path, root),
        "side": record.side,
        "angle": record.angle,
        "view": record.view,
        "malignant": record.malignant,
        "benign": record.benign,
        "high_risk": record.high_risk,
        "label_unit": record.label_unit,
        "label_source": record.label_source,
        "birads": record.birads,
        "birads_class": classify_birads(record.birads),
        "density": record.density,
        "age": record.age,
        "vendor": record.vendor,
        "date": record.date,
        "split": record.split,
        "more": _json(record.more),
        "status": "prepared" if rule is None else "excluded" if excluded else "failed",
        "rule": rule,
        "reason": reason,
        "spacing_mm": record.spacing_mm,
        "lesions": [_lesion(lesion) for lesion in record.lesions],
        "warnings": [*record.warnings],
    }
    about = outcome.about
    if about is None:
        return row
    boxes = [{} if o.box is None else {**asdict(o.box), "mask": n} for n, o in enumerate(about.outlines)]
    return row | {
        "source_rows": about.source_rows,
        "source_cols": about.source_cols,
        "bits": about.bits,
        "pixel_mode": about.pixel_mode,
        "spacing_mm": about.spacing_mm,
        "faces": about.faces,
        **{f"crop_{edge}": value for edge, value in asdict(about.box).items()},
        "mirrored": about.mirrored,
        "gap_px": about.gap_px,
        "rows": about.box.height,
        "cols": about.box.width,
        "pixels_sha256": about.pixels_sha256,
        "blob": outcome.blob,
        "lesions": [_lesion(lesion) | box for lesion, box in zip(record.lesions, boxes, strict=True)],
        "warnings": [*record.warnings, *about.warnings],
    }


def _lesion(lesion: Lesion) -> dict[str, Any]:
    return {
        "lesion": lesion.lesion,
        "kind": lesion.kind,
        "pathology": lesion.pathology,
        "high_risk": lesion.high_risk,
        "descriptors": _json(lesion.descriptors),
    }


def _json(words: Mapping[str, str]) -> str:
    return json.dumps(dict(words), sort_keys=True, ensure_ascii=False)


def _relative(path: Path, root: Path) -> str:
    try:
        return writable(path.relative_to(root).as_posix())
    except ValueError:  # a list may name files elsewhere
        return writable(path.name)
