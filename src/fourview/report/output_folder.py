"""The folder OUT as a whole: opened, taken up again after an interruption, closed with contact sheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from fourview.exam import SetupError
from fourview.report.contact_sheet import Tile, draw_contact_sheet
from fourview.report.exam_folder import load_thumbnails
from fourview.report.page.index_page import draw_index_page
from fourview.report.picture import png_bytes
from fourview.report.reading_json import Settings
from fourview.report.readings import Failure, Summary
from fourview.whole_files import remove_parts, write_whole

TILES_PER_SHEET = 80
ANSWERS = "answers"  # what is written per exam (RunRecord.files) by a classifier of features


def exam_folder(out: Path, exam_id: str) -> Path:
    return out / "exams" / exam_id


def check_output(out: Path, *, resume: bool) -> None:
    """Nothing, if a run may write to `out`: it is absent, empty, or (resume) the output of an earlier run.

    Raises SetupError otherwise.
    """
    if out.exists() and not out.is_dir():
        raise SetupError(f"output {out}: found a file, need a folder (new or empty)")
    if out.exists() and any(out.iterdir()):
        if not resume:
            raise SetupError(f"output {out}: the folder is not empty; name a new one, or add --resume")
        if not (out / "run.json").is_file():
            raise SetupError(f"output {out}: not empty and no run.json in it, so it is no run to resume")


def check_files(out: Path, files: str) -> None:
    """Nothing, if the run in `out` wrote these files per exam (RunRecord.files): its page leads to the same for all.

    Raises SetupError otherwise.
    """
    try:
        before = json.loads((out / "run.json").read_bytes()).get("files", files)
    except (OSError, ValueError, AttributeError):
        return  # there is no run yet, or it was cut before it said so
    if before == files:
        return
    if ANSWERS in (before, files):
        kinds = [f"a {'classifier of features' if one == ANSWERS else 'network'}" for one in (before, files)]
        raise SetupError(
            f"--resume: {out} is of a run with {kinds[0]}, now it is {kinds[1]}; use the same weights, or another "
            "output folder"
        )
    raise SetupError(f"--resume: {out} was written with --files {before}; use the same, or another output folder")


def open_output(out: Path, *, resume: bool) -> None:
    """`out` ready to be written to: made if absent, freed of what a killed run left unfinished.

    Raises SetupError as check_output does, OSError if it cannot be made.
    """
    check_output(out, resume=resume)
    (out / "exams").mkdir(parents=True, exist_ok=True)
    remove_parts(out)
    remove_parts(out / "exams")


def find_saved(
    out: Path, exam_ids: Collection[str], settings: Settings, *, load_settings: Callable[[Path], Settings]
) -> frozenset[str]:
    """The exams that are in `out` already, all read with these settings, weights among them.

    load_settings  exam folder -> the settings that its exam was read with; raises SetupError for a damaged one

    Raises SetupError if one was read otherwise (it says what differs), or if `out` holds exams that are not
    in `exam_ids`: its tables would lose them.
    """
    found = {folder.name for folder in (out / "exams").iterdir() if folder.is_dir()}
    strange = sorted(found - set(exam_ids))
    if strange:
        raise SetupError(
            f"--resume: {out} holds {len(strange)} exams that are not in this input ({strange[0]} ...); "
            "give the whole input again, or another output folder"
        )
    for exam_id in sorted(found):
        before = load_settings(exam_folder(out, exam_id))
        differing = [
            f"{name} was {before.get(name)}, is {settings.get(name)}"
            for name in sorted({*before, *settings})
            if before.get(name) != settings.get(name)
        ]
        if differing:
            raise SetupError(
                f"--resume: exam {exam_id} in {out} was read otherwise: {'; '.join(differing)}; "
                "use the same options, or another output folder"
            )
    return frozenset(found)


def write_contact_sheets(out: Path, summaries: Sequence[Summary]) -> None:
    """OUT/contact_sheet_001.png ...: every image that was read, in the order of the tables. Raises OSError."""
    for old in out.glob("contact_sheet_*.png"):
        old.unlink()
    tiles: list[Tile] = []
    number = 1
    for tile in _tiles(out, summaries):
        tiles.append(tile)
        if len(tiles) == TILES_PER_SHEET:
            _write_sheet(out, number, tiles)
            tiles, number = [], number + 1
    if tiles:
        _write_sheet(out, number, tiles)


def write_index(out: Path, summaries: Sequence[Summary], failures: Sequence[Failure], **more: Any) -> None:
    """OUT/index.html, see page.index_page.draw_index_page. Raises OSError."""
    write_whole(out / "index.html", draw_index_page(summaries, failures, **more))


def _write_sheet(out: Path, number: int, tiles: Sequence[Tile]) -> None:
    write_whole(out / f"contact_sheet_{number:03d}.png", png_bytes(draw_contact_sheet(tiles)))


def _tiles(out: Path, summaries: Sequence[Summary]) -> Iterator[Tile]:
    for summary in summaries:
        thumbnails = load_thumbnails(exam_folder(out, summary.exam))
        for key, name in summary.images:
            if key in thumbnails:  # a run may write readings only
                yield Tile(thumbnails[key], name, f"{key}  exam {summary.exam[:8]}")
