"""EMBED, the Emory Breast Imaging Dataset, open part: findings, BI-RADS and pathology of 22,382 women.

One table has a row per finding, the other a row per file. They meet in patient, exam and breast: a finding of side B or
of no side belongs to both breasts. Joined by exam alone, a cancer of one breast would become a cancer of both. Each
table also comes with fewer columns (*_reduced.csv), which is taken where the whole one is not there. Files lie in
cohort_N/patient/study/series/file.dcm, as the paths of Sample_Notebook.ipynb have it; the README leaves the series out.
Source: README and notebooks of Emory-HITI/EMBED_Open_Data; Jeong et al. 2023 (doi 10.1148/ryai.220047).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path, PurePosixPath

from fourview.datasets.embed_findings import (
    FINDING_KEEPS,
    FINDING_NEEDS,
    Findings,
    describe_exam,
    describe_findings,
    findings_by_breast,
)
from fourview.datasets.embed_regions import COUNTS, read_regions, warn_of_regions
from fourview.datasets.reading import load_record
from fourview.datasets.record import Dataset, ImageRecord, Listing
from fourview.datasets.tables import files_below, find_one, number_of, side_of, stream_table
from fourview.exam import ExamError, Mammogram, SetupError

_NAME = "embed"
_CLINICAL = ("EMBED_OpenData_clinical.csv", "EMBED_OpenData_clinical_reduced.csv")
_METADATA = ("EMBED_OpenData_metadata.csv", "EMBED_OpenData_metadata_reduced.csv")
_NEED = "the tables of EMBED from its folder tables/"
_NEEDS = (
    "empi_anon", "acc_anon", "anon_dicom_path", "FinalImageType", "ImageLateralityFinal", "ViewPosition", "spot_mag",
    "ROI_coords",
)  # fmt: skip
_KEEPS = (*COUNTS, "match_level", "Manufacturer", "study_date_anon")
_COHORT = re.compile(r"cohort_\d+")
_LEVELS = 4  # patient, study, series, file
Row = Mapping[str, str]


def find(root: Path) -> Listing:
    """The files of the metadata table, in its order. Raises SetupError.

    Synthesised images (C-view), spot and magnification views keep their angle with that word: "CC C-view".
    """
    clinical, metadata = (find_one(root, *names, need=_NEED) for names in (_CLINICAL, _METADATA))
    findings = findings_by_breast(stream_table(clinical, needs=FINDING_NEEDS, keep=FINDING_KEEPS))
    files, doubled = _files(root)
    records, problems = [], []
    named: set[str] = set()
    exams: set[tuple[str, str]] = set()
    for row in _rows(metadata):
        place = _place(row["anon_dicom_path"])
        exams.add((row["empi_anon"], row["acc_anon"]))
        try:
            if place in named:
                raise ExamError(f"{metadata.name} lists it twice, need one row per file")
            named.add(place)
            if place in doubled:
                raise ExamError("its file is there more than once (in two cohorts, or as a copy), need one")
            if place not in files:
                raise ExamError(f"in {metadata.name}, but its file is not there")
            records.append(_record(row, files[place], findings))
        except ExamError as error:
            problems.append((place, str(error)))
    problems += [(place, f"{metadata.name} does not name it") for place in files if place not in named]
    for patient, exam in findings.exams:
        if (patient, exam) not in exams:
            problems.append((f"exam {exam}", f"in {clinical.name}, but {metadata.name} has no file of it"))
    return Listing(tuple(records), tuple(problems), _warnings(clinical, findings))


def _rows(metadata: Path) -> chain[dict[str, str]]:
    """Rows of the metadata table, one at a time: it is too large to hold. Raises SetupError, the first at once."""
    rows = stream_table(metadata, needs=_NEEDS, keep=_KEEPS)
    first = next(rows, None)
    if first is not None and not any(count in first for count in COUNTS):
        raise SetupError(f"{metadata.name}: no column {' or '.join(COUNTS)}, need the number of regions")
    return chain([] if first is None else [first], rows)


def _files(root: Path) -> tuple[dict[str, Path], set[str]]:
    """The files by place, and the places that have several."""
    files: dict[str, Path] = {}
    doubled = set()
    for path in files_below(root, ".dcm"):
        if files.setdefault(place := _place(path), path) is not path:
            doubled.add(place)
    return files, doubled


def _place(path: Path | str) -> str:
    """What follows cohort_N in a path, else its last four parts: the same in the table and in every copy of the set."""
    parts = PurePosixPath(path).parts
    cohorts = [at for at, part in enumerate(parts) if _COHORT.fullmatch(part)]
    return "/".join(parts[cohorts[-1] + 1 :] if cohorts else parts[-_LEVELS:])


def _warnings(clinical: Path, findings: Findings) -> tuple[str, ...]:
    if not findings.lacks:
        return ()
    said = f"{clinical.name} has no column {', '.join(findings.lacks)}"
    return (f"{said}: pathology counts for the side of its finding" if "bside" in findings.lacks else said,)


def _record(row: Row, path: Path, findings: Findings) -> ImageRecord:
    patient, exam, side = row["empi_anon"], row["acc_anon"], side_of(row["ImageLateralityFinal"])
    if side is None:
        raise ExamError(f"found ImageLateralityFinal {row['ImageLateralityFinal']!r}, need L or R")
    said = describe_findings(findings.of(patient, exam, side), side)
    of_exam = describe_exam(findings.exams.get((patient, exam), ()))
    return ImageRecord(
        _NAME,
        patient,
        exam=exam,
        image=path.stem,
        path=path,
        side=side,
        angle=_angle(row),
        malignant=said.malignant,
        benign=said.benign,
        high_risk=said.high_risk,
        label_unit="breast",
        label_source="birads" if said.malignant is None and said.birads else said.source,
        birads=said.birads,
        density=said.density,
        age=of_exam.age,
        vendor=row.get("Manufacturer") or None,
        date=row.get("study_date_anon") or None,
        lesions=read_regions(row, path, side),
        more={**of_exam.more, **said.more},
    )


def _angle(row: Row) -> str:
    words = [row["ViewPosition"].upper()]
    if row["FinalImageType"] != "2D":
        words.append("C-view" if row["FinalImageType"].lower() == "cview" else row["FinalImageType"])
    if number_of(row["spot_mag"]):
        words.append("spot")
    return " ".join(filter(None, words))


def load(record: ImageRecord) -> Mammogram:
    """The image as ingest reads it, with a warning where a region of it lies beside the breast. Raises ExamError."""
    image = load_record(record)
    return replace(image, warnings=(*image.warnings, *warn_of_regions(record, image)))


DATASET = Dataset(
    _NAME,
    "EMBED, the Emory Breast Imaging Dataset (open 20 %)",
    has="480,323 digital mammograms of 22,382 women; BI-RADS, densities, findings, pathology, ages, regions "
    "drawn by radiologists",
    terms="research only; no redistribution, and no release of models trained on it",
    source="https://github.com/Emory-HITI/EMBED_Open_Data: ask for access, then copy images and tables/ from AWS",
    read_here="never: only a miniature in its layout",
    find=find,
    load=load,
    releases_models=False,
)
