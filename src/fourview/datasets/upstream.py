"""The exam list of the published classifier and its relatives: a pickle or JSON list beside its images.

Labels are `cancer_label` (per breast, biopsied within 120 days; `unknown` 1: no biopsy, so nothing is known). Lists of
GMIC name mask pictures per view, for the findings that can be seen: a biopsied breast without one is no mistake.
Exams have the ids, and images the names (without suffix), of readings of the same list: of a name that holds words of a
patient, as DICOM headers give them, a hash is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from fourview.datasets.patient_words import PatientWords
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing
from fourview.datasets.upstream_files import (
    SIDES,
    ListedImage,
    NamedFiles,
    find_doubled,
    find_repeated,
    name_masks,
)
from fourview.datasets.upstream_masks import read_regions
from fourview.exam import FINDINGS, VIEWS, Direction, ExamError, Finding, Mammogram, SetupError, Side
from fourview.ingest.exam_list import load_json
from fourview.ingest.identity import distinct_names
from fourview.ingest.sources import ExamSource, ImageSource, IngestOptions
from fourview.ingest.upstream_list import find_upstream, is_upstream_list, load_pickle

_NAME = "upstream"
_FACES: dict[str, Direction] = {"left": "left", "right": "right"}
Entry = Mapping[str, Any]


def find(root: Path) -> Listing:
    """The images of the folder's exam list, in its order. Raises SetupError if there is none, or several.

    An image that the list names for two exams or views is taken for neither. What the list names and the folder does
    not hold is counted in the warnings.
    """
    path, content = _exam_list(root)
    found = find_upstream(content, path, IngestOptions())
    repeated = find_repeated(content)
    headers = [image.header for exam in found.exams for image in exam.images if image.header is not None]
    words = PatientWords.collect(word for header in headers for word in header.words)
    files = NamedFiles.compare([entry for place, entry in enumerate(content) if place not in repeated], root, words)
    records: list[ImageRecord] = []
    problems: list[tuple[str, str]] = []
    listed: list[tuple[ListedImage, ExamSource]] = []
    for place, (entry, exam) in enumerate(zip(content, found.exams, strict=True)):
        label = words.redact(exam.label)
        if place in repeated:
            problems.append((label, f"{path.name} holds this exam twice, word for word: it is taken once"))
            continue
        if exam.problem is not None:
            problems.append((label, _hide_stems(exam.problem, entry, words)))
        listed += [(ListedImage(entry, label, image, _shown_name(image, words)), exam) for image in exam.images]
    doubled = find_doubled([one for one, _ in listed])
    for place, (one, exam) in enumerate(listed):
        try:
            if place in doubled:
                raise ExamError(doubled[place])
            records.append(_record(one, exam, files, problems))
        except ExamError as error:
            problems.append((one.name, str(error)))
    names = distinct_names(record.image for record in records)
    named = (replace(record, image=name) for record, name in zip(records, names, strict=True))
    return Listing(tuple(named), tuple(problems), tuple(files.warnings()))


def _shown_name(image: ImageSource, words: PatientWords) -> str:
    """The image's name without its suffix: of a DICOM file as ingest shows it, which has read its header."""
    return words.redact(image.file.stem) if image.header is None else PurePosixPath(image.name).stem


def _hide_stems(said: str, entry: Entry, words: PatientWords) -> str:
    """A message about the files of an entry, those that are not there among them, without names of patients."""
    for stem in (PurePosixPath(stem).name for view in VIEWS for stem in entry.get(view.value, [])):
        if (shown := words.redact(stem)) != stem:
            said = said.replace(stem, shown)
    return said


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


def _record(one: ListedImage, exam: ExamSource, files: NamedFiles, problems: list[tuple[str, str]]) -> ImageRecord:
    entry, image, side = one.entry, one.image, one.image.view.side
    labels = _labels(entry, side)
    lesions, doubts = [], []
    for finding in FINDINGS:
        try:
            lesions += _lesions(one, finding, files)
        except ExamError as error:
            problems.append((f"{one.name} {finding}", f"{error}; the image is kept without this region"))
            doubts.append(f"no {finding} region: {error}")
    said = {False: "says none", None: "says that nothing is known"} if "cancer_label" in entry else {}
    for outlined in sorted({lesion.pathology for lesion in lesions}):
        if labels.get(outlined) in said:
            doubts.append(f"a {outlined} finding is outlined, but cancer_label {said[labels.get(outlined)]}")
    return ImageRecord(
        _NAME,
        exam.patient_key,
        exam=exam.exam_id,
        image=one.name,
        path=image.file.path,
        side=side,
        angle=image.view.angle,
        malignant=labels["malignant"],
        benign=labels["benign"],
        label_unit="breast",
        label_source="unknown" if labels["malignant"] is None else "biopsy",
        lesions=tuple(lesions),
        more={} if image.tagged is None or image.header is not None else {"faces": image.tagged},
        warnings=tuple(doubts),
    )


def _labels(entry: Entry, side: Side) -> dict[str, bool | None]:
    """malignant and benign of one breast; None without a label, or where the list says that it is unknown."""
    label = entry.get("cancer_label")
    if label is None:
        return dict.fromkeys(FINDINGS)
    names = [f"{breast}_{finding}" for finding in FINDINGS for breast in SIDES.values()]
    if not isinstance(label, Mapping) or any(label.get(name) not in (0, 1) for name in names):
        raise ExamError(f"found cancer_label {label!r}, need {', '.join(names)}, each 0 or 1")
    for finding in FINDINGS:
        breasts = max(label[f"left_{finding}"], label[f"right_{finding}"])
        if label.get(finding, breasts) != breasts:
            raise ExamError(f"cancer_label says {finding} {label[finding]} for the exam, but {breasts} for its breasts")
    unknown = label.get("unknown", 0)
    found = [f"{name} 1" for name in names if label[name]]
    if unknown not in (0, 1) or (unknown and found):
        said = " and ".join([f"unknown {unknown!r}", *found])
        raise ExamError(f"cancer_label says {said}, need unknown 0, or 1 where no breast has a finding")
    if unknown:
        return dict.fromkeys(FINDINGS)
    return {finding: bool(label[f"{SIDES[side]}_{finding}"]) for finding in FINDINGS}


def _lesions(one: ListedImage, finding: Finding, files: NamedFiles) -> list[Lesion]:
    """The lesions of one kind in one image, one per outlined area. Raises ExamError for a mask that does not fit."""
    entry, image = one.entry, one.image
    at = [PurePosixPath(stem).name for stem in entry[image.view.value]].index(image.file.stem)
    named = name_masks(entry, image.view, finding)
    path = files.find_mask(named[at]) if named else None
    if path is None:
        return []
    regions = read_regions(
        path,
        image.file.path,
        view=image.view,
        faces=image.tagged or image.view.usual_direction,
        shown=files.words.redact(path.name),
        centre=_numbers(entry, "best_center", image.view.value, at=at, count=2),
        window=_numbers(entry, "window_location", image.view.value, at=at, count=4),
    )
    return [
        Lesion(f"{one.name}_{finding}_{number}", "other", finding, region=region)
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
    try:
        return load_record(record, faces=_FACES.get(record.more.get("faces", "")), faces_source="horizontal_flip")
    except ExamError as error:
        raise ExamError(str(error).replace(record.path.name, record.image)) from None


DATASET = Dataset(
    _NAME,
    "An exam list of the published classifier or of GMIC, with its images",
    has="breast labels from biopsies, masks where the list names them; usually no patients",
    terms="those of its images; the published samples are AGPL-3.0",
    source="the exam list (.pkl or .json) and its images (PNG or DICOM) in one folder, masks anywhere below it",
    read_here="one four-view exam of GMIC's sample with its 2 masks",
    find=find,
    load=load,
    public=False,
)
