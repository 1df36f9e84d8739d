"""The exam list of the published classifier and its relatives: a pickle or JSON list beside its images.

Labels are `cancer_label` (per breast, biopsied within 120 days; `unknown` 1: no biopsy, so nothing is known). Lists of
GMIC name mask pictures per view, for the findings that can be seen: a biopsied breast without one is no mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing
from fourview.datasets.tables import files_below
from fourview.datasets.upstream_masks import read_regions
from fourview.exam import FINDINGS, Direction, ExamError, Finding, Mammogram, SetupError
from fourview.ingest.exam_list import load_json
from fourview.ingest.sources import ExamSource, ImageSource, IngestOptions
from fourview.ingest.upstream_list import find_upstream, is_upstream_list, load_pickle

_NAME = "upstream"
_SIDES = {"L": "left", "R": "right"}
_FACES: dict[str, Direction] = {"left": "left", "right": "right"}
Entry = Mapping[str, Any]


def find(root: Path) -> Listing:
    """The images of the folder's exam list, in its order. Raises SetupError if there is none, or several."""
    path, content = _exam_list(root)
    found = find_upstream(content, path, IngestOptions())
    masks = {file.stem: file for file in files_below(root, ".png")}
    records, problems = [], []
    seen: set[str] = set()
    for entry, exam in zip(content, found.exams, strict=True):
        if exam.problem is not None:
            problems.append((exam.label, exam.problem))
        for image in exam.images:
            try:
                if image.file.stem in seen:
                    raise ExamError(f"{path.name} names this image twice, need names that are unique")
                seen.add(image.file.stem)
                records.append(_record(entry, exam, image, masks, problems))
            except ExamError as error:
                problems.append((image.file.stem, str(error)))
    warnings = ("the list names no patients: this set cannot be split by patient",)
    return Listing(tuple(records), tuple(problems), () if any(record.patient for record in records) else warnings)


def _exam_list(root: Path) -> tuple[Path, list[Entry]]:
    """The one list in the folder, told by its content."""
    if not root.is_dir():
        raise SetupError(f"{root.name}: no such folder")
    lists: list[tuple[Path, list[Entry]]] = []
    unreadable = []
    for path in sorted(root.iterdir()):
        if path.suffix.lower() not in (".pkl", ".pickle", ".json"):
            continue
        try:
            content = load_json(path) if path.suffix.lower() == ".json" else load_pickle(path)
        except SetupError as error:
            unreadable.append(str(error))
            continue
        if is_upstream_list(content):
            lists.append((path, content))
    if len(lists) != 1:
        names = ", ".join(path.name for path, _ in lists) or "none"
        raise SetupError("; ".join([f"{root.name}: need one exam list (.pkl or .json), found {names}", *unreadable]))
    return lists[0]


def _record(
    entry: Entry, exam: ExamSource, image: ImageSource, masks: Mapping[str, Path], problems: list[tuple[str, str]]
) -> ImageRecord:
    side, stem = image.view.side, image.file.stem
    labels = _labels(entry, side.value)
    lesions = []
    for finding in FINDINGS:
        try:
            lesions += _lesions(entry, image, finding, masks)
        except ExamError as error:
            problems.append((f"{stem} {finding}", f"{error}; the image is kept without this region"))
    outlined = {lesion.pathology for lesion in lesions}
    doubts = [f"a {f} finding is outlined, but cancer_label says none" for f in outlined if labels.get(f) is False]
    return ImageRecord(
        _NAME,
        exam.patient_key,
        exam=exam.label,
        image=stem,
        path=image.file.path,
        side=side,
        angle=image.view.angle,
        malignant=labels["malignant"],
        benign=labels["benign"],
        label_unit="breast",
        label_source="unknown" if labels["malignant"] is None else "biopsy",
        lesions=tuple(lesions),
        more={} if image.tagged is None or image.header is not None else {"faces": image.tagged},
        warnings=tuple(sorted(doubts)),
    )


def _labels(entry: Entry, side: str) -> dict[str, bool | None]:
    """malignant and benign of one breast; None without a label, or where the list says that it is unknown."""
    label = entry.get("cancer_label")
    if label is None:
        return dict.fromkeys(FINDINGS)
    names = [f"{_SIDES[s]}_{finding}" for finding in FINDINGS for s in _SIDES]
    if not isinstance(label, Mapping) or any(label.get(name) not in (0, 1) for name in names):
        raise ExamError(f"found cancer_label {label!r}, need {', '.join(names)}, each 0 or 1")
    for finding in FINDINGS:
        breasts = max(label[f"left_{finding}"], label[f"right_{finding}"])
        if label.get(finding, breasts) != breasts:
            raise ExamError(f"cancer_label says {finding} {label[finding]} for the exam, but {breasts} for its breasts")
    if label.get("unknown"):
        return dict.fromkeys(FINDINGS)
    return {finding: bool(label[f"{_SIDES[side]}_{finding}"]) for finding in FINDINGS}


def _lesions(entry: Entry, image: ImageSource, finding: Finding, masks: Mapping[str, Path]) -> list[Lesion]:
    """The lesions of one kind in one image, one per outlined area. Raises ExamError for a mask that does not fit."""
    at = [PurePosixPath(stem).name for stem in entry[image.view.value]].index(image.file.stem)
    named = entry.get(f"{image.view.value}_{finding}_seg", [])
    if not isinstance(named, list | tuple) or not all(isinstance(stem, str) for stem in named):
        raise ExamError(f"{image.view.value}_{finding}_seg is no list of file stems")
    path = masks.get(PurePosixPath(named[at]).name) if at < len(named) else None
    if path is None:
        return []
    regions = read_regions(
        path,
        image.file.path,
        view=image.view,
        faces=image.tagged or image.view.usual_direction,
        centre=_numbers(entry, "best_center", image.view.value, at=at, count=2),
        window=_numbers(entry, "window_location", image.view.value, at=at, count=4),
    )
    return [
        Lesion(f"{image.file.stem}_{finding}_{number}", "other", finding, region=region)
        for number, region in enumerate(regions, 1)
    ]


def _numbers(entry: Entry, key: str, view: str, *, at: int, count: int) -> tuple[int, ...] | None:
    """What the steps of upstream's preparation have added for one image; None if the list does not have it."""
    if key not in entry:
        return None
    try:
        numbers = tuple(int(number) for number in entry[key][view][at])
    except (TypeError, ValueError, LookupError):
        numbers = ()
    if len(numbers) != count:
        raise ExamError(f"{key} of {view} in the list holds no {count} numbers for this image")
    return numbers


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it, pointing where horizontal_flip says. Raises ExamError."""
    return load_record(record, faces=_FACES.get(record.more.get("faces", "")), faces_source="horizontal_flip")


DATASET = Dataset(
    _NAME,
    "An exam list of the published classifier or of GMIC, with its images",
    has="breast labels from biopsies, masks where the list names them; usually no patients",
    terms="those of its images; the published samples are AGPL-3.0",
    source="the exam list (.pkl or .json) and its images (PNG or DICOM) in one folder, masks anywhere below it",
    read_here="one four-view exam of GMIC's sample with its 2 masks",
    find=find,
    load=load,
)
