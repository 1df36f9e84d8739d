"""Your own images: a folder with a CSV that has one row per image, or several where an image has several lesions.

    file,patient,exam,side,view,malignant,benign,high_risk,label_unit,label_source,pathology_terms,birads,density,age,
    vendor,date,split,spacing_mm,lesion,kind,pathology,mask,top,bottom,left,right,row,col,radius

`file` (relative to the CSV), `side` and `view` must be there; every other column may be absent or blank. A lesion is
a mask picture of the image's size, or a box (half-open, source pixels), or a circle. `pathology_terms` are the words
of a breast's pathology reports, separated by ";", said in one row of the breast or in several: all its images of that
exam take them, and where malignant and benign are blank, the words decide (datasets.pathology). Labels that contradict
the words are refused with all images of the breast. Other columns are kept.

Without an exam's name the images of one patient and date are an exam. Patients become keys under the site's secret and
exams hashes; the patient ids in DICOM headers are compared with the table's patients (own_headers). File names are
shown, except those that contain words that name the patient, in the table or the header: of these a hash is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from fourview.datasets.own_breast import Breast, breast_key, collect_breasts
from fourview.datasets.own_headers import HeaderPatient, NamedImage, compare_patients, read_header_patient
from fourview.datasets.own_lesion import number_in, read_lesion, real_file
from fourview.datasets.own_names import hide_cells, hide_texts, list_not_named, patient_words_of, redact_lesion
from fourview.datasets.own_table import (
    KNOWN,
    LINE,
    SOURCES,
    UNITS,
    Row,
    check_words,
    exam_of,
    find_mixed_exams,
    join_rows,
    names_exam,
    read_own_table,
    truth_in,
)
from fourview.datasets.own_units import check_units, collect_units
from fourview.datasets.pathology import UNKNOWN_TERM, BreastLabels
from fourview.datasets.patient_words import PatientWords
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Lesion, Listing
from fourview.datasets.tables import side_of
from fourview.exam import ExamError, Mammogram, hash_label
from fourview.ingest.identity import distinct_names, patient_key, redacted_name

_NAME = "own"


def find(root: Path) -> Listing:
    """The images of the CSV in the order of their first rows. Raises SetupError.

    Rows of one image that contradict each other are a problem of the image, named by line; images of the folder
    that the CSV does not name are listed. The header of each DICOM file is read.
    """
    table = read_own_table(root)
    images: dict[str, list[Row]] = {}
    records, problems = [], []
    for row in table.rows:
        if row["file"]:
            images.setdefault(row["file"], []).append(row)
        else:
            problems.append((f"line {row[LINE]}", f"line {row[LINE]}: no file, need a path below the folder"))
    files, wrong = _find_files(images, root)
    headers = {file: header for file, path in files.items() if (header := read_header_patient(path)) is not None}
    who = compare_patients(_name_images(images, headers))
    mixed, breasts, units = find_mixed_exams(table.rows), collect_breasts(table.rows), collect_units(table.rows)
    patients = {row.get("patient", "") for row in table.rows}
    keys = {patient: patient_key(patient) for patient in patients}
    words = {
        file: patient_words_of((row.get("patient", "") for row in rows), headers.get(file))
        for file, rows in images.items()
    }
    shown = distinct_names(redacted_name(file, words[file]) for file in images)
    for (file, rows), image in zip(images.items(), shown, strict=True):
        patient, line = rows[0].get("patient", ""), f"line {rows[0][LINE]}"
        try:
            if rows[0].get("exam") in mixed:
                raise ExamError(f"{line}: the rows of this exam name different patients, need one")
            if file in wrong:
                raise ExamError(wrong[file])
            if patient in who.refused:
                raise ExamError(f"{line}: {who.refused[patient]}")
            check_units(rows[0], units)
            record = _record(image, rows, root, breasts[breast_key(rows[0])], patient=keys[patient])
            lesions = tuple(redact_lesion(lesion, words[file]) for lesion in record.lesions)
            records.append(replace(record, lesions=lesions, more=hide_texts(record.more, words[file])))
        except ExamError as error:
            problems.append((image, hide_cells(str(error), words[file])))
    cells = [*images, *(row["mask"] for row in table.rows if row.get("mask"))]
    named = {real_file(root, cell) for cell in cells}
    all_words = [*patient_words_of(patients), *(word for header in headers.values() for word in header.words)]
    problems += list_not_named(root, named, PatientWords.collect(all_words), table.path.name)
    warnings = [*who.warnings, *_warn_of_exams([rows[0] for rows in images.values()])]
    return Listing(tuple(records), tuple(problems), tuple(warnings))


def _find_files(images: Mapping[str, Sequence[Row]], root: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """The file of each image, links followed; and why the others cannot be taken."""
    files: dict[str, Path] = {}
    wrong: dict[str, str] = {}
    lines: dict[Path, str] = {}
    for file, rows in images.items():
        try:
            real, own = _find_file(file, rows[0], root), rows[0][LINE]
            if (line := lines.setdefault(real, own)) != own:
                raise ExamError(f"line {own}: the same file as in line {line}, need each file once")
            files[file] = real
        except ExamError as error:
            wrong[file] = str(error)
    return files, wrong


def _name_images(images: Mapping[str, Sequence[Row]], headers: Mapping[str, HeaderPatient]) -> list[NamedImage]:
    return [
        NamedImage(images[file][0].get("patient", ""), int(images[file][0][LINE]), header.patient_id)
        for file, header in headers.items()
    ]


def _warn_of_exams(rows: Sequence[Row]) -> list[str]:
    """rows: the first one of each image."""
    alone = sum(not names_exam(row) for row in rows)
    said = (
        f"{alone} of {len(rows)} images name neither exam nor patient and date: each counts as an exam of its own, "
        "which --require four-views does not take"
    )
    return [said] if alone else []


def _find_file(file: str, row: Row, root: Path) -> Path:
    """The image that a row names, links followed."""
    place = PurePosixPath(file)
    if "\\" in file:
        raise ExamError(f"line {row[LINE]}: found file {file!r}, need / between folders")
    if place.is_absolute() or ".." in place.parts:
        raise ExamError(f"line {row[LINE]}: found file {file!r}, need a path below the folder")
    if (real := real_file(root, file)) is None:
        raise ExamError(f"line {row[LINE]}: the table names it, but it is not there")
    return real


def _record(image: str, rows: list[Row], root: Path, breast: Breast, *, patient: str | None) -> ImageRecord:
    first = join_rows(rows)
    try:
        breast.check()
        return _checked(image, first, rows, root, breast, patient=patient)
    except ExamError as error:
        said = str(error)
        raise ExamError(said if said.startswith("line ") else f"line {first[LINE]}: {said}") from None


def _checked(image: str, row: Row, rows: list[Row], root: Path, breast: Breast, *, patient: str | None) -> ImageRecord:
    side, angle = side_of(row["side"]), row["view"].upper()
    if side is not None and angle[:2] in ("L-", "R-"):
        if angle[0] != side.value:
            raise ExamError(f"found side {row['side']!r} and view {row['view']!r}, need one side in both")
        angle = angle[2:]
    if side is None or not angle:
        raise ExamError(f"found side {row['side']!r} and view {row['view']!r}; need L or R, CC or MLO")
    check_words(row)
    lesions = [found for at, one in enumerate(rows, 1) if (found := _lesion(one, f"{image}_{at}", root)) is not None]
    if len({lesion.lesion for lesion in lesions}) < len(lesions):
        raise ExamError("two rows of this image name the same lesion, need one row per lesion")
    more = {column: value for column, value in row.items() if value and column not in KNOWN}
    if breast.words:
        more["pathology"] = ";".join(breast.words)
    unit, source = row.get("label_unit", "").lower(), row.get("label_source", "").lower()
    if breast.words and unit not in ("", "breast"):
        raise ExamError(f"found label_unit {unit!r}, but pathology_terms are of the breast; need breast or nothing")
    labels = breast.label() or BreastLabels(
        truth_in(row, "malignant"), truth_in(row, "benign"), truth_in(row, "high_risk") is True
    )
    if labels.high_risk and not labels.benign:
        raise ExamError("high_risk is 1, but benign is not; need benign 1, since high-risk findings are benign ones")
    return ImageRecord(
        _NAME,
        patient,
        exam=hash_label(exam_of(row, patient)),
        image=image,
        path=root / row["file"],
        side=side,
        angle=angle,
        malignant=labels.malignant,
        benign=labels.benign,
        high_risk=labels.high_risk,
        label_unit=UNITS.get(unit, "breast" if breast.words else "image"),
        label_source=SOURCES.get(source, "biopsy" if breast.words else "unknown"),
        birads=row.get("birads", "").lower() or None,
        density=row.get("density", "").upper() or None,
        age=number_in(row, "age", 0, 130),
        vendor=row.get("vendor") or None,
        date=row.get("date") or None,
        spacing_mm=number_in(row, "spacing_mm", 0.001, 10),
        lesions=tuple(lesions),
        split=row.get("split", "").lower() or None,
        more=more,
        warnings=tuple(f"{UNKNOWN_TERM}{term}" for term in labels.unknown_terms),
    )


def _lesion(row: Row, name: str, root: Path) -> Lesion | None:
    try:
        lesion = read_lesion(row, name, root)
    except ExamError as error:
        raise ExamError(f"line {row[LINE]}: {error}") from None
    if lesion is not None and truth_in(row, lesion.pathology) is False:
        raise ExamError(f"line {row[LINE]}: {lesion.pathology} is 0, but the lesion of this line is {lesion.pathology}")
    return lesion


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it; the pixels decide its direction where no tag says it. Raises ExamError."""
    try:
        return load_record(record, mirrored_auto=True)
    except ExamError as error:
        raise ExamError(str(error).replace(record.path.name, PurePosixPath(record.image).name)) from None


DATASET = Dataset(
    _NAME,
    "Your own folder of images with a CSV",
    has="what its columns say: labels, BI-RADS, density, lesions as masks, boxes or circles, splits",
    terms="yours",
    source="a folder with images (DICOM, PNG or PGM) and labels.csv; its columns are described in docs/data.md",
    read_here="10 images of public sample sets",
    find=find,
    load=load,
    public=False,
)
