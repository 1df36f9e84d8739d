"""Lesions explained one by one, into a folder each, and a page of them all; a run that was stopped goes on."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl

from fourview.exam import ExamError, SetupError
from fourview.explain.exam_document import jpeg_bytes, say_failures
from fourview.explain.explain_exams import open_folder
from fourview.report.document import Document, GalleryItem
from fourview.report.document_folder import add_document
from fourview.report.picture import BACKGROUND, Picture, png_bytes
from fourview.studies.lesion.signs.inputs import LesionInput
from fourview.studies.lesion.signs.lesion_map import LesionMap, explain_lesion
from fourview.studies.lesion.signs.map_page import (
    FOLDER,
    describe_lesion_maps,
    draw_channels,
    draw_lesion_map,
    make_row,
    name_lesion,
)
from fourview.studies.lesion.signs.read import LesionLens, LesionMethod
from fourview.whole_files import remove_parts, whole_folder

MAP, CHANNELS, ABOUT, ARRAYS = "map.png", "channels.png", "map.json", "map.npz"
ON_PAGE = 24  # lesion images; what one page can hold


def explain_lesions(
    lens: LesionLens,
    inputs: Sequence[LesionInput],
    method: LesionMethod,
    out: Path,
    *,
    drawn: int,
    curves: bool,
    seed: int,
    marks: tuple[str, ...],
    settings: tuple[tuple[str, str], ...],
    notes: Sequence[str],
    on_step: Callable[[int, int, str | None], None],
    left_out: Sequence[tuple[str, str]] = (),
) -> tuple[Document, int]:
    """The page, and how many lesions could not be read.

    OUT/report.html, maps.csv; OUT/lesions/NUMBER/ of each lesion image: map.png, channels.png, map.npz (values, box and
    shape in the pixels of the file), map.json. What an earlier call with the same settings left in OUT is taken.

    on_step   done, total, problem; may raise KeyboardInterrupt, after which the same call goes on
    left_out  (what, why) that was asked for and is not there
    Raises SetupError: OUT holds something else or cannot be written, no lesion can be read.
    """
    open_folder(out, settings)
    (out / FOLDER).mkdir(exist_ok=True)
    remove_parts(out / FOLDER)
    problems = list(left_out)
    found: list[tuple[Path, dict[str, Any]]] = []
    for number, lesion in enumerate(inputs):
        folder, problem = out / FOLDER / f"{number + 1:04d}", None
        if not folder.is_dir():
            try:
                one = explain_lesion(lens, lesion.open(), method, drawn=drawn, curves=curves, seed=seed)
                _write(folder, one, method, marks=marks)
            except (SetupError, KeyboardInterrupt):
                raise
            except ExamError as error:
                problem = str(error)
            except Exception as error:  # one image must not stop a batch, whatever its file holds
                place = traceback.extract_tb(error.__traceback__)[-1]
                problem = f"unexpected {type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        if problem is None:
            found.append((folder, _load(folder)))
        else:
            problems.append((lesion.name, problem))
        on_step(number + 1, len(inputs), problem)
    if not found:
        why = (problems[len(left_out) :] or problems or [("", "none was asked for")])[0][1]
        raise SetupError(f"found no lesion that could be read; the first: {why}")
    table = pl.DataFrame([about["row"] for _, about in found], infer_schema_length=None)
    items = [_show(folder, about) for folder, about in found[:ON_PAGE]]
    document = describe_lesion_maps(
        table, items, method, title=lens.card.name, marks=marks, settings=settings, notes=notes, problems=problems
    )
    add_document(out, document, tables={"maps": table})
    return document, len(problems)


def _write(folder: Path, one: LesionMap, method: LesionMethod, *, marks: tuple[str, ...]) -> None:
    picture, channels = draw_lesion_map(one, method, marks=marks), draw_channels(one)
    about = {"title": name_lesion(one), "lines": list(say_failures(one.checks)), "row": make_row(one)}
    box = one.map.box
    try:
        with whole_folder(folder) as part:
            (part / MAP).write_bytes(png_bytes(picture))
            if channels is not None:
                (part / CHANNELS).write_bytes(png_bytes(channels))
            np.savez_compressed(
                part / ARRAYS,
                values=one.map.inside,
                box=np.array([box.top, box.bottom, box.left, box.right]),
                shape=np.array(one.map.source_shape),
            )
            (part / ABOUT).write_text(json.dumps(about, indent=1) + "\n")
    except OSError as error:
        raise SetupError(
            f"cannot write {folder}: {error.strerror or error}; make room or fix it, then run the same command"
        ) from error


def _load(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder / ABOUT}: damaged ({type(error).__name__}); remove its folder") from error
    return about


def _show(folder: Path, about: dict[str, Any]) -> GalleryItem:
    """The lesion's pictures one above the other."""
    pictures = [_read_picture(folder / name) for name in (MAP, CHANNELS) if (folder / name).is_file()]
    sheet = np.empty((sum(len(one) for one in pictures), max(one.shape[1] for one in pictures), 3), np.uint8)
    sheet[:] = BACKGROUND
    top = 0
    for picture in pictures:
        sheet[top : top + len(picture), : picture.shape[1]] = picture
        top += len(picture)
    return GalleryItem(about["title"], tuple(about["lines"]), images=((about["title"], jpeg_bytes(sheet)),))


def _read_picture(path: Path) -> Picture:
    picture = cv2.imread(str(path))
    if picture is None:
        raise SetupError(f"{path}: damaged; remove its folder")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
