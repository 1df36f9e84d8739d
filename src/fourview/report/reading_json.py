"""Reading <-> reading.json: everything that a reading says, except the pixels of its heatmaps.

reading.json is the source of truth of an output folder; every table is made from it. `format` names its
layout, and a file with another layout is refused instead of guessed at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fourview.calibration import SiteCalibration
from fourview.exam import (
    Box,
    Decision,
    Frame,
    HeadScore,
    ImageReading,
    Reading,
    Score,
    SetupError,
    Side,
    View,
)

FORMAT = "fourview reading 3"
Settings = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, eq=False)
class SavedReading:
    """A reading (heatmaps None: see report.load_heatmaps) and the settings that it was made with."""

    reading: Reading
    settings: Settings


def hash_settings(settings: Settings) -> str:
    """16 hex digits that change with any setting."""
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()[:16]


def image_keys(reading: Reading) -> tuple[str, ...]:
    """What the files of each image are called: its view, and from a view's second image on a running number.

    "L-CC", "L-CC_2", "R-MLO" ... in the order of `reading.images`; never a name that came with the input.
    """
    seen: dict[View, int] = {}
    keys = []
    for image in reading.images:
        seen[image.view] = seen.get(image.view, 0) + 1
        number = seen[image.view]
        keys.append(image.view.value if number == 1 else f"{image.view.value}_{number}")
    return tuple(keys)


def reading_to_json(
    reading: Reading, settings: Settings, *, site: SiteCalibration | None = None, show_ids: bool = False
) -> str:
    """The text of reading.json. The study id or name (`label`) is in it only with show_ids.

    site  adds calibrated numbers and the operating points that were reached
    """
    record = {
        "format": FORMAT,
        "status": "read",
        "exam": reading.exam_id,
        "patient_key": reading.patient_key,
        "exam_label": reading.label if show_ids else "",
        "model": reading.model,
        "weights_hash": reading.weights_hash,
        "unit": reading.unit,
        "engine": reading.engine,
        "precision": reading.precision,
        "members": reading.members,
        "windows": reading.windows,
        "patch_side_px": reading.patch_side_px,
        "breasts": {side.value: _score_record(score) for side, score in reading.breasts.items()},
        "calibrated": None if site is None else _calibrated_record(reading, site),
        "images": [
            {"key": key, **_image_record(image)} for key, image in zip(image_keys(reading), reading.images, strict=True)
        ],
        "heads": [{**asdict(head), "p": float(head.p)} for head in reading.heads],
        "marks": list(reading.marks),
        "warnings": list(reading.warnings),
        "left_out": [{"name": name, "reason": reason} for name, reason in reading.left_out],
        "settings": dict(settings),
        "settings_hash": hash_settings(settings),
        "seconds": {stage: float(seconds) for stage, seconds in reading.seconds.items()},
    }
    return json.dumps(record, indent=1, allow_nan=False) + "\n"


def load_reading(path: Path) -> SavedReading:
    """The reading in a reading.json, or in the exam folder that holds one.

    Raises SetupError if the file is missing, damaged or of another layout.
    """
    file = path / "reading.json" if path.is_dir() else path
    try:
        record = json.loads(file.read_bytes())
        found = record["format"] if isinstance(record, dict) else type(record).__name__
        if found != FORMAT:
            raise SetupError(
                f"{file}: found layout {found!r}, need {FORMAT!r}: another version of fourview wrote it; "
                "read the exams again into a new folder"
            )
        return SavedReading(_reading(record), record["settings"])
    except FileNotFoundError as error:
        raise SetupError(f"{file}: no such file, need a reading.json that `fourview screen` wrote") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{file}: damaged ({type(error).__name__}: {error}); remove its folder") from error


def _calibrated_record(reading: Reading, site: SiteCalibration) -> dict[str, Any]:
    """Per breast, or per image where the model reads single images, what the calibration makes of the scores."""
    scores: dict[str, Score] = {side.value: score for side, score in reading.breasts.items()}
    if reading.unit == "image":
        images = zip(image_keys(reading), reading.images, strict=True)
        scores = {key: image.score for key, image in images if image.score is not None}
    return {
        "calibration": site.calibration.calibration_hash,
        "prevalence": dict(site.prevalence),
        "fitted_prevalence": {finding: site.calibration.findings[finding].prevalence for finding in site.findings},
        "p": {key: site.calibrate(score) for key, score in scores.items()},
        "operating_points": [
            {
                "name": point.name,
                "finding": point.finding,
                "threshold": point.threshold,
                "reached": [key for key, score in scores.items() if point.reached(score)],
            }
            for point in site.calibration.operating_points
        ],
    }


def _score_record(score: Score) -> dict[str, Any]:
    record = asdict(score)
    return {name: float(value) if isinstance(value, float) else value for name, value in record.items()}


def _image_record(image: ImageReading) -> dict[str, Any]:
    frame = image.frame
    return {
        "name": image.name,
        "view": image.view.value,
        "faces": image.faces,
        "frame": {
            "source_shape": [int(n) for n in frame.source_shape],
            "working_shape": [int(n) for n in frame.working_shape],
            "box": _box_record(frame.box),
            "box_source": _box_record(frame.box_source),
            "mirrored": frame.mirrored,
        },
        "best_centre": [int(n) for n in image.best_centre],
        "spacing_mm": None if image.spacing_mm is None else float(image.spacing_mm),
        "pixel_mode": image.pixel_mode,
        "heatmaps": image.heatmap is not None,
        "score": None if image.score is None else _score_record(image.score),
        "decisions": [asdict(decision) for decision in image.decisions],
        "warnings": list(image.warnings),
    }


def _box_record(box: Box) -> dict[str, int]:
    return {name: int(value) for name, value in asdict(box).items()}


def _reading(record: dict[str, Any]) -> Reading:
    breasts = {Side(side): _score(score) for side, score in record["breasts"].items()}
    return Reading(
        exam_id=record["exam"],
        patient_key=record["patient_key"],
        label=record["exam_label"],
        unit=record["unit"],
        left=breasts.get(Side.LEFT),
        right=breasts.get(Side.RIGHT),
        images=tuple(_image(image) for image in record["images"]),
        heads=tuple(_head(head) for head in record["heads"]),
        model=record["model"],
        weights_hash=record["weights_hash"],
        members=record["members"],
        windows=record["windows"],
        marks=tuple(record["marks"]),
        warnings=tuple(record["warnings"]),
        engine=record["engine"],
        precision=record["precision"],
        patch_side_px=record.get("patch_side_px"),
        left_out=tuple((left_out["name"], left_out["reason"]) for left_out in record["left_out"]),
        seconds=record["seconds"],
    )


def _score(record: dict[str, Any]) -> Score:
    views = tuple(View(view) for view in record["views"])
    return Score(**{**record, "views": views, "files": tuple(record["files"])})


def _head(record: dict[str, Any]) -> HeadScore:
    views = tuple(View(view) for view in record["views"])
    return HeadScore(**{**record, "images": tuple(record["images"]), "side": Side(record["side"]), "views": views})


def _image(record: dict[str, Any]) -> ImageReading:
    frame = record["frame"]
    return ImageReading(
        name=record["name"],
        view=View(record["view"]),
        faces=record["faces"],
        frame=Frame(
            (frame["source_shape"][0], frame["source_shape"][1]),
            (frame["working_shape"][0], frame["working_shape"][1]),
            Box(**frame["box"]),
            frame["mirrored"],
        ),
        best_centre=(record["best_centre"][0], record["best_centre"][1]),
        spacing_mm=record["spacing_mm"],
        pixel_mode=record["pixel_mode"],
        score=None if record["score"] is None else _score(record["score"]),
        decisions=tuple(Decision(**decision) for decision in record["decisions"]),
        warnings=tuple(record["warnings"]),
    )
