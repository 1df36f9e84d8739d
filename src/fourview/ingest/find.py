"""From what a user points at (folders, zips, lists, files) to exams that can be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fourview.exam import Exam, SetupError
from fourview.ingest import exam_list, mini_mias, upstream_list
from fourview.ingest.files import Listing, StoredFile, open_zip, walk_folder, walk_zip
from fourview.ingest.piles import Piles
from fourview.ingest.sources import ExamSource, Found, IngestOptions, list_files

_DEFAULTS = IngestOptions()
_PICKLES = {".pkl", ".pickle", ".p"}
_NEED = "need DICOM mammograms, greyscale PNG named by view (1_L_CC.png), or a list of them"


def find_exams(inputs: Sequence[Path], options: IngestOptions = _DEFAULTS) -> Found:
    """The exams of all inputs, without their pixels; exams that cannot be read come with their `problem`.

    inputs  folders and zips (any depth; DICOM and PNG), CSV, JSON and pickle lists, mini-MIAS folders, single files

    DICOM files make one exam per StudyInstanceUID over all folders and zips; other files one per folder and name
    without the view. Raises SetupError if an input is missing or cannot be used at all, or if there is no exam.
    """
    piles = Piles(options)
    finished: list[Found] = []
    for path in inputs:
        if not path.exists():
            raise SetupError(f"{path.name}: no such file or folder")
        found = _find_in(path, piles, options)
        if found is not None:
            finished.append(found)
    finished.append(piles.found(beside_others=any(found.exams for found in finished)))
    exams = tuple(exam for found in finished for exam in found.exams)
    left_out = tuple(entry for found in finished for entry in found.left_out)
    if not exams:
        where = ", ".join(path.name or str(path) for path in inputs) or "no input"
        raise SetupError(f"no mammograms in {where}: found {len(left_out)} files ({list_files(left_out)}); {_NEED}")
    _check_ids(exams)
    return Found(exams, left_out)


def read_exam(path: Path | str, **options: Any) -> Exam:
    """The one exam at a path, pixels included. options: see IngestOptions.

    Raises SetupError if there is none or more than one, ExamError if it cannot be read.
    """
    found = find_exams([Path(path)], IngestOptions(**options))
    if len(found.exams) != 1:
        exams = "; ".join(f"{exam.exam_id} ({', '.join(exam.names) or exam.problem})" for exam in found.exams[:8])
        raise SetupError(f"found {len(found.exams)} exams, need one: {exams}; use find_exams for several")
    return found.exams[0].read()


def _find_in(path: Path, piles: Piles, options: IngestOptions) -> Found | None:
    """The exams of a list or data set; None where the files of the input went onto the piles."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if mini_mias.is_mini_mias(path):
            return mini_mias.find_mini_mias(path, options)
        _sort_folder(path, piles)
    elif suffix == ".zip":
        _sort_zip(path, "", path.name, piles)
    elif suffix == ".csv":
        return exam_list.find_listed(path, options)
    elif suffix == ".json":
        content = exam_list.load_json(path)
        if upstream_list.is_upstream_list(content):
            return upstream_list.find_upstream(content, path, options)
        return exam_list.find_listed(path, options)
    elif suffix in _PICKLES:
        return upstream_list.find_upstream(upstream_list.load_pickle(path), path, options)
    else:
        piles.add(StoredFile(path, path.name), path.resolve().parent.name)
    return None


def _sort_folder(folder: Path, piles: Piles) -> None:
    origin = folder.resolve().name
    listing = Listing([], [])
    for file in walk_folder(folder, listing):
        if file.suffix != ".zip":
            piles.add(file, origin)
            continue
        try:
            _sort_zip(file.path, file.relative, origin, piles)
        except SetupError as error:  # one bad zip of many is one bad exam
            piles.add_unreadable(file.relative, origin, str(error))
    piles.left_out.extend(listing.left_out)
    for relative, reason in listing.unreadable:
        piles.add_unreadable(relative, origin, reason)
    piles.empty.extend((relative, origin) for relative in listing.empty)


def _sort_zip(path: Path, relative: str, origin: str, piles: Piles) -> None:
    with open_zip(path) as archive:
        for file in walk_zip(archive, path, relative):
            piles.add(file, origin, archive)


def _check_ids(exams: Sequence[ExamSource]) -> None:
    """Two exams of one name would overwrite each other's results: possible only with several lists."""
    first: dict[str, ExamSource] = {}
    for exam in exams:
        other = first.setdefault(exam.exam_id, exam)
        if other is not exam:
            raise SetupError(
                f"two inputs hold an exam of the same name (id {exam.exam_id}: {', '.join(other.names)}; "
                f"{', '.join(exam.names)}): rename one, or read them separately"
            )
