"""ExamAnswer <-> exams/ID/answer.json: all that a classifier says of an exam, and of which images.

answer.json is the source of truth of an output folder; every table is made from it. `format` names its layout, and a
file with another layout is refused instead of guessed at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fourview.exam import SetupError, Side
from fourview.report.reading_json import Settings
from fourview.studies.transfer.classify import Answer, ExamAnswer
from fourview.whole_files import whole_folder

if TYPE_CHECKING:
    from fourview.ingest import ExamSource

FORMAT, FILE = "fourview classifier answer 1", "answer.json"


@dataclass(frozen=True)
class SavedAnswer:
    """An answer, the settings that it was made with, weights among them, and hash_images of what it was made from."""

    answer: ExamAnswer
    settings: Settings
    images_hash: str


def write_answer(
    folder: Path,
    answer: ExamAnswer,
    *,
    says: Mapping[str, Any],
    settings: Settings,
    images_hash: str,
    show_ids: bool = False,
) -> None:
    """The exam's folder, whole or not at all. The study id or name (`label`) is in it only with show_ids.

    says  who says it, what a high score means, and why to distrust it: for readers of the file
    Raises OSError.
    """
    own = answer if show_ids else replace(answer, label="")
    record = {"format": FORMAT, **says, **asdict(own), "settings": dict(settings), "images_hash": images_hash}
    with whole_folder(folder) as part:
        (part / FILE).write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")


def load_answer(folder: Path) -> SavedAnswer:
    """The answer in an exam's folder. Raises SetupError if it is missing, damaged or of another layout."""
    file = folder / FILE
    try:
        record = json.loads(file.read_bytes())
        found = record["format"] if isinstance(record, dict) else type(record).__name__
        if found != FORMAT:
            raise SetupError(
                f"{file}: found layout {found!r}, need {FORMAT!r}: another version of fourview wrote it; "
                "read the exams again into a new folder"
            )
        return SavedAnswer(_read_answer(record), record["settings"], record["images_hash"])
    except FileNotFoundError as error:
        raise SetupError(f"{file}: no such file, need what `fourview screen` with a classifier wrote") from error
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{file}: damaged ({type(error).__name__}: {error}); remove its folder") from error


def hash_images(source: ExamSource) -> str:
    """16 hex digits over the exam's image files, byte by byte, and what is known of them before their pixels are read.

    Raises ExamError if a file cannot be opened.
    """
    digest = hashlib.sha256()
    for image in source.images:
        known = (image.name, image.view.value, image.tagged, image.spacing_mm, image.spacing_shape)
        digest.update(json.dumps(known).encode())
        content = hashlib.sha256()
        with image.file.open() as stream:
            while part := stream.read(1 << 20):
                content.update(part)
        digest.update(content.digest())
    return digest.hexdigest()[:16]


def _read_answer(record: Mapping[str, Any]) -> ExamAnswer:
    return ExamAnswer(
        exam_id=record["exam_id"],
        patient_key=record["patient_key"],
        label=record["label"],
        images=tuple(_read_unit(unit) for unit in record["images"]),
        breasts=tuple(_read_unit(unit) for unit in record["breasts"]),
        warnings=tuple(record["warnings"]),
        left_out=tuple((name, reason) for name, reason in record["left_out"]),
        engine=record["engine"],
    )


def _read_unit(record: Mapping[str, Any]) -> Answer:
    lists = {name: tuple(record[name]) for name in ("views", "files", "warnings")}
    return Answer(**{**record, "side": Side(record["side"]), **lists})
